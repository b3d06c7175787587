"""Clinics without one of their guards: each must come to harm in some schedule of some program."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from healthcare.adapters.memory.database import MemoryUnitOfWork
from healthcare.adapters.memory.identity import MemoryUsers
from healthcare.adapters.memory.scheduling import MemoryBookings, MemorySlots, slot_of
from healthcare.adapters.memory.tables import AppointmentRow
from healthcare.adapters.memory.transaction import Transaction
from healthcare.application.uow import UnitOfWork
from healthcare.domain.kernel import AppointmentId, Clock, Happened, Refusal, Role, SlotId, UserId
from healthcare.domain.scheduling.asks import Ask, Booking, Cancelling, Rescheduling
from healthcare.domain.scheduling.diary import Diary, Receipt
from healthcare.domain.scheduling.errors import SlotTaken
from healthcare.domain.scheduling.model import HELD_FOR, Appointment, Slot
from healthcare.domain.scheduling.search import Touched
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.builders import MINUTE, FakeClock
from tests.unit.schedules.commands import (
    Book,
    By,
    Cancel,
    CancelDay,
    ChangeRole,
    Hold,
    Look,
    Move,
    Start,
    TakeBack,
    Together,
    Wait,
)
from tests.unit.schedules.faults import Fault, ShakenCache
from tests.unit.schedules.programs import Errand, Guards, Program
from tests.unit.schedules.scene import Command, RecordedRuns, SharedDatabase


class WithoutLocks(MemoryBookings):
    """Looks without a lock, and has no constraints either."""

    async def hold(self, slots: set[SlotId], patients: set[UserId], named: Sequence[AppointmentRow]) -> None:
        await self.tx.turn()

    async def check(self, new: AppointmentRow, unwritten: Collection[AppointmentId]) -> None:
        """Let everything pass."""


class WithoutSlotsLocks(MemoryBookings):
    """Looks at slots that others may be about to claim, and leaves it to the constraints to refuse."""

    async def hold(self, slots: set[SlotId], patients: set[UserId], named: Sequence[AppointmentRow]) -> None:
        await super().hold(set(), patients, named)


class WithoutOrder(MemoryBookings):
    """Locks the slots in the order in which they were asked for."""

    async def lock(self, asked: Sequence[Ask]) -> Diary:
        for one in asked:
            await self.tx.lock("slot", one.slot)
        return await super().lock(asked)


class WithoutQueue(MemoryBookings):
    """Lets a patient do several things at once."""

    async def hold(self, slots: set[SlotId], patients: set[UserId], named: Sequence[AppointmentRow]) -> None:
        await super().hold(slots, set(), named)


class WithoutItsLocks(MemoryBookings):
    """Changes an appointment that others change too."""

    async def hold(self, slots: set[SlotId], patients: set[UserId], named: Sequence[AppointmentRow]) -> None:
        await super().hold(slots - {row.slot for row in named}, patients - {row.patient for row in named}, [])


class WithoutHoldsLocks(MemoryBookings):
    """Ends holds that have run out without locking them."""

    async def hold(self, slots: set[SlotId], patients: set[UserId], named: Sequence[AppointmentRow]) -> None:
        for slot in sorted(slots):
            await self.tx.lock("slot", slot)
        for patient in sorted(patients):
            await self.tx.lock("patient", patient)


class WithoutHolds(MemoryBookings):
    """Takes a slot that is only held for one that is free."""

    def look(
        self, asked: Sequence[Ask], slots: set[SlotId], patients: set[UserId], named: Sequence[AppointmentRow]
    ) -> Diary:
        diary = super().look(asked, slots, patients, named)
        booked = {id: one for id, one in diary.appointments.items() if one.status is not AppointmentStatus.PENDING}
        return replace(diary, appointments=booked)

    async def check(self, new: AppointmentRow, unwritten: Collection[AppointmentId]) -> None:
        """Let everything pass."""


class WithoutReceipts(MemoryBookings):
    """Forgets what a key was answered."""

    async def keep(self, diary: Diary) -> None:
        await super().keep(diary)
        for name in diary.fresh:
            self.tx.receipts.remove(name)


class WithoutKeeping(MemoryBookings):
    """Says yes, and keeps nothing."""

    async def keep(self, diary: Diary) -> None:
        await self.tx.turn()


class WithoutEvents(MemoryBookings):
    """Tells nobody what happened."""

    async def keep(self, diary: Diary) -> None:
        diary.events.clear()
        await super().keep(diary)


class InTwoSteps(MemoryBookings):
    """Gives the old slot up for everybody to see, and only then claims the new one."""

    async def keep(self, diary: Diary) -> None:
        for moved in diary.steps:
            if (before := self.tx.appointments.get(moved.id)) and before.slot != moved.slot:
                self.tx.appointments.put(moved.id, replace(before, status=AppointmentStatus.CANCELLED))
                self.tx.commit()
                await self.tx.turn()
        await super().keep(diary)


class WithTakenAlternatives(MemorySlots):
    """Shows whoever comes too late what others have, too."""

    async def alternatives(self, slots: Collection[SlotId], most: int) -> Mapping[SlotId, Sequence[Slot]]:
        await self.tx.turn()
        return dict.fromkeys(slots, [slot_of(self.tx, row, self.clock.now()) for row in self.tx.slots][:most])


class WithoutOneQueueOfRoles(MemoryUsers):
    """Lets two admins change roles at once."""

    async def lock_roles(self) -> None:
        await self.tx.turn()


class WithoutForgetting(ShakenCache):
    """Keeps its answers whatever changes."""

    async def forget(self, touched: Collection[Touched]) -> None:
        """Do nothing."""


class EachAlone(RecordedRuns):
    """Lets nobody travel with others: who is decided together does not meet where the guard is missing."""

    async def __call__(self, ask: Ask) -> Appointment | Slot:
        (answer,) = await self._many([ask])
        if isinstance(answer, Refusal):
            raise answer
        return answer


class WithoutRollback(SharedDatabase):
    """Keeps what was written when it fails."""

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[UnitOfWork]:
        async with super().begin() as uow:
            assert isinstance(uow, MemoryUnitOfWork)
            try:
                yield uow
            finally:
                uow.users.tx.commit()


class WithoutVersions(Diary):
    """Does not ask which version somebody has seen."""

    def reschedule(self, ask: Rescheduling, happened: Happened) -> Appointment:
        return super().reschedule(replace(ask, versions=None), happened)


class WithoutOnlyOn(Diary):
    """Cancels an appointment of a day wherever it stands by now."""

    def cancel(self, ask: Cancelling, happened: Happened) -> Appointment:
        return super().cancel(replace(ask, only_on=None), happened)


class WhoseBeforeWhere(Diary):
    """Asks whose an appointment of a day is before it asks where it stands."""

    def cancel(self, ask: Cancelling, happened: Happened) -> Appointment:
        self.find(ask)
        return super().cancel(ask, happened)


class WithoutSweep(Diary):
    """Leaves holds that have run out where they are."""

    def sweep(self, happened: Happened, *, request: str, asked: Sequence[Ask] = ()) -> None:
        """Do nothing."""


class WithoutOneClock(Diary):
    """Ends holds by a clock that is ahead of the one that all share."""

    def sweep(self, happened: Happened, *, request: str, asked: Sequence[Ask] = ()) -> None:
        Diary.sweep(replace(self, now=self.now + 7 * MINUTE), happened, request=request, asked=asked)


class WithoutOldPlace(Diary):
    """Does not tell searches which slot a move has freed."""

    def reschedule(self, ask: Rescheduling, happened: Happened) -> Appointment:
        moved = super().reschedule(ask, happened)
        self.touched.intersection_update({Touched.by(moved)})
        return moved


class WithLeftOvers(Diary):
    """Keeps the receipt of a booking for which there was no room."""

    def book(self, ask: Booking, happened: Happened) -> Appointment:
        try:
            return super().book(ask, happened)
        except SlotTaken:
            claim = self.slots[ask.slot].book(self.patients[ask.actor.known], id=AppointmentId(happened.new_id()))
            self.fresh[ask.actor.known, ask.key] = Receipt(ask.fingerprint, claim)
            raise


class WithMadeUpConflicts(Diary):
    """Takes a slot for taken when its patient has another."""

    def book(self, ask: Booking, happened: Happened) -> Appointment:
        if any(one.live for one in self.appointments.values()):
            raise SlotTaken
        return super().book(ask, happened)


def deciding(kind: type[Diary]) -> type[MemoryBookings]:
    """Return bookings that are decided in another diary."""

    class OtherBookings(MemoryBookings):
        async def lock(self, asked: Sequence[Ask]) -> Diary:
            diary = await super().lock(asked)
            return kind(**{one.name: getattr(diary, one.name) for one in fields(diary) if one.init})

    return OtherBookings


def slow(tx: Transaction, clock: Clock) -> MemorySlots:
    """Let holds run out never, where it is searched."""
    return MemorySlots(tx, FakeClock())


def database_with(**parts: Callable[[Transaction, Clock], object]) -> type[SharedDatabase]:
    """Return how to make a database of which some parts are others."""

    class SabotagedDatabase(SharedDatabase):
        @asynccontextmanager
        async def begin(self) -> AsyncIterator[UnitOfWork]:
            async with super().begin() as uow:
                assert isinstance(uow, MemoryUnitOfWork)
                others: dict[str, Any] = {name: make(uow.users.tx, self._clock) for name, make in parts.items()}
                yield replace(uow, **others)

    return SabotagedDatabase


@dataclass(frozen=True, slots=True)
class Harm:
    """What happens without a guard, and a program in which it can."""

    promise: str
    """The one that is broken, in the words of the judge."""
    guards: Guards
    program: Program


def at_once(
    *commands: Command, before: tuple[Command, ...] = (), faults: Collection[Fault] = (), tries: int = 1
) -> Program:
    """Return a program in which each command has its own lane."""
    return Program(tuple((Errand(command, tries),) for command in commands), frozenset(faults), before)


RUN_OUT: Final = (Hold(1, 0), Wait(HELD_FOR))
"""A hold that has run out, and stands until somebody comes upon it."""

HARMS: Final = {
    "without locks": Harm(
        "a slot is booked twice",
        Guards(database_with(bookings=WithoutLocks)),
        at_once(Book(0, 0, "a"), Book(1, 0, "a")),
    ),
    "without the slots' locks, slots are taken back twice": Harm(
        "changes and audit entries differ",
        Guards(database_with(bookings=WithoutLocks)),
        at_once(TakeBack(By.DOCTOR, 0), CancelDay(3)),
    ),
    "without the slots' locks, but with constraints": Harm(
        "a constraint had to refuse",
        Guards(database_with(bookings=WithoutSlotsLocks)),
        at_once(Book(0, 0, "a"), Book(1, 0, "a")),
    ),
    "without order": Harm(
        "somebody gave up waiting, though nothing was slow",
        Guards(database_with(bookings=WithoutOrder)),
        at_once(Together((Book(0, 0, "a"), Book(1, 1, "a"))), Together((Book(0, 1, "b"), Book(1, 0, "b")))),
    ),
    "without the patients' queue": Harm(
        "somebody holds too many slots",
        Guards(database_with(bookings=WithoutQueue)),
        at_once(Hold(1, 4), Hold(1, 5), before=(Hold(1, 0), Hold(1, 3))),
    ),
    "without the locks of what an appointment names": Harm(
        "fulfilled appointments and consultations differ",
        Guards(database_with(bookings=WithoutItsLocks)),
        at_once(Together((Cancel(By.PATIENT, 2), Book(1, 0, "a"), Book(2, 3, "a"))), Start(By.DOCTOR, 2)),
    ),
    "without the same, a move is lost": Harm(
        "an acknowledged move is lost",
        Guards(database_with(bookings=WithoutItsLocks), runs=EachAlone),
        at_once(Cancel(By.DOCTOR, 2), Move(By.PATIENT, 2, 0)),
    ),
    "without the holds' locks": Harm(
        "versions and audit entries differ",
        Guards(database_with(bookings=WithoutHoldsLocks)),
        at_once(Book(0, 0, "a"), Hold(1, 2), before=RUN_OUT),
    ),
    "without holds among the claims": Harm(
        "a slot is booked twice",
        Guards(database_with(bookings=WithoutHolds)),
        at_once(Hold(0, 0), Book(1, 0, "a")),
    ),
    "without a sweep": Harm(
        "a slot was called taken that nobody wanted",
        Guards(database_with(bookings=deciding(WithoutSweep))),
        at_once(Book(0, 0, "a"), before=RUN_OUT),
    ),
    "without one clock": Harm(
        "a hold was ended before its time",
        Guards(database_with(bookings=deciding(WithoutOneClock))),
        at_once(Book(0, 0, "a"), before=(Hold(1, 0),)),
    ),
    "without receipts": Harm(
        "a key had two effects",
        Guards(database_with(bookings=WithoutReceipts)),
        at_once(Book(0, 0, "a"), Book(0, 1, "b"), faults=[Fault.ANSWER_LOST], tries=3),
    ),
    "without keeping": Harm(
        "an acknowledged booking is lost",
        Guards(database_with(bookings=WithoutKeeping)),
        at_once(Book(0, 0, "a")),
    ),
    "without events": Harm(
        "changes and audit entries differ",
        Guards(database_with(bookings=WithoutEvents)),
        at_once(Cancel(By.PATIENT, 2)),
    ),
    "without one step for a move": Harm(
        "an acknowledged booking is lost",
        Guards(database_with(bookings=InTwoSteps)),
        at_once(Move(By.PATIENT, 2, 0), faults=[Fault.CONNECTION_LOST]),
    ),
    "without versions": Harm(
        "an appointment was moved that had changed since it was seen",
        Guards(database_with(bookings=deciding(WithoutVersions))),
        at_once(Move(By.PATIENT, 2, 0, behind=0), Move(By.PATIENT, 2, 3, behind=0)),
    ),
    "without the slot of an appointment of a day": Harm(
        "a day took an appointment that had left it",
        Guards(database_with(bookings=deciding(WithoutOnlyOn))),
        Program(((Errand(CancelDay(3)),), (Errand(Look()), Errand(Move(By.PATIENT, 2, 4))))),
    ),
    "with another question before that": Harm(
        "a doctor was turned away from their own day",
        Guards(database_with(bookings=deciding(WhoseBeforeWhere))),
        Program(((Errand(CancelDay(3)),), (Errand(Look()), Errand(Move(By.PATIENT, 2, 1))))),
    ),
    "without rollback": Harm(
        "a booking that did not happen left something",
        Guards(WithoutRollback, runs=EachAlone),
        at_once(*(Book(slot % 3, slot, str(slot)) for slot in (0, 1, 3, 4, 5)), faults=[Fault.CONNECTION_LOST]),
    ),
    "with left-overs of a refusal": Harm(
        "a booking that did not happen left something",
        Guards(database_with(bookings=deciding(WithLeftOvers))),
        at_once(Book(1, 2, "a")),
    ),
    "with made-up conflicts": Harm(
        "a slot was called taken that nobody wanted",
        Guards(database_with(bookings=deciding(WithMadeUpConflicts))),
        at_once(Book(0, 0, "a")),
    ),
    "with alternatives that are taken": Harm(
        "somebody was shown alternatives that were none",
        Guards(database_with(slots=WithTakenAlternatives)),
        at_once(Book(1, 2, "a")),
    ),
    "without one queue for roles": Harm(
        "no admin is left",
        Guards(database_with(users=lambda tx, _: WithoutOneQueueOfRoles(tx))),
        at_once(ChangeRole(5, 6, Role.PATIENT), ChangeRole(6, 5, Role.PATIENT)),
    ),
    "without telling searches": Harm(
        "a search showed a slot that was taken",
        Guards(cache=WithoutForgetting),
        at_once(Look(), Book(0, 0, "a")),
    ),
    "without telling searches what a move has freed": Harm(
        "a search hid a slot that was free",
        Guards(database_with(bookings=deciding(WithoutOldPlace))),
        at_once(Look(), Look(), Move(By.PATIENT, 2, 4)),
    ),
    "without an end of holds in searches": Harm(
        "a search hid a slot that was free",
        Guards(database_with(slots=slow)),
        at_once(Look(), before=RUN_OUT),
    ),
}
"""By what is missing, or too much."""
