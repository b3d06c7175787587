"""Two APIs and two workers on servers of their own, over lines that fail: every part can be taken away."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

from healthcare.adapters.embedded.servers import OneServer, PostgresAddress, RedisAddress, postgres, valkey
from healthcare.adapters.postgres.migrate import migrate
from tests.integration.conftest import conninfo_of_address
from tests.integration.proxy import proxy_to
from tests.integration.world import Api, World, await_live, free_port

APIS = ("api-0", "api-1")
WORKERS = ("worker-0", "worker-1")
UP_WITHIN = 30
"""Seconds for a worker that is started."""


class Ward:
    """Each process has a line of its own to PostgreSQL; all share the lines to Redis."""

    def __init__(
        self,
        stack: ExitStack,
        folder: Path,
        postgres: OneServer[PostgresAddress],
        redis: OneServer[RedisAddress],
    ) -> None:
        self._stack = stack
        self.postgres = postgres
        self.redis = redis
        host, port = postgres.address.host, postgres.address.port
        self.lines = {name: stack.enter_context(proxy_to(host, port)) for name in (*APIS, *WORKERS)}
        self.redis_lines = stack.enter_context(proxy_to(redis.address.host, redis.address.port))
        self.world = World(
            conninfo_of_address(postgres.address, "postgres"), (redis.address.host, self.redis_lines.port), folder
        )
        migrate(self.world.postgres)
        self.ports = {name: free_port() for name in APIS}
        self.processes = {name: self._started(name) for name in (*APIS, *WORKERS)}
        for name in self.processes:
            self._await(name)

    @property
    def urls(self) -> list[str]:
        """Where the APIs answer."""
        return [self._api(name).url for name in APIS]

    def kill(self, name: str) -> None:
        """Kill a process and its children, before any of them can say or do anything."""
        os.killpg(self.processes[name].pid, signal.SIGKILL)
        self.processes[name].wait()

    def start(self, name: str) -> None:
        """Start a process again that was killed."""
        self.processes[name] = self._started(name)
        self._await(name)

    def restore(self) -> None:
        """Start again what was killed."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                self.start(name)

    @contextmanager
    def frozen_postgres(self) -> Iterator[None]:
        """Stop every process of PostgreSQL for a while."""
        self.postgres.pause()  # first, so that it has no more children
        children = self._children_of_postgres()
        for pid in children:
            send(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in children:
                send(pid, signal.SIGCONT)
            self.postgres.resume()

    def kill_postgres(self) -> None:
        """Kill every process of PostgreSQL."""
        self.postgres.pause()
        for pid in self._children_of_postgres():
            send(pid, signal.SIGKILL)
        self.postgres.kill()

    def _children_of_postgres(self) -> list[int]:
        found = subprocess.run(["pgrep", "-P", str(self.postgres.pid)], capture_output=True, text=True, check=True)
        return [int(pid) for pid in found.stdout.split()]

    def _started(self, name: str) -> "subprocess.Popen[bytes]":
        more = {"POSTGRES_PORT": str(self.lines[name].port)}
        if name in APIS:
            more["PORT"] = str(self.ports[name])
        return self._stack.enter_context(self.world.process(name, [name.partition("-")[0]], **more))

    def _await(self, name: str) -> None:
        if name in APIS:
            await_live(self._api(name))
        end = monotonic() + UP_WITHIN
        while name in WORKERS and "worker.started" not in self.world.log(name):
            assert monotonic() < end, self.world.log(name)
            sleep(0.05)

    def _api(self, name: str) -> Api:
        return Api(f"http://127.0.0.1:{self.ports[name]}", self.processes[name])


@contextmanager
def a_ward(folder: Path) -> Iterator[Ward]:
    """Run everything until the block is left."""
    with (
        postgres(folder / "postgres", durable=False) as database,
        valkey(folder / "redis", durable=False) as redis,
        ExitStack() as stack,
    ):
        yield Ward(stack, folder, database, redis)


def send(pid: int, sign: signal.Signals) -> None:
    """Send a signal to a process, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, sign)
