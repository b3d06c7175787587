"""A worker does one thing at a time, misses no ring, and is not put off by failures."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

import pytest
from structlog.typing import EventDict

from healthcare.adapters.postgres.database import PostgresDatabase
from healthcare.application.uow import Unavailable
from healthcare.domain.kernel import Actor
from healthcare.entrypoints.worker.duties import drain, repeat
from healthcare.entrypoints.worker.main import STOP_WITHIN
from tests.integration.proxy import proxy_to
from tests.integration.world import World

pytestmark = pytest.mark.anyio


@dataclass
class Outbox:
    """Takes a while to drain, and remembers how it was asked."""

    waiting: int = 0
    seconds: float = 0.0
    failures: int = 0
    calls: int = 0
    busy: int = 0
    busiest: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, *, actor: Actor) -> int:
        """Take up to 200 events."""
        assert actor.system
        self.calls += 1
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        self.asked.set()
        await asyncio.sleep(self.seconds)
        self.busy -= 1
        if self.failures:
            self.failures -= 1
            raise Unavailable
        taken = min(self.waiting, 200)
        self.waiting -= taken
        return taken

    async def is_asked(self, *, within: float) -> None:
        """Wait for the next time."""
        self.asked.clear()
        async with asyncio.timeout(within):
            await self.asked.wait()


@asynccontextmanager
async def draining(outbox: Outbox) -> AsyncIterator[asyncio.Event]:
    """A worker that drains it; yields what to set when it is due."""
    due, stop = asyncio.Event(), asyncio.Event()
    working = asyncio.create_task(drain(outbox, due, stop))
    try:
        yield due
    finally:
        stop.set()
        due.set()
        await working


async def test_it_looks_each_second_by_itself() -> None:
    outbox = Outbox()
    began = monotonic()
    async with draining(outbox):
        for _ in range(3):
            await outbox.is_asked(within=1.5)

    assert 1.8 < monotonic() - began < 3.5


async def test_it_goes_on_until_nothing_is_left() -> None:
    outbox = Outbox(waiting=1001)
    async with draining(outbox):
        async with asyncio.timeout(0.5):
            while outbox.waiting:  # noqa: ASYNC110 - what it waits for has no event
                await asyncio.sleep(0)

    assert outbox.waiting == 0


async def test_a_ring_is_followed_at_once() -> None:
    outbox = Outbox()
    async with draining(outbox) as due:
        await outbox.is_asked(within=1.5)
        for _ in range(5):
            due.set()
            await outbox.is_asked(within=0.2)


async def test_a_ring_during_a_drain_causes_one_more() -> None:
    outbox = Outbox(seconds=0.2)
    async with draining(outbox) as due:
        await outbox.is_asked(within=1.5)
        for _ in range(10):
            due.set()

        await outbox.is_asked(within=0.4)

    assert outbox.busiest == 1
    assert outbox.calls == 2


async def test_a_failure_is_tried_again_and_logged_once(logs: list[EventDict]) -> None:
    outbox = Outbox(waiting=1, failures=3)
    async with draining(outbox) as due:
        for _ in range(4):
            due.set()
            await outbox.is_asked(within=0.5)
        await asyncio.sleep(0.05)

    assert outbox.waiting == 0
    assert [entry["event"] for entry in logs] == ["worker.failed", "worker.recovered"]


async def test_a_drain_that_has_begun_is_finished() -> None:
    outbox = Outbox(waiting=200, seconds=0.2)
    async with draining(outbox):
        await outbox.is_asked(within=1)

    assert outbox.waiting == 0
    assert outbox.busy == 0


async def test_a_chore_is_done_at_the_start_and_stopping_takes_no_hour() -> None:
    keys, stop = Outbox(), asyncio.Event()
    working = asyncio.create_task(repeat(keys, "keys", stop, every=3600))
    await asyncio.sleep(0.1)

    stop.set()

    async with asyncio.timeout(0.5):
        await working
    assert keys.calls == 1


async def test_a_chore_goes_on_until_nothing_is_left_and_is_done_again_after_its_pause() -> None:
    chore, stop = Outbox(waiting=401), asyncio.Event()
    working = asyncio.create_task(repeat(chore, "no-shows", stop, every=0.3))
    await asyncio.sleep(0.1)
    first = chore.calls, chore.waiting
    chore.waiting = 1

    async with asyncio.timeout(2):
        while chore.waiting:  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.01)
    stop.set()
    await working

    assert first == (4, 0)


async def test_a_chore_that_fails_is_tried_again_and_complained_about_once(logs: list[EventDict]) -> None:
    chore, stop = Outbox(waiting=1, failures=3), asyncio.Event()
    working = asyncio.create_task(repeat(chore, "no-shows", stop, every=0.05))

    async with asyncio.timeout(2):
        while chore.waiting:  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    stop.set()
    await working

    assert [(entry["event"], entry["about"]) for entry in logs] == [
        ("worker.failed", "no-shows"),
        ("worker.recovered", "no-shows"),
    ]


async def test_a_chore_that_never_ends_is_left_when_the_worker_is_told_to_stop() -> None:
    chore, stop = Outbox(waiting=10**9, seconds=0.01), asyncio.Event()
    working = asyncio.create_task(repeat(chore, "no-shows", stop, every=10))
    await chore.is_asked(within=1)

    stop.set()

    async with asyncio.timeout(0.5):
        await working
    assert chore.waiting


async def test_a_chore_ends_before_the_worker_must_though_postgresql_falls_silent_between_two_transactions(
    world: World,
) -> None:
    """The first has read what it wanted, and only its end is not answered: that is no failure."""
    stop = asyncio.Event()
    with proxy_to(str(world.postgres["host"]), int(world.postgres["port"])) as line:
        database = PostgresDatabase(world.postgres | {"port": line.port}, size=2)
        await database.open()

        async def chore(*, actor: Actor) -> int:
            async with database.begin() as uow:
                assert await uow.users.role(actor.user) is None
                line.swallow()
                stop.set()
            async with database.begin():
                return 0

        began = monotonic()
        await repeat(chore, "two transactions", stop, every=10)
        took = monotonic() - began
        line.heal()
        await database.close()

    assert took < STOP_WITHIN
