"""Real servers with real data, and the processes that are measured."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_connection, socket
from tempfile import TemporaryDirectory
from typing import Final
from uuid import UUID, uuid4

import psycopg
from psycopg.conninfo import make_conninfo

from benchmarks.processes import cpu, pin
from healthcare.adapters.embedded.home import discard
from healthcare.adapters.embedded.servers import Servers, running
from healthcare.adapters.postgres.migrate import migrate
from healthcare.adapters.security.keys import create_key
from healthcare.adapters.security.tokens import SignedTokens
from healthcare.adapters.system import new_id
from healthcare.domain.kernel import UserId

DATABASE: Final = "bench"
BUFFERS: Final = "1GB"
"""Of PostgreSQL, as docker-compose.yml has it."""
DOCTORS, SPECIALTIES, SLOTS_A_DAY, SLOT_MINUTES = 200, 10, 16, 30
PATIENTS: Final = 2000
"""Of a clinic of the usual size; a larger one has so many times as many of all but the slots of a day."""
COMES_UP_WITHIN: Final = 30.0
SERVED, OTHERS = {0}, {1}
"""Processors: what is measured has one for itself; the load, PostgreSQL and Redis share the other."""


@dataclass(frozen=True, slots=True)
class Data:
    """Who and what is in the database."""

    first_day: datetime
    days: int
    doctors: list[UserId]
    patients: list[UserId]

    @property
    def slots(self) -> int:
        """How many there are."""
        return len(self.doctors) * self.days * SLOTS_A_DAY

    @property
    def specialties(self) -> int:
        """How many there are: however large the clinic, as many doctors have the same one."""
        return len(self.doctors) * SPECIALTIES // DOCTORS

    def specialty(self, place: int) -> str:
        """Name the specialty of a doctor."""
        return f"specialty-{place % self.specialties}"


@dataclass(frozen=True, slots=True)
class Measured:
    """A process that serves on a port, or a server's."""

    pid: int
    port: int

    def cpu(self) -> float:
        """Return the seconds of processor time that it has used."""
        return cpu(self.pid)


@dataclass(frozen=True, slots=True)
class Stage:
    """Both servers, with a database full of slots."""

    servers: Servers
    folder: Path
    data: Data

    @property
    def conninfo(self) -> dict[str, str | int]:
        """How to connect to the database."""
        address = self.servers.postgres
        return {
            "host": address.host,
            "port": address.port,
            "user": address.user,
            "password": address.password,
            "dbname": DATABASE,
        }

    @property
    def postgres(self) -> Measured:
        """The server and all its backends."""
        return Measured(self.servers.postgres_pid, self.servers.postgres.port)

    @property
    def environment(self) -> dict[str, str]:
        """The settings of the product's processes."""
        address, redis = self.servers.postgres, self.servers.redis
        return {
            "POSTGRES_HOST": address.host,
            "POSTGRES_PORT": str(address.port),
            "POSTGRES_USER": address.user,
            "POSTGRES_PASSWORD": address.password,
            "POSTGRES_DB": DATABASE,
            "REDIS_HOST": redis.host,
            "REDIS_PORT": str(redis.port),
            "QUEUE_REDIS_HOST": redis.host,
            "QUEUE_REDIS_PORT": str(redis.port),
            "SIGNING_KEY_FILE": str(self.folder / "key.pem"),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        """Look into the database."""
        return psycopg.connect(make_conninfo("", **self.conninfo), autocommit=True)

    def bearers(self, users: list[UserId]) -> list[str]:
        """Return what signs the requests of these people."""
        tokens = SignedTokens.from_file(self.folder / "key.pem", new_id=new_id)
        return [f"Bearer {tokens.issue(user, now=datetime.now(UTC))}" for user in users]

    @contextmanager
    def api(self) -> Iterator[Measured]:
        """Run an API process."""
        port = free_port()
        command = [sys.executable, "-m", "healthcare", "api"]
        with self.process("api", command, self.environment | {"PORT": str(port)}, port) as one:
            yield one

    @contextmanager
    def bare(self, body: bytes) -> Iterator[Measured]:
        """Run the limit: an ASGI app that does nothing but send these bytes, under the same server."""
        port, file = free_port(), self.folder / "body"
        file.write_bytes(body)
        command = [sys.executable, "-m", "benchmarks.bare", str(port), str(file)]
        with self.process("bare", command, {"PYTHONPATH": os.pathsep.join(sys.path)}, port) as one:
            yield one

    @contextmanager
    def worker(self) -> Iterator[Measured]:
        """Run a worker."""
        with self.process("worker", [sys.executable, "-m", "healthcare", "worker"], self.environment, None) as one:
            yield one

    @contextmanager
    def process(self, name: str, command: list[str], more: dict[str, str], port: int | None) -> Iterator[Measured]:
        """Run a process on the processor of its own, until the block is left."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, env=os.environ | more, stdout=log, stderr=log, start_new_session=True)  # noqa: S603 - our own commands
        try:
            if port is not None:
                await_port(port, process)
            if len(os.sched_getaffinity(0) | SERVED) > 1:
                pin(process.pid, SERVED)
            yield Measured(process.pid, port or 0)
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def stage(days: int, *, size: int = 1) -> Iterator[Stage]:
    """Start both servers, with so many days of slots of a clinic of a size, in a folder that is deleted afterwards."""
    with TemporaryDirectory(prefix="healthcare-bench-") as parent:
        Path(parent).chmod(0o711)
        folder = Path(parent, "servers")
        try:
            with running(folder) as servers, psycopg.connect(servers.dsn("postgres"), autocommit=True) as admin:
                admin.execute(f"CREATE DATABASE {DATABASE}")
                admin.execute(f"ALTER SYSTEM SET shared_buffers = '{BUFFERS}'")
            with running(folder) as servers:
                create_key(Path(parent, "key.pem"))
                one = Stage(servers, Path(parent), fill(servers.dsn(DATABASE), days, size))
                pin(servers.guard_pid, OTHERS)
                os.sched_setaffinity(0, OTHERS)
                yield one
        finally:
            discard(folder)


def fill(dsn: str, days: int, size: int) -> Data:
    """Migrate, and copy people and slots in."""
    migrate(psycopg.conninfo.conninfo_to_dict(dsn))  # type: ignore[arg-type]
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    doctors, patients = ([UserId(uuid4()) for _ in range(number * size)] for number in (DOCTORS, PATIENTS))
    data = Data(today + timedelta(days=2), days, doctors, patients)
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor, without_indexes(connection):
        with cursor.copy(
            "COPY users (id, email, email_key, full_name, role, time_zone, password_hash) FROM STDIN"
        ) as copy:
            for role, ids in (("doctor", doctors), ("patient", patients)):
                for place, id in enumerate(ids):
                    address = f"{id}@bench.example"
                    copy.write_row((id, address, address, f"{role.title()} {place}", role, "UTC", "!"))
        with cursor.copy(
            "COPY doctor_profiles (doctor_id, specialty, languages, fee_amount, fee_currency, time_zone,"
            " registration_number) FROM STDIN"
        ) as copy:
            for place, id in enumerate(doctors):
                copy.write_row((id, data.specialty(place), ["en"], 4900, "EUR", "UTC", "1"))
        times = [
            (start, start + timedelta(minutes=SLOT_MINUTES))
            for day in range(days)
            for number in range(SLOTS_A_DAY)
            for start in [data.first_day + timedelta(days=day, hours=8, minutes=SLOT_MINUTES * number)]
        ]
        with cursor.copy("COPY slots (id, doctor_id, specialty, starts_at, ends_at) FROM STDIN") as copy:
            for start, end in times:
                copy.write(
                    "".join(
                        f"{uuid4()}\t{id}\t{data.specialty(place)}\t{start}\t{end}\n"
                        for place, id in enumerate(doctors)
                    )
                )
        # An eighth is booked already: plans that are made for empty tables say nothing about those of a clinic.
        cursor.execute(
            """
            INSERT INTO appointments (id, slot_id, doctor_id, patient_id, starts_at, ends_at, fee_amount, fee_currency,
                                      status, version)
            SELECT gen_random_uuid(), s.id, s.doctor_id, p.id, s.starts_at, s.ends_at, 4900, 'EUR', 'booked', 1
              FROM slots s
              JOIN unnest(%s::uuid[]) WITH ORDINALITY AS d (id, place) ON d.id = s.doctor_id
              JOIN unnest(%s::uuid[]) WITH ORDINALITY AS p (id, place) ON p.place = d.place
             WHERE (d.place + extract(epoch FROM s.starts_at)::bigint / 1800) %% 8 = 0
            """,
            [doctors, patients],
        )
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    return data


@contextmanager
def without_indexes(connection: "psycopg.Connection[tuple[object, ...]]") -> Iterator[None]:
    """Drop what would be kept up to date row by row, and make the same anew in the end."""
    connection.execute("SET session_replication_role = replica")  # what is copied refers to what is copied
    connection.execute("SET maintenance_work_mem = '512MB'")
    made = []
    for table in ("slots", "appointments"):
        constraints = connection.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = %s::regclass AND contype = 'x'",
            [table],
        ).fetchall()
        indexes = connection.execute(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
            " WHERE indrelid = %s::regclass AND NOT indisprimary"
            "   AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)",
            [table],
        ).fetchall()
        for name, definition in constraints:
            connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}".encode())
            made.append(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
        for name, definition in indexes:
            connection.execute(f"DROP INDEX {name}".encode())
            made.append(str(definition))
    yield
    for statement in made:
        connection.execute(statement.encode())
    connection.execute("SET session_replication_role = origin")


Wish = tuple[UUID, UserId]
"""A slot, and a patient who has time for it."""


def wishes(stage: Stage, most: int) -> list[Wish]:
    """Return slots that nobody has, in no order, each with one of 1,800 patients, who has time for it."""
    with stage.connect() as connection:
        rows = connection.execute(
            """
            SELECT s.id, s.starts_at, (d.place + %s * extract(epoch FROM s.starts_at)::bigint / %s) %% %s
              FROM slots s TABLESAMPLE BERNOULLI (%s)
              JOIN unnest(%s::uuid[]) WITH ORDINALITY AS d (id, place) ON d.id = s.doctor_id
             WHERE NOT EXISTS (SELECT FROM appointments a WHERE a.slot_id = s.id)
             ORDER BY md5(s.id::text)
             LIMIT %s
            """,
            [
                *(DOCTORS, SLOT_MINUTES * 60, PATIENTS - DOCTORS),
                *(min(100.0, 200.0 * most / stage.data.slots), stage.data.doctors, most),
            ],
        ).fetchall()
    # Those who have booked in `fill` are others, and nobody is given two slots of one time.
    found = {(start, int(str(patient))): slot for slot, start, patient in rows}
    return [(slot, stage.data.patients[-1 - patient]) for (_, patient), slot in found.items()]  # type: ignore[misc]


def free_port() -> int:
    """Return a port that nobody has at the moment."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def await_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until somebody listens."""
    end = time.monotonic() + COMES_UP_WITHIN
    while time.monotonic() < end and process.poll() is None:
        try:
            with create_connection(("127.0.0.1", port), 1):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nothing listens on {port}")
