"""Connections that the event loop watches all the time, with both event loops."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop
from psycopg import OperationalError
from psycopg.conninfo import make_conninfo

from healthcare.adapters.postgres.connection import ListeningConnection
from tests.integration.proxy import proxy_to
from tests.integration.world import Conninfo, World

Scene = Callable[[], Awaitable[None]]
Played = Callable[[Scene], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def played(request: pytest.FixtureRequest) -> Played:
    """Play a scene, which must not take long."""

    async def within(scene: Scene) -> None:
        async with asyncio.timeout(10):
            await scene()

    def run(scene: Scene) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(within(scene))

    return run


async def connected(postgres: Conninfo) -> ListeningConnection:
    """Connect as the pool does."""
    return await ListeningConnection.connect(make_conninfo("", **postgres), autocommit=True)


async def answer(connection: ListeningConnection, statement: str, *parameters: object) -> Any:  # noqa: ANN401 - of any type
    """Return the one value that is asked for."""
    cursor = await connection.execute(statement, parameters)
    row: Any = await cursor.fetchone()
    return row[0]


async def ended(world: World, connection: ListeningConnection) -> None:
    """Let the server end a connection."""
    pid = connection.info.backend_pid
    await asyncio.to_thread(world.ask, "SELECT pg_terminate_backend(%s)", [pid])
    await asyncio.sleep(0.1)


def test_statements_are_answered_one_after_the_other_and_side_by_side(world: World, played: Played) -> None:
    async def asking(connection: ListeningConnection) -> None:
        for number in range(50):
            assert await answer(connection, "SELECT %s::int", number) == number

    async def scene() -> None:
        connections = [await connected(world.postgres) for _ in range(4)]
        await asyncio.gather(*map(asking, connections))
        for connection in connections:
            await connection.close()

    played(scene)


def test_a_statement_may_be_longer_than_what_fits_into_the_socket(world: World, played: Played) -> None:
    async def scene() -> None:
        connection = await connected(world.postgres)
        text = "0123456789abcdef" * 1024 * 1024
        assert await answer(connection, "SELECT %s", text) == text
        assert await answer(connection, "SELECT 1") == 1
        await connection.close()

    played(scene)


def test_a_connection_that_has_ended_leaves_its_number_to_the_next(world: World, played: Played) -> None:
    """The next socket gets the number that the event loop still knows of, and must be watched all the same."""

    async def scene() -> None:
        for _ in range(3):
            connection = await connected(world.postgres)
            number = connection.fileno()
            assert await answer(connection, "SELECT 1") == 1
            await ended(world, connection)
            with pytest.raises(OperationalError):
                await answer(connection, "SELECT 1")

            other = await connected(world.postgres)
            assert other.fileno() == number
            assert await answer(other, "SELECT 1") == 1
            await other.close()
            await connection.close()

    played(scene)


def test_what_nobody_has_asked_for_keeps_nobody_busy(world: World, played: Played) -> None:
    """An idle connection that the server has ended can be read from for as long as it lives."""

    async def scene() -> None:
        connection = await connected(world.postgres)
        assert await answer(connection, "SELECT 1") == 1
        await ended(world, connection)

        begun = time.process_time()
        await asyncio.sleep(0.4)
        assert time.process_time() - begun < 0.2
        with pytest.raises(OperationalError):
            await answer(connection, "SELECT 1")

    played(scene)


def test_whoever_is_cancelled_need_not_wait_for_a_server_that_is_silent(world: World, played: Played) -> None:
    """The connection is gone then: nobody can tell what comes on it next."""
    with proxy_to(str(world.postgres["host"]), int(world.postgres["port"])) as proxy:

        async def scene() -> None:
            connection = await connected(world.postgres | {"port": proxy.port})
            assert await answer(connection, "SELECT 1") == 1
            proxy.swallow()
            asking = asyncio.ensure_future(answer(connection, "SELECT 1"))
            await asyncio.sleep(0.05)
            begun = time.monotonic()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert time.monotonic() - begun < 1
            assert connection.closed

        played(scene)


def test_whoever_waits_on_a_connection_that_is_closed_is_told(world: World, played: Played) -> None:
    async def scene() -> None:
        connection = await connected(world.postgres)
        asking = asyncio.ensure_future(answer(connection, "SELECT pg_sleep(20)"))
        await asyncio.sleep(0.05)
        await connection.close()
        with pytest.raises(OperationalError):
            await asking

    played(scene)


def test_a_line_that_is_cut_wakes_whoever_waits_even_where_the_event_loop_has_ceased_to_watch(
    world: World, played: Played
) -> None:
    """As uvloop does after an error, without a word."""

    async def scene() -> None:
        connection = await connected(world.postgres)
        asking = asyncio.ensure_future(answer(connection, "SELECT pg_sleep(20)"))
        await asyncio.sleep(0.05)
        asyncio.get_running_loop().remove_reader(connection.fileno())
        connection.sever()
        with pytest.raises(OperationalError):
            await asking

    played(scene)
