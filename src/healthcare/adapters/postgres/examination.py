"""What an operator wants to know of a database before anybody's request finds it out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import psycopg
from psycopg.rows import TupleRow

from healthcare.adapters.postgres.database import with_limits
from healthcare.adapters.postgres.migrate import Migration, shipped
from healthcare.application.uow import Unavailable
from healthcare.domain.kernel import Clock

OLDEST: Final = 180004
"""18.4: the releases before have holes that are known."""

WANTED: Final[Mapping[str, tuple[set[str], str]]] = {
    "synchronous_commit": ({"on", "remote_apply"}, "what was answered could be lost"),
    "fsync": ({"on"}, "what was answered could be lost"),
    "full_page_writes": ({"on"}, "what was answered could be lost"),
    "transaction_read_only": ({"off"}, "nothing can be kept there"),
    "default_transaction_isolation": ({"read committed"}, "who waits for a lock must see what its holder has done"),
    "session_replication_role": ({"origin"}, "triggers do not keep entries from being changed"),
}
"""Settings of the server, the values that are safe, and what is true of the others."""

CREATED_OR_DROPPED: Final = re.compile(
    r"\b(?:CREATE (?:UNIQUE )?(?:INDEX|TRIGGER)|(?P<drop>DROP (?:INDEX|TRIGGER|CONSTRAINT)(?: IF EXISTS)?)|CONSTRAINT)"
    r" (?P<name>\w+)"
)

GUARDS: Final = """
    SELECT relname, indisvalid AND indisready FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
     WHERE pg_table_is_visible(indrelid)
     UNION ALL
    SELECT conname, convalidated FROM pg_constraint WHERE conrelid <> 0 AND pg_table_is_visible(conrelid)
     UNION ALL
    SELECT tgname, tgenabled IN ('O', 'A') FROM pg_trigger WHERE pg_table_is_visible(tgrelid)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was found. Everything in the lists is wrong."""

    version: str
    too_old: bool
    to_apply: Sequence[str]
    """Migrations of this release that the database lacks."""
    edited: Sequence[str]
    """Migrations that were changed after they had been applied."""
    unknown: Sequence[str]
    """Migrations of a later release."""
    absent: Sequence[str]
    """Constraints, indexes and triggers that the migrations name and the database lacks."""
    idle: Sequence[str]
    """Those that are there, and not valid or not enabled."""
    unsafe: Sequence[str]
    """Settings, each with what is wrong with it."""
    clock: tuple[datetime, datetime, datetime]
    """The server's time, between two looks at one's own."""


def examine(conninfo: Mapping[str, str | int], clock: Clock) -> Examined:
    """Look at everything, and change nothing.

    Raises:
        Unavailable: says why it cannot be looked at.
    """
    try:
        with psycopg.connect(with_limits(conninfo), autocommit=True) as connection:
            return _examine(connection, clock)
    except psycopg.Error as error:
        raise Unavailable(str(error).partition("\n")[0]) from None


def guards(migrations: Sequence[Migration]) -> set[str]:
    """Return the constraints, indexes and triggers that are there when the migrations have been applied."""
    names = set[str]()
    for found in CREATED_OR_DROPPED.finditer("\n".join(one.statements for one in migrations)):
        (names.discard if found["drop"] else names.add)(found["name"])
    return names


def _examine(connection: psycopg.Connection[TupleRow], clock: Clock) -> Examined:
    known = _applied(connection)
    ours = {one.version: one for one in shipped()}
    in_force = dict[str, bool]()
    for name, good in connection.execute(GUARDS).fetchall():
        in_force[name] = in_force.get(name, True) and good
    expected = guards([one for one in ours.values() if one.version in known])
    return Examined(
        version=connection.info.parameter_status("server_version") or "",
        too_old=connection.info.server_version < OLDEST,
        to_apply=[one.name for one in ours.values() if one.version not in known],
        edited=[one.name for one in ours.values() if known.get(one.version, one.checksum) != one.checksum],
        unknown=[str(version) for version in sorted(known.keys() - ours.keys())],
        absent=sorted(expected - in_force.keys()),
        idle=sorted(name for name in expected & in_force.keys() if not in_force[name]),
        unsafe=_unsafe(connection),
        clock=_clock(connection, clock),
    )


def _clock(connection: psycopg.Connection[TupleRow], clock: Clock) -> tuple[datetime, datetime, datetime]:
    before = clock.now()
    ((theirs,),) = connection.execute("SELECT clock_timestamp()").fetchall()
    return before, theirs, clock.now()


def _applied(connection: psycopg.Connection[TupleRow]) -> dict[int, str]:
    if connection.execute("SELECT to_regclass('migrations')").fetchone() == (None,):
        return {}
    return dict(connection.execute("SELECT version, checksum FROM migrations").fetchall())


def _unsafe(connection: psycopg.Connection[TupleRow]) -> list[str]:
    names = [*WANTED, "deadlock_timeout", "lock_timeout"]
    rows = connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [names]).fetchall()
    values: dict[str, str] = dict(rows)
    unsafe = [
        f"{name} is {values[name]}, not {' or '.join(sorted(safe))}: {otherwise}"
        for name, (safe, otherwise) in WANTED.items()
        if values[name] not in safe
    ]
    deadlock, lock = int(values["deadlock_timeout"]), int(values["lock_timeout"])
    if deadlock >= lock:
        unsafe.append(f"deadlock_timeout is {deadlock} ms, not less than {lock} ms: deadlocks pass for locks not had")
    return unsafe
