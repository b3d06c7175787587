"""Preparing a system: its database, its key and its first admin."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from getpass import getpass
from pathlib import Path

from healthcare.adapters.postgres.migrate import MigrationRefused
from healthcare.adapters.postgres.migrate import migrate as apply_migrations
from healthcare.adapters.security import keys
from healthcare.application.use_cases import UseCases
from healthcare.domain.identity.model import Email
from healthcare.domain.kernel import Actor
from healthcare.entrypoints.container import Container, opened
from healthcare.entrypoints.logging import configure
from healthcare.entrypoints.settings import Settings

OPERATOR = Actor(user=None, request="command-line", system=True)


class Refused(Exception):
    """The command cannot be carried out."""


@asynccontextmanager
async def at_work(settings: Settings) -> AsyncIterator[UseCases]:
    """Yield what an operator can do. Logs go to standard error, because the other output may be for machines."""
    configure(settings.log_level, to=sys.stderr)
    async with opened(Container(settings=settings)) as use_cases:
        yield use_cases


def migrate(settings: Settings) -> None:
    """Apply the migrations that the database lacks, and name them."""
    try:
        applied = apply_migrations(settings.postgres)
    except MigrationRefused as reason:
        raise Refused(str(reason)) from reason
    sys.stdout.write("\n".join(applied or ["nothing to do"]) + "\n")


def create_key(file: Path) -> None:
    """Make a key file, which nobody else can read."""
    try:
        keys.create_key(file)
    except OSError as reason:
        raise Refused(str(reason)) from reason


def ask_password() -> str:
    """Read a password: from the terminal without showing it, or the first line of what is piped in."""
    return getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def create_admin(settings: Settings, *, email: str, full_name: str, time_zone: str, password: str) -> None:
    """Make an admin."""

    async def create() -> None:
        async with at_work(settings) as use_cases:
            await use_cases.create_admin(
                actor=OPERATOR, email=Email(email), password=password, full_name=full_name, time_zone=time_zone
            )

    asyncio.run(create())
