"""The beginning and the end of a transaction, in memory."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from healthcare.adapters.memory.audit import MemoryEntries
from healthcare.adapters.memory.consultation import MemoryConsultations, MemoryPrescriptions
from healthcare.adapters.memory.directory import MemoryProfiles
from healthcare.adapters.memory.identity import MemoryUsers
from healthcare.adapters.memory.outbox import MemoryOutbox
from healthcare.adapters.memory.scheduling import MemoryAppointments, MemoryBookings, MemorySlots
from healthcare.adapters.memory.tables import Kept
from healthcare.adapters.memory.transaction import Locks, Transaction
from healthcare.application.uow import UnitOfWork
from healthcare.domain.kernel import Clock, Event


@dataclass(frozen=True, slots=True)
class MemoryUnitOfWork:
    """Everything that one transaction can reach."""

    users: MemoryUsers
    profiles: MemoryProfiles
    slots: MemorySlots
    bookings: MemoryBookings
    appointments: MemoryAppointments
    consultations: MemoryConsultations
    prescriptions: MemoryPrescriptions
    entries: MemoryEntries
    outbox: MemoryOutbox

    @classmethod
    def on(cls, tx: Transaction, clock: Clock) -> "MemoryUnitOfWork":
        """Let every repository use the same transaction; holds run out by this clock."""
        return cls(
            users=MemoryUsers(tx),
            profiles=MemoryProfiles(tx),
            slots=MemorySlots(tx, clock),
            bookings=MemoryBookings(tx, clock),
            appointments=MemoryAppointments(tx, clock),
            consultations=MemoryConsultations(tx),
            prescriptions=MemoryPrescriptions(tx),
            entries=MemoryEntries(tx),
            outbox=MemoryOutbox(tx),
        )


class MemoryDatabase:
    """Keeps everything in dictionaries, and takes the locks that PostgreSQL would take.

    What is kept are immutable objects, so a transaction is no more than what it wrote, read before what is committed.
    Every port call gives way to other tasks, so that races happen here too.
    """

    def __init__(self, clock: Clock, transaction: Callable[[Kept, Locks], Transaction] = Transaction) -> None:
        """Begin empty. Tests pass transactions that fail, to see what becomes of what rests on them."""
        self._clock = clock
        self._kept = Kept()
        self._locks = Locks()
        self._transaction = transaction

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[UnitOfWork]:
        """Begin a unit of work; see `healthcare.application.uow.Begin`."""
        tx = self._transaction(self._kept, self._locks)
        try:
            yield MemoryUnitOfWork.on(tx, self._clock)
            await tx.turn()
            tx.commit()
        finally:
            tx.release()

    def read(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Begin a unit of work that reads."""
        return self.begin()

    async def record(self, event: Event) -> None:
        """Keep an event by itself; see `healthcare.application.uow.Record`."""
        async with self.begin() as uow:
            await uow.outbox.add(event)

    async def open(self) -> None:
        """There is nothing to connect to."""

    async def close(self) -> None:
        """There is nothing to close."""

    async def check(self) -> None:
        """Memory always answers."""
