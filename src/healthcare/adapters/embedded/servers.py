"""The owner's side: start a guard, learn where its servers are, let go of it at the end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from healthcare.adapters.embedded.errors import FolderInUse, ServersFailed
from healthcare.adapters.embedded.home import discard

STOP_SECONDS = 60.0  # more than the guard gives the servers before it uses force


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """How to reach a PostgreSQL server."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str = "postgres"

    def dsn(self, database: str | None = None) -> str:
        """The connection string of one of its databases."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"postgresql://{login}@{self.host}:{self.port}/{quote(database or self.database, safe='')}"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """How to reach a Redis server."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """A PostgreSQL and a Redis server under one guard. When one of them ends, so do the others."""

    postgres: PostgresAddress
    redis: RedisAddress
    guard_pid: int
    postgres_pid: int
    redis_pid: int

    def dsn(self, database: str) -> str:
        """The connection string of a database."""
        return self.postgres.dsn(database)


@contextmanager
def running(folder: Path, *, durable: bool = True) -> Iterator[Servers]:
    """Run both servers until the block is left. Their data stay in the folder for the next time.

    Not durable means quick: PostgreSQL may lose data when the machine stops, and Redis keeps nothing.

    Raises:
        FolderInUse: another process runs servers in this folder.
        ServersFailed: they could not be started.
    """
    with guarded(folder, durable=durable) as ready:
        yield Servers(
            postgres=PostgresAddress(**ready["postgres"]),
            redis=RedisAddress(**ready["redis"]),
            guard_pid=ready["pids"]["guard"],
            postgres_pid=ready["pids"]["postgres"],
            redis_pid=ready["pids"]["redis"],
        )


@contextmanager
def throwaway() -> Iterator[Servers]:
    """Run both servers in a folder of their own that is deleted when the block is left."""
    with TemporaryDirectory(prefix="healthcare-") as parent:
        Path(parent).chmod(0o711)  # root's servers run as somebody else, who has to pass
        folder = Path(parent, "servers")
        try:
            with running(folder, durable=False) as servers:
                yield servers
        finally:
            discard(folder)


Address = TypeVar("Address", PostgresAddress, RedisAddress)


class OneServer(Generic[Address]):
    """A server under a guard of its own, to be stopped, killed, paused and started again on the same port."""

    def __init__(self, name: str, address: type[Address], folder: Path, port: int | None, *, durable: bool) -> None:
        self._name = name
        self._address: type[Address] = address
        self._folder = folder
        self._port = port
        self._durable = durable
        self._guard = ExitStack()
        self.start()

    def start(self) -> None:
        """Start it, with what it had kept.

        Raises:
            FolderInUse: another process runs a server in this folder, or this one runs already.
            ServersFailed: it could not be started.
        """
        ready = self._guard.enter_context(
            guarded(self._folder, durable=self._durable, only=self._name, port=self._port)
        )
        self.pid: int = ready["pids"][self._name]
        self.address: Address = self._address(**ready[self._name])
        self._port = self.address.port

    def stop(self) -> None:
        """Stop it cleanly, if it runs."""
        self._guard.close()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        os.kill(self.pid, signal.SIGKILL)
        self._guard.close()

    def pause(self) -> None:
        """Let it answer nothing, neither on open connections nor on new ones (PostgreSQL: on new ones)."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        os.kill(self.pid, signal.SIGCONT)


@contextmanager
def postgres(folder: Path, port: int | None = None, *, durable: bool = True) -> Iterator[OneServer[PostgresAddress]]:
    """Run PostgreSQL alone until the block is left; otherwise as `running`."""
    server = OneServer("postgres", PostgresAddress, folder, port, durable=durable)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def valkey(folder: Path, port: int | None = None, *, durable: bool = True) -> Iterator[OneServer[RedisAddress]]:
    """Run Valkey alone until the block is left; otherwise as `running`."""
    server = OneServer("redis", RedisAddress, folder, port, durable=durable)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def guarded(
    folder: Path, *, durable: bool, only: str | None = None, port: int | None = None
) -> Iterator[dict[str, Any]]:
    """Hold a guard until the block is left, which also waits until the servers have stopped.

    What is yielded is what the guard says once the servers are ready.
    """
    command = [
        *(sys.executable, "-P", "-m", "healthcare.adapters.embedded.guard", str(folder)),
        *(() if durable else ("--throwaway",)),
        *(("--only", only) if only else ()),
        *(("--port", str(port)) if port else ()),
    ]
    with subprocess.Popen(  # noqa: S603 - the command is our own
        command,
        stdin=subprocess.PIPE,  # when it closes, the guard knows that its owner is gone
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a terminal's Ctrl-C is for the owner, who stops the servers in order
    ) as guard:
        try:
            yield understood(guard.stdout.readline() if guard.stdout else "")
        finally:
            if guard.stdin:
                guard.stdin.close()
            try:
                guard.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                guard.kill()


def understood(line: str) -> dict[str, Any]:
    """What the guard says, as an error when it is one."""
    if not line:
        raise ServersFailed("The guard of the servers ended before they were ready.")
    said: dict[str, Any] = json.loads(line)
    if "error" in said:
        raise (FolderInUse if said["in_use"] else ServersFailed)(said["error"])
    return said
