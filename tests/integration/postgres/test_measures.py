"""What Prometheus is told of the database is true when it asks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from math import isnan

import psycopg
import pytest
from prometheus_client import REGISTRY
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow

from healthcare.adapters.postgres.connection import ListeningConnection, Query
from healthcare.adapters.postgres.database import LIMITS, PostgresDatabase
from healthcare.adapters.postgres.session import Session
from healthcare.application.uow import Busy, Unavailable
from tests.clinic import Clinic
from tests.integration.world import Conninfo, free_port

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def opened(conninfo: Conninfo) -> AsyncIterator[PostgresDatabase]:
    """Open a pool of two connections."""
    database = PostgresDatabase(conninfo, size=2)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


def measured(name: str, **labels: str) -> float:
    """Return what Prometheus is told now."""
    value = REGISTRY.get_sample_value(name, labels)
    assert value is not None, f"{name} is not measured"
    return value


def execute(postgres: Conninfo, statement: str) -> None:
    """Change the tables behind everybody's back."""
    with psycopg.connect(make_conninfo("", **postgres)) as connection:
        connection.execute(statement.encode())


async def test_the_age_is_that_of_the_event_whose_turn_it_is(postgres: Conninfo) -> None:
    """Not that of one that was tried before: it comes after the others, and ends as a dead letter."""
    async with opened(postgres) as database:
        await database.measure()
        none = measured("outbox_oldest_event_age_seconds")
        await Clinic(database).booked()
        execute(postgres, "UPDATE outbox SET at = now() - interval '90 s'")
        execute(
            postgres,
            "INSERT INTO outbox (id, kind, at, outcome, request_id, tries)"
            " VALUES (gen_random_uuid(), 'user.registered', now() - interval '1 day', 'success', 'test', 1)",
        )
        await database.measure()

    assert none == 0
    assert 90 <= measured("outbox_oldest_event_age_seconds") < 100


async def test_dead_letters_are_counted(postgres: Conninfo) -> None:
    async with opened(postgres) as database:
        await database.measure()
        none = measured("dead_letters")
        execute(
            postgres,
            "INSERT INTO dead_letters (id, kind, at, outcome, request_id, reason)"
            " SELECT gen_random_uuid(), 'user.registered', now(), 'success', 'test', 'none' FROM generate_series(1, 3)",
        )
        await database.measure()

    assert (none, measured("dead_letters")) == (0, 3)


async def test_what_is_not_known_is_no_number(postgres: Conninfo) -> None:
    """What was true once would keep an alert quiet, or ringing, while PostgreSQL is away."""
    async with opened(postgres) as there:
        await there.measure()
    async with opened(postgres | {"port": free_port()}) as away:
        with pytest.raises(Unavailable):
            await away.measure()

    assert isnan(measured("outbox_oldest_event_age_seconds"))
    assert isnan(measured("dead_letters"))


async def test_a_pool_that_is_used_up_shows_who_waits(postgres: Conninfo) -> None:
    async with opened(postgres) as database:
        async with database.begin() as one, database.begin() as other:
            for uow in (one, other):
                await uow.users.count_admins()
            waiting = [asyncio.create_task(database.check()) for _ in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(Unavailable):
                await database.measure()
            used_up = [measured("postgres_pool_connections", state=state) for state in ("used", "idle")]
            who_waits = measured("postgres_pool_waiting")
        await asyncio.gather(*waiting, return_exceptions=True)
        await database.measure()

    assert used_up == [2, 0]
    assert who_waits == 3
    assert [measured("postgres_pool_connections", state=state) for state in ("used", "idle")] == [0, 2]
    assert measured("postgres_pool_waiting") == 0


async def test_a_deadlock_is_counted(postgres: Conninfo) -> None:
    """To who asks it is one more lock that was not had in time; to operators it is a fault in the order of locks."""
    before = measured("deadlocks_total")
    conninfo = make_conninfo("", **postgres, options=f"-c lock_timeout={LIMITS['lock_timeout']}")
    async with AsyncExitStack() as stack:

        async def begin(*queries: Query) -> tuple[ListeningConnection, list[list[DictRow]]]:
            connection = await stack.enter_async_context(await ListeningConnection.connect(conninfo))
            _, *answers = await connection.ask(("BEGIN", ()), *queries)
            return connection, answers

        sessions = [Session(begin) for _ in range(2)]
        for key, session in enumerate(sessions):
            await session.read("SELECT pg_advisory_xact_lock(%s)::text", [key])
        ends = await asyncio.gather(
            *(
                session.read("SELECT pg_advisory_xact_lock(%s)::text", [1 - key])
                for key, session in enumerate(sessions)
            ),
            return_exceptions=True,
        )

    assert [type(end) for end in ends if isinstance(end, Exception)] == [Busy]
    assert measured("deadlocks_total") - before == 1
