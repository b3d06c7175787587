"""Clinics without one of their guards: each must come to harm in some schedule of some program."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from healthcare.adapters.memory.database import MemoryUnitOfWork
from healthcare.adapters.memory.identity import MemoryUsers
from healthcare.adapters.memory.outbox import MemoryOutbox
from healthcare.adapters.memory.scheduling import MemoryAppointments, MemoryBookings
from healthcare.adapters.memory.tables import AppointmentRow
from healthcare.adapters.memory.transaction import Transaction
from healthcare.application.uow import UnitOfWork
from healthcare.domain.kernel import AppointmentId, Event, Role, UserId
from healthcare.domain.scheduling.diary import Booking, Diary
from healthcare.domain.scheduling.model import Appointment, Touched
from tests.unit.schedules.faults import Fault, ShakenCache
from tests.unit.schedules.programs import (
    Ask,
    Book,
    By,
    Cancel,
    ChangeRole,
    Command,
    Guards,
    Look,
    Program,
    SharedDatabase,
    Start,
    Wish,
)


class WithoutLocks(MemoryBookings):
    """Looks without a lock, and has no constraints either."""

    async def lock(self, asked: Sequence[Booking]) -> Diary:
        await self.tx.turn()
        return self.look(asked)

    async def check(self, new: AppointmentRow, key: tuple[UserId, str]) -> None:
        """Let everything pass."""


class WithoutOrder(MemoryBookings):
    """Locks the slots in the order in which they were asked for."""

    async def lock(self, asked: Sequence[Booking]) -> Diary:
        for one in asked:
            await self.tx.lock("slot", one.slot)
        return await super().lock(asked)


class WithoutReceipts(MemoryBookings):
    """Forgets what a key was answered."""

    async def keep(self, diary: Diary) -> None:
        await super().keep(diary)
        for one in diary.booked:
            self.tx.receipts.remove((one.appointment.patient.id, one.booking.key))


class WithoutKeeping(MemoryBookings):
    """Says yes, and keeps nothing."""

    async def keep(self, diary: Diary) -> None:
        await self.tx.turn()


class WithoutEvents(MemoryOutbox):
    """Tells nobody what happened."""

    async def add(self, *events: Event) -> None:
        await self.tx.turn()


class WithoutItsLock(MemoryAppointments):
    """Changes an appointment that others change too."""

    async def lock(self, appointment: AppointmentId) -> Appointment | None:
        return await self.get(appointment)


class WithoutQueue(MemoryUsers):
    """Lets two admins change roles at once."""

    async def lock_roles(self) -> None:
        await self.tx.turn()


class WithoutForgetting(ShakenCache):
    """Keeps its answers whatever changes."""

    async def forget(self, touched: Collection[Touched]) -> None:
        """Do nothing."""


def database_with(**parts: Callable[[Transaction], object]) -> type[SharedDatabase]:
    """Return how to make a database of which some parts are others."""

    class SabotagedDatabase(SharedDatabase):
        @asynccontextmanager
        async def begin(self) -> AsyncIterator[UnitOfWork]:
            async with super().begin() as uow:
                assert isinstance(uow, MemoryUnitOfWork)
                others: dict[str, Any] = {name: make(uow.users.tx) for name, make in parts.items()}
                yield replace(uow, **others)

    return SabotagedDatabase


@dataclass(frozen=True, slots=True)
class Harm:
    """What happens without a guard, and a program in which it can."""

    guards: Guards
    program: Program


def at_once(*commands: Command, faults: Collection[Fault] = (), tries: int = 1) -> Program:
    """Return a program in which each command has its own lane."""
    return Program(tuple((Ask(command, tries),) for command in commands), frozenset(faults))


HARMS: Final = {
    "a slot is booked twice": Harm(
        Guards(database_with(bookings=WithoutLocks)),
        at_once(Book((Wish(0, 0, "a"),)), Book((Wish(1, 0, "a"),))),
    ),
    "an acknowledged booking is lost": Harm(
        Guards(database_with(bookings=WithoutKeeping)),
        at_once(Book((Wish(0, 0, "a"),))),
    ),
    "changes and audit entries differ": Harm(
        Guards(database_with(outbox=WithoutEvents)),
        at_once(Cancel(By.PATIENT, 2)),
    ),
    "somebody gave up waiting, though nothing was slow": Harm(
        Guards(database_with(bookings=WithoutOrder)),
        at_once(Book((Wish(0, 0, "a"), Wish(1, 1, "a"))), Book((Wish(0, 1, "b"), Wish(1, 0, "b")))),
    ),
    "a key had two effects": Harm(
        Guards(database_with(bookings=WithoutReceipts)),
        at_once(Book((Wish(0, 0, "a"),)), Book((Wish(0, 1, "b"),)), faults=[Fault.ANSWER_LOST], tries=3),
    ),
    "fulfilled appointments and consultations differ": Harm(
        Guards(database_with(appointments=WithoutItsLock)),
        at_once(Cancel(By.PATIENT, 2), Start(By.DOCTOR, 2)),
    ),
    "no admin is left": Harm(
        Guards(database_with(users=WithoutQueue)),
        at_once(ChangeRole(5, 6, Role.PATIENT), ChangeRole(6, 5, Role.PATIENT)),
    ),
    "a search showed a slot that was taken": Harm(
        Guards(cache=WithoutForgetting),
        at_once(Look(), Book((Wish(0, 0, "a"),))),
    ),
}
"""By the promise that is broken."""
