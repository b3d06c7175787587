"""The cache of searches: see the port `SearchCache` for what it promises.

A reader reads the tokens of the search first, and accepts, keeps and waits for an answer only under those. A writer
drops the tokens of what it changed, after its commit and before its answer. So whoever asks after that answer reads
other tokens than those under which anything older was made. Without Redis nothing is kept, and a reader waits only
for a query that began after it asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from functools import partial
from time import monotonic
from typing import Any, Final, TypeVar

from prometheus_client import Counter
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import ResponseError

from healthcare.adapters.redis.answers import Answer, LocalAnswers, SharedAnswers, View
from healthcare.adapters.redis.breaker import Breaker
from healthcare.adapters.redis.changes import Changes
from healthcare.adapters.redis.client import LAST_LINE, connect
from healthcare.adapters.redis.flights import Flights, FreshFlights, landed
from healthcare.adapters.redis.line import SharedLine
from healthcare.adapters.redis.names import Names, names, token_name
from healthcare.adapters.redis.tasks import ended, started, within
from healthcare.adapters.redis.tokens import Tokens, VersionTokens, understood
from healthcare.domain.kernel import Clock
from healthcare.domain.scheduling.ports import Found
from healthcare.domain.scheduling.search import Search, Touched

T = TypeVar("T")

Make = Callable[[], Awaitable[Found]]

CONNECTIONS: Final = 16
PATIENCE: Final = 0.08
"""Seconds that a search waits for Redis before it goes to the database."""
CHECK: Final = 0.5
"""Seconds."""

ANSWERS: Final = Counter(
    "search_answers_total",
    "Answers to searches, by where they came from: this process had it or was about to, Redis had it, or a query.",
    ["source"],
)
FROM_PROCESS, FROM_REDIS, FROM_POSTGRESQL = (ANSWERS.labels(one) for one in ("process", "redis", "postgresql"))


class RedisSearchCache:
    """Answers in this process and in Redis, under version tokens that all processes read from Redis."""

    def __init__(self, *, host: str, port: int, clock: Clock) -> None:
        self._clock = clock
        self._redis = connect(host=host, port=port, most=CONNECTIONS)
        # Of their own, so that a change never waits behind questions.
        self._writers_line = SharedLine(host=host, port=port, patience=LAST_LINE)
        self._line = SharedLine(host=host, port=port, patience=PATIENCE)
        self._breaker = Breaker()
        self._tokens = VersionTokens(self._redis)
        self._changes = Changes(self._writers_line)
        self._local, self._shared = LocalAnswers(), SharedAnswers(self._line, clock)
        self._making: FreshFlights[tuple[str, ...], Tokens | None] = FreshFlights()
        self._fresh: FreshFlights[str, Found] = FreshFlights()
        self._flights: Flights[tuple[Names, Tokens], Answer] = Flights()
        self._keeping: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Do nothing: connections are made when they are needed, and their absence stops nobody."""

    async def close(self) -> None:
        """Stop everything that still goes on, and hang up."""
        for flights in (self._making, self._fresh, self._flights):
            await flights.close()
        await self._changes.close()
        await ended(self._keeping)
        await self._line.close()
        await self._writers_line.close()
        await self._redis.aclose()

    async def check(self) -> None:
        """Raise unless Redis answers."""
        await within(CHECK, self._tokens.check())

    async def answer(self, search: Search, make: Make) -> bytes:
        """Return a kept answer that was true when this call began, or make one.

        Raises:
            Unavailable: there was not enough time.
        """
        where = names(search)
        view = await self._look(where)
        if view is None:
            FROM_POSTGRESQL.inc()
            return (await landed(self._fresh.join(where.answer, make))).body
        while True:
            answer = self._local.get(where, view.tokens)
            if answer and answer.fresh(self._clock.now()):
                FROM_PROCESS.inc()
                return answer.body
            place = where, view.tokens
            flight, own = self._flights.join(place, partial(self._fetch, where, view, make))
            answer = await landed(flight)
            if own:
                return answer.body
            if answer.fresh(self._clock.now()):
                FROM_PROCESS.inc()
                return answer.body

    async def forget(self, touched: Collection[Touched]) -> None:
        """Let no later call get an answer that was made before this one."""
        if changed := {token_name(one) for one in touched}:
            self._local.forget(changed)
            await self._changes.tell(changed)

    async def _look(self, where: Names) -> View | None:
        """Read the tokens; None where Redis cannot be asked, or is known to hold tokens that are too old."""
        if self._changes.late(where.tokens) or not self._breaker.allows():
            return None
        at, at_monotonic = self._clock.now(), monotonic()
        try:
            tokens = understood(await self._line.mget(where.tokens))
        except ResponseError:
            return None  # as in `_try`
        except (OSError, Disconnected) as reason:
            self._breaker.failed(reason)
            return None
        self._breaker.succeeded()
        if tokens is None:
            tokens = await landed(self._making.join(where.tokens, partial(self._make_tokens, where)))
        return View(tokens, at, at_monotonic) if tokens else None

    async def _make_tokens(self, where: Names) -> Tokens | None:
        return await self._try(self._tokens.read(where.tokens))

    async def _fetch(self, where: Names, view: View, make: Make) -> Answer:
        """Take the answer that another process has made under the same tokens, or make one."""
        answer = await self._try(self._shared.get(where, view.tokens))
        (FROM_REDIS if answer else FROM_POSTGRESQL).inc()
        if answer is None:
            found = await make()
            answer = Answer.of(found.body, view, found.until)
            keeping = started(self._try(self._shared.put(where, view.tokens, answer)))
            self._keeping.add(keeping)
            keeping.add_done_callback(self._keeping.discard)
        self._local.put(where, view.tokens, answer)
        return answer

    async def _try(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return what Redis answers; None where it does not, or answers nonsense."""
        try:
            answer = await within(PATIENCE, work)
        except ResponseError:
            return None  # it is there, but full, or other people's values stand in the way
        except Exception as reason:  # noqa: BLE001 - no failure of the cache is one of the search
            self._breaker.failed(reason)
            return None
        self._breaker.succeeded()
        return answer
