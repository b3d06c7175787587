"""The worker records what happened, whether Redis is there or not, and ends when it is told to."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest

from healthcare.adapters.embedded.servers import OneServer, RedisAddress
from healthcare.adapters.security.keys import create_key
from healthcare.domain.audit.model import Question
from healthcare.domain.identity.model import Email
from healthcare.domain.kernel import Actor, EventKind, Paging
from healthcare.entrypoints.container import Container
from healthcare.entrypoints.settings import Settings
from healthcare.entrypoints.worker.main import work

WORKER = """
import asyncio
from healthcare.entrypoints.container import Container
from healthcare.entrypoints.logging import configure
from healthcare.entrypoints.settings import read
from healthcare.entrypoints.worker.main import run

configure("info")
asyncio.run(run(Container(settings=read(), backend="memory")))
"""


@pytest.fixture(params=["Redis is there", "Redis is away"])
def redis_port(request: pytest.FixtureRequest, server: OneServer[RedisAddress]) -> int:
    """The port of a Redis, or one on which nobody listens."""
    if request.param == "Redis is there":
        return server.address.port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    create_key(tmp_path / "key.pem")
    return tmp_path / "key.pem"


@pytest.mark.anyio
async def test_what_happened_is_recorded_within_seconds(redis_port: int, key_file: Path) -> None:
    settings = Settings(
        postgres_user="",
        postgres_password="",
        postgres_db="",
        signing_key_file=key_file,
        queue_redis_port=redis_port,
    )
    container = Container(settings=settings, backend="memory")
    async with working(container):
        await container.use_cases().register_patient(
            actor=Actor(None, "request"),
            email=Email("a@example.org"),
            password="correct horse battery",
            full_name="A Patient",
            time_zone="UTC",
        )

        async with asyncio.timeout(2):
            while not (kinds := await recorded(container)):  # noqa: ASYNC110 - what it waits for has no event
                await asyncio.sleep(0.01)

    assert kinds == [EventKind.USER_REGISTERED]
    async with container.database().begin() as uow:
        assert await uow.outbox.lock(1) == []


@pytest.mark.parametrize(
    ("sign", "seconds"), [(signal.SIGTERM, 0.0), (signal.SIGTERM, 1.1), (signal.SIGINT, 0.5)], ids=str
)
def test_a_signal_ends_it_cleanly(redis_port: int, key_file: Path, sign: signal.Signals, seconds: float) -> None:
    """At any moment: as soon as it has started, and when it has settled down."""
    environment = {
        **os.environ,
        "POSTGRES_USER": "nobody",
        "POSTGRES_PASSWORD": "none",
        "POSTGRES_DB": "none",
        "SIGNING_KEY_FILE": str(key_file),
        "QUEUE_REDIS_PORT": str(redis_port),
    }
    with subprocess.Popen([sys.executable, "-c", WORKER], env=environment, stdout=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stdout is not None
            while "worker.started" not in (line := worker.stdout.readline()):
                assert line
            sleep(seconds)
            began = monotonic()

            worker.send_signal(sign)

            assert worker.wait(10) == 0
            assert monotonic() - began < 2
        finally:
            worker.kill()


async def recorded(container: Container) -> list[EventKind]:
    """Return the kinds of the audit entries."""
    async with container.database().begin() as uow:
        return [entry.kind for entry in (await uow.entries.find(Question(), Paging())).items]


@asynccontextmanager
async def working(container: Container) -> AsyncIterator[None]:
    """A worker, in this process."""
    stop = asyncio.Event()
    worker = asyncio.create_task(work(container, stop))
    try:
        yield
    finally:
        stop.set()
        await worker
