"""Nobody is let in without a right, and nobody is turned away without a reason."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from healthcare.adapters.memory.tables import AppointmentRow
from healthcare.application.scheduling.decide import MOST_ALTERNATIVES, TakenForNow
from healthcare.domain.consultation.model import Prescription
from healthcare.domain.directory.errors import ProfileMissing
from healthcare.domain.kernel import Forbidden, NotFound, NotYours, Refusal, Role, SlotId
from healthcare.domain.policy import POLICY
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
from healthcare.domain.scheduling.errors import (
    AppointmentMoved,
    AppointmentNotBooked,
    AppointmentStarted,
    CheckInTooEarly,
    HoldExtended,
    KeyReused,
    NothingToUndo,
    PatientBusy,
    SlotInThePast,
    SlotTaken,
    TooManyHolds,
    VersionStale,
)
from healthcare.domain.scheduling.model import CHECK_IN_OPENS, MOST_HOLDS
from healthcare.domain.scheduling.status import UNFINISHED, AppointmentStatus
from tests.unit.schedules.commands import DOCTORS, CancelDay, Prescribe, Together
from tests.unit.schedules.record import Commit, Try
from tests.unit.schedules.scene import Call, Outcome, Scene, State


def strangers(scene: Scene, tries: list[Try]) -> Iterator[str]:
    """Nobody did anything with what is not theirs. Who was a doctor may have become somebody's patient."""
    for one in tries:
        if one.outcome is Outcome.DONE and not any(may(one.ask, state) for state in scene.during(one.call)):
            yield "a stranger was let in"
        if one.told and one.ask.appointment is None and one.told.patient.id != one.user:
            yield "somebody booked for another"
    for call in scene.history:
        match call.command, call.answer:
            case Prescribe(by=by), Prescription() as issued:
                if by.of(scene, issued.doctor.id, issued.patient.id).user != issued.doctor.id:
                    yield "a stranger was let in"


def may(ask: Ask, state: State) -> bool:
    """Say whether the caller's role may do this, and they stand to the thing as is demanded."""
    return state.role(ask.actor.user) in POLICY[ask.action].roles and theirs(ask, state)


def theirs(ask: Ask, state: State) -> bool:
    """Say whether the thing is the caller's. Only a doctor is somebody's doctor."""
    user, row = ask.actor.user, state.named(ask.appointment)
    doctor = state.role(user) is Role.DOCTOR and row is not None and row.doctor == user
    patient = row is not None and row.patient == user
    match ask:
        case Withdrawal(slot=slot):
            return state.role(user) is Role.DOCTOR and state.slots[slot].doctor == user
        case Undoing() | Starting():
            return doctor
        case Rescheduling() | CheckingIn():
            return patient
        case Cancelling():
            return doctor or patient or state.role(user) is Role.ADMIN
    return True


def inventions(scene: Scene, tries: list[Try], commits: list[Commit]) -> Iterator[str]:
    """What a refusal says was so at some moment while it was asked for, or came of the same list or run."""
    runs = [commit.calls for commit in commits]
    for one in tries:
        if not isinstance(one.answer, Refusal) or any(was_so(one, state) for state in scene.during(one.call)):
            continue
        if any(other.maybe and explains(other, one, runs) for other in tries if other is not one):
            continue
        match one.answer:
            case SlotTaken():
                yield "a slot was called taken that nobody wanted"
            case PatientBusy():
                yield "a patient was called busy who was not"
            case refusal:
                yield f"somebody was told {refusal.code} for no reason"
    for call in scene.history:
        if isinstance(call.command, CancelDay) and isinstance(call.answer, Refusal):
            doctor = scene.people[call.command.who].id
            if isinstance(call.answer, ProfileMissing) and call.command.who not in DOCTORS:
                continue  # made a doctor only now
            if all(state.role(doctor) is Role.DOCTOR for state in scene.during(call)):
                yield "a doctor was turned away from their own day"


def explains(other: Try, refused: Try, runs: Sequence[Sequence[Call]]) -> bool:
    """Say whether a wish can be the reason of a refusal that no state between two commits shows."""
    one, two = other.ask, refused.ask
    if isinstance(refused.answer, KeyReused):
        return (other.user, one.key) == (refused.user, two.key) and one.slot != two.slot
    if other.call is refused.call:
        together = isinstance(refused.call.command, Together)
    else:
        together = any(other.call in run and refused.call in run for run in runs)
    return together and (
        other.user == refused.user
        or (one.slot == two.slot is not None)
        or (one.appointment == two.appointment is not None)
    )


def was_so(one: Try, state: State) -> bool:
    """Say whether a refusal is right about a state."""
    ask, kind, row = one.ask, type(one.answer), state.named(one.ask.appointment)
    if row and kind in OF_APPOINTMENTS:
        return OF_APPOINTMENTS[kind](ask, row, state)
    return kind in OF_SLOTS and OF_SLOTS[kind](ask, state)


OPEN: Final[Mapping[type[Ask], Collection[AppointmentStatus]]] = {
    Rescheduling: {AppointmentStatus.BOOKED},
    Cancelling: UNFINISHED,
    CheckingIn: {AppointmentStatus.BOOKED, AppointmentStatus.CHECKED_IN},
    Starting: {AppointmentStatus.BOOKED, AppointmentStatus.CHECKED_IN},
}
"""What an appointment must be for a wish."""

OF_APPOINTMENTS: Final[Mapping[type, Callable[[Any, AppointmentRow, State], bool]]] = {
    VersionStale: lambda ask, row, _: row.version not in ask.versions,
    AppointmentMoved: lambda ask, row, _: row.slot != ask.only_on,
    AppointmentNotBooked: lambda ask, row, state: state.over(row) or row.status not in OPEN[type(ask)],
    AppointmentStarted: lambda _, row, state: row.time.start <= state.now,
    CheckInTooEarly: lambda _, row, state: state.now < row.time.start - CHECK_IN_OPENS,
    NothingToUndo: lambda _, row, __: row.status not in {AppointmentStatus.CHECKED_IN, AppointmentStatus.NOSHOW},
}
"""When a refusal is right about an appointment."""


def is_taken(ask: Ask, state: State) -> bool:
    return any(row.slot == ask.slot for row in rivals(ask, state))


def is_busy(ask: Booking | Holding | Rescheduling, state: State) -> bool:
    time = state.slots[ask.slot].time
    return any(row.patient == ask.actor.user and row.time.overlaps(time) for row in rivals(ask, state))


def held(ask: Ask, state: State) -> AppointmentRow | None:
    """Return the caller's hold of the slot."""
    return next((row for row in state.holds() if (row.patient, row.slot) == (ask.actor.user, ask.slot)), None)


OF_SLOTS: Final[Mapping[type, Callable[[Any, State], bool]]] = {
    SlotTaken: is_taken,
    TakenForNow: is_taken,
    PatientBusy: is_busy,
    SlotInThePast: lambda ask, state: state.slots[ask.slot].time.start <= state.now,
    TooManyHolds: lambda ask, state: sum(row.patient == ask.actor.user for row in state.holds()) >= MOST_HOLDS,
    HoldExtended: lambda ask, state: (hold := held(ask, state)) is not None and hold.extended,
    NotFound: lambda ask, state: not (held(ask, state) if isinstance(ask, Release) else state.offers(ask.slot)),
    NotYours: lambda ask, state: not theirs(ask, state),
    Forbidden: lambda ask, state: state.role(ask.actor.user) not in POLICY[ask.action].roles,
}
"""When one is right about a slot, or about the caller."""


def rivals(ask: Ask, state: State) -> Iterator[AppointmentRow]:
    """Go through the claims in the way of a wish: all but the caller's hold of the slot, and what shall move there."""
    mine = None if isinstance(ask, Withdrawal) else held(ask, state)
    return (row for row in state.claims() if row is not mine and row.id != ask.appointment)


def alternatives(scene: Scene, tries: list[Try]) -> Iterator[str]:
    """Whoever comes too late is shown the next free slots of the same doctor, as they were at some moment meanwhile.

    Where they cannot be read, none are shown.
    """
    for one in tries:
        if isinstance(one.answer, TakenForNow):
            shown = [slot.id for slot in one.answer.alternatives]
            states = scene.during(one.call)
            if shown and not any(shown == next_free(one.ask, state) for state in states):
                yield "somebody was shown alternatives that were none"


def next_free(ask: Ask, state: State) -> list[SlotId]:
    """Return the next free slots of a doctor."""
    doctor = next(row.doctor for row in state.slots.values() if row.id == ask.slot)
    free = [row for row in state.slots.values() if row.doctor == doctor and state.free(row.id)]
    return [row.id for row in sorted(free, key=lambda row: row.time.start)][:MOST_ALTERNATIVES]
