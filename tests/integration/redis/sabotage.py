"""Caches that are wrong, each in one way (but for one): the tests of the right one must see it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from healthcare.adapters.redis.answers import Answer, View
from healthcare.adapters.redis.cache import Make, RedisSearchCache
from healthcare.adapters.redis.flights import Flights, FreshFlights, landed
from healthcare.adapters.redis.names import Names
from healthcare.adapters.redis.tokens import LENGTH, Tokens, VersionTokens
from healthcare.domain.kernel import Clock
from healthcare.domain.scheduling.search import Touched

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class ForgetsNothing(RedisSearchCache):
    """Its writers drop no tokens."""

    async def forget(self, touched: Collection[Touched]) -> None:
        """Do nothing."""


class AnswersTooSoon(RedisSearchCache):
    """Its writers do not wait until the tokens are dropped."""

    async def forget(self, touched: Collection[Touched]) -> None:
        """Leave it to somebody else."""
        self.behind = asyncio.create_task(super().forget(touched))


class ReadsTokensLast(RedisSearchCache):
    """Its readers keep an answer under the tokens that stand after the query."""

    async def _fetch(self, where: Names, view: View, make: Make) -> Answer:
        found = await make()
        view = replace(view, tokens=await self._tokens.read(where.tokens))
        answer = Answer.of(found.body, view, found.until)
        self._local.put(where, view.tokens, answer)
        return answer


class FlightsToAnyTokens(Flights[tuple[Names, Tokens], T]):
    """Whoever asks the same waits for the same, whatever has changed."""

    def join(self, place: tuple[Names, Tokens], work: Callable[[], Awaitable[T]]) -> tuple[asyncio.Task[T], bool]:
        """Return a flight."""
        return super().join((place[0], ()), work)


class JoinsAnyFlight(RedisSearchCache):
    """Its readers wait for queries that were begun under other tokens."""

    def __init__(self, *, host: str, port: int, clock: Clock) -> None:
        super().__init__(host=host, port=port, clock=clock)
        self._flights = FlightsToAnyTokens()


class SeparateFlights(Flights[K, T]):
    """Nobody waits for anybody."""

    def join(self, place: K, work: Callable[[], Awaitable[T]]) -> tuple[asyncio.Task[T], bool]:
        """Return a flight of one's own."""
        self._flights.pop(place, None)
        return super().join(place, work)

    async def _fly(self, _place: K, work: Callable[[], Awaitable[T]]) -> T:
        return await work()


class FliesAlone(RedisSearchCache):
    """Each of its readers runs a query."""

    def __init__(self, *, host: str, port: int, clock: Clock) -> None:
        super().__init__(host=host, port=port, clock=clock)
        self._flights = SeparateFlights()


class StaleFlights(FreshFlights[K, T]):
    """Whoever asks may wait for what has begun already."""

    def join(self, place: K, work: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        """Return a flight."""
        return self._flying.get(place) or super().join(place, work)


class SlowlyRead(RedisSearchCache):
    """Nothing is wrong with it, but what Redis answers to readers takes a while to arrive."""

    async def _look(self, where: Names) -> View | None:
        view = await super()._look(where)
        await asyncio.sleep(0.005)
        return view


class JoinsReadsOfTokens(SlowlyRead):
    """Its readers use tokens that began to be read before they asked."""

    def __init__(self, *, host: str, port: int, clock: Clock) -> None:
        super().__init__(host=host, port=port, clock=clock)
        self._views: FreshFlights[tuple[str, ...], View | None] = StaleFlights()

    async def _look(self, where: Names) -> View | None:
        return await landed(self._views.join(where.tokens, partial(super()._look, where)))


class JoinsQueries(RedisSearchCache):
    """Without Redis, its readers wait for queries that began before they asked."""

    def __init__(self, *, host: str, port: int, clock: Clock) -> None:
        super().__init__(host=host, port=port, clock=clock)
        self._fresh = StaleFlights()


class Counters(VersionTokens):
    """Versions that count from 0."""

    async def read(self, names: Sequence[str]) -> Tokens:
        """Return the counts."""
        counts = await self._redis.mget(names)
        return tuple(count if isinstance(count, bytes) else b"0" * LENGTH for count in counts)

    async def drop(self, names: Collection[str]) -> None:
        """Count on."""
        for name in names:
            number = await self._redis.incr(f"{name}:count")
            await self._redis.set(name, f"{number:0{LENGTH}}")


class CountsVersions(RedisSearchCache):
    """Its tokens are counters, which begin anew when Redis has lost them."""

    def __init__(self, *, host: str, port: int, clock: Clock) -> None:
        super().__init__(host=host, port=port, clock=clock)
        self._tokens = self._changes._tokens = Counters(self._redis)  # noqa: SLF001 - to spoil it


class FillsUp(VersionTokens):
    """Tokens that are replaced and not dropped."""

    async def drop(self, names: Collection[str]) -> None:
        """Put other tokens in their place, which a full Redis does not take."""
        for name in names:
            await self._redis.set(name, b"x" * LENGTH)


class SetsTokens(RedisSearchCache):
    """Its writers need room in Redis."""

    def __init__(self, *, host: str, port: int, clock: Clock) -> None:
        super().__init__(host=host, port=port, clock=clock)
        self._changes._tokens = FillsUp(self._redis)  # noqa: SLF001 - to spoil it
