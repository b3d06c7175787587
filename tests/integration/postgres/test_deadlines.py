"""Whatever PostgreSQL does, a transaction ends in time and says truly what became of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from uuid import uuid4

import pytest
from psycopg import OperationalError
from psycopg.rows import DictRow

from healthcare.adapters.embedded.servers import postgres
from healthcare.adapters.postgres.connection import ListeningConnection, Query
from healthcare.adapters.postgres.database import PostgresDatabase, PostgresUnitOfWork
from healthcare.application.deadline import answer_within
from healthcare.application.uow import Busy, OutcomeUnknown, Unavailable
from healthcare.domain.identity.errors import EmailTaken
from healthcare.domain.identity.model import Email, User
from healthcare.domain.kernel import ConsultationId, Role, UserId
from tests.builders import an_event
from tests.integration.conftest import conninfo_of_address
from tests.integration.proxy import proxy_to
from tests.integration.world import World

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def opened(world: World, size: int = 2) -> AsyncIterator[PostgresDatabase]:
    """Open the database."""
    database = PostgresDatabase(world.postgres, size=size)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def in_a_transaction(database: PostgresDatabase) -> None:
    """Read something, as whoever may write does it."""
    async with database.begin() as uow:
        assert await uow.users.count_admins() == 0


async def alone(database: PostgresDatabase) -> None:
    """Read the same with a statement that is a transaction by itself."""
    async with database.read() as uow:
        assert await uow.users.count_admins() == 0


async def recording(database: PostgresDatabase) -> None:
    """Keep an event by itself."""
    await database.record(an_event())


Way = Callable[[PostgresDatabase], Awaitable[None]]
every_way = pytest.mark.parametrize("way", [in_a_transaction, alone, recording])


def a_user() -> User:
    """Return somebody who is not registered yet."""
    user = uuid4()
    return User(id=UserId(user), email=Email(f"{user}@test.example"), full_name="A", role=Role.PATIENT, time_zone="UTC")


async def test_a_lock_that_is_not_had_in_time_is_busy_and_nothing_happened(world: World) -> None:
    """Another session holds the lock for longer than lock_timeout."""
    user = a_user()
    async with opened(world) as database:
        with world.connect() as other, other.transaction():
            other.execute("SELECT pg_advisory_xact_lock(hashtextextended('roles', 0))")
            start = time.monotonic()
            with pytest.raises(Busy):
                async with database.begin() as uow:
                    await uow.users.add(user, "!")
                    await uow.users.lock_roles()
            assert 0.4 < time.monotonic() - start < 1.5
        async with database.begin() as uow:
            assert await uow.users.get(user.id) is None


async def test_who_finds_no_connection_is_told_so_in_time(world: World) -> None:
    """Both connections are in use for longer than anybody waits."""
    async with opened(world) as database:
        async with database.begin() as one, database.begin() as other:
            for uow in (one, other):
                await uow.users.count_admins()
            start = time.monotonic()
            with pytest.raises(Unavailable):
                await in_a_transaction(database)
            assert time.monotonic() - start < 1.5
        async with database.begin() as uow:
            assert await uow.users.count_admins() == 0


@every_way
async def test_connections_that_the_server_ended_are_replaced_unseen(world: World, way: Way) -> None:
    """Every idle connection is terminated; the next transactions succeed."""
    async with opened(world) as database:
        await way(database)
        world.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'healthcare'")
        for _ in range(4):
            await way(database)


async def test_a_read_that_takes_too_long_is_not_repeated(world: World) -> None:
    """The server ends the statement, and the connection goes on."""
    async with opened(world, size=1) as database, database.read() as uow:
        assert isinstance(uow, PostgresUnitOfWork)
        start = time.monotonic()
        with pytest.raises(Unavailable):
            await uow.users.session.read("SELECT pg_sleep(5)")
        assert time.monotonic() - start < 2.9
        assert await uow.users.count_admins() == 0


async def test_what_a_connection_has_prepared_outlives_a_transaction_that_only_read(world: World) -> None:
    """Else every statement would be planned anew."""
    prepared = "SELECT statement FROM pg_prepared_statements"
    async with opened(world, size=1) as database:
        await in_a_transaction(database)
        async with database.begin() as uow:
            assert isinstance(uow, PostgresUnitOfWork)
            found = await uow.users.session.read(prepared)
    assert any("admin" in row["statement"] for row in found)


async def test_where_one_only_reads_nothing_is_written(world: World) -> None:
    async with opened(world) as database, database.read() as uow:
        assert isinstance(uow, PostgresUnitOfWork)
        with pytest.raises(RuntimeError, match="only reads"):
            await uow.users.add(a_user(), "!")
        with pytest.raises(RuntimeError, match="only reads"):
            uow.users.session.write_later("DELETE FROM users", ())
        with pytest.raises(RuntimeError, match="only reads"):
            await uow.outbox.add(an_event())
        with pytest.raises(RuntimeError, match="only reads"):
            await uow.users.session.commit()
        with pytest.raises(RuntimeError, match="in order"):
            await uow.consultations.lock(ConsultationId(uuid4()))
    assert world.ask("SELECT FROM users") == []


async def test_a_connection_that_breaks_before_the_commit_kept_nothing(world: World) -> None:
    """The server ends it in the middle of the transaction."""
    user = a_user()
    async with opened(world) as database:
        with pytest.raises(Unavailable):
            async with database.begin() as uow:
                await uow.users.add(user, "!")
                world.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state LIKE 'idle in%'")
                await uow.users.count_admins()
        async with database.begin() as uow:
            assert await uow.users.get(user.id) is None


async def adding_a_user(database: PostgresDatabase) -> None:
    """Write something in a transaction."""
    async with database.begin() as uow:
        await uow.users.add(a_user(), "!")


either_write = pytest.mark.parametrize(("way", "table"), [(adding_a_user, "users"), (recording, "outbox")])


@either_write
async def test_a_commit_that_warns_of_its_standby_is_unknown(world: World, way: Way, table: str) -> None:
    """PostgreSQL calls such a commit a success; what it warns of, a deferred trigger does here."""
    with world.connect() as connection:
        connection.execute(
            f"""
            CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE WARNING 'canceling wait for synchronous replication due to user request'; RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER warn AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION warn()
            """
        )
    async with opened(world) as database:
        with pytest.raises(OutcomeUnknown):
            await way(database)
        await in_a_transaction(database)


async def test_a_commit_that_is_refused_kept_nothing(world: World) -> None:
    """A deferred trigger says no at the last moment."""
    with world.connect() as connection:
        connection.execute(
            """
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
            CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION refuse()
            """
        )
    async with opened(world) as database:
        with pytest.raises(Unavailable):
            await adding_a_user(database)
    assert world.ask("SELECT FROM users") == []


async def test_an_event_whose_answer_is_lost_is_sent_again_and_kept_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks after the event was kept, and before anybody heard of it."""
    ask, sent = ListeningConnection.ask, 0

    async def ask_and_break(self: ListeningConnection, *queries: Query) -> list[list[DictRow]]:
        nonlocal sent
        answers = await ask(self, *queries)
        sent += 1
        if sent == 1:
            await self.close()
            raise OperationalError("the connection is lost")
        return answers

    async with opened(world) as database:
        await in_a_transaction(database)
        monkeypatch.setattr(ListeningConnection, "ask", ask_and_break)
        await recording(database)
    assert sent == 2
    assert len(world.ask("SELECT FROM outbox")) == 1


async def test_a_transaction_that_has_failed_is_never_taken_for_kept(world: World) -> None:
    """PostgreSQL answers its COMMIT with ROLLBACK and no error; whoever swallowed the first still hears of it."""
    user = a_user()
    async with opened(world) as database:
        with pytest.raises(Unavailable):
            async with database.begin() as uow:
                await uow.users.add(user, "!")
                with suppress(EmailTaken):
                    await uow.users.add(replace(user, id=UserId(uuid4())), "!")
    assert world.ask("SELECT FROM users") == []


@either_write
async def test_a_server_that_takes_no_writes_any_more_is_left_for_the_one_that_does(
    world: World, way: Way, table: str
) -> None:
    """As after a failover: the address leads to the new primary, and the pool's connections to the old one."""
    with world.connect() as connection:
        connection.execute(f"ALTER DATABASE {world.postgres['dbname']} SET default_transaction_read_only = on")
        async with opened(world, size=1) as database:
            with pytest.raises(Unavailable):
                await way(database)
            connection.execute(f"ALTER DATABASE {world.postgres['dbname']} RESET default_transaction_read_only")

            await way(database)
    assert len(world.ask(f"SELECT FROM {table}")) == 1


@pytest.mark.parametrize("at_once", [1, 20])
async def test_an_outage_is_over_when_the_server_is_back(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """The pool does not sleep on what it learned while PostgreSQL was away, nor count who has long gone."""
    monkeypatch.setattr("healthcare.adapters.postgres.database.MOST_WAITING", 3)
    with postgres(tmp_path_factory.mktemp("outage"), durable=False) as server:
        database = PostgresDatabase(conninfo_of_address(server.address, "postgres"), size=2)
        await database.open()
        try:
            await until_it_answers(database)
            server.stop()
            end = time.monotonic() + 4
            while time.monotonic() < end:
                ends = await asyncio.gather(*(database.check() for _ in range(at_once)), return_exceptions=True)
                assert {type(one) for one in ends} <= {Unavailable, Busy}
                assert Unavailable in {type(one) for one in ends}
            server.start()
            start = time.monotonic()
            await until_it_answers(database)
            assert time.monotonic() - start < 1.5
        finally:
            await database.close()


async def test_who_reads_leaves_places_in_the_queue_to_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("healthcare.adapters.postgres.database.MOST_READING", 1)
    async with opened(world, size=1) as database:
        async with database.begin() as uow:
            await uow.outbox.lock(1)
            reading = asyncio.create_task(alone(database))
            await asyncio.sleep(0.05)
            with pytest.raises(Busy):
                await alone(database)
            others = [asyncio.create_task(way(database)) for way in (in_a_transaction, recording)]
            others.append(asyncio.create_task(database.check()))
            await asyncio.sleep(0.05)
        await asyncio.gather(reading, *others)


@every_way
async def test_connections_that_went_silent_cost_one_caller_a_deadline_and_not_each(world: World, way: Way) -> None:
    """Something on the way has forgotten every connection, and says so to nobody; new ones it lets pass."""
    with proxy_to(str(world.postgres["host"]), int(world.postgres["port"])) as proxy:
        world.postgres["port"] = proxy.port
        async with opened(world, size=4) as database:
            await until(lambda: len(proxy.lines) == 4)
            proxy.swallow()
            proxy.heal()

            with answer_within(0.5), pytest.raises(Unavailable):
                await way(database)
            # A busy machine may take longer to connect anew than a caller would wait.
            await until(lambda: sum(not line.lost for line in list(proxy.lines)) == 4)
            for _ in range(4):
                with answer_within(2):
                    await way(database)


@every_way
async def test_nobody_waits_until_a_connection_is_given_back_but_who_closes(
    world: World, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled meanwhile, they would take it along, and the pool would be one smaller for good."""
    done = list[str]()
    async with opened(world, size=1) as database:
        pool = database._pool  # noqa: SLF001 - the moment cannot be met from outside
        putconn = pool.putconn

        async def slowly(connection: ListeningConnection) -> None:
            await asyncio.sleep(0.05)
            await putconn(connection)
            done.append("given back")

        monkeypatch.setattr(pool, "putconn", slowly)
        for _ in range(2):
            await way(database)
            done.append("answered")

    assert done == ["answered", "given back", "answered", "given back"]


async def test_a_connection_that_was_given_back_is_not_cut_at_the_deadline_of_who_had_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be somebody else's by then."""
    async with opened(world, size=1) as database, database.read() as uow:
        assert isinstance(uow, PostgresUnitOfWork)
        (before,) = await uow.users.session.read("SELECT pg_backend_pid()")
        pool = database._pool  # noqa: SLF001 - the moment cannot be met from outside
        putconn = pool.putconn

        async def slowly(connection: ListeningConnection) -> None:
            await asyncio.sleep(0.4)
            await putconn(connection)

        with monkeypatch.context() as patch, answer_within(0.3), pytest.raises(Exception, match="division by zero"):
            patch.setattr(pool, "putconn", slowly)
            await uow.users.session.read("SELECT 1 / 0")
        assert await uow.users.session.read("SELECT pg_backend_pid()") == [before]


async def until_it_answers(database: PostgresDatabase) -> None:
    """Give the pool time to connect anew."""
    end = time.monotonic() + 10
    while True:
        try:
            await database.check()
        except Unavailable:
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
        else:
            return


async def until(fact: Callable[[], bool]) -> None:
    """Wait for something that is about to be so."""
    async with asyncio.timeout(10):
        while not fact():  # noqa: ASYNC110 - what is waited for is in another thread
            await asyncio.sleep(0.01)
