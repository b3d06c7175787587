"""What is written later travels with the commit, and fails with it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from psycopg import ProgrammingError

from healthcare.adapters.postgres.database import PostgresDatabase, PostgresUnitOfWork
from healthcare.adapters.postgres.session import Session
from healthcare.application.uow import Busy, OutcomeUnknown, Unavailable
from healthcare.domain.identity.errors import EmailTaken
from tests.integration.proxy import Proxy, proxy_to
from tests.integration.world import World

pytestmark = pytest.mark.anyio

ADD = """
    INSERT INTO users (id, email, email_key, full_name, role, time_zone, password_hash)
    VALUES (gen_random_uuid(), %(email)s, %(email)s, 'Anna', 'patient', 'UTC', '!')
"""


@pytest.fixture
async def database(world: World) -> AsyncIterator[PostgresDatabase]:
    """The database, with one connection."""
    async with opened(PostgresDatabase(world.postgres, size=1)) as one:
        yield one


@asynccontextmanager
async def opened(database: PostgresDatabase) -> AsyncIterator[PostgresDatabase]:
    await database.open()
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def begun(database: PostgresDatabase) -> AsyncIterator[Session]:
    """Begin a transaction."""
    async with database.begin() as uow:
        assert isinstance(uow, PostgresUnitOfWork)
        yield uow.users.session


async def emails(database: PostgresDatabase) -> list[str]:
    """Return whose accounts are kept."""
    async with begun(database) as session:
        rows = await session.read("SELECT email FROM users ORDER BY email")
    return [row["email"] for row in rows]


async def test_what_is_written_later_is_seen_by_what_is_read_after_it(database: PostgresDatabase) -> None:
    async with begun(database) as session:
        session.write_later(ADD, {"email": "a@test.example"})
        session.write_later(ADD, {"email": "b@test.example"})
        assert await session.read("SELECT count(*) AS number FROM users") == [{"number": 2}]
        session.write_later(ADD, {"email": "c@test.example"})
    assert await emails(database) == ["a@test.example", "b@test.example", "c@test.example"]


async def test_a_transaction_that_only_writes_later_is_kept(database: PostgresDatabase) -> None:
    async with begun(database) as session:
        session.write_later(ADD, {"email": "a@test.example"})
    assert await emails(database) == ["a@test.example"]


async def test_a_transaction_in_which_nothing_is_asked_takes_no_connection(database: PostgresDatabase) -> None:
    async with begun(database), begun(database):
        pass


async def test_what_constrains_it_refuses_the_commit(database: PostgresDatabase) -> None:
    """The connection has its next transaction as if nothing had been."""
    async with begun(database) as session:
        session.write_later(ADD, {"email": "a@test.example"})
        before = await session.read("SELECT pg_backend_pid()")
    for first in (True, False):
        with pytest.raises(EmailTaken):
            async with begun(database) as session:
                if not first:
                    await session.read("SELECT 1")
                session.write_later(ADD, {"email": "b@test.example"})
                session.write_later(ADD, {"email": "a@test.example"})
    async with begun(database) as session:
        assert await session.read("SELECT pg_backend_pid()") == before
    assert await emails(database) == ["a@test.example"]


async def test_a_value_that_cannot_be_written_down_is_a_mistake_and_nothing_is_kept(
    database: PostgresDatabase,
) -> None:
    with pytest.raises(ProgrammingError):
        async with begun(database) as session:
            session.write_later(ADD, {"email": "a@test.example"})
            session.write_later(ADD, {"email": object()})
    assert await emails(database) == []


async def test_a_lock_that_is_not_had_in_time_is_busy_and_given_up(world: World, database: PostgresDatabase) -> None:
    with world.connect() as other, other.transaction():
        other.execute("LOCK TABLE users")
        for first in (True, False):
            with pytest.raises(Busy):
                async with begun(database) as session:
                    if not first:
                        await session.read("SELECT 1")
                    session.write_later(ADD, {"email": "a@test.example"})
            with pytest.raises(Busy):
                async with begun(database) as session:
                    await session.read("SELECT count(*) FROM users")
        assert world.ask("SELECT FROM pg_stat_activity WHERE state LIKE 'idle in%' AND pid <> pg_backend_pid()") == [
            ()
        ]  # that of `other` alone
    assert await emails(database) == []


async def test_a_server_that_ends_before_the_commit_has_kept_nothing(database: PostgresDatabase) -> None:
    """It says so, and the commit, which it had not come to, is not in doubt."""
    with pytest.raises(Unavailable):
        async with begun(database) as session:
            session.write_later(ADD, {"email": "a@test.example"})
            session.write_later("SELECT pg_terminate_backend(pg_backend_pid())", ())
    assert await emails(database) == []


async def test_a_connection_that_is_lost_with_the_commit_leaves_it_open(
    world: World, database: PostgresDatabase
) -> None:
    """What was written later had been sent along: nobody can tell how far the server has come."""
    with proxy_to(str(world.postgres["host"]), int(world.postgres["port"])) as proxy:
        async with opened(PostgresDatabase(world.postgres | {"port": proxy.port}, size=1)) as behind:
            with pytest.raises(OutcomeUnknown):
                await write_while_the_line_is_cut(behind, proxy)
    assert await emails(database) == []


async def write_while_the_line_is_cut(database: PostgresDatabase, proxy: Proxy) -> None:
    async with begun(database) as session:
        await session.read("SELECT 1")
        proxy.reset()
        session.write_later(ADD, {"email": "a@test.example"})
