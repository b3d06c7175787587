"""One query answers many, and no answer outlives what it shows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from datetime import UTC, date, datetime, timedelta
from time import monotonic

import pytest
from redis import Redis

from healthcare.adapters.embedded.servers import OneServer, RedisAddress
from healthcare.adapters.redis.cache import ANSWERS, RedisSearchCache
from healthcare.adapters.redis.names import names
from healthcare.application.deadline import answer_within
from healthcare.application.uow import Unavailable
from healthcare.domain.kernel import Paging
from healthcare.domain.scheduling.ports import Found
from healthcare.domain.scheduling.search import Search, Touched
from tests.integration.redis import sabotage
from tests.integration.world import free_port

pytestmark = pytest.mark.anyio

DAY = date(2031, 3, 1)
SEARCH = Search("cardiology", DAY)
CHANGE = Touched("cardiology", DAY)


class SetClock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.time = datetime(2031, 2, 28, 12, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the time that was set."""
        return self.time


class Database:
    """Counts its queries, each of which takes a while and shows what was kept when it began."""

    def __init__(self, *, seconds: float = 0.02) -> None:
        self.queries = 0
        self.seconds = seconds
        self.kept = "as it was"
        self.until: datetime | None = None
        self.broken = False

    async def query(self) -> Found:
        """Return what is kept."""
        self.queries += 1
        found = Found(self.kept.encode(), self.until)
        await asyncio.sleep(self.seconds)
        if self.broken:
            raise Unavailable
        return found


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
async def caches(server: OneServer[RedisAddress], clock: SetClock) -> AsyncIterator[tuple[RedisSearchCache, ...]]:
    """The caches of two processes."""
    async with AsyncExitStack() as stack:
        caches = []
        for _ in range(2):
            cache = RedisSearchCache(host=server.address.host, port=server.address.port, clock=clock)
            await cache.open()
            stack.push_async_callback(cache.close)
            caches.append(cache)
        yield tuple(caches)


async def test_a_storm_on_a_cold_day_runs_one_query_in_each_process(caches: tuple[RedisSearchCache, ...]) -> None:
    databases = Database(), Database()
    processes = list(zip(caches, databases, strict=True))

    answers = await asyncio.gather(
        *(cache.answer(SEARCH, database.query) for _ in range(300) for cache, database in processes)
    )

    assert set(answers) == {b"as it was"}
    assert max(database.queries for database in databases) == 1


async def test_the_storm_would_show_if_everybody_asked_for_themselves(
    server: OneServer[RedisAddress], clock: SetClock, database: Database
) -> None:
    cache = sabotage.FliesAlone(host=server.address.host, port=server.address.port, clock=clock)

    await asyncio.gather(*(cache.answer(SEARCH, database.query) for _ in range(300)))
    await cache.close()

    assert database.queries > 1


async def test_what_one_process_has_found_another_need_not_ask(caches: tuple[RedisSearchCache, ...]) -> None:
    here, there = Database(), Database()
    await caches[0].answer(SEARCH, here.query)
    await until_kept(caches[0])

    answer = await caches[1].answer(SEARCH, there.query)

    assert answer == b"as it was"
    assert (here.queries, there.queries) == (1, 0)


async def test_searches_that_differ_in_anything_have_answers_of_their_own(
    caches: tuple[RedisSearchCache, ...],
) -> None:
    searches = [
        SEARCH,
        Search("neurology", DAY),
        Search("cardiology", date(2031, 3, 2)),
        Search("cardiology", DAY, "Europe/Berlin"),
        Search("cardiology", DAY, paging=Paging(1)),
        Search("cardiology:2031-03-01", DAY),
    ]
    assert len({names(search).answer for search in searches}) == len(searches)


async def test_nothing_that_a_user_wrote_is_in_a_key(
    caches: tuple[RedisSearchCache, ...], database: Database, client: Redis
) -> None:
    await caches[0].answer(Search("hay*fever " * 20, DAY), database.query)
    await until_kept(caches[0])

    keys = [str(key) for key in client.keys("*")]

    assert keys
    assert all(key.startswith("b'healthcare:") and "fever" not in key and len(key) < 64 for key in keys)


async def test_everything_in_redis_runs_out(
    caches: tuple[RedisSearchCache, ...], database: Database, client: Redis
) -> None:
    await caches[0].answer(SEARCH, database.query)
    await caches[0].forget({CHANGE})
    await caches[0].answer(SEARCH, database.query)
    await until_kept(caches[0])

    times = {str(key).split(":")[1]: client.pttl(key) for key in client.keys("*")}

    assert 0 < times["answer"] <= 5_000
    assert 0 < times["token"] <= 600_000


async def test_an_answer_ends_when_its_first_slot_starts(
    caches: tuple[RedisSearchCache, ...], database: Database, clock: SetClock
) -> None:
    database.until = clock.time + timedelta(seconds=2)
    await caches[0].answer(SEARCH, database.query)
    await until_kept(caches[0])
    clock.time += timedelta(seconds=1.999)
    assert await caches[0].answer(SEARCH, database.query) == b"as it was"
    assert await caches[1].answer(SEARCH, database.query) == b"as it was"
    assert database.queries == 1

    clock.time += timedelta(seconds=0.001)
    database.kept, database.until = "without the first slot", None

    for cache in caches:
        assert await cache.answer(SEARCH, database.query) == b"without the first slot"


async def test_a_flight_is_of_no_use_to_those_for_whom_its_first_slot_has_started(
    caches: tuple[RedisSearchCache, ...], database: Database, clock: SetClock
) -> None:
    database.seconds, database.until = 0.1, clock.time + timedelta(seconds=1)
    early = asyncio.create_task(caches[0].answer(SEARCH, database.query))
    await until_queried(database)
    database.kept, database.until = "without the first slot", None
    clock.time += timedelta(seconds=1)

    late = await caches[0].answer(SEARCH, database.query)

    assert (await early, late) == (b"as it was", b"without the first slot")


async def test_a_change_that_never_reached_redis_shows_after_five_seconds(
    caches: tuple[RedisSearchCache, ...], database: Database
) -> None:
    """The change is made without telling the cache. A process that hears the old answer late keeps it no longer."""
    began = last_old = monotonic()
    await caches[0].answer(SEARCH, database.query)
    database.kept = "changed"

    await asyncio.sleep(3)
    while b"as it was" in [await cache.answer(SEARCH, database.query) for cache in caches]:
        last_old = monotonic()
        await asyncio.sleep(0.05)

    assert 3 < last_old - began < 5.2


async def test_who_stops_waiting_stops_nobody_else(caches: tuple[RedisSearchCache, ...], database: Database) -> None:
    database.seconds = 0.1
    first, *others = [asyncio.create_task(caches[0].answer(SEARCH, database.query)) for _ in range(5)]
    await until_queried(database)

    first.cancel()

    assert await asyncio.gather(*others) == [b"as it was"] * 4
    assert database.queries == 1


async def test_a_failure_is_shared_and_forgotten(caches: tuple[RedisSearchCache, ...], database: Database) -> None:
    database.broken = True
    failures = await asyncio.gather(
        *(caches[0].answer(SEARCH, database.query) for _ in range(5)), return_exceptions=True
    )
    assert [type(failure) for failure in failures] == [Unavailable] * 5
    assert database.queries == 1

    database.broken = False

    assert await caches[0].answer(SEARCH, database.query) == b"as it was"


async def test_nobody_waits_longer_than_their_deadline(
    caches: tuple[RedisSearchCache, ...], database: Database
) -> None:
    """One who has more time still gets the answer."""
    database.seconds = 0.5
    patient = asyncio.create_task(caches[0].answer(SEARCH, database.query))
    await until_queried(database)
    began = monotonic()

    with answer_within(0.1), pytest.raises(Unavailable):
        await caches[0].answer(SEARCH, database.query)

    assert monotonic() - began < 0.3
    assert await patient == b"as it was"


async def test_a_query_that_never_ends_is_given_up(caches: tuple[RedisSearchCache, ...], database: Database) -> None:
    database.seconds = 60
    with pytest.raises(Unavailable):
        await caches[0].answer(SEARCH, database.query)

    database.seconds = 0

    assert await caches[0].answer(SEARCH, database.query) == b"as it was"


async def test_a_booking_whose_client_has_left_is_still_told(
    caches: tuple[RedisSearchCache, ...], database: Database
) -> None:
    await caches[1].answer(SEARCH, database.query)
    database.kept = "changed"

    telling = asyncio.create_task(caches[0].forget({CHANGE}))
    await asyncio.sleep(0)
    telling.cancel()
    with suppress(asyncio.CancelledError):
        await telling
    await asyncio.sleep(0.1)

    assert await caches[1].answer(SEARCH, database.query) == b"changed"


async def test_every_answer_is_counted_by_where_it_came_from(
    caches: tuple[RedisSearchCache, ...], database: Database, clock: SetClock
) -> None:
    before = sources()
    await asyncio.gather(*(caches[0].answer(SEARCH, database.query) for _ in range(3)))
    await until_kept(caches[0])
    await caches[0].answer(SEARCH, database.query)
    await caches[1].answer(SEARCH, database.query)
    with_redis = {source: number - before[source] for source, number in sources().items()}
    without = RedisSearchCache(host="127.0.0.1", port=free_port(), clock=clock)
    await without.answer(SEARCH, database.query)
    await without.close()

    assert with_redis == {"postgresql": 1, "process": 3, "redis": 1}
    assert {source: number - before[source] for source, number in sources().items()} == with_redis | {"postgresql": 2}


async def test_it_keeps_a_bounded_number_of_answers(caches: tuple[RedisSearchCache, ...], database: Database) -> None:
    database.seconds = 0
    for number in range(600):
        await caches[0].answer(Search(f"specialty-{number}", DAY), database.query)

    assert len(caches[0]._local._answers) == 512  # noqa: SLF001 - nobody outside can count them


def sources() -> dict[str, float]:
    """Return how many answers came from where."""
    samples = [sample for family in ANSWERS.collect() for sample in family.samples]
    return {one.labels["source"]: one.value for one in samples if one.name.endswith("_total")}


async def until_queried(database: Database) -> None:
    """Wait until a query has begun."""
    while not database.queries:  # noqa: ASYNC110 - what it waits for has no event
        await asyncio.sleep(0)


async def until_kept(cache: RedisSearchCache) -> None:
    """Wait until what was found is in Redis, which nobody who searches waits for."""
    while cache._keeping:  # noqa: ASYNC110, SLF001 - nobody outside can tell
        await asyncio.sleep(0)
