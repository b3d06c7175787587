"""What has to be true after a fault: the journal of those who asked, against what is recorded, kept and shown."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from uuid import UUID

from healthcare.domain.kernel import EventKind
from healthcare.domain.scheduling.model import MOST_HOLDS
from healthcare.domain.scheduling.status import TRANSITIONS, AppointmentStatus
from tests.integration.faults.answers import (
    answered_well,
    answers_are_true,
    one_answer_per_key,
    refusals_have_reasons,
    settled_in_the_end,
)
from tests.integration.faults.evidence import Entry, Evidence, Row, Slot, State
from tests.integration.faults.journal import Kind, Try, by_wish

EFFECTS: Mapping[Kind, frozenset[EventKind]] = {
    Kind.SEARCH: frozenset(),
    Kind.LIST: frozenset(),
    Kind.READ: frozenset(),
    Kind.HOLD: frozenset({EventKind.SLOT_HELD, EventKind.HOLD_EXTENDED}),
    Kind.RELEASE: frozenset({EventKind.HOLD_RELEASED}),
    Kind.BOOK: frozenset({EventKind.APPOINTMENT_BOOKED}),
    Kind.RESCHEDULE: frozenset({EventKind.APPOINTMENT_RESCHEDULED}),
    Kind.CANCEL: frozenset({EventKind.APPOINTMENT_CANCELLED}),
    Kind.CANCEL_DAY: frozenset({EventKind.SLOT_WITHDRAWN, EventKind.APPOINTMENT_CANCELLED}),
    Kind.PUBLISH: frozenset({EventKind.SLOTS_PUBLISHED}),
}
"""What may come of what somebody asks; whoever asks for a slot also comes upon holds that have run out."""
TOLD: Mapping[tuple[Kind, int | None], EventKind] = {
    (Kind.HOLD, 201): EventKind.SLOT_HELD,
    (Kind.HOLD, 200): EventKind.HOLD_EXTENDED,
    (Kind.RELEASE, 204): EventKind.HOLD_RELEASED,
    (Kind.BOOK, 201): EventKind.APPOINTMENT_BOOKED,
    (Kind.RESCHEDULE, 200): EventKind.APPOINTMENT_RESCHEDULED,
    (Kind.CANCEL, 200): EventKind.APPOINTMENT_CANCELLED,
    (Kind.CANCEL_DAY, 200): EventKind.APPOINTMENT_CANCELLED,
    (Kind.PUBLISH, 201): EventKind.SLOTS_PUBLISHED,
}
"""What was done, as an answer tells."""
BESIDES = frozenset({EventKind.HOLD_EXPIRED, EventKind.SLOT_WITHDRAWN})
"""What no answer tells."""
STAYS = frozenset({EventKind.HOLD_EXTENDED, EventKind.APPOINTMENT_RESCHEDULED})
"""What leaves the status as it was."""
ONLY_FROM: Mapping[EventKind, AppointmentStatus] = {
    EventKind.HOLD_EXTENDED: AppointmentStatus.PENDING,
    EventKind.HOLD_RELEASED: AppointmentStatus.PENDING,
    EventKind.HOLD_EXPIRED: AppointmentStatus.PENDING,
    EventKind.APPOINTMENT_BOOKED: AppointmentStatus.PENDING,
    EventKind.APPOINTMENT_RESCHEDULED: AppointmentStatus.BOOKED,
}
"""In which status something can happen to an appointment that is there already."""


def violations(journal: Sequence[Try], state: State, *, unanswered: bool, hidden: bool) -> list[str]:
    """Say what is wrong, if anything is.

    `unanswered`: a process that answers was killed, so requests may have got no answer.
    `hidden`: what struck must not be felt, so no request may have failed.
    """
    evidence = Evidence(journal, state)
    return [
        *one_claim_at_a_time(state.rows),
        *few_holds_at_a_time(evidence),
        *nobody_has_a_withdrawn_slot(evidence),
        *acknowledged_is_kept(evidence),
        *kept_was_asked_for(evidence),
        *recorded_once(evidence),
        *as_it_was_left(evidence),
        *statuses_follow_the_table(evidence),
        *days_are_whole(evidence),
        *searches_are_right(state),
        *one_answer_per_key(journal),
        *settled_in_the_end(journal),
        *answers_are_true(evidence),
        *refusals_have_reasons(evidence),
        *(wrong for one in journal for wrong in answered_well(one, unanswered=unanswered)),
        *(f"failed: {one}" for one in journal if hidden and not one.settled),
    ]


def one_claim_at_a_time(rows: Iterable[Row]) -> Iterator[str]:
    """No slot is taken twice, and no doctor and no patient is in two places."""
    live = [row for row in rows if row.live]
    for one, other in combinations(live, 2):
        if one.slot == other.slot:
            yield f"taken twice: {one}, {other}"
        elif one.start < other.end and other.start < one.end and one.people & other.people:
            yield f"in two places: {one}, {other}"


def few_holds_at_a_time(evidence: Evidence) -> Iterator[str]:
    """Nobody has held more slots at any moment than one may, and no hold has run out before its time."""
    holds = defaultdict[UUID, set[str]](set)
    for entry in evidence.state.entries:
        if row := evidence.rows.get(entry.subject):
            held = holds[row.patient]
            held.discard(row.id)
            if entry.kind in {EventKind.SLOT_HELD, EventKind.HOLD_EXTENDED}:
                held.add(row.id)
            if len(held) > MOST_HOLDS:
                yield f"{len(held)} holds at a time: {entry}"
    ran_out = {row.id for row in evidence.state.rows if row.ran_out}
    ran_out |= {entry.subject for entry in evidence.state.entries if entry.kind == EventKind.HOLD_EXPIRED}
    for id in ran_out.difference(evidence.state.left):
        yield f"ran out before its time: {id}"


def nobody_has_a_withdrawn_slot(evidence: Evidence) -> Iterator[str]:
    """But for those on a day that was cut, and that its doctor has not asked for again."""
    days = [tries for tries in by_wish(evidence.journal) if tries[0].kind is Kind.CANCEL_DAY]
    cut = {tries[0].caller for tries in days if not tries[-1].kept}
    for row in evidence.state.rows:
        if row.live and evidence.slots[row.slot].withdrawn and row.doctor not in cut:
            yield f"has a slot that was taken back: {row}"


def acknowledged_is_kept(evidence: Evidence) -> Iterator[str]:
    """Whatever somebody was told has been done, and nothing else; of a key, once by any of its tries."""
    for tries in by_wish(evidence.journal):
        for one in tries:
            done = effects(evidence, tries if one.kind is Kind.BOOK else [one])
            told = acknowledged(one)
            if lost := told - done:
                yield f"acknowledged and lost: {dict(lost)} of {one}"
            if one.kept and (more := done - told):
                yield f"kept without being acknowledged: {dict(more)} of {one}"


def effects(evidence: Evidence, tries: Iterable[Try]) -> Counter[tuple[str, str]]:
    """Return the kinds and the subjects of what was done, as it is recorded."""
    return Counter(
        (entry.kind, entry.subject)
        for one in tries
        for entry in evidence.entries.get(one.request, ())
        if entry.kind not in BESIDES and not gave_up_a_hold(evidence, one, entry)
    )


def acknowledged(one: Try) -> Counter[tuple[str, str]]:
    """Return the kinds and the subjects of what was done, as the answer says."""
    if (kind := TOLD.get((one.kind, one.status))) is None:
        return Counter()
    subjects = one.cancelled if one.kind is Kind.CANCEL_DAY else [one.appointment or one.subject]
    return Counter((kind, subject) for subject in subjects)


def kept_was_asked_for(evidence: Evidence) -> Iterator[str]:
    """Who is refused, or told that nothing happened, has changed nothing; who is told nothing, at most one thing."""
    for entry in evidence.state.entries:
        one = evidence.asked.get(entry.request)
        if one is None or not (asked_for(one, entry) or gave_up_a_hold(evidence, one, entry)):
            yield f"nobody asked for it: {entry}"
        elif entry.kind != EventKind.HOLD_EXPIRED and not (one.kept or one.unknown):
            yield f"kept without being acknowledged: {entry} of {one}"
    for one in evidence.journal:
        if one.kind is not Kind.CANCEL_DAY and (done := effects(evidence, [one])).total() > 1:
            yield f"done more than once: {dict(done)} of {one}"


def asked_for(one: Try, entry: Entry) -> bool:
    """Say whether this may come of that: somebody has done it, or has come upon a hold that had run out."""
    if entry.kind == EventKind.HOLD_EXPIRED:
        return entry.actor is None and bool(EFFECTS[one.kind])
    return entry.actor == one.caller and entry.kind in EFFECTS[one.kind]


def gave_up_a_hold(evidence: Evidence, one: Try, entry: Entry) -> bool:
    """Say whether somebody moved to a slot that they held, of which they may have had no answer: the hold is over."""
    row = evidence.rows.get(entry.subject)
    return (
        (one.kind, entry.kind, entry.actor) == (Kind.RESCHEDULE, EventKind.HOLD_RELEASED, one.caller)
        and row is not None
        and (row.slot, row.patient) == (one.target, one.caller)
    )


def recorded_once(evidence: Evidence) -> Iterator[str]:
    """Each change has one audit entry, each entry a change, and no event waits."""
    entries = Counter(entry.subject for entry in evidence.state.entries if entry.kind != EventKind.SLOTS_PUBLISHED)
    changes = Counter({row.id: row.version for row in evidence.state.rows})
    changes.update(slot.id for slot in evidence.state.slots if slot.withdrawn)
    for id in changes.keys() | entries.keys():
        if changes[id] != entries[id]:
            yield f"{changes[id]} changes have {entries[id]} entries: {evidence.rows.get(id, id)}"
    if evidence.state.waiting:
        yield f"{evidence.state.waiting} events are not recorded"


def as_it_was_left(evidence: Evidence) -> Iterator[str]:
    """Each appointment is what its last change has made of it: in that status, on that slot, for that reason."""
    for row in evidence.state.rows:
        for last in evidence.lives.get(row.id, ())[-1:]:
            left = last.status, last.slot, last.extended, last.reason_code
            if (row.status, row.slot, row.extended, row.reason_code) != left:
                yield f"is not as it was left: {row}, {last}"


def statuses_follow_the_table(evidence: Evidence) -> Iterator[str]:
    """An appointment begins held or booked, and becomes only what the domain's table says; a hold is extended once."""
    for id, life in evidence.lives.items():
        if life[0].kind not in {EventKind.SLOT_HELD, EventKind.APPOINTMENT_BOOKED}:
            yield f"began with {life[0].kind}: {id}"
        for before, after in pairwise(life):
            if (
                before.status is not ONLY_FROM.get(after.kind, before.status)
                or (after.kind not in STAYS and after.status not in TRANSITIONS[before.status])
                or (after.kind == EventKind.HOLD_EXTENDED and before.extended)
            ):
                yield f"{after.kind} when it was {before.status}: {id}"


def days_are_whole(evidence: Evidence) -> Iterator[str]:
    """A publication offers every slot of a day, and with a day that is cancelled every slot is taken back."""
    slots = defaultdict[UUID, list[Slot]](list)
    for slot in evidence.state.slots:
        slots[slot.doctor].append(slot)
    published = Counter(entry.actor for entry in evidence.state.entries if entry.kind == EventKind.SLOTS_PUBLISHED)
    cancelled = Counter(tries[-1].caller for tries in by_wish(evidence.journal) if tries[-1].kind is Kind.CANCEL_DAY)
    for doctor, its in slots.items():
        offered, taken_back = 1 + published[doctor], cancelled[doctor]
        withdrawn = sum(slot.withdrawn for slot in its)
        if len(its) != offered * evidence.state.day or withdrawn != taken_back * evidence.state.day:
            yield f"{len(its)} slots for {offered} days, {withdrawn} taken back for {taken_back}: {doctor}"


def searches_are_right(state: State) -> Iterator[str]:
    """What a search shows is what is free."""
    for api, shown in enumerate(state.shown):
        if shown != state.free:
            yield f"API {api} shows {shown - state.free} too much and {state.free - shown} too little"
