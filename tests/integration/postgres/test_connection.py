"""Connections on which statements travel together, and which the event loop watches; with both event loops."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop
from psycopg import OperationalError, ProgrammingError
from psycopg.conninfo import make_conninfo
from psycopg.errors import AdminShutdown, UniqueViolation

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
    ((row,),) = await connection.ask((statement, parameters))
    (value,) = row.values()
    return value


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


def test_what_travels_together_is_done_in_order_up_to_what_fails(world: World, played: Played) -> None:
    """The connection is as good as before, and knows what the server has prepared, before the failure and in it."""

    async def scene() -> None:
        connection = await connected(world.postgres)
        put = "INSERT INTO seen (number) VALUES (%s::text::int) RETURNING number"
        await connection.ask(("CREATE TEMPORARY TABLE seen (number int PRIMARY KEY)", ()))
        for first, second in ((1, 2), (3, 4)):
            answers = await connection.ask(("BEGIN", ()), (put, [first]), (put, [second]), ("COMMIT", ()))
            assert answers == [[], [{"number": first}], [{"number": second}], []]
            assert connection.done == len(answers)
        for _ in range(2):
            with pytest.raises(UniqueViolation):
                await connection.ask(("BEGIN", ()), (put, [5]), (put, [1]), (put, [6]), ("COMMIT", ()))
            assert connection.done == 2
            await connection.roll_back()
        with pytest.raises(UniqueViolation):
            await connection.ask((put, [7]), (put, [1]))
        assert await answer(connection, "SELECT array_agg(number ORDER BY number) FROM seen") == [1, 2, 3, 4]
        prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'INSERT%%'"
        assert await answer(connection, prepared) == 1
        assert not connection.closed
        await connection.close()

    played(scene)


def test_what_is_lost_with_the_connection_is_not_done(world: World, played: Played) -> None:
    """What was answered before is known; why the connection has ended is told where the server has said so."""

    async def scene() -> None:
        connection = await connected(world.postgres)
        end = "SELECT pg_terminate_backend(pg_backend_pid())"
        with pytest.raises(AdminShutdown):
            await connection.ask(("SELECT 1", ()), (end, ()), ("SELECT 2", ()))
        assert connection.done == 1
        assert connection.closed

    played(scene)


def test_values_go_where_their_names_and_places_say(world: World, played: Played) -> None:
    async def scene() -> None:
        connection = await connected(world.postgres)
        for parameters, statement in (
            ({"b": 2, "a": 1, "c": 3}, "SELECT %(a)s::int AS a, %(b)s::int AS b, %(a)s::int + 7 %% 4 AS more"),
            ((1, 2, 1), "SELECT %s::int AS a, %s::int AS b, %s::int + 7 %% 4 AS more"),
        ):
            assert await connection.ask((statement, parameters)) == [[{"a": 1, "b": 2, "more": 4}]]
        for value in (None, 1, "text", 2**40):
            assert await answer(connection, "SELECT %s::text", value) == (None if value is None else str(value))
        with pytest.raises(ProgrammingError):
            await connection.ask(("SELECT 1", ()), ("SELECT %s", [object()]))
        assert await answer(connection, "SELECT 1") == 1
        await connection.close()

    played(scene)


def test_both_sides_may_have_more_to_say_than_fits_between_them(world: World, played: Played) -> None:
    """Whoever only sent, and did not listen until all was sent, would wait for a server that waits for them."""

    async def scene() -> None:
        connection = await connected(world.postgres)
        text = "0123456789abcdef" * 64 * 1024
        answers = await connection.ask(*[("SELECT %s AS text", [text])] * 24)
        assert answers == [[{"text": text}]] * 24
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
