"""Everything on one machine: real servers, sample data, the API and a worker, until Ctrl-C.

This process owns the others. They are in sessions of their own, so that Ctrl-C reaches this one alone, which stops them
in order; should it be killed, the kernel tells them (Linux).
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import msgspec
import psycopg
from psycopg.conninfo import make_conninfo

from healthcare.adapters.embedded.errors import FolderInUse, ServersFailed
from healthcare.adapters.embedded.server import end_with_parent
from healthcare.adapters.embedded.servers import Servers, running
from healthcare.adapters.postgres.migrate import MigrationRefused, migrate
from healthcare.adapters.security import keys
from healthcare.domain.kernel import UserId
from healthcare.entrypoints import settings
from healthcare.entrypoints.cli import sample
from healthcare.entrypoints.cli.operate import OPERATOR
from healthcare.entrypoints.container import Container, opened
from healthcare.entrypoints.server import PortTaken, check_port

DATABASE: Final = "healthcare"
READY_WITHIN: Final = 30.0
"""Seconds for the API to come up."""
STOP_WITHIN: Final = 20.0
BAR: Final = 40
"""Characters."""


class CannotStart(Exception):
    """The demo cannot be started here, or cannot go on."""


class Stopped(BaseException):
    """Somebody asked the demo to stop."""


def run(folder: Path, port: int) -> None:
    """Run everything until it is told to stop.

    Raises:
        CannotStart: says what is in the way, and what to do about it.
    """
    stop = StopSign()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        with ExitStack() as stack:
            say("starting PostgreSQL and Valkey …")
            servers = stack.enter_context(running(folder.resolve() / "servers"))
            check_port("127.0.0.1", port)
            environment = prepare(servers, folder, port)
            with stop.later():
                sign_ins = asyncio.run(load_sample(environment, folder, stop))
            ours = {name: stack.enter_context(process(name, environment, folder)) for name in ("worker", "api")}
            wait_until_ready(f"http://127.0.0.1:{port}/health/ready", ours["api"], folder)
            say(welcome(port, sign_ins, folder))
            watch(ours, servers, folder)
    except PortTaken as reason:
        raise CannotStart(f"{reason}; choose another: make demo PORT=3001") from reason
    except FolderInUse as reason:
        raise CannotStart(f"another demo is running in {folder}; stop it first") from reason
    except MigrationRefused as reason:
        raise CannotStart(f"{reason}; {folder} was made by another version, remove it to start anew") from reason
    except ServersFailed as reason:
        raise CannotStart(str(reason)) from reason
    except Stopped:
        say("\nstopped; everything is kept for the next start")


class StopSign:
    """Leaves every block in order when a signal comes. A second Ctrl-C does not disturb that.

    An exception that a signal raises in the middle of an event loop can end up anywhere in it, and lost. While one
    runs, the signal is only remembered, and `check` raises where it does no harm.
    """

    def __init__(self) -> None:
        self._asked = self._later = False

    def __call__(self, _signal: int, _frame: object) -> None:
        """Take the signal."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._asked = True
        if not self._later:
            raise Stopped

    @contextmanager
    def later(self) -> Iterator[None]:
        """Only remember signals inside the block."""
        self._later = True
        try:
            yield
        finally:
            self._later = False
        self.check()

    def check(self) -> None:
        """Raise Stopped if a signal has come."""
        if self._asked:
            raise Stopped


def say(text: str) -> None:
    """Tell the one who watches."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def prepare(servers: Servers, folder: Path, port: int) -> dict[str, str]:
    """Make the database and the key if they are missing, and return the environment that tells of them."""
    with psycopg.connect(servers.dsn("postgres"), autocommit=True) as admin:
        if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
            admin.execute(f"CREATE DATABASE {DATABASE}")
    key = folder.resolve() / "signing-key.pem"
    if not key.exists():
        keys.create_key(key)
    environment = {
        "POSTGRES_HOST": servers.postgres.host,
        "POSTGRES_PORT": str(servers.postgres.port),
        "POSTGRES_USER": servers.postgres.user,
        "POSTGRES_PASSWORD": servers.postgres.password,
        "POSTGRES_DB": DATABASE,
        "REDIS_HOST": servers.redis.host,
        "REDIS_PORT": str(servers.redis.port),
        "QUEUE_REDIS_HOST": servers.redis.host,
        "QUEUE_REDIS_PORT": str(servers.redis.port),
        "SIGNING_KEY_FILE": str(key),
        "HOST": "127.0.0.1",
        "PORT": str(port),
    }
    migrate(settings.read(environment).postgres)
    return environment


async def load_sample(environment: dict[str, str], folder: Path, stop: StopSign) -> dict[str, sample.SignIn]:
    """Make the sample data that are missing, and show how far that is."""
    chosen = settings.read(environment)
    file = folder / "sign-ins.json"
    if not file.exists():
        write_privately(file, msgspec.json.format(msgspec.json.encode(sample.new_sign_ins())))
    sign_ins = msgspec.json.decode(file.read_bytes(), type=dict[str, sample.SignIn])
    container = Container(settings=chosen)
    with psycopg.connect(make_conninfo("", **chosen.postgres), autocommit=True) as connection:
        async with opened(container) as use_cases:
            await show(sample.make_people(use_cases, OPERATOR, sign_ins, known_people(connection)), stop)
            await show(sample.publish(use_cases, container.clock(), offered_slots(connection)), stop)
        # Plans that were made while the tables were empty would stay bad until PostgreSQL had counted by itself.
        connection.execute("ANALYZE")
    return sign_ins


def known_people(connection: psycopg.Connection) -> dict[str, sample.Known]:
    """Return the sample people whom an earlier start has made."""
    rows = connection.execute(
        "SELECT email, id, EXISTS (SELECT FROM doctor_profiles WHERE doctor_id = id) FROM users"
        " WHERE email LIKE '%@demo.example'"
    )
    return {email: sample.Known(id, has_profile) for email, id, has_profile in rows}


def offered_slots(connection: psycopg.Connection) -> dict[tuple[UserId, str], list[datetime]]:
    """Return when the sample doctors offer slots from today on, by doctor and the doctor's time zone."""
    rows = connection.execute(
        """
        SELECT p.doctor_id, p.time_zone, array_remove(array_agg(s.starts_at), NULL)
          FROM users u
          JOIN doctor_profiles p ON p.doctor_id = u.id
          LEFT JOIN slots s ON s.doctor_id = u.id AND s.withdrawn_at IS NULL AND s.starts_at > now() - interval '1 day'
         WHERE u.email LIKE '%@demo.example' AND u.role = 'doctor'
         GROUP BY p.doctor_id
        """
    )
    return {(doctor, zone): starts for doctor, zone, starts in rows}


async def show(progress: sample.Progress, stop: StopSign) -> None:
    """Draw a bar that grows."""
    shown = False
    async for what, done, all_of_them in progress:
        stop.check()
        filled = BAR * done // all_of_them
        sys.stdout.write(f"\r{'█' * filled}{'·' * (BAR - filled)} {done:4} of {all_of_them} {what}")
        sys.stdout.flush()
        shown = True
    if shown:
        sys.stdout.write("\n")


def write_privately(file: Path, content: bytes) -> None:
    """Write a file that nobody else can read, whole or not at all."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
        output.write(content)
    draft.rename(file)


@contextmanager
def process(name: str, environment: dict[str, str], folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run one of our own commands until the block is left."""
    with (folder / f"{name}.log").open("wb") as log:
        child = subprocess.Popen(  # noqa: S603 - the command is our own
            [sys.executable, "-m", "healthcare", name],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=end_with_parent(signal.SIGTERM),  # noqa: PLW1509 - this process has one thread
        )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_until_ready(url: str, api: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Wait for the API; raise CannotStart if it does not come up."""
    directly = build_opener(ProxyHandler({}))  # a proxy for the world outside does not know this machine
    end = time.monotonic() + READY_WITHIN
    while time.monotonic() < end and api.poll() is None:
        try:
            with directly.open(url, timeout=1):
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise CannotStart(f"the API did not come up; {folder}/api.log says why")


def watch(ours: Mapping[str, "subprocess.Popen[bytes]"], servers: Servers, folder: Path) -> None:
    """Wait until somebody stops the demo; raise CannotStart if a part of it ends by itself."""
    while True:
        time.sleep(0.5)
        for name, child in ours.items():
            if child.poll() is not None:
                raise CannotStart(f"the {name} has ended by itself; {folder}/{name}.log says why")
        with socket.socket() as line:
            if line.connect_ex((servers.postgres.host, servers.postgres.port)):
                raise CannotStart(f"PostgreSQL has ended by itself; {folder}/servers holds its log")


def welcome(port: int, sign_ins: dict[str, sample.SignIn], folder: Path) -> str:
    """Return what a newcomer needs to begin."""
    base = f"http://127.0.0.1:{port}"
    tomorrow = (Container.clock().now() + timedelta(days=1)).date()
    lines = [f"  {role:8} {sign_in.email:22} {sign_in.password}" for role, sign_in in sign_ins.items()]
    return "\n".join(
        [
            "",
            f"API       {base}",
            f"docs      {base}/docs",
            f"OpenAPI   {base}/openapi.json",
            "",
            f"sign-ins (also in {folder}/sign-ins.json)",
            *lines,
            "",
            "a first request",
            f"  curl '{base}/booking/slots/search?specialty=cardiology&date={tomorrow}&tz=Europe/Berlin&limit=3'",
            "",
            "Ctrl-C stops everything.",
        ]
    )
