"""A clinic for tests: people and slots put straight into the tables, and the processes that serve them."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import httpx
import psycopg
from psycopg.conninfo import make_conninfo

from healthcare.adapters.security.keys import create_key
from healthcare.adapters.security.tokens import SignedTokens
from healthcare.adapters.system import new_id
from healthcare.domain.kernel import UserId

Conninfo = dict[str, str | int]

NO_PASSWORD = "!"


THE_DAY: Final = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=2)
"""Of the whole run: where it goes past midnight, a test must not look on another day for what it has made."""


def tomorrow_at(hour: int, minute: int = 0) -> datetime:
    """Return an instant of the day after tomorrow in UTC, which no test can reach by taking long."""
    return THE_DAY + timedelta(hours=hour, minutes=minute)


@dataclass(frozen=True, slots=True)
class Api:
    """One API process."""

    url: str
    process: "subprocess.Popen[bytes]"

    def metric(self, name: str) -> float:
        """Return the sum over the labels of one metric."""
        lines = httpx.get(f"{self.url}/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


@dataclass(slots=True)
class World:
    """A database, a Redis, and a folder for the key and the logs."""

    postgres: Conninfo
    redis: tuple[str, int]
    folder: Path
    overrides: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The settings of the processes."""
        key = self.folder / "key.pem"
        if not key.exists():
            create_key(key)
        return {
            "POSTGRES_HOST": str(self.postgres["host"]),
            "POSTGRES_PORT": str(self.postgres["port"]),
            "POSTGRES_USER": str(self.postgres["user"]),
            "POSTGRES_PASSWORD": str(self.postgres["password"]),
            "POSTGRES_DB": str(self.postgres["dbname"]),
            "REDIS_HOST": self.redis[0],
            "REDIS_PORT": str(self.redis[1]),
            "QUEUE_REDIS_HOST": self.redis[0],
            "QUEUE_REDIS_PORT": str(self.redis[1]),
            "SIGNING_KEY_FILE": str(key),
            **self.overrides,
        }

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        """Look at the tables, or change them behind everybody's back."""
        return psycopg.connect(make_conninfo("", **self.postgres), autocommit=True)

    def ask(self, query: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """Return the rows of one query."""
        with self.connect() as connection:
            return connection.execute(query.encode(), parameters or None).fetchall()

    def add_users(self, role: str, number: int) -> list[UserId]:
        """Add people who have a role."""
        ids = [UserId(uuid4()) for _ in range(number)]
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO users (id, email, email_key, full_name, role, time_zone, password_hash)"
                " VALUES (%s, %s, %s, %s, %s, 'UTC', %s)",
                [
                    (id, f"{id}@test.example", f"{id}@test.example", f"{role.title()} {place}", role, NO_PASSWORD)
                    for place, id in enumerate(ids)
                ],
            )
        return ids

    def add_doctors(self, number: int, specialty: str = "cardiology") -> list[UserId]:
        """Add doctors who have a profile."""
        ids = self.add_users("doctor", number)
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO doctor_profiles VALUES (%s, %s, '{en}', 4900, 'EUR', 'UTC', '1')",
                [(id, specialty) for id in ids],
            )
        return ids

    def add_slots(self, doctor: UserId, starts: Sequence[datetime], minutes: int = 30) -> list[UUID]:
        """Add slots of a doctor."""
        ids = [uuid4() for _ in starts]
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO slots (id, doctor_id, specialty, starts_at, ends_at)"
                " SELECT %s, doctor_id, specialty, %s, %s FROM doctor_profiles WHERE doctor_id = %s",
                [
                    (id, start, start + timedelta(minutes=minutes), doctor)
                    for id, start in zip(ids, starts, strict=True)
                ],
            )
        return ids

    def headers(self, user: UserId) -> dict[str, str]:
        """Return what signs the user's requests."""
        tokens = SignedTokens.from_file(Path(self.environment["SIGNING_KEY_FILE"]), new_id=new_id)
        return {"Authorization": f"Bearer {tokens.issue(user, now=datetime.now(UTC))}"}

    def send(
        self, api: Api, user: UserId, request: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send one request of a user, a method and a path, and wait for the answer."""
        method, path = request.split(" ")
        signed = self.headers(user) | dict(headers or {})
        return httpx.request(method, f"{api.url}{path}", json=body, headers=signed, timeout=10)

    @contextmanager
    def apis(self, number: int = 1) -> Iterator[list[Api]]:
        """Run API processes."""
        with ExitStack() as stack:
            apis = []
            for place in range(number):
                port = free_port()
                process = stack.enter_context(self.process(f"api-{place}", ["api"], PORT=str(port)))
                apis.append(Api(f"http://127.0.0.1:{port}", process))
            for api in apis:
                await_live(api)
            yield apis

    @contextmanager
    def worker(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Run a worker."""
        with self.process("worker", ["worker"]) as process:
            yield process

    @contextmanager
    def process(self, name: str, command: list[str], **more: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run one of our commands until the block is left; it must then end by itself in time."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "healthcare", *command],
                env=os.environ | self.environment | more,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise

    def log(self, name: str) -> str:
        """Return what a process has logged."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")


def healthcare(*command: str, environment: dict[str, str], given: str = "") -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, with no settings but these."""
    clean = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    return subprocess.run(
        [sys.executable, "-m", "healthcare", *command],
        env=clean | environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def free_port() -> int:
    """Return a port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def await_live(api: Api, seconds: float = 30) -> None:
    """Wait until an API process answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if httpx.get(f"{api.url}/health/ready", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        if api.process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(f"{api.url} did not come up")


def deadlocks(world: World) -> int:
    """Return how many deadlocks the database has seen, once the last ones are counted."""
    with world.connect() as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        time.sleep(1.1)  # sessions report what they counted once a second
        row = connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
        assert row
        number = row[0]
        assert isinstance(number, int)
        return number
