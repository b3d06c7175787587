"""A Valkey that the tests of this folder may fill, freeze, flush and stop."""

from collections.abc import Iterator

import pytest
from redis import Redis
from structlog.testing import capture_logs
from structlog.typing import EventDict

from healthcare.adapters.embedded.servers import OneServer, RedisAddress, valkey


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[EventDict]]:
    """What is logged, instead of pictures of tracebacks, which take seconds to draw."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture(scope="session")
def valkey_of_the_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneServer[RedisAddress]]:
    """Valkey, for all tests of this folder."""
    with valkey(tmp_path_factory.mktemp("valkey"), durable=False) as server:
        yield server


@pytest.fixture
def server(valkey_of_the_folder: OneServer[RedisAddress]) -> OneServer[RedisAddress]:
    """Valkey, running and empty."""
    address = valkey_of_the_folder.address
    with Redis(host=address.host, port=address.port) as client:
        client.flushall()
    return valkey_of_the_folder


@pytest.fixture
def client(server: OneServer[RedisAddress]) -> Iterator[Redis]:
    """Somebody else who can write to it."""
    with Redis(host=server.address.host, port=server.address.port) as client:
        yield client
