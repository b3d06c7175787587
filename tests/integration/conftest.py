"""Real servers for the tests: started once, with a database and an empty Redis for each test."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from healthcare.adapters.embedded.servers import PostgresAddress, Servers, throwaway
from healthcare.adapters.postgres.migrate import migrate
from tests.integration.world import Conninfo, World

TEMPLATE = "template_healthcare"
numbers = count(1)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """PostgreSQL and Redis, for the whole run."""
    with throwaway() as servers:
        yield servers


@pytest.fixture(scope="session")
def template(servers: Servers) -> Conninfo:
    """A migrated database that the others are copied from."""
    with psycopg.connect(servers.dsn("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {TEMPLATE}")
    conninfo = conninfo_of(servers, TEMPLATE)
    migrate(conninfo)
    return conninfo


@pytest.fixture
def postgres(servers: Servers, template: Conninfo) -> Iterator[Conninfo]:
    """A migrated database of one's own."""
    name = f"test_{next(numbers)}"
    with psycopg.connect(servers.dsn("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template['dbname']} STRATEGY file_copy")
        yield conninfo_of(servers, name)
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def redis_address(servers: Servers) -> tuple[str, int]:
    """An empty Redis."""
    with Redis(host=servers.redis.host, port=servers.redis.port) as client:
        client.flushall()
    return servers.redis.host, servers.redis.port


def conninfo_of(servers: Servers, database: str) -> Conninfo:
    """Return how to connect to a database."""
    return conninfo_of_address(servers.postgres, database)


def conninfo_of_address(address: PostgresAddress, database: str) -> Conninfo:
    """Return how to connect to a database of a server that runs alone."""
    return {
        "host": address.host,
        "port": address.port,
        "user": address.user,
        "password": address.password,
        "dbname": database,
    }


@pytest.fixture
def world(postgres: Conninfo, redis_address: tuple[str, int], tmp_path: Path) -> World:
    """A clinic without people, and nothing running yet."""
    return World(postgres, redis_address, tmp_path)
