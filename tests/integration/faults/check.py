"""What has to be true after a fault: the journal of those who asked, against what is kept and shown."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import combinations
from uuid import UUID

from healthcare.entrypoints.api.observed import SECONDS_TO_READ, SECONDS_TO_WRITE

ALLOWANCE = 0.5
"""Seconds on top of a deadline for a client that shares two cores with everything it asks."""


class Kind(StrEnum):
    """What patients do."""

    SEARCH = "search"
    READ = "read"
    BOOK = "book"
    CANCEL = "cancel"


WITHIN = {
    Kind.SEARCH: SECONDS_TO_READ,
    Kind.READ: SECONDS_TO_READ,
    Kind.BOOK: SECONDS_TO_WRITE,
    Kind.CANCEL: SECONDS_TO_WRITE,
}
REFUSALS = {
    Kind.SEARCH: frozenset[str](),
    Kind.READ: frozenset[str](),  # they read their own appointments
    Kind.BOOK: frozenset({"slot-taken", "patient-busy"}),
    Kind.CANCEL: frozenset({"appointment-not-booked"}),  # and then only if an earlier try has cancelled it
}
"""What patients may be told who ask for nothing that is wrong."""
NOTHING_HAPPENED = frozenset({"unavailable", "busy"})
OUTCOME_UNKNOWN = "outcome-unknown"


@dataclass(slots=True, kw_only=True)
class Try:
    """One request: written down before it is sent, and completed when it is over."""

    kind: Kind
    patient: UUID
    subject: str
    """The slot that is booked, the appointment that is read or cancelled, the specialty that is searched."""
    key: str = ""
    api: int = 0
    began: float = 0
    ended: float | None = None
    status: int | None = None
    """None: there was no answer."""
    code: str = ""
    retry_after: str | None = None
    answer: bytes = b""
    appointment: str = ""
    """The id in the answer."""

    @property
    def kept(self) -> bool:
        """Whether it was acknowledged."""
        return self.status in {200, 201}

    @property
    def refused(self) -> bool:
        """Whether it was decided, and nothing was done."""
        return self.status is not None and 400 <= self.status < 500

    @property
    def settled(self) -> bool:
        """Whether there is no reason to ask again."""
        return self.kept or self.refused

    @property
    def unknown(self) -> bool:
        """Whether it may have been done."""
        return not (self.settled or (self.status == 503 and self.code in NOTHING_HAPPENED))


@dataclass(frozen=True, slots=True)
class Row:
    """An appointment, as it is kept."""

    id: str
    slot: str
    doctor: UUID
    patient: UUID
    start: datetime
    end: datetime
    status: str

    @property
    def live(self) -> bool:
        return self.status != "cancelled"

    @property
    def people(self) -> set[UUID]:
        return {self.doctor, self.patient}


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is there when all is quiet again."""

    rows: Sequence[Row]
    entries: Sequence[tuple[str, str]]
    """The kind and the appointment of each audit entry."""
    waiting: int
    """Events that are not recorded."""
    free: set[str]
    shown: Sequence[set[str]]
    """The free slots that a search shows, at each API."""


def violations(journal: Sequence[Try], state: State, *, unanswered: bool, hidden: bool) -> list[str]:
    """Say what is wrong, if anything is.

    `unanswered`: a process that answers was killed, so requests may have got no answer.
    `hidden`: what struck must not be felt, so no request may have failed.
    """
    return [
        *one_claim_at_a_time(state.rows),
        *acknowledged_is_kept(journal, state.rows),
        *kept_was_asked_for(journal, state.rows),
        *recorded_once(state),
        *one_answer_per_key(journal),
        *searches_are_right(state),
        *(wrong for one in journal for wrong in answered_well(one, unanswered=unanswered)),
        *(f"failed: {one}" for one in journal if hidden and not one.settled),
    ]


def one_claim_at_a_time(rows: Iterable[Row]) -> Iterator[str]:
    """No slot is booked twice, and no doctor and no patient is in two places."""
    live = [row for row in rows if row.live]
    for one, other in combinations(live, 2):
        if one.slot == other.slot:
            yield f"booked twice: {one}, {other}"
        elif one.start < other.end and other.start < one.end and one.people & other.people:
            yield f"in two places: {one}, {other}"


def acknowledged_is_kept(journal: Iterable[Try], rows: Iterable[Row]) -> Iterator[str]:
    """What was acknowledged is there, unless its cancellation was asked for; what was cancelled stays so."""
    found = {row.id: row for row in rows}
    cancels = defaultdict[str, list[Try]](list)
    booked = set[str]()
    for one in journal:
        if one.kind is Kind.CANCEL:
            cancels[one.subject].append(one)
        elif one.kind is Kind.BOOK and one.kept:
            booked.add(one.appointment)
    for id in booked:
        if (row := found.get(id)) is None:
            yield f"acknowledged and lost: {id}"
        elif row.live and any(one.kept for one in cancels[id]):
            yield f"cancelled, and live all the same: {row}"
        elif not row.live and not any(one.kept or one.unknown for one in cancels[id]):
            yield f"cancelled by nobody: {row}"
    for id, tries in cancels.items():
        if any(one.refused for one in tries) and not any(one.unknown for one in tries):
            yield f"refused to be cancelled, though nobody had: {id}"


def kept_was_asked_for(journal: Iterable[Try], rows: Iterable[Row]) -> Iterator[str]:
    """A row was acknowledged, or may have come to be: who is refused, or told that nothing happened, has none."""
    acknowledged = {one.appointment for one in journal if one.kind is Kind.BOOK and one.kept}
    extra = Counter((row.patient, row.slot) for row in rows if row.id not in acknowledged)
    possible = Counter(
        (tries[0].patient, tries[0].subject)
        for tries in by_key(journal)
        if any(one.unknown for one in tries) and not any(one.settled for one in tries)
    )
    for claim, number in extra.items():
        if number > possible[claim]:
            yield f"kept without being acknowledged: {number} of {claim}"


def recorded_once(state: State) -> Iterator[str]:
    """Each change has one audit entry, each entry a change, and no event waits."""
    changes = Counter(("appointment.booked", row.id) for row in state.rows)
    changes.update(("appointment.cancelled", row.id) for row in state.rows if not row.live)
    entries = Counter(state.entries)
    for change in changes.keys() | entries.keys():
        if entries[change] != changes[change]:
            yield f"{changes[change]} changes have {entries[change]} entries: {change}"
    if state.waiting:
        yield f"{state.waiting} events are not recorded"


def one_answer_per_key(journal: Iterable[Try]) -> Iterator[str]:
    """A key gets one answer however often it is sent, and in the end it gets one; two keys are two appointments."""
    keys = Counter[str]()
    for tries in by_key(journal):
        answers = {one.answer if one.kept else b"refused" for one in tries if one.settled}
        if len(answers) > 1:
            yield f"{len(answers)} answers to one key: {tries}"
        if not any(one.settled for one in tries):
            yield f"never settled: {tries[-1]}"
        keys.update({one.appointment for one in tries if one.kept})
    for id, number in keys.items():
        if number > 1:
            yield f"one appointment for {number} keys: {id}"


def searches_are_right(state: State) -> Iterator[str]:
    """What a search shows is what is free."""
    for api, shown in enumerate(state.shown):
        if shown != state.free:
            yield f"API {api} shows {shown - state.free} too much and {state.free - shown} too little"


def answered_well(one: Try, *, unanswered: bool) -> Iterator[str]:
    """The answer came in time, and is one that the patient can understand."""
    if one.status is None:
        if not unanswered:
            yield f"not answered: {one}"
        return
    if one.ended is None or one.ended - one.began > WITHIN[one.kind] + ALLOWANCE:
        yield f"answered late: {one}"
    match one.status:
        case 200 | 201:
            return
        case 409 if one.code in REFUSALS[one.kind]:
            return
        case 503 if one.code in NOTHING_HAPPENED | {OUTCOME_UNKNOWN}:
            if not (one.retry_after or "").isdecimal():
                yield f"not told when to ask again: {one}"
        case _:
            yield f"answered wrongly: {one}"


def by_key(journal: Iterable[Try]) -> Iterable[list[Try]]:
    """Return the tries to book, those with one key together."""
    found = defaultdict[str, list[Try]](list)
    for one in journal:
        if one.kind is Kind.BOOK:
            found[one.key].append(one)
    return found.values()
