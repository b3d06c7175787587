"""Work for which several callers wait together."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

from healthcare.adapters.redis.tasks import ended, started
from healthcare.application.deadline import answer_within, remaining
from healthcare.application.uow import Unavailable

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

LONGEST: Final = 3.0
"""Seconds that a flight may last, whatever time is left to the caller who happened to start it."""
TO_END_CLEANLY: Final = 0.2
"""Seconds of these that are left to whoever keeps the deadline that the work is given."""


class Flights(Generic[K, T]):
    """At most one flight to a place at a time: whoever asks while it is in the air waits for it."""

    def __init__(self) -> None:
        self._flights: dict[K, asyncio.Task[T]] = {}

    def join(self, place: K, work: Callable[[], Awaitable[T]]) -> tuple[asyncio.Task[T], bool]:
        """Return the flight, and whether it is the caller's own."""
        if flight := self._flights.get(place):
            return flight, False
        flight = self._flights[place] = started(self._fly(place, work))
        return flight, True

    async def close(self) -> None:
        """End all of them."""
        await ended(list(self._flights.values()))

    async def _fly(self, place: K, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await bounded(work)
        finally:
            del self._flights[place]


class FreshFlights(Generic[K, T]):
    """The same for those who must not get what began before they asked: one is in the air, one waits behind it."""

    def __init__(self) -> None:
        self._flying: dict[K, asyncio.Task[T]] = {}
        self._next: dict[K, asyncio.Task[T]] = {}

    def join(self, place: K, work: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        """Return the flight that has not begun yet."""
        if (flight := self._next.get(place)) is None:
            flight = self._next[place] = started(self._fly(place, self._flying.get(place), work))
        return flight

    async def close(self) -> None:
        """End all of them."""
        await ended([*self._next.values(), *self._flying.values()])

    async def _fly(self, place: K, before: asyncio.Task[T] | None, work: Callable[[], Awaitable[T]]) -> T:
        if before is not None:
            await asyncio.wait({before})
        self._flying[place] = self._next.pop(place)
        try:
            return await bounded(work)
        finally:
            del self._flying[place]


async def landed(flight: asyncio.Task[T]) -> T:
    """Wait for a flight; who leaves before it lands disturbs nobody else.

    Raises:
        Unavailable: it took longer than the caller has time.
    """
    await asyncio.wait({flight}, timeout=remaining(LONGEST))
    if not flight.done() or flight.cancelled():
        raise Unavailable
    return flight.result()


async def bounded(work: Callable[[], Awaitable[T]]) -> T:
    """Do the work with a deadline of its own.

    Raises:
        Unavailable: it took longer.
    """
    try:
        with answer_within(LONGEST - TO_END_CLEANLY):
            async with asyncio.timeout(LONGEST):
                return await work()
    except TimeoutError:
        raise Unavailable from None
