"""Migrations are applied once and in order, whoever runs them and however often."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from healthcare.adapters.embedded.servers import Servers
from healthcare.adapters.postgres.migrate import Migration, MigrationRefused, migrate, shipped
from tests.integration.conftest import conninfo_of
from tests.integration.world import Conninfo

ONE = Migration(1, "one", "CREATE TABLE one (id int); INSERT INTO one VALUES (1)")
TWO = Migration(2, "two", "SELECT pg_sleep(0.2); CREATE TABLE two (id int)")


@pytest.fixture
def empty(servers: Servers) -> Iterator[Conninfo]:
    """A database without tables."""
    with psycopg.connect(servers.dsn("postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE to_migrate")
        yield conninfo_of(servers, "to_migrate")
        admin.execute("DROP DATABASE to_migrate WITH (FORCE)")


def tables(conninfo: Conninfo) -> list[str]:
    """Return the names of the tables."""
    with psycopg.connect(make_conninfo("", **conninfo)) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
    return [row[0] for row in rows]


def test_what_was_applied_is_not_applied_again(empty: Conninfo) -> None:
    assert migrate(empty, [ONE]) == ["one"]
    assert migrate(empty, [ONE, TWO]) == ["two"]
    assert migrate(empty, [ONE, TWO]) == []
    assert tables(empty) == ["migrations", "one", "two"]


def test_three_at_once_apply_each_file_once(empty: Conninfo) -> None:
    with ThreadPoolExecutor(3) as at_once:
        applied = list(at_once.map(lambda _: migrate(empty, [ONE, TWO]), range(3)))

    assert sorted(name for names in applied for name in names) == ["one", "two"]


def test_a_file_that_was_edited_after_it_was_applied_is_refused(empty: Conninfo) -> None:
    migrate(empty, [ONE])

    with pytest.raises(MigrationRefused, match="edited"):
        migrate(empty, [Migration(1, "one", ONE.statements + " ")])


def test_a_file_that_fails_leaves_nothing_of_itself(empty: Conninfo) -> None:
    broken = Migration(2, "broken", "CREATE TABLE half (id int); SELECT 1 / 0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty, [ONE, broken])

    assert tables(empty) == ["migrations", "one"]
    assert migrate(empty, [ONE, TWO]) == ["two"]


def test_the_shipped_files_follow_one_another(empty: Conninfo) -> None:
    assert [one.version for one in shipped()] == list(range(1, len(shipped()) + 1))
    assert migrate(empty) == [one.name for one in shipped()]


@pytest.mark.parametrize("table", ["audit_entries", "prescriptions"])
@pytest.mark.parametrize("change", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_what_must_be_provable_later_cannot_be_changed(postgres: Conninfo, table: str, change: str) -> None:
    with psycopg.connect(make_conninfo("", **postgres)) as connection:
        # Only the trigger is looked at here, so the row need not fit anything.
        connection.execute("SET session_replication_role = replica")
        fill(connection, table)
        connection.execute("SET session_replication_role = origin")

        with pytest.raises(psycopg.errors.RaiseException, match="never changed"):
            connection.execute(change.format(table).encode())


def fill(connection: "psycopg.Connection[tuple[object, ...]]", table: str) -> None:
    """Put one row into the table."""
    if table == "audit_entries":
        values = "gen_random_uuid(), now(), NULL, 'user.registered', NULL, 'success', 'x'"
    else:
        person = "gen_random_uuid(), 'A'"
        values = f"gen_random_uuid(), gen_random_uuid(), {person}, 'x', {person}, '[]', now()"
    connection.execute(f"INSERT INTO {table} VALUES ({values})".encode())
