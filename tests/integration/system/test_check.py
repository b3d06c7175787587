"""`healthcare check` says what is wrong, and nothing else is."""

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import requires
from pathlib import Path
from time import monotonic

import pytest
from redis import Redis

from healthcare.adapters.postgres import examination
from healthcare.adapters.postgres.examination import guards
from healthcare.adapters.postgres.migrate import Migration, shipped
from healthcare.adapters.system import SystemClock
from healthcare.entrypoints import main
from healthcare.entrypoints.cli import check
from tests.integration.world import Conninfo, World, free_port, healthcare

ALL = {
    "installation",
    "settings",
    "signing key",
    "PostgreSQL",
    "migrations",
    "schema",
    "server settings",
    "clock of PostgreSQL",
    "cache",
    "clock of cache",
    "queue",
    "clock of queue",
}
FORGETFUL = {"fsync", "full_page_writes"}
"""What servers that tests start and throw away do not do."""

Findings = dict[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Checked:
    """What the command has printed, line by line, and how it ended."""

    status: int
    output: str

    @property
    def findings(self) -> Findings:
        """What is said of each thing."""
        return {line[9:29].strip(): (line[:9].strip(), line[29:]) for line in self.output.splitlines()}

    def named(self, state: str) -> dict[str, str]:
        """What is said of the things that are in this state."""
        return {about: says for about, (its, says) in self.findings.items() if its == state}


@pytest.fixture
def untouched(template: Conninfo, redis_address: tuple[str, int], tmp_path: Path) -> World:
    """A world for tests that change nothing in the database, because it is the one that others are copied from."""
    return World(template, redis_address, tmp_path)


Check = Callable[..., Checked]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """Run the command in this process, as if what tests throw away were kept."""

    def checked(world: World, **overrides: str) -> Checked:
        for name, value in (world.environment | overrides).items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        return Checked(main.main(), capsys.readouterr().out)

    safe = {name: wanted for name, wanted in examination.WANTED.items() if name not in FORGETFUL}
    monkeypatch.setattr(examination, "WANTED", safe)
    monkeypatch.setattr(sys, "argv", ["healthcare", "check"])
    return checked


def test_where_all_is_well_nothing_has_failed(untouched: World, run: Check) -> None:
    checked = run(untouched)

    assert checked.status == 0
    assert {about: state for about, (state, _) in checked.findings.items()} == dict.fromkeys(ALL, "ok")


def test_a_server_that_forgets_when_its_machine_stops_is_found_out(untouched: World) -> None:
    ended = healthcare("check", environment=untouched.environment)

    failed = Checked(ended.returncode, ended.stdout).named("failed")
    assert (ended.returncode, ended.stderr) == (1, "")
    assert failed.keys() == {"server settings"}
    assert all(f"{name} is off" in failed["server settings"] for name in FORGETFUL)


@pytest.mark.parametrize(
    ("about", "sabotage"),
    [
        (
            "schema",
            {
                "one_live_appointment_per_slot": "DROP INDEX one_live_appointment_per_slot",
                "patient_is_in_one_place": "ALTER TABLE appointments DROP CONSTRAINT patient_is_in_one_place",
                "entries_never_change": "ALTER TABLE audit_entries DISABLE TRIGGER entries_never_change",
                "statuses_follow_the_table": "ALTER TABLE appointments DISABLE TRIGGER statuses_follow_the_table",
                "a_hold_has_an_end": "ALTER TABLE appointments DROP CONSTRAINT a_hold_has_an_end",
                "status_is_known": "ALTER TABLE appointments DROP CONSTRAINT status_is_known",
                "holds_by_patient": "DROP INDEX holds_by_patient",
                "free_time": """
                    UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'free_time'::regclass
                    """,
                "one_account_per_email": """
                    UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'one_account_per_email'::regclass
                    """,
                "slot_ends_after_it_starts": """
                    ALTER TABLE slots DROP CONSTRAINT slot_ends_after_it_starts,
                      ADD CONSTRAINT slot_ends_after_it_starts CHECK (starts_at < ends_at) NOT VALID
                    """,
            },
        ),
        (
            "server settings",
            {
                "synchronous_commit is off": "ALTER DATABASE {} SET synchronous_commit = off",
                "deadlock_timeout is 1000 ms": "ALTER DATABASE {} SET deadlock_timeout = '1s'",
                "default_transaction_isolation is repeatable read": """
                    ALTER DATABASE {} SET default_transaction_isolation = 'repeatable read'
                    """,
                "transaction_read_only is on": "ALTER DATABASE {} SET default_transaction_read_only = on",
                "session_replication_role is replica": "ALTER DATABASE {} SET session_replication_role = replica",
            },
        ),
        ("migrations", {"run healthcare migrate, which applies start": "DROP TABLE migrations"}),
        ("migrations", {"run healthcare migrate, which applies start": "DELETE FROM migrations WHERE version = 1"}),
        (
            "migrations",
            {
                "edited after they had been applied: start": "UPDATE migrations SET checksum = 'x' WHERE version = 1",
                "of a later release, which is the one to run: 9999": "INSERT INTO migrations VALUES (9999, 'x', 'x')",
            },
        ),
    ],
)
def test_what_is_wrong_with_the_database_is_named(
    world: World, run: Check, about: str, sabotage: dict[str, str]
) -> None:
    with world.connect() as connection:
        for statement in sabotage.values():
            connection.execute(statement.format(world.postgres["dbname"]).encode())

    checked = run(world)

    assert checked.status == 1
    assert checked.named("failed").keys() == {about}
    assert [said for said in sabotage if said not in checked.findings[about][1]] == []


def test_a_server_that_is_too_old_is_named(untouched: World, run: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "OLDEST", 990000)
    monkeypatch.setattr(check, "OLDEST_REDIS", "99")

    checked = run(untouched)

    assert checked.status == 1
    assert checked.named("failed").keys() == {"PostgreSQL", "cache", "queue"}


@contextmanager
def deaf_port() -> Iterator[int]:
    """Yield a port where somebody takes calls and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        yield port


ON_POSTGRES = {"migrations", "schema", "server settings", "clock of PostgreSQL"}


@pytest.mark.parametrize(
    ("setting", "about", "unseen", "deaf"),
    [
        ("POSTGRES_PORT", "PostgreSQL", ON_POSTGRES, False),
        ("POSTGRES_PORT", "PostgreSQL", ON_POSTGRES, True),
        ("REDIS_PORT", "cache", {"clock of cache"}, False),
        ("REDIS_PORT", "cache", {"clock of cache"}, True),
        ("QUEUE_REDIS_PORT", "queue", {"clock of queue"}, False),
    ],
)
def test_a_server_that_is_away_or_says_nothing_is_one_failure_within_seconds(
    untouched: World, run: Check, setting: str, about: str, unseen: set[str], *, deaf: bool
) -> None:
    start = monotonic()
    with deaf_port() as port:
        checked = run(untouched, **{setting: str(port if deaf else free_port())})

    assert checked.status == 1
    assert checked.named("failed").keys() == {about}
    assert checked.findings.keys() == ALL - unseen
    assert monotonic() - start < 5


def test_every_setting_that_is_wrong_is_named_and_no_secret(untouched: World, run: Check) -> None:
    checked = run(
        untouched,
        POSTGRES_DB="",
        POSTGRES_PORT="0",
        POSTGRES_PASSWORD="the secret",
        POSTGRES_POOL_SIZE="many",
        SIGNING_KEY_FILE="",
        SIGNING_KEY_FILE_FILE="/nowhere",
        LOG_LEVEL="loud",
    )

    assert checked.status == 1
    assert checked.findings.keys() == {"installation", "settings"}
    said = checked.named("failed")["settings"]
    wrong = ("POSTGRES_DB", "POSTGRES_PORT", "POSTGRES_POOL_SIZE", "SIGNING_KEY_FILE", "LOG_LEVEL")
    assert [name for name in wrong if name not in said] == []
    assert "the secret" not in checked.output


def test_a_wrong_password_is_said_and_not_shown(untouched: World, run: Check) -> None:
    checked = run(untouched, POSTGRES_PASSWORD="the secret")

    assert "password" in checked.named("failed")["PostgreSQL"]
    assert "the secret" not in checked.output


def test_a_key_that_strangers_can_read_or_change_is_not_private(untouched: World, run: Check) -> None:
    checked = {}
    for mode in (0o600, 0o440, 0o644, 0o620):
        assert untouched.environment
        (untouched.folder / "key.pem").chmod(mode)
        checked[mode] = run(untouched).findings["signing key"][0]

    assert checked == {0o600: "ok", 0o440: "ok", 0o644: "failed", 0o620: "failed"}


def test_a_key_that_is_missing_is_named(untouched: World, run: Check) -> None:
    assert "create-key" in run(untouched, SIGNING_KEY_FILE="/nowhere/key.pem").named("failed")["signing key"]


@contextmanager
def redis_that(world: World, *commands: tuple[str, ...]) -> Iterator[None]:
    """Change what the server of cache and queue does, until the block is left."""
    with Redis(host=world.redis[0], port=world.redis[1]) as client:
        for command in commands:
            client.execute_command(*command)
        try:
            yield
        finally:
            client.execute_command("CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction")
            client.execute_command("ACL", "SETUSER", "default", "+@all")


@pytest.mark.parametrize(
    ("policy", "memory", "failed"),
    [
        ("allkeys-lru", "0", {"queue"}),
        ("noeviction", "100mb", {"cache"}),
    ],
)
def test_what_a_redis_does_when_it_is_full_fits_what_it_is_for(
    untouched: World, run: Check, policy: str, memory: str, failed: set[str]
) -> None:
    with redis_that(untouched, ("CONFIG", "SET", "maxmemory", memory, "maxmemory-policy", policy)):
        assert run(untouched).named("failed").keys() == failed


def test_what_a_redis_does_not_tell_is_unknown_and_no_failure(untouched: World, run: Check) -> None:
    with redis_that(untouched, ("ACL", "SETUSER", "default", "-info", "-time")):
        checked = run(untouched)

    assert checked.status == 0
    assert checked.named("unknown").keys() == {"cache", "clock of cache", "queue", "clock of queue"}


@pytest.mark.parametrize("ahead", [timedelta(seconds=-3), timedelta(seconds=3)])
def test_a_clock_that_is_not_theirs_is_named(
    untouched: World, run: Check, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    class Wrong(SystemClock):
        def now(self) -> datetime:
            return super().now() + ahead

    monkeypatch.setattr(main, "SystemClock", Wrong)

    checked = run(untouched)

    assert checked.status == 1
    assert checked.named("failed").keys() == {"clock of PostgreSQL", "clock of cache", "clock of queue"}
    assert all(says.startswith("-" if ahead > timedelta() else "+") for says in checked.named("failed").values())


@pytest.mark.parametrize(("seconds", "state"), [(0.9, "ok"), (1.1, "failed"), (-0.9, "ok"), (-1.1, "failed")])
def test_a_slow_answer_is_no_wrong_clock(seconds: float, state: str) -> None:
    asked = datetime(2030, 1, 1, tzinfo=UTC)
    answered = asked + timedelta(seconds=10)
    theirs = asked + timedelta(seconds=5 + seconds)

    assert check.time_of("a server", asked, theirs, answered).state == state


@pytest.mark.parametrize(
    ("asked", "state"),
    [("psycopg[binary,pool]>=3", "ok"), ("psycopg[binary,pool]>=99,<100", "failed"), ("no-such-package>=1", "failed")],
)
def test_a_package_that_is_older_than_was_asked_for_is_named(
    monkeypatch: pytest.MonkeyPatch, asked: str, state: str
) -> None:
    monkeypatch.setattr(check, "requires", lambda _: [asked, 'pytest>=999 ; extra == "dev"'])

    found = check.installation()

    assert found.state == state
    assert (asked.partition("[")[0].partition(">")[0] in found.says) is (state == "failed")


def test_every_package_that_is_asked_for_is_compared() -> None:
    asked = [one for one in requires("healthcare") or [] if "extra ==" not in one]

    assert asked
    assert [one for one in asked if not check.FLOOR.fullmatch(one)] == []


@pytest.mark.parametrize(
    ("one", "other", "older"),
    [("3.9", "3.10", True), ("3.10", "3.9", False), ("1.2", "1.2", False), ("1.2.4", "1.2.4.post2", True)],
)
def test_versions_are_compared_as_numbers(one: str, other: str, *, older: bool) -> None:
    assert check.older(one, other) is older


def test_what_the_migrations_name_is_what_they_make(untouched: World) -> None:
    """PostgreSQL itself names keys, columns that must not be null, and its own triggers."""
    made = untouched.ask(
        """
        SELECT relname FROM pg_class WHERE relkind = 'i' AND relnamespace = 'public'::regnamespace
         UNION
        SELECT conname FROM pg_constraint WHERE contype <> 'n' AND connamespace = 'public'::regnamespace
         UNION
        SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
        """
    )
    named = {name for (name,) in made if not str(name).endswith(("_pkey", "_fkey"))}

    assert guards(shipped()) == named


def test_what_a_later_migration_drops_is_not_looked_for() -> None:
    made = Migration(1, "one", "CREATE UNIQUE INDEX a ON t (x); CREATE TABLE u (x int CONSTRAINT b CHECK (x > 0))")
    dropped = Migration(
        2, "two", "DROP INDEX IF EXISTS a; ALTER TABLE u ADD CONSTRAINT c UNIQUE (x), DROP CONSTRAINT b"
    )

    assert guards([made]) == {"a", "b"}
    assert guards([made, dropped]) == {"c"}
