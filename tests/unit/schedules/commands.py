"""What people and workers want in a program."""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, Final
from uuid import UUID

from healthcare.application.scheduling.cancel_day import DayItem
from healthcare.application.use_cases import UseCases
from healthcare.domain.consultation.model import Prescription
from healthcare.domain.identity.model import User
from healthcare.domain.kernel import Actor, Page, Refusal, Role, SlotId, UserId
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
from healthcare.domain.scheduling.cancellation import ReasonCode
from healthcare.domain.scheduling.model import Appointment, Slot
from healthcare.domain.scheduling.search import Search
from tests.builders import DAY, HOUR, SYSTEM, TOMORROW, a_publication, an_actor, an_item
from tests.unit.schedules.scene import Command, Scene

PATIENTS, DOCTORS, ADMINS = range(3), range(3, 5), range(5, 7)
SLOTS = range(6)
"""The second is the other doctor's and overlaps its neighbours; the last two are on the next day."""
REASON = "ill"


class By(Enum):
    """Who does something with what is a patient's and a doctor's."""

    PATIENT = "its patient"
    DOCTOR = "its doctor"
    OTHER_PATIENT = "another patient"
    OTHER_DOCTOR = "another doctor"
    ADMIN = "an admin"

    def of(self, scene: Scene, doctor: UserId, patient: UserId | None = None) -> Actor:
        """Return them as they ask."""
        first, second = scene.people[PATIENTS.start].id, scene.people[PATIENTS.start + 1].id
        one, other = scene.people[DOCTORS.start].id, scene.people[DOCTORS.start + 1].id
        return an_actor(
            {
                By.PATIENT: patient or first,
                By.DOCTOR: doctor,
                By.OTHER_PATIENT: second if patient == first else first,
                By.OTHER_DOCTOR: other if doctor == one else one,
                By.ADMIN: scene.people[ADMINS.start].id,
            }[self]
        )


USE_CASES: Final[Mapping[type[Ask], Callable[[UseCases, Any], Awaitable[object]]]] = {
    Booking: lambda can, ask: can.book_appointment(ask),
    Holding: lambda can, ask: can.hold_slot(actor=ask.actor, slot=ask.slot),
    Release: lambda can, ask: can.release_hold(actor=ask.actor, slot=ask.slot),
    Rescheduling: lambda can, ask: can.reschedule_appointment(
        actor=ask.actor, appointment=ask.appointment, slot=ask.slot, versions=ask.versions
    ),
    Cancelling: lambda can, ask: can.cancel_appointment(
        actor=ask.actor, appointment=ask.appointment, reason=ask.reason, code=ask.code
    ),
    CheckingIn: lambda can, ask: can.check_in(actor=ask.actor, appointment=ask.appointment),
    Undoing: lambda can, ask: can.undo_status(actor=ask.actor, appointment=ask.appointment),
    Starting: lambda can, ask: can.start_consultation(actor=ask.actor, appointment=ask.appointment),
    Withdrawal: lambda can, ask: can.take_slot_back(actor=ask.actor, slot=ask.slot),
}
"""Whom to ask one thing."""


class Wish(Command):
    """A command that is decided in the diary. It says nothing where what it is about is not there."""

    @abstractmethod
    def of(self, scene: Scene) -> Ask | None:
        """Return it as the diary reads it."""

    def asked(self, scene: Scene) -> Sequence[Ask]:
        ask = self.of(scene)
        return [ask] if ask else []

    async def ask(self, scene: Scene, asked: Sequence[Ask]) -> object:
        return await USE_CASES[type(asked[0])](scene.clinic.can, asked[0]) if asked else None


@dataclass(frozen=True, slots=True)
class Book(Wish):
    """Somebody wants a slot, under a key."""

    who: int
    slot: int
    key: str

    def of(self, scene: Scene) -> Booking:
        return Booking(actor=scene.actor(self.who), slot=scene.slots[self.slot].id, key=self.key)


@dataclass(frozen=True, slots=True)
class Hold(Wish):
    """Somebody wants a slot kept for them, or kept for longer."""

    who: int
    slot: int

    def of(self, scene: Scene) -> Holding:
        return Holding(actor=scene.actor(self.who), slot=scene.slots[self.slot].id)


@dataclass(frozen=True, slots=True)
class LetGo(Wish):
    """Somebody gives a slot back that is held."""

    by: By
    slot: int

    def of(self, scene: Scene) -> Release:
        slot, row = scene.slots[self.slot], scene.on(self.slot)
        return Release(actor=self.by.of(scene, slot.doctor.id, row.patient if row else None), slot=slot.id)


@dataclass(frozen=True, slots=True)
class Move(Wish):
    """Somebody wants what stands on a slot moved to another."""

    by: By
    slot: int
    to: int
    behind: int | None = None
    """By how many versions they have seen it too early; None: they do not say what they have seen."""

    def of(self, scene: Scene) -> Rescheduling | None:
        if (row := scene.on(self.slot)) is None:
            return None
        return Rescheduling(
            actor=self.by.of(scene, row.doctor, row.patient),
            appointment=row.id,
            slot=scene.slots[self.to].id,
            versions=None if self.behind is None else {row.version - self.behind},
        )


@dataclass(frozen=True, slots=True)
class Cancel(Wish):
    """Somebody cancels what stands on a slot."""

    by: By
    slot: int
    code: ReasonCode | None = None

    def of(self, scene: Scene) -> Cancelling | None:
        if (row := scene.on(self.slot)) is None:
            return None
        actor = self.by.of(scene, row.doctor, row.patient)
        return Cancelling(actor=actor, appointment=row.id, reason=REASON, code=self.code)


@dataclass(frozen=True, slots=True)
class Arrive(Wish):
    """Somebody says that the patient of what stands on a slot is there."""

    by: By
    slot: int

    def of(self, scene: Scene) -> CheckingIn | None:
        row = scene.on(self.slot)
        return CheckingIn(actor=self.by.of(scene, row.doctor, row.patient), appointment=row.id) if row else None


@dataclass(frozen=True, slots=True)
class Undo(Wish):
    """Somebody corrects what was noted of what stands on a slot."""

    by: By
    slot: int

    def of(self, scene: Scene) -> Undoing | None:
        row = scene.on(self.slot)
        return Undoing(actor=self.by.of(scene, row.doctor, row.patient), appointment=row.id) if row else None


@dataclass(frozen=True, slots=True)
class Start(Wish):
    """Somebody starts the consultation of what stands on a slot; that is not decided together with others."""

    by: By
    slot: int

    def of(self, scene: Scene) -> Starting | None:
        row = scene.on(self.slot)
        return Starting(actor=self.by.of(scene, row.doctor, row.patient), appointment=row.id) if row else None


@dataclass(frozen=True, slots=True)
class TakeBack(Wish):
    """Somebody takes a slot back."""

    by: By
    slot: int

    def of(self, scene: Scene) -> Withdrawal:
        slot = scene.slots[self.slot]
        return Withdrawal(actor=self.by.of(scene, slot.doctor.id), slot=slot.id)


@dataclass(frozen=True, slots=True)
class Together(Command):
    """Some ask in the same moment, and are decided together."""

    wishes: tuple[Wish, ...]

    def asked(self, scene: Scene) -> Sequence[Ask]:
        return [ask for wish in self.wishes if (ask := wish.of(scene))]

    async def ask(self, scene: Scene, asked: Sequence[Ask]) -> Sequence[Appointment | Slot | Refusal]:
        return await scene.clinic.together(asked) if asked else []


@dataclass(frozen=True, slots=True)
class CancelDay(Command):
    """Somebody cannot come for a whole day, tomorrow or the day after."""

    who: int
    later: int = 0

    async def ask(self, scene: Scene, asked: Sequence[Ask]) -> Sequence[DayItem]:
        day = (TOMORROW + self.later * DAY).date()
        return await scene.clinic.can.cancel_day(actor=scene.actor(self.who), day=day, reason=REASON)


@dataclass(frozen=True, slots=True)
class MarkNoShows(Command):
    """A worker notes who did not come."""

    async def ask(self, scene: Scene, asked: Sequence[Ask]) -> int:
        return await scene.clinic.can.mark_no_shows(actor=SYSTEM)


@dataclass(frozen=True, slots=True)
class Wait(Command):
    """Time passes, whatever is going on."""

    duration: timedelta

    async def ask(self, scene: Scene, asked: Sequence[Ask]) -> None:
        scene.wait(self.duration)


@dataclass(frozen=True, slots=True)
class Prescribe(Command):
    """Somebody ends a consultation with a prescription."""

    by: By

    async def ask(self, scene: Scene, asked: Sequence[Ask]) -> Prescription | None:
        if (one := next(iter(scene.database.kept.consultations.values()), None)) is None:
            return None
        actor = self.by.of(scene, one.doctor.id, one.patient.id)
        return await scene.clinic.can.issue_prescription(actor=actor, consultation=one.id, items=(an_item(),))


@dataclass(frozen=True, slots=True)
class Publish(Command):
    """Somebody offers an hour after the slots that are there."""

    who: int

    async def ask(self, scene: Scene, asked: Sequence[Ask]) -> Sequence[Slot]:
        publication = a_publication(TOMORROW + 2 * HOUR, HOUR)
        return await scene.clinic.can.publish_slots(actor=scene.actor(self.who), publication=publication)


@dataclass(frozen=True, slots=True)
class ChangeRole(Command):
    """Somebody gives somebody a role."""

    who: int
    user: int
    role: Role

    async def ask(self, scene: Scene, asked: Sequence[Ask]) -> User:
        change = scene.clinic.can.change_role
        return await change(actor=scene.actor(self.who), user=scene.people[self.user].id, role=self.role)


def written(search: Search, page: Page[Slot]) -> bytes:
    """Write an answer down as ids."""
    return b"".join(slot.id.bytes for slot in page.items)


@dataclass(frozen=True, slots=True)
class Look(Command):
    """Somebody searches a day, tomorrow or the day after."""

    later: int = 0

    async def ask(self, scene: Scene, asked: Sequence[Ask]) -> frozenset[SlotId]:
        search = Search("cardiology", (TOMORROW + self.later * DAY).date())
        found = await scene.clinic.can.search_slots.written(actor=scene.actor(0), search=search, render=written)
        return frozenset(SlotId(UUID(bytes=found[place : place + 16])) for place in range(0, len(found), 16))


@dataclass(frozen=True, slots=True)
class Record(Command):
    """A worker turns some events into audit entries."""

    async def ask(self, scene: Scene, asked: Sequence[Ask]) -> int:
        return await scene.clinic.can.record_events(actor=SYSTEM, most=3)
