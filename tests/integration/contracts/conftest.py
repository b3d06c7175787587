"""Every adapter of every port, each as a test's parameter."""

from collections.abc import AsyncIterator, Iterator

import pytest

from healthcare.adapters.memory.database import MemoryDatabase
from healthcare.adapters.postgres.database import PostgresDatabase
from tests.builders import FakeClock
from tests.clinic import Clinic, Database
from tests.integration.shared_clock import SharedClock

KINDS = ["memory", "postgres"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Name the adapter."""
    return str(request.param)


@pytest.fixture
def clock(kind: str, request: pytest.FixtureRequest) -> Iterator[FakeClock]:
    """Return the clock of the test, which is the database's as well."""
    if kind == "memory":
        yield FakeClock()
        return
    shared = SharedClock(request.getfixturevalue("postgres"))
    yield shared
    shared.close()


@pytest.fixture
def closed(kind: str, clock: FakeClock, request: pytest.FixtureRequest) -> Database:
    """A database to which nobody has connected yet."""
    if kind == "memory":
        return MemoryDatabase(clock)
    return PostgresDatabase(request.getfixturevalue("postgres"), size=6)


@pytest.fixture
async def database(closed: Database) -> AsyncIterator[Database]:
    """An empty database."""
    await closed.open()
    yield closed
    await closed.close()


@pytest.fixture
def clinic(database: Database, clock: FakeClock) -> Clinic:
    """Every use case on the database, and short cuts to what has to be there before."""
    return Clinic(database, clock=clock)
