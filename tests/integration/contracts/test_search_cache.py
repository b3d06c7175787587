"""What every adapter of `SearchCache` does."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta

import pytest

from healthcare.adapters.memory.cache import MemorySearchCache
from healthcare.adapters.redis.cache import RedisSearchCache
from healthcare.domain.kernel import Paging
from healthcare.domain.scheduling.ports import Found, SearchCache
from healthcare.domain.scheduling.search import Search, Touched
from tests.builders import HOUR, MINUTE, NOW, FakeClock

pytestmark = pytest.mark.anyio

PORT = SearchCache

DAY = date(2030, 1, 8)
SEARCH = Search("cardiology", DAY)
CHANGE = Touched("cardiology", DAY)
SECOND = timedelta(seconds=1)


class Kitchen:
    """Makes answers: the first is `1`, the second `2`. It can be held up."""

    def __init__(self) -> None:
        self.made = 0
        self.until: datetime | None = None
        self.begun = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.broken = False

    async def make(self) -> Found:
        self.made += 1
        found = Found(str(self.made).encode(), self.until)
        self.begun.set()
        await self.open.wait()
        if self.broken:
            raise ZeroDivisionError
        return found


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
async def kitchen() -> Kitchen:
    return Kitchen()


@pytest.fixture(params=["memory", "redis"])
def closed(request: pytest.FixtureRequest, clock: FakeClock) -> MemorySearchCache | RedisSearchCache:
    if request.param == "memory":
        return MemorySearchCache(clock)
    host, port = request.getfixturevalue("redis_address")
    return RedisSearchCache(host=host, port=port, clock=clock)


@pytest.fixture
async def cache(closed: MemorySearchCache | RedisSearchCache) -> AsyncIterator[SearchCache]:
    await closed.open()
    await closed.check()
    yield closed
    await closed.close()


async def test_an_answer_is_made_once_and_given_again(cache: SearchCache, kitchen: Kitchen) -> None:
    assert [await cache.answer(SEARCH, kitchen.make) for _ in range(3)] == [b"1", b"1", b"1"]


@pytest.mark.parametrize(
    "other",
    [
        Search("neurology", DAY),
        Search("cardiology", date(2030, 1, 9)),
        Search("cardiology", DAY, "Europe/Berlin"),
        Search("cardiology", DAY, paging=Paging(7)),
    ],
)
async def test_another_search_has_another_answer(cache: SearchCache, kitchen: Kitchen, other: Search) -> None:
    await cache.answer(SEARCH, kitchen.make)

    assert await cache.answer(other, kitchen.make) == b"2"
    assert await cache.answer(SEARCH, kitchen.make) == b"1"


async def test_however_many_ask_at_once_it_is_made_once(cache: SearchCache, kitchen: Kitchen) -> None:
    assert await asyncio.gather(*(cache.answer(SEARCH, kitchen.make) for _ in range(50))) == [b"1"] * 50
    assert kitchen.made == 1


@pytest.mark.parametrize("change", [CHANGE, Touched("cardiology")])
async def test_after_a_change_it_is_made_anew(cache: SearchCache, kitchen: Kitchen, change: Touched) -> None:
    await cache.answer(SEARCH, kitchen.make)

    await cache.forget({change})

    assert await cache.answer(SEARCH, kitchen.make) == b"2"
    assert await cache.answer(SEARCH, kitchen.make) == b"2"


async def test_a_search_of_a_local_day_looks_at_two_utc_dates(cache: SearchCache, kitchen: Kitchen) -> None:
    local = Search("cardiology", DAY, "Europe/Berlin")

    for number, day in enumerate((date(2030, 1, 7), date(2030, 1, 8)), start=1):
        assert await cache.answer(local, kitchen.make) == str(number).encode()
        await cache.forget({Touched("cardiology", day)})

    assert await cache.answer(local, kitchen.make) == b"3"


async def test_changes_elsewhere_do_not_matter(cache: SearchCache, kitchen: Kitchen) -> None:
    await cache.answer(SEARCH, kitchen.make)

    await cache.forget({Touched("neurology"), Touched("neurology", DAY), Touched("cardiology", date(2030, 1, 9))})
    await cache.forget(set())

    assert await cache.answer(SEARCH, kitchen.make) == b"1"


async def test_whoever_asks_after_a_change_does_not_wait_for_what_began_before(
    cache: SearchCache, kitchen: Kitchen
) -> None:
    kitchen.open.clear()
    old = asyncio.create_task(cache.answer(SEARCH, kitchen.make))
    await kitchen.begun.wait()

    await cache.forget({CHANGE})
    kitchen.begun.clear()
    new = asyncio.create_task(cache.answer(SEARCH, kitchen.make))
    await kitchen.begun.wait()
    kitchen.open.set()

    assert (await old, await new) == (b"1", b"2")


async def test_what_was_being_made_when_something_changed_is_not_given_again(
    cache: SearchCache, kitchen: Kitchen
) -> None:
    kitchen.open.clear()
    old = asyncio.create_task(cache.answer(SEARCH, kitchen.make))
    await kitchen.begun.wait()
    await cache.forget({CHANGE})
    kitchen.open.set()
    await old

    assert await cache.answer(SEARCH, kitchen.make) == b"2"


async def test_a_failure_is_one_of_all_who_wait_and_is_not_kept(cache: SearchCache, kitchen: Kitchen) -> None:
    kitchen.broken = True
    outcomes = await asyncio.gather(*(cache.answer(SEARCH, kitchen.make) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in outcomes] == [ZeroDivisionError] * 3
    assert kitchen.made == 1

    kitchen.broken = False

    assert await cache.answer(SEARCH, kitchen.make) == b"2"


async def test_whoever_stops_waiting_stops_nobody_else(cache: SearchCache, kitchen: Kitchen) -> None:
    kitchen.open.clear()
    impatient = asyncio.create_task(cache.answer(SEARCH, kitchen.make))
    await kitchen.begun.wait()
    patient = asyncio.create_task(cache.answer(SEARCH, kitchen.make))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait({impatient})

    kitchen.open.set()

    assert await patient == b"1"
    assert impatient.cancelled()


async def test_an_answer_is_given_for_five_seconds_at_most(
    cache: SearchCache, kitchen: Kitchen, clock: FakeClock
) -> None:
    await cache.answer(SEARCH, kitchen.make)

    clock.wait(4 * SECOND)
    assert await cache.answer(SEARCH, kitchen.make) == b"1"
    clock.wait(SECOND)
    assert await cache.answer(SEARCH, kitchen.make) == b"2"


async def test_an_answer_is_given_until_the_first_slot_in_it_starts(
    cache: SearchCache, kitchen: Kitchen, clock: FakeClock
) -> None:
    kitchen.until = NOW + 2 * SECOND
    await cache.answer(SEARCH, kitchen.make)

    clock.wait(SECOND)
    assert await cache.answer(SEARCH, kitchen.make) == b"1"
    clock.wait(SECOND)
    kitchen.until = NOW + HOUR
    assert await cache.answer(SEARCH, kitchen.make) == b"2"


async def test_whoever_asks_when_a_slot_has_started_does_not_wait_for_an_answer_with_it(
    cache: SearchCache, kitchen: Kitchen, clock: FakeClock
) -> None:
    kitchen.until = NOW + SECOND
    kitchen.open.clear()
    before = asyncio.create_task(cache.answer(SEARCH, kitchen.make))
    await kitchen.begun.wait()

    clock.wait(SECOND)
    kitchen.until = NOW + MINUTE
    after = asyncio.create_task(cache.answer(SEARCH, kitchen.make))
    await asyncio.sleep(0.01)
    kitchen.open.set()

    assert (await before, await after) == (b"1", b"2")


async def test_any_bytes_are_an_answer(cache: SearchCache) -> None:
    body = bytes(range(256)) * 100

    async def make() -> Found:
        return Found(body, None)

    assert [await cache.answer(SEARCH, make) for _ in range(2)] == [body, body]
