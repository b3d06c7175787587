"""Whatever becomes of Redis: searches are answered, changes are not held up, and nothing foreign is believed."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from time import monotonic
from typing import TypeVar

import pytest
from redis import Redis
from redis.asyncio import Connection
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError
from structlog.typing import EventDict

from healthcare.adapters.embedded.servers import OneServer, RedisAddress
from healthcare.adapters.redis.cache import RedisSearchCache
from healthcare.adapters.redis.client import connect
from healthcare.adapters.redis.line import MULTI, Line, written
from healthcare.adapters.redis.tokens import VersionTokens
from healthcare.adapters.system import SystemClock
from healthcare.domain.scheduling.ports import Found
from healthcare.domain.scheduling.search import Search, Touched
from tests.integration.redis import sabotage

pytestmark = pytest.mark.anyio

T = TypeVar("T")

DAY = date(2031, 3, 1)
SEARCH = Search("cardiology", DAY)
CHANGE = Touched("cardiology", DAY)


class Data:
    """What searches show."""

    def __init__(self) -> None:
        self.kept = 0
        self.queries = 0

    async def query(self) -> Found:
        """Return what is kept."""
        self.queries += 1
        return Found(str(self.kept).encode(), None)

    async def change(self, cache: RedisSearchCache) -> bytes:
        """Change it, tell the cache, and return what must be seen from then on."""
        self.kept += 1
        await cache.forget({CHANGE})
        return str(self.kept).encode()


@asynccontextmanager
async def cache_of(
    server: OneServer[RedisAddress], kind: type[RedisSearchCache] = RedisSearchCache
) -> AsyncIterator[RedisSearchCache]:
    """The cache of a process of its own."""
    cache = kind(host=server.address.host, port=server.address.port, clock=SystemClock())
    await cache.open()
    try:
        yield cache
    finally:
        await cache.close()


@pytest.fixture
def data() -> Data:
    return Data()


@pytest.fixture
def frozen(server: OneServer[RedisAddress]) -> Iterator[Callable[[], None]]:
    """Freezes Redis for the rest of the test."""
    yield server.pause
    server.resume()


async def test_a_frozen_redis_costs_searches_one_moment_now_and_then(
    server: OneServer[RedisAddress], data: Data, frozen: Callable[[], None]
) -> None:
    async with cache_of(server) as cache:
        await cache.answer(SEARCH, data.query)
        frozen()

        times = [(await took(cache.answer(SEARCH, data.query)))[1] for _ in range(200)]

    assert times[0] < 0.3
    assert max(times[1:]) < 0.3
    assert sum(times[1:]) < 0.3  # no other one has waited


async def test_searches_that_come_together_wait_for_a_frozen_redis_together(
    server: OneServer[RedisAddress], data: Data, frozen: Callable[[], None]
) -> None:
    searches = [Search(f"specialty-{number}", DAY) for number in range(100)]
    async with cache_of(server) as cache:
        frozen()

        _, seconds = await took(asyncio.gather(*(cache.answer(search, data.query) for search in searches)))

    assert seconds < 0.5


async def test_a_frozen_redis_holds_a_change_up_for_half_a_second(
    server: OneServer[RedisAddress], data: Data, frozen: Callable[[], None]
) -> None:
    async with cache_of(server) as cache:
        await cache.answer(SEARCH, data.query)
        frozen()

        times = [(await took(data.change(cache)))[1] for _ in range(3)]

        assert max(times) < 0.7
        assert await cache.answer(SEARCH, data.query) == b"3"


async def test_when_redis_thaws_other_processes_hear_of_what_was_changed(
    server: OneServer[RedisAddress], data: Data, frozen: Callable[[], None]
) -> None:
    """Sooner than the five seconds that are promised, and what the writer's own process answers is never old."""
    async with cache_of(server) as here, cache_of(server) as there:
        await there.answer(SEARCH, data.query)
        await here.answer(SEARCH, data.query)
        frozen()
        seen = await data.change(here)
        server.resume()
        began = monotonic()

        while await there.answer(SEARCH, data.query) != seen:
            assert await here.answer(SEARCH, data.query) == seen
            await asyncio.sleep(0.01)

        assert monotonic() - began < 1.5


async def test_without_redis_searches_and_changes_go_on(
    server: OneServer[RedisAddress], data: Data, logs: list[EventDict]
) -> None:
    async with cache_of(server) as cache:
        await cache.answer(SEARCH, data.query)
        server.stop()
        try:
            for _ in range(20):
                seen, seconds = await took(data.change(cache))
                assert seconds < 0.3
                answer, seconds = await took(cache.answer(SEARCH, data.query))
                assert answer == seen
                assert seconds < 0.3
            with pytest.raises((RedisError, OSError)):
                await cache.check()
        finally:
            server.start()
        await cache.check()

        await until(lambda: hits(cache, data))

    # Whichever noticed first says so, reader or writer, and says it once.
    said = [entry["event"] for entry in logs]
    assert "cache.away" in said or "cache.changes_untold" in said
    assert max(said.count("cache.away"), said.count("cache.changes_untold")) == 1


async def test_what_redis_is_to_be_told_is_not_remembered(server: OneServer[RedisAddress]) -> None:
    """In an outage each change tells all that were not told: thousands of names, and never the same."""
    async with cache_of(server) as cache:
        before = written.cache_info().misses
        for number in range(3):
            await cache.forget({Touched(f"never told before {number}", DAY)})

    assert written.cache_info().misses == before


async def test_who_asks_on_a_line_that_was_just_lost_is_told(server: OneServer[RedisAddress]) -> None:
    """They waited until it was open, and others, who came then, were quicker: it is lost before they ask."""
    _, line = await asyncio.get_running_loop().create_connection(
        lambda: Line(patience=0.05), server.address.host, server.address.port
    )
    others = line.ask(written("GET", ("a",)))
    line.hang_up(Disconnected("a proxy that has no Redis"))
    await asyncio.sleep(0.01)

    answers = await asyncio.wait_for(asyncio.gather(others, line.ask(MULTI), return_exceptions=True), 1)

    assert [type(one) for one in answers] == [Disconnected] * 2


async def test_connections_that_a_restart_has_cut_cost_no_change(server: OneServer[RedisAddress], data: Data) -> None:
    """The first attempt fails, the second on a new connection does not: Redis hears of it before the answer."""
    async with cache_of(server) as here, cache_of(server) as there:
        await data.change(here)
        await there.answer(SEARCH, data.query)
        server.kill()
        server.start()
        await until(lambda: hits(there, data))

        seen = await data.change(here)

        assert await there.answer(SEARCH, data.query) == seen


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"nonsense",
        b"x" * 16,
        b"\x93\xc4\x000\xc4\x01x\xc4\x01y",
        b"\x93\xc4\x30" + b"x" * 48 + b"\xd6\xff\x7f\xff\xff\xff\xc4\x04evil",
        b"\xdd\xff\xff\xff\xff",
        None,
    ],
)
async def test_what_others_put_in_its_place_is_a_miss(
    server: OneServer[RedisAddress], client: Redis, data: Data, garbage: bytes | None
) -> None:
    """None stands for a key of another type."""
    async with cache_of(server) as cache:
        await cache.answer(SEARCH, data.query)
        await until(lambda: asyncio.sleep(0, bool(client.keys("healthcare:answer:*"))))
        for key in client.keys("*"):
            client.delete(key)
            if garbage is None:
                client.lpush(key, b"nonsense")
            else:
                client.set(key, garbage)

        async with cache_of(server) as other:
            seen = await data.change(other)
            assert await other.answer(SEARCH, data.query) == seen
            assert await cache.answer(SEARCH, data.query) == seen
            await until(lambda: hits(other, data))


async def test_nothing_that_it_reads_is_run(
    server: OneServer[RedisAddress], client: Redis, data: Data, tmp_path: Path
) -> None:
    """A pickle that would make a file is put wherever this code reads."""
    trace = tmp_path / "trace"
    pickled = f"cos\nsystem\n(S'touch {trace}'\ntR.".encode()
    async with cache_of(server) as cache:
        await cache.answer(SEARCH, data.query)
        for _ in range(3):
            for key in client.keys("*"):
                client.set(key, pickled)
            async with cache_of(server) as other:
                assert await other.answer(SEARCH, data.query) == b"0"

    assert not trace.exists()


@pytest.mark.parametrize(("kind", "stale"), [(RedisSearchCache, False), (sabotage.SetsTokens, True)])
async def test_a_full_redis_still_hears_of_changes(
    server: OneServer[RedisAddress], client: Redis, data: Data, kind: type[RedisSearchCache], stale: bool
) -> None:
    """Dropping tokens needs no room; writers that set them would be refused."""
    async with cache_of(server, kind) as here, cache_of(server) as there:
        await until(lambda: hits(there, data))
        client.config_set("maxmemory", 1)
        try:
            seen = await data.change(here)
            answer = await there.answer(SEARCH, data.query)
        finally:
            client.config_set("maxmemory", 0)

    assert (answer != seen) is stale


class Undropped(Connection):
    """A connection that is used again after a command on it was given up."""

    async def disconnect(
        self,
        nowait: bool = False,
        error: Exception | None = None,
        failure_count: int | None = None,
        health_check_failed: bool = False,
    ) -> None:
        """Stay connected, unless it is for good."""
        if not nowait:
            await super().disconnect(nowait, error, failure_count, health_check_failed)


@pytest.mark.parametrize(("kind", "mixed_up"), [(Connection, False), (Undropped, True)])
async def test_an_answer_to_a_given_up_command_reaches_nobody(
    server: OneServer[RedisAddress], frozen: Callable[[], None], kind: type[Connection], mixed_up: bool
) -> None:
    """Two commands are sent on the only connection; the first is given up before either is answered."""
    async with tokens_of(server, kind, connections=1) as tokens:
        theirs = {name: await tokens.read([name]) for name in ("first", "second")}
        frozen()
        first = asyncio.create_task(tokens.read(["first"]))
        await asyncio.sleep(0.05)
        first.cancel()
        second = asyncio.create_task(tokens.read(["second"]))
        await asyncio.sleep(0.05)
        server.resume()

        assert await second == theirs["first" if mixed_up else "second"]


async def test_a_storm_of_given_up_commands_mixes_nothing_up(server: OneServer[RedisAddress]) -> None:
    """Commands are given up at any moment; those that are not get what is theirs."""
    chance = random.Random(1)  # noqa: S311 - nothing is secret here
    async with tokens_of(server, Connection, connections=4) as tokens:
        theirs = {name: await tokens.read([name]) for name in map(str, range(50))}
        got = []

        async def read(name: str) -> None:
            await asyncio.sleep(chance.random() / 50)
            got.append(await tokens.read([name]) == theirs[name])

        for _ in range(40):
            reads = [asyncio.create_task(read(name)) for name in theirs]
            for task in chance.sample(reads, 25):
                asyncio.get_running_loop().call_later(chance.random() / 50, task.cancel)
            await asyncio.gather(*reads, return_exceptions=True)

    assert len(got) > 500
    assert all(got)


@asynccontextmanager
async def tokens_of(
    server: OneServer[RedisAddress], kind: type[Connection], *, connections: int
) -> AsyncIterator[VersionTokens]:
    """Tokens that are read over so many connections of this kind."""
    redis = connect(host=server.address.host, port=server.address.port, most=connections)
    redis.connection_pool.connection_class = kind
    try:
        yield VersionTokens(redis)
    finally:
        await redis.aclose()


async def took(work: Awaitable[T]) -> tuple[T, float]:
    """Return what comes of the work, and how many seconds it took."""
    began = monotonic()
    return await work, monotonic() - began


async def hits(cache: RedisSearchCache, data: Data) -> bool:
    """Say whether the cache answers by itself."""
    queries = data.queries
    await cache.answer(SEARCH, data.query)
    return data.queries == queries


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait for up to three seconds until it is true."""
    async with asyncio.timeout(3):
        while not await true():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.01)
