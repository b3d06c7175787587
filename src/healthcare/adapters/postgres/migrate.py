"""Numbered SQL files, each applied once and in order.

Written here because the libraries for it each miss one of three things: an advisory lock that ends with its owner, a
checksum that tells when a file was edited after it had been applied, and one transaction per file that waits for locks
only briefly.
"""

import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import psycopg
from psycopg import errors
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

LOCK: Final = 0x6865616C7468
TRIES: Final = 10
"""How often a file waits for a table that others use, three seconds each time."""


class MigrationRefused(Exception):
    """The files and the database contradict each other."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    version: int
    name: str
    statements: str

    @property
    def checksum(self) -> str:
        """What changes when the file does."""
        return hashlib.sha256(self.statements.encode()).hexdigest()


def shipped() -> list[Migration]:
    """Return the migrations of this release, in order.

    Raises:
        MigrationRefused: a file has another name than NNNN_words.sql, or a number is missing or twice there.
    """
    folder = files("healthcare.adapters.postgres").joinpath("migrations")
    found = []
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".sql"):
            continue
        if not (name := re.fullmatch(r"(\d{4})_(\w+)\.sql", file.name)):
            raise MigrationRefused(f"{file.name} is not named NNNN_words.sql")
        found.append(Migration(int(name[1]), name[2], file.read_text(encoding="utf-8")))
    if [one.version for one in found] != list(range(1, len(found) + 1)):
        raise MigrationRefused("the numbers of the migrations do not follow one another")
    return found


def migrate(conninfo: Mapping[str, str | int], migrations: list[Migration] | None = None) -> list[str]:
    """Apply what the database lacks, and return the names of that.

    Several may run at once, and any of them may be killed: each file is applied once.

    Raises:
        MigrationRefused: an applied file was edited afterwards.
    """
    applied = []
    with psycopg.connect(make_conninfo("", **conninfo), autocommit=True) as connection, _alone(connection):
        connection.execute(
            """
            CREATE TABLE IF NOT EXISTS migrations (
                version    integer PRIMARY KEY,
                name       text NOT NULL,
                checksum   text NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now())
            """
        )
        known: dict[object, object] = dict(connection.execute("SELECT version, checksum FROM migrations").fetchall())
        for one in shipped() if migrations is None else migrations:
            if one.version not in known:
                _apply(connection, one)
                applied.append(one.name)
            elif known[one.version] != one.checksum:
                raise MigrationRefused(f"migration {one.version} ({one.name}) was edited after it had been applied")
    return applied


@contextmanager
def _alone(connection: psycopg.Connection[TupleRow]) -> Iterator[None]:
    """Let others wait; by asking again, because one who is blocked would in turn block CREATE INDEX CONCURRENTLY."""
    while connection.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone() != (True,):
        time.sleep(0.1)
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def _apply(connection: psycopg.Connection[TupleRow], one: Migration) -> None:
    for left in reversed(range(TRIES)):
        try:
            with connection.transaction():
                connection.execute("SET LOCAL lock_timeout = '3s'")
                connection.execute(one.statements.encode())
                connection.execute(
                    "INSERT INTO migrations (version, name, checksum) VALUES (%s, %s, %s)",
                    [one.version, one.name, one.checksum],
                )
        except errors.LockNotAvailable:
            if not left:
                raise
        else:
            return
