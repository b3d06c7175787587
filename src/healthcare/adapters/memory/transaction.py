"""A transaction: its view of the tables, and the locks that it holds until it ends."""

from asyncio import Lock, sleep, timeout
from collections.abc import Hashable
from typing import Final
from weakref import WeakValueDictionary

from healthcare.adapters.memory.tables import Kept, Table
from healthcare.application.deadline import remaining
from healthcare.application.uow import Busy

LOCK_TIMEOUT: Final = 0.5
"""Seconds."""


class Constraint(Exception):
    """A write contradicts what is kept, in a way for which the domain has no refusal."""


class Locks:
    """The locks of all transactions, by name. One that nobody holds or wants is forgotten."""

    def __init__(self) -> None:
        """Begin without any."""
        self._locks: WeakValueDictionary[Hashable, Lock] = WeakValueDictionary()

    def named(self, name: Hashable) -> Lock:
        """Return the lock of this name."""
        return self._locks.setdefault(name, Lock())


class Transaction:
    """What one unit of work reads, writes and holds. It reads as PostgreSQL does at READ COMMITTED."""

    def __init__(self, kept: Kept, locks: Locks) -> None:
        """Begin."""
        self.accounts = Table(kept.accounts)
        self.profiles = Table(kept.profiles)
        self.slots = Table(kept.slots)
        self.appointments = Table(kept.appointments)
        self.receipts = Table(kept.receipts)
        self.consultations = Table(kept.consultations)
        self.prescriptions = Table(kept.prescriptions)
        self.entries = Table(kept.entries)
        self.outbox = Table(kept.outbox)
        self.dead_letters = Table(kept.dead_letters)
        self.filled = False
        self._locks = locks
        self._held: dict[Hashable, Lock] = {}

    async def turn(self) -> None:
        """Let the others go on, as they do while this one waits for a database. Every port call begins with it."""
        await sleep(0)

    async def lock(self, *name: Hashable) -> None:
        """Hold the lock of this name until the end.

        Raises:
            Busy: others held it for too long.
        """
        await self.turn()
        if name not in self._held:
            await self._wait(name, self._locks.named(name))

    async def try_lock(self, *name: Hashable) -> bool:
        """Hold the lock unless somebody else does; say whether this transaction has it."""
        if name in self._held:
            return True
        lock = self._locks.named(name)
        if lock.locked():
            return False
        await self._wait(name, lock)
        return True

    async def _wait(self, name: Hashable, lock: Lock) -> None:
        try:
            async with timeout(remaining(LOCK_TIMEOUT)):
                await lock.acquire()
        except TimeoutError:
            raise Busy("a lock was not had in time") from None
        self._held[name] = lock

    def commit(self) -> None:
        """Let everybody see what was written, all of it at the same moment."""
        for table in (
            self.accounts,
            self.profiles,
            self.slots,
            self.appointments,
            self.receipts,
            self.consultations,
            self.prescriptions,
            self.entries,
            self.outbox,
            self.dead_letters,
        ):
            table.commit()

    def release(self) -> None:
        """Let those go on who wait."""
        for lock in self._held.values():
            lock.release()
        self._held.clear()
