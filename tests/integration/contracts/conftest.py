"""Every adapter of every port, each as a test's parameter."""

from collections.abc import AsyncIterator

import pytest

from healthcare.adapters.memory.database import MemoryDatabase
from healthcare.adapters.postgres.database import PostgresDatabase
from tests.clinic import Clinic, Database


@pytest.fixture(params=["memory", "postgres"])
def closed(request: pytest.FixtureRequest) -> Database:
    """A database to which nobody has connected yet."""
    if request.param == "memory":
        return MemoryDatabase()
    return PostgresDatabase(request.getfixturevalue("postgres"), size=6)


@pytest.fixture
async def database(closed: Database) -> AsyncIterator[Database]:
    """An empty database."""
    await closed.open()
    yield closed
    await closed.close()


@pytest.fixture
def clinic(database: Database) -> Clinic:
    """Every use case on the database, and short cuts to what has to be there before."""
    return Clinic(database)
