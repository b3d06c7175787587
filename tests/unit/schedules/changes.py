"""What must hold of each change that was kept, whether or not it was told: appointments live as the rules say."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from itertools import chain, combinations
from typing import Final

from healthcare.adapters.memory.tables import AppointmentRow
from healthcare.domain.kernel import EventKind, NotYours, SlotId
from healthcare.domain.scheduling.asks import (
    Ask,
    Booking,
    Cancelling,
    CheckingIn,
    Holding,
    Release,
    Rescheduling,
    Starting,
    Undoing,
    Withdrawal,
)
from healthcare.domain.scheduling.model import CHECK_IN_OPENS, HELD_FOR, MISSED_AFTER, MOST_HOLDS
from healthcare.domain.scheduling.status import TRANSITIONS, UNFINISHED, AppointmentStatus
from tests.builders import DAY, TOMORROW
from tests.unit.schedules.commands import CancelDay, MarkNoShows, Publish
from tests.unit.schedules.record import Change, Commit
from tests.unit.schedules.scene import MAYBE, Call, Outcome, Scene, State

BECOMES: Final[Mapping[type[Ask], Collection[AppointmentStatus]]] = {
    Holding: {AppointmentStatus.PENDING},
    Release: {AppointmentStatus.CANCELLED},
    Booking: {AppointmentStatus.BOOKED},
    Rescheduling: {AppointmentStatus.BOOKED},
    Cancelling: {AppointmentStatus.CANCELLED},
    CheckingIn: {AppointmentStatus.CHECKED_IN},
    Undoing: {AppointmentStatus.BOOKED, AppointmentStatus.CHECKED_IN},
    Starting: {AppointmentStatus.FULFILLED},
    Withdrawal: (),
}
"""What an appointment is after a wish."""


def misdeeds(scene: Scene, commits: list[Commit]) -> Iterator[str]:
    """Say what is wrong with what was kept in between, told from one commit to the next."""
    for commit in commits:
        for change in commit.changes():
            yield from unasked(scene, commit, change)
            yield from unlawful(commit, change)
            yield from untimely(commit, change)
        yield from crowds(commit.after)
        yield from withdrawals(scene, commit)
        if not set(commit.before.appointments) <= set(commit.after.appointments):
            yield "an appointment is gone"
    for call in scene.history:
        if isinstance(call.command, CancelDay) and call.outcome is Outcome.DONE:
            yield from remainders(scene, call.command, scene.states[call.first], scene.states[call.last])


def unasked(scene: Scene, commit: Commit, change: Change) -> Iterator[str]:
    """Whatever became of an appointment, somebody wanted it who was not told that it did not happen."""
    if change.expired:
        if change.old is None or not commit.after.over(change.old):
            yield "a hold was ended before its time"
    else:
        complaints = [list(unasked_by(scene, call, commit, change)) for call in commit.calls]
        if all(complaints):
            yield from chain.from_iterable(complaints)


def unasked_by(scene: Scene, call: Call, commit: Commit, change: Change) -> Iterator[str]:
    """Say why one of the calls of a commit does not explain a change."""
    old, new = change.old, change.new
    moved = old is not None and old.slot != new.slot
    if isinstance(call.command, CancelDay):
        if not began(call) or new.status is not AppointmentStatus.CANCELLED:
            yield "a day that was not cancelled changed an appointment"
        elif old is None or moved or not of_day(scene, call.command, commit.before, old.slot):
            yield "a day took an appointment that had left it"
    elif isinstance(call.command, MarkNoShows):
        if call.outcome not in MAYBE or new.status is not AppointmentStatus.NOSHOW:
            yield "a worker did what it was not asked for"
    else:
        asked = [ask for one in commit.tries if one.maybe for ask in meant(one.ask) if concerns(ask, new)]
        if not any(new.status in BECOMES[type(ask)] for ask in asked):
            yield f"an appointment became {new.status}, and nobody had asked for it"
        if moved and not any(isinstance(ask, Rescheduling) and ask.slot == new.slot for ask in asked):
            yield "an appointment was moved by nobody"


def meant(ask: Ask) -> Iterator[Ask]:
    """Return what is asked for: who moves an appointment to a slot that they hold gives the hold up."""
    yield ask
    if isinstance(ask, Rescheduling):
        yield Release(actor=ask.actor, slot=ask.slot)


def concerns(ask: Ask, row: AppointmentRow) -> bool:
    """Say whether somebody wants something of this appointment, by its name or by its slot and patient."""
    if isinstance(ask, Cancelling) and ask.only_on not in {None, row.slot}:
        return False
    if ask.appointment:
        return ask.appointment == row.id
    return (ask.slot, ask.actor.known) == (row.slot, row.patient)


def began(call: Call) -> bool:
    """Say whether a day may have been cancelled, or a part of it: who loses their role meanwhile gets no further."""
    return call.outcome in MAYBE or isinstance(call.answer, NotYours)


def of_day(scene: Scene, command: CancelDay, state: State, slot: SlotId) -> bool:
    """Say whether the slot is one of those on the day that somebody cancels."""
    row = state.slots[slot]
    day = (TOMORROW + command.later * DAY).date()
    return row.doctor == scene.people[command.who].id and row.time.start.date() == day


LEADS: Final = {
    **TRANSITIONS,
    AppointmentStatus.PENDING: TRANSITIONS[AppointmentStatus.PENDING] | {AppointmentStatus.PENDING},
    AppointmentStatus.BOOKED: TRANSITIONS[AppointmentStatus.BOOKED] | {AppointmentStatus.BOOKED},
}
"""Whoever extends a hold or moves an appointment changes it and not its status."""


@lru_cache
def reached(status: AppointmentStatus | None, steps: int) -> frozenset[AppointmentStatus]:
    """Return what an appointment can be after so many changes; None: there was none yet."""
    if steps <= 1:
        return LEADS[status] if status else frozenset({AppointmentStatus.PENDING, AppointmentStatus.BOOKED})
    return frozenset().union(*(LEADS[one] for one in reached(status, steps - 1)))


def unlawful(commit: Commit, change: Change) -> Iterator[str]:
    """Versions rise by one with each change, statuses follow the table, and the rest follows the slot."""
    old, new = change.old, change.new
    steps = new.version - (old.version if old else 0)
    if not 1 <= steps <= sum(max(1, len(call.asked)) for call in commit.calls):
        yield "a version did not rise with its change"
    elif new.status not in reached(old and old.status, steps):
        yield "a status did not follow the table"
    slot = commit.after.slots[new.slot]
    if (new.doctor, new.time) != (slot.doctor, slot.time) or (old and old.patient != new.patient):
        yield "an appointment is not what its slot and its patient say"


def untimely(commit: Commit, change: Change) -> Iterator[str]:
    """What is bound to a time happened in it: it was decided after the calls had begun, and before the commit."""
    first, last, old, new = commit.states[0].now, commit.after.now, change.old, change.new
    if change.claims:
        if commit.before.slots[new.slot].withdrawn or not any(state.offers(new.slot) for state in commit.states):
            yield "somebody got a slot that was not on offer"
        if new.time.start <= first or (old and old.time.start <= first):
            yield "somebody got a slot that had started, or in place of one that had"
    match change.kind:
        case EventKind.SLOT_HELD if not first + HELD_FOR <= end_of(new) <= last + HELD_FOR:
            yield "a hold does not end after 5 minutes"
        case EventKind.HOLD_EXTENDED if old and (old.extended or end_of(new) != end_of(old) + HELD_FOR):
            yield "a hold was not extended once, by 5 minutes"
        case EventKind.APPOINTMENT_CANCELLED if new.time.start <= first:
            yield "an appointment was cancelled after it had started"
        case EventKind.APPOINTMENT_CHECKED_IN if last < new.time.start - CHECK_IN_OPENS:
            yield "somebody checked in too early"
        case EventKind.APPOINTMENT_MISSED if last < new.time.end + MISSED_AFTER:
            yield "somebody was missed too early"


def end_of(hold: AppointmentRow) -> datetime:
    """Return when a hold runs out."""
    assert hold.expires_at
    return hold.expires_at


def crowds(state: State) -> Iterator[str]:
    """At no moment has a slot two live appointments, is anybody in two places, or does a patient hold too much."""
    for one, other in combinations((row for row in state.appointments.values() if row.live), 2):
        if one.slot == other.slot:
            yield "a slot is booked twice"
        elif one.time.overlaps(other.time) and (one.patient == other.patient or one.doctor == other.doctor):
            yield "somebody is in two places"
    holds = Counter(row.patient for row in state.claims() if row.status is AppointmentStatus.PENDING)
    if max(holds.values(), default=0) > MOST_HOLDS:
        yield "somebody holds too many slots"


def withdrawals(scene: Scene, commit: Commit) -> Iterator[str]:
    """Slots are offered and taken back by those who asked for it, and only once."""
    before, after = commit.before, commit.after
    for id, slot in after.slots.items():
        if (old := before.slots.get(id)) == slot:
            continue
        if old is None:
            if not any(isinstance(call.command, Publish) and call.outcome in MAYBE for call in commit.calls):
                yield "a slot was offered by nobody"
        elif not slot.withdrawn:
            yield "a slot that was taken back is offered again"
        elif not any(takes_back(scene, call, before, id) for call in commit.calls):
            asked = [one.ask for one in commit.tries if one.maybe]
            if not any(isinstance(ask, Withdrawal) and ask.slot == id for ask in asked):
                yield "a slot was taken back by nobody"
            if any(row.slot == id for row in after.claims()):
                yield "a slot was taken back though somebody had it"


def takes_back(scene: Scene, call: Call, state: State, slot: SlotId) -> bool:
    """Say whether a call is that of a day which takes the slot back, whoever has it."""
    return isinstance(call.command, CancelDay) and began(call) and of_day(scene, call.command, state, slot)


def remainders(scene: Scene, day: CancelDay, first: State, last: State) -> Iterator[str]:
    """Of a day that is cancelled nothing is left but what had begun."""
    slots = {id for id in first.slots if of_day(scene, day, last, id)}
    if any(last.offers(id) for id in slots):
        yield "a cancelled day still offers a slot"
    if any(row.slot in slots and row.status in UNFINISHED and row.time.start > last.now for row in last.claims()):
        yield "a cancelled day still has an appointment"
