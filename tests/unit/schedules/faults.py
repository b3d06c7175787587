"""What can go wrong between a use case and its database, drawn from the seed of a schedule."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from enum import Enum
from random import Random

from healthcare.adapters.memory.cache import MemorySearchCache
from healthcare.adapters.memory.tables import Kept
from healthcare.adapters.memory.transaction import Locks, Transaction
from healthcare.application.uow import OutcomeUnknown, Unavailable
from healthcare.domain.kernel import Clock
from healthcare.domain.scheduling.ports import Found
from healthcare.domain.scheduling.search import Search, Touched


class Fault(Enum):
    """One way in which a call of a port can go wrong."""

    SLOW = "the answer takes its time"
    CONNECTION_LOST = "the call is not answered, and the transaction is gone"
    COMMIT_LOST = "the commit never arrives, and nobody knows"
    ANSWER_LOST = "the commit arrives, and its answer does not"
    COMMIT_LATE = "the commit arrives when the one who sent it has long given up"


AT_COMMIT = (Fault.COMMIT_LOST, Fault.ANSWER_LOST, Fault.COMMIT_LATE)
LONGEST = 1.0
"""Seconds that a slow answer or a late commit takes: longer than anybody waits for a lock."""


class Weather:
    """Decides when which of the faults strikes, and counts."""

    def __init__(self, random: Random) -> None:
        """Begin with nothing going wrong."""
        self._random = random
        self.faults: Collection[Fault] = ()
        self.struck = 0

    def strikes(self, fault: Fault, *, one_in: int) -> bool:
        """Say whether the fault happens here and now."""
        struck = fault in self.faults and self._random.randrange(one_in) == 0
        self.struck += struck
        return struck

    def delay(self) -> float:
        """Return how many seconds something takes."""
        return self._random.uniform(0, LONGEST)

    async def pass_by(self) -> None:
        """Let others go on, and sometimes time pass."""
        await asyncio.sleep(self.delay() if self.strikes(Fault.SLOW, one_in=16) else 0)


class ShakenTransaction(Transaction):
    """A transaction on a connection that may be lost; `committed` is told of each commit that arrives."""

    def __init__(self, kept: Kept, locks: Locks, weather: Weather, committed: Callable[[], None]) -> None:
        super().__init__(kept, locks)
        self._weather, self._committed = weather, committed
        self._broken = self._late = False

    async def turn(self) -> None:
        await self._weather.pass_by()
        if self._broken or self._weather.strikes(Fault.CONNECTION_LOST, one_in=24):
            self._broken = True
            raise Unavailable("the connection was lost")

    def commit(self) -> None:
        struck = next((fault for fault in AT_COMMIT if self._weather.strikes(fault, one_in=8)), None)
        if struck is Fault.COMMIT_LATE:
            self._late = True
            asyncio.get_running_loop().call_later(self._weather.delay(), self._commit_late)
        elif struck is not Fault.COMMIT_LOST:
            super().commit()
            self._committed()
        if struck:
            raise OutcomeUnknown

    def release(self) -> None:
        if not self._late:
            super().release()

    def _commit_late(self) -> None:
        super().commit()
        self._committed()
        super().release()


class ShakenCache(MemorySearchCache):
    """A search cache on the other side of a network."""

    def __init__(self, clock: Clock, weather: Weather) -> None:
        super().__init__(clock)
        self._weather = weather

    async def answer(self, search: Search, make: Callable[[], Awaitable[Found]]) -> bytes:
        await self._weather.pass_by()
        answer = await super().answer(search, make)
        await self._weather.pass_by()
        return answer

    async def forget(self, touched: Collection[Touched]) -> None:
        await self._weather.pass_by()
        await super().forget(touched)
        await self._weather.pass_by()
