"""The record of a scene, put in order for the judge: what each wish was answered, and what each commit changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from healthcare.adapters.memory.tables import AppointmentRow
from healthcare.domain.kernel import EventKind, Refusal, UserId
from healthcare.domain.scheduling.asks import Ask, Cancelling
from healthcare.domain.scheduling.cancellation import EXPIRED, RELEASED, Cancellation
from healthcare.domain.scheduling.model import Appointment
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.unit.schedules.commands import REASON, CancelDay, Together
from tests.unit.schedules.scene import MAYBE, Call, Outcome, Scene, State


@dataclass(frozen=True, slots=True)
class Try:
    """One wish of one call, and what it was answered."""

    ask: Ask
    call: Call
    outcome: Outcome
    answer: object

    @property
    def maybe(self) -> bool:
        """Whether it did or may have done something."""
        return self.outcome in MAYBE

    @property
    def user(self) -> UserId:
        """Who asked."""
        return self.ask.actor.known

    @property
    def told(self) -> Appointment | None:
        """What became of an appointment, if that was answered."""
        return self.answer if isinstance(self.answer, Appointment) else None


ENDED: Final[Mapping[Cancellation | None, EventKind]] = {
    EXPIRED: EventKind.HOLD_EXPIRED,
    RELEASED: EventKind.HOLD_RELEASED,
}
"""By what is said of a cancellation: any other was asked for."""

STEPS: Final[Mapping[tuple[AppointmentStatus | None, AppointmentStatus], EventKind]] = {
    (None, AppointmentStatus.PENDING): EventKind.SLOT_HELD,
    (None, AppointmentStatus.BOOKED): EventKind.APPOINTMENT_BOOKED,
    (AppointmentStatus.PENDING, AppointmentStatus.PENDING): EventKind.HOLD_EXTENDED,
    (AppointmentStatus.PENDING, AppointmentStatus.BOOKED): EventKind.APPOINTMENT_BOOKED,
    (AppointmentStatus.BOOKED, AppointmentStatus.BOOKED): EventKind.APPOINTMENT_RESCHEDULED,
    (AppointmentStatus.BOOKED, AppointmentStatus.CHECKED_IN): EventKind.APPOINTMENT_CHECKED_IN,
    (AppointmentStatus.BOOKED, AppointmentStatus.NOSHOW): EventKind.APPOINTMENT_MISSED,
    (AppointmentStatus.CHECKED_IN, AppointmentStatus.BOOKED): EventKind.APPOINTMENT_UNDONE,
    (AppointmentStatus.NOSHOW, AppointmentStatus.CHECKED_IN): EventKind.APPOINTMENT_UNDONE,
}
"""By what an appointment was and what it is. That it is fulfilled is an event of the consultation."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit did to an appointment."""

    old: AppointmentRow | None
    new: AppointmentRow

    @property
    def kind(self) -> EventKind | None:
        """What happened, if it was one thing: what is decided together can change an appointment twice."""
        old, new = self.old, self.new
        if new.version != (old.version if old else 0) + 1:
            return None
        if new.status is AppointmentStatus.CANCELLED:
            return ENDED.get(new.cancellation, EventKind.APPOINTMENT_CANCELLED)
        return STEPS.get((old.status if old else None, new.status))

    @property
    def expired(self) -> bool:
        """Whether a hold was ended because it had run out."""
        return self.new.cancellation == EXPIRED

    @property
    def released(self) -> bool:
        """Whether a hold was given up, also one that had been made in the same commit."""
        return self.new.cancellation == RELEASED

    @property
    def claims(self) -> bool:
        """Whether a slot was claimed that was not."""
        return self.new.live and (self.old is None or self.old.slot != self.new.slot)


@dataclass(frozen=True, slots=True)
class Commit:
    """One step from a state to the next, and the calls that took it: whose asks travelled together."""

    calls: Sequence[Call]
    tries: Sequence[Try]
    """Those of the calls."""
    states: Sequence[State]
    """From the one in which the last of the calls began to the one that they brought about."""

    @property
    def place(self) -> int:
        """The place of the latter in the list of all states."""
        return max(call.first for call in self.calls) + len(self.states) - 1

    @property
    def before(self) -> State:
        """What was kept until then."""
        return self.states[-2]

    @property
    def after(self) -> State:
        """What was kept from then on."""
        return self.states[-1]

    def changes(self) -> Iterator[Change]:
        """Go through the appointments that are not as they were."""
        before, after = self.before.appointments, self.after.appointments
        if before is not after:
            yield from (Change(old, new) for id, new in after.items() if (old := before.get(id)) != new)


def tries_of(scene: Scene) -> Iterator[Try]:
    """Take calls apart that asked for several things: each was answered by itself."""
    for call in scene.history:
        match call.command, call.answer:
            case Together(), list(answers):
                yield from (tried(ask, call, answer) for ask, answer in zip(call.asked, answers, strict=True))
            case CancelDay(who=who), list(items):
                actor = scene.actor(who)
                for item in items:
                    found = item.appointment
                    ask = Cancelling(actor=actor, appointment=found.id, reason=REASON, only_on=found.slot)
                    yield tried(ask, call, item.refusal)
            case _:
                yield from (tried(ask, call, call.answer) for ask in call.asked)


def tried(ask: Ask, call: Call, answer: object) -> Try:
    """Return what one wish was answered."""
    return Try(ask, call, Outcome.REFUSED if isinstance(answer, Refusal) else call.outcome, answer)


def commits_of(scene: Scene, tries: Sequence[Try]) -> Iterator[Commit]:
    """Go through what was kept, step by step."""
    calls = {call.begun: call for call in scene.history}
    for place, (before, after) in enumerate(pairwise(scene.states)):
        if after.by and before.tables != after.tables:
            by = [calls[begun] for begun in after.by]
            first = max(call.first for call in by)
            yield Commit(by, [one for one in tries if one.call.begun in after.by], scene.states[first : place + 2])
