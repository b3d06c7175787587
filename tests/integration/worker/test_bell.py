"""The bell wakes whoever listens, carries nothing, and is never in the way."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest
from redis import Redis
from redis.client import PubSub
from redis.exceptions import RedisError
from structlog.typing import EventDict

from healthcare.adapters.embedded.servers import OneServer, RedisAddress
from healthcare.adapters.taskiq import bell as taskiq_bell
from healthcare.adapters.taskiq.bell import PAUSE, TaskiqBell
from healthcare.adapters.taskiq.broker import CHANNEL, create_broker
from healthcare.entrypoints.worker.duties import listen

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bell(server: OneServer[RedisAddress]) -> AsyncIterator[TaskiqBell]:
    """The bell of a process that rings it."""
    bell = TaskiqBell(create_broker(host=server.address.host, port=server.address.port))
    await bell.open()
    yield bell
    await bell.close()


@pytest.fixture
def ears(client: Redis) -> Iterator[PubSub]:
    """Somebody who hears what is really sent."""
    with PubSub(client.connection_pool, ignore_subscribe_messages=True) as ears:
        ears.subscribe(CHANNEL)
        while ears.get_message(timeout=0.1) is not None:
            pass
        yield ears


@pytest.fixture
def frozen(server: OneServer[RedisAddress]) -> Iterator[Callable[[], None]]:
    """Freezes Redis for the rest of the test."""
    yield server.pause
    server.resume()


@asynccontextmanager
async def a_listener(server: OneServer[RedisAddress]) -> AsyncIterator[asyncio.Event]:
    """A worker that listens; yields what is set when it hears a ring."""
    due, stop = asyncio.Event(), asyncio.Event()
    broker = create_broker(host=server.address.host, port=server.address.port)
    listening = asyncio.create_task(listen(broker, due, stop))
    try:
        yield due
    finally:
        began = monotonic()
        stop.set()
        await listening
        await broker.shutdown()
        assert monotonic() - began < 1


async def hears(due: asyncio.Event, bell: TaskiqBell) -> None:
    """Ring until it is heard; nothing is kept for a listener who comes too late."""
    due.clear()
    async with asyncio.timeout(5):
        while not due.is_set():
            bell.ring()
            await asyncio.sleep(0.02)


async def test_a_ring_wakes_every_worker(server: OneServer[RedisAddress], bell: TaskiqBell) -> None:
    async with a_listener(server) as here, a_listener(server) as there:
        await hears(here, bell)
        await hears(there, bell)
        await asyncio.sleep(0.1)
        here.clear()
        there.clear()

        bell.ring()

        async with asyncio.timeout(1):
            await here.wait()
            await there.wait()


async def test_a_ring_carries_nothing_and_is_json(bell: TaskiqBell, ears: PubSub, client: Redis) -> None:
    bell.ring()
    await asyncio.sleep(0.1)

    message = ears.get_message(timeout=1)

    assert message is not None
    sent = json.loads(message["data"])
    assert sent["task_name"] == "drain"
    assert [sent["args"], sent["kwargs"], sent["labels"]] == [[], {}, {}]
    assert client.keys("*") == []


async def test_many_rings_at_once_are_one(bell: TaskiqBell, ears: PubSub) -> None:
    for _ in range(1000):
        bell.ring()
    await asyncio.sleep(0.2)

    heard = 0
    while ears.get_message(timeout=0.1) is not None:
        heard += 1

    assert heard == 1


async def test_who_rings_without_end_is_heard_now_and_then(bell: TaskiqBell, ears: PubSub) -> None:
    began = monotonic()
    while monotonic() - began < 6 * PAUSE:
        bell.ring()
        await asyncio.sleep(PAUSE / 25)
    most = (monotonic() - began) / PAUSE + 1

    heard = 0
    while ears.get_message(timeout=0.1) is not None:
        heard += 1

    assert 1 < heard <= most


async def test_what_was_rung_last_is_passed_on_before_the_process_ends(
    server: OneServer[RedisAddress], ears: PubSub
) -> None:
    bell = TaskiqBell(create_broker(host=server.address.host, port=server.address.port))
    await bell.open()
    await asyncio.sleep(0)
    bell.ring()

    await bell.close()

    assert ears.get_message(timeout=1) is not None


async def test_a_process_that_ends_passes_on_what_was_rung_since_and_waits_for_no_pause(
    server: OneServer[RedisAddress], ears: PubSub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taskiq_bell, "PAUSE", 60.0)
    bell = TaskiqBell(create_broker(host=server.address.host, port=server.address.port))
    await bell.open()
    bell.ring()
    assert await asyncio.to_thread(ears.get_message, timeout=1) is not None
    bell.ring()

    async with asyncio.timeout(5):
        await bell.close()

    assert ears.get_message(timeout=1) is not None


async def test_ringing_a_frozen_redis_takes_no_time(
    server: OneServer[RedisAddress], bell: TaskiqBell, frozen: Callable[[], None], logs: list[EventDict]
) -> None:
    async with a_listener(server) as due:
        await hears(due, bell)
        frozen()
        slowest = 0.0
        for _ in range(100):
            began = monotonic()
            bell.ring()
            slowest = max(slowest, monotonic() - began)
            await asyncio.sleep(0.01)
        assert slowest < 0.01
        with pytest.raises((RedisError, OSError)):
            await bell.check()

        server.resume()

        await bell.check()
        await hears(due, bell)
    assert [entry["event"] for entry in logs].count("bell.away") <= 1


async def test_without_redis_ringing_and_closing_go_on(server: OneServer[RedisAddress], logs: list[EventDict]) -> None:
    bell = TaskiqBell(create_broker(host=server.address.host, port=server.address.port))
    server.stop()
    try:
        await bell.open()
        for _ in range(10):
            bell.ring()
            await asyncio.sleep(0.01)
        with pytest.raises((RedisError, OSError)):
            await bell.check()
        began = monotonic()
        await bell.close()
        assert monotonic() - began < 1
    finally:
        server.start()
    assert [entry["event"] for entry in logs].count("bell.away") == 1


async def test_a_listener_outlives_redis(server: OneServer[RedisAddress], bell: TaskiqBell) -> None:
    async with a_listener(server) as due:
        await hears(due, bell)
        server.kill()
        await asyncio.sleep(0.3)
        server.start()

        await hears(due, bell)


async def test_a_listener_that_is_cut_off_gives_its_connections_back(
    server: OneServer[RedisAddress], bell: TaskiqBell, client: Redis
) -> None:
    async with a_listener(server) as due:
        for _ in range(5):  # more often than the broker has connections
            await hears(due, bell)
            client.client_kill_filter(_type="pubsub")

        await hears(due, bell)

        assert len(client.client_list(_type="pubsub")) == 1


async def test_messages_from_others_wake_nobody_and_run_nothing(
    server: OneServer[RedisAddress], bell: TaskiqBell, client: Redis, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    unknown = {"task_id": "1", "task_name": "os:system", "labels": {}, "args": [f"touch {trace}"], "kwargs": {}}
    async with a_listener(server) as due:
        await hears(due, bell)
        await asyncio.sleep(0.1)
        due.clear()

        for message in (b"", b"nonsense", b"{}", json.dumps(unknown), f"cos\nsystem\n(S'touch {trace}'\ntR."):
            client.publish(CHANNEL, message)
        await asyncio.sleep(0.2)

        assert not due.is_set()
        assert not trace.exists()
        await hears(due, bell)
