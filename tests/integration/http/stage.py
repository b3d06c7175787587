"""Where programs are played: a clinic behind its API, in memory or on servers, that can be emptied and looked into."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, closing, contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from itertools import cycle, product
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

import httpx
import psycopg
from psycopg.conninfo import make_conninfo

from healthcare.adapters.memory.cache import MemorySearchCache
from healthcare.adapters.memory.database import MemoryDatabase, MemoryUnitOfWork
from healthcare.adapters.memory.tables import AppointmentRow, Kept
from healthcare.adapters.postgres.database import PostgresDatabase
from healthcare.adapters.redis.cache import RedisSearchCache
from healthcare.application.uow import UnitOfWork
from healthcare.domain.audit.model import Entry
from healthcare.domain.kernel import Clock, Event, Paging, Role, UserId
from healthcare.domain.scheduling.search import Search, Touched
from healthcare.entrypoints.api.scheduling import render
from tests.builders import DAY, HOUR, NOBODY, SYSTEM, FakeClock
from tests.clinic import Clinic, Database
from tests.integration.http.commands import Command
from tests.integration.http.conftest import client_of
from tests.integration.http.model import NO_REASON, NOTHING, Caller, Json, Model, Rows, Told, User, Who
from tests.integration.races.offices import refused_here
from tests.integration.shared_clock import SharedClock
from tests.integration.world import Conninfo

T = TypeVar("T")

LATE: Final = datetime(2030, 1, 7, 22, 59, 58, tzinfo=UTC)
"""When each program begins: just before a slot may start, and what is published lies on both sides of midnight."""
DAYS: Final = [(LATE + number * DAY).date() for number in range(3)]
SPECIALTIES: Final = ("cardiology", "dermatology")


class Backend(Database, Protocol):
    """A database that can be put back to how it was, and looked into."""

    async def remember(self) -> None:
        """Be able to go back to what is there now."""
        ...

    async def go_back(self) -> None:
        """Keep what was remembered, and nothing else."""
        ...

    async def rows(self) -> Rows:
        """Return what is kept, table by table."""
        ...


Kind = Callable[[Clock], MemoryDatabase]


@dataclass
class InMemory:
    """A new database in memory for each program."""

    kind: Kind
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.database = self.kind(self.clock)
        self.remembered = Kept()

    def begin(self) -> AbstractAsyncContextManager[UnitOfWork]:
        return self.database.begin()

    def read(self) -> AbstractAsyncContextManager[UnitOfWork]:
        return self.database.read()

    async def record(self, event: Event) -> None:
        await self.database.record(event)

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def check(self) -> None: ...

    async def remember(self) -> None:
        self._copy(self.database._kept, self.remembered)  # noqa: SLF001 - how it was is more than any question tells

    async def go_back(self) -> None:
        self.database = self.kind(self.clock)
        self._copy(self.remembered, self.database._kept)  # noqa: SLF001 - likewise

    @staticmethod
    def _copy(one: Kept, other: Kept) -> None:
        for table in fields(Kept):
            getattr(other, table.name).update(getattr(one, table.name))

    async def rows(self) -> Rows:
        async with self.begin() as uow:
            assert isinstance(uow, MemoryUnitOfWork)
            tx = uow.users.tx
        return plain(
            {
                "users": [(one.user.id, one.user.email.value, one.user.role) for one in tx.accounts],
                "profiles": [
                    (one.doctor, one.specialty, one.fee.amount, one.notice_hours, one.time_zone) for one in tx.profiles
                ],
                "slots": [
                    (one.id, one.doctor, one.specialty, one.time.start, one.time.end, one.withdrawn) for one in tx.slots
                ],
                "appointments": [
                    (one.id, one.slot, one.doctor, one.patient, one.time.start, one.time.end) for one in tx.appointments
                ],
                "states": [state_of(one) for one in tx.appointments],
                "keys": [(*name, one.receipt.appointment.id, one.at) for name, one in tx.receipts.items()],
                "consultations": [
                    (one.id, one.appointment, one.status, one.started_at, one.ended_at) for one in tx.consultations
                ],
                "prescriptions": [(one.id, one.consultation) for one in tx.prescriptions],
                "outbox": [row_of(one.event) for one in tx.outbox],
                "dead letters": [row_of(one.event) for one in tx.dead_letters],
                "entries": [row_of(one) for one in tx.entries],
            }
        )


def state_of(one: AppointmentRow) -> tuple[object, ...]:
    why = (one.cancellation.reason, one.cancellation.code, one.cancellation.late) if one.cancellation else NO_REASON
    return one.id, one.status, one.version, one.fee.amount, one.notice_hours, one.expires_at, one.extended, *why


def row_of(one: Event | Entry) -> tuple[object, ...]:
    return one.request, one.kind, one.actor, one.subject, one.at, one.outcome


EVENT = "request_id, kind, actor_id, subject_id, at, outcome"
COLUMNS = {
    "users": "id, email, role FROM users",
    "profiles": "doctor_id, specialty, fee_amount, notice_hours, time_zone FROM doctor_profiles",
    "slots": "id, doctor_id, specialty, starts_at, ends_at, withdrawn_at IS NOT NULL FROM slots",
    "appointments": "id, slot_id, doctor_id, patient_id, starts_at, ends_at FROM appointments",
    "states": "id, status, version, fee_amount, notice_hours, expires_at, extended, "
    "cancellation_reason, cancellation_code, cancelled_late FROM appointments",
    "keys": "user_id, key, answer->>'id', created_at FROM idempotency_keys",
    "consultations": "id, appointment_id, status, started_at, ended_at FROM consultations",
    "prescriptions": "id, consultation_id FROM prescriptions",
    "outbox": f"{EVENT} FROM outbox",
    "dead letters": f"{EVENT} FROM dead_letters",
    "entries": f"{EVENT} FROM audit_entries",
}


TABLES = (
    *("users", "doctor_profiles", "slots", "appointments", "idempotency_keys", "consultations", "prescriptions"),
    *("outbox", "dead_letters", "audit_entries"),
)
"""Each after those that it refers to."""


class OnPostgres(PostgresDatabase):
    """One database for all programs."""

    def __init__(self, conninfo: Conninfo) -> None:
        super().__init__(conninfo, size=4)
        self.eye = psycopg.connect(make_conninfo("", **conninfo, options="-c timezone=UTC"), autocommit=True)

    async def close(self) -> None:
        self.eye.close()
        await super().close()

    async def remember(self) -> None:
        self.eye.execute("CREATE SCHEMA remembered")
        for table in TABLES:
            self.eye.execute(f"CREATE TABLE remembered.{table} AS TABLE {table}".encode())

    async def go_back(self) -> None:
        with self.eye.pipeline():
            self.eye.execute(f"TRUNCATE {', '.join(TABLES)}".encode())
            for table in TABLES:
                again = f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE remembered.{table}"
                self.eye.execute(again.encode())

    async def rows(self) -> Rows:
        with self.eye.pipeline():
            cursors = {name: self.eye.execute(f"SELECT {columns}".encode()) for name, columns in COLUMNS.items()}
        return plain({name: cursor.fetchall() for name, cursor in cursors.items()})


def plain(tables: Mapping[str, Sequence[tuple[object, ...]]]) -> Rows:
    """Write ids as the API does."""
    return {
        name: Counter(tuple(str(value) if isinstance(value, UUID) else value for value in row) for row in rows)
        for name, rows in tables.items()
    }


@dataclass(frozen=True)
class Said:
    """What a command was answered, one transaction after the other."""

    command: Command
    request: str
    told: list[Told]

    @property
    def turned_away(self) -> bool:
        """Whether the servers were too slow, as they may be on a machine that others use too."""
        return self.told[0].body in ("busy", "unavailable")


class Stage:
    """A clinic behind its API, put back to how it was before each program."""

    def __init__(self, runner: asyncio.Runner, clinics: tuple[Clinic, Clinic], backend: Backend) -> None:
        clinic, other = clinics
        self.runner, self.clinic, self.backend = runner, clinic, backend
        self.client = client_of(clinic)
        # What is asked at once goes to one and the other in turn: some of it travels together, and some meets there.
        other.tokens.issued = clinic.tokens.issued
        self.clients = self.client, client_of(other)
        self.seen: Counter[tuple[str, str]] = Counter()
        """How often each command was answered with what."""
        document = self.run(self.client.get("/openapi.json")).json()
        self.described = {
            (method.upper(), path): {
                int(status): set(re.findall(r"`([a-z-]+)`", response["description"]))
                for status, response in operation["responses"].items()
            }
            for path, item in document["paths"].items()
            for method, operation in item.items()
        }
        """By route and status, the codes that are named."""
        self.beginning: Model | None = None
        """What is known of how it was."""

    @property
    def sent(self) -> int:
        return self.seen.total()

    @property
    def turned_away(self) -> int:
        return sum(number for (_, said), number in self.seen.items() if said in {"busy", "unavailable"})

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it; `Runner.run` would look after signals each time, which takes as long as many a request."""
        return self.runner.get_loop().run_until_complete(work)

    def begin(self, prepare: Callable[[Model], Model]) -> Model:
        """Go back to where what has to be there before is there; return what is known then."""
        if self.beginning is None:
            self.beginning = prepare(self.run(self._with_an_admin()))
            self.run(self.backend.remember())
        self.run(self._go_back())
        return self.beginning.copy()

    async def _with_an_admin(self) -> Model:
        """Add somebody whom no request can make."""
        self.clinic.clock.set(LATE)
        admin = await self.clinic.user(Role.ADMIN, email="admin@example.org")
        known = User(str(admin.id), admin.email.value, admin.full_name, admin.role, admin.time_zone)
        return Model(LATE, {known.id: known})

    async def _go_back(self) -> None:
        await self.backend.go_back()
        await self.clinic.cache.forget({Touched(specialty) for specialty in SPECIALTIES})
        self.clinic.clock.set(LATE)

    def ask(self, *commands: Command) -> list[Said]:
        """Send all at once."""

        async def ask() -> list[Said]:
            numbered = list(enumerate(commands, start=self.sent))
            return await asyncio.gather(
                *(
                    self._ask(client, command, f"request-{number}")
                    for client, (number, command) in zip(cycle(self.clients), numbered, strict=False)
                )
            )

        return self.run(ask())

    def work(self) -> None:
        """Let the worker do all that it has to do."""

        async def work() -> None:
            await self.clinic.can.mark_no_shows(actor=SYSTEM)
            await self.clinic.can.record_events(actor=SYSTEM, most=1000)
            await self.clinic.can.forget_keys(actor=SYSTEM)

        self.run(work())

    def look(self) -> tuple[Rows, dict[tuple[str, date], Json]]:
        """Look into the tables, and search, through the cache, as the API does."""

        async def look() -> tuple[Rows, dict[tuple[str, date], Json]]:
            rows = await self.backend.rows()
            return rows, {where: await self._found(*where) for where in product(SPECIALTIES, DAYS)}

        return self.run(look())

    async def _found(self, specialty: str, day: date) -> Json:
        search = Search(specialty, day, "UTC", Paging(500))
        return json.loads(await self.clinic.can.search_slots.written(actor=NOBODY, search=search, render=render))

    async def _ask(self, client: httpx.AsyncClient, command: Command, request: str) -> Said:
        response = await client.request(
            command.method,
            command.template.replace("{id}", command.target or ""),
            json=command.body,
            params=command.query,
            headers={**self._signed(command.who), **command.headers, "X-Request-Id": request},
        )
        said = self._read(command, request, response)
        self.seen[type(command).__name__, said.told[0].body if response.is_error else "done"] += 1
        return said

    def _signed(self, who: Caller) -> dict[str, str]:
        tokens, now = self.clinic.tokens, self.clinic.clock.now()
        match who:
            case Who.NOBODY:
                return {}
            case Who.EXPIRED:
                token = tokens.issue(UserId(UUID(NOTHING)), now=now - HOUR)
            case Who():
                token = "forged"
            case _:
                token = tokens.issue(UserId(UUID(who)), now=now)
        return {"Authorization": f"Bearer {token}"}

    def _read(self, command: Command, request: str, response: httpx.Response) -> Said:
        """Read an answer, which must be one that the description of the API names."""
        status, media_type = response.status_code, response.headers.get("content-type")
        body: Json = response.json() if response.content else None
        named = self.described[command.method, command.template]
        assert status in named, response.text
        assert response.headers["x-request-id"] == request
        if response.is_success:
            assert media_type == ("application/json" if response.content else None)
            return Said(command, request, command.told(status, response.headers.get("etag"), body))
        assert media_type == "application/problem+json"
        assert (body["status"], body["request_id"]) == (status, request)
        assert body["code"] in named[status]
        assert (status == 503) is ("retry-after" in response.headers)
        more = [body[name] for name in ("alternatives",) if name in body]
        return Said(command, request, [Told(status, None, part) for part in (body["code"], *more)])


@contextmanager
def in_memory(kind: Kind = MemoryDatabase) -> Iterator[Stage]:
    """Open a clinic in memory."""
    backend = InMemory(kind)
    with asyncio.Runner() as runner:
        cache = MemorySearchCache(backend.clock)
        clinics = Clinic(backend, cache, clock=backend.clock), Clinic(backend, cache, clock=backend.clock)
        yield Stage(runner, clinics, backend)


@contextmanager
def on_servers(conninfo: Conninfo, redis: tuple[str, int]) -> Iterator[Stage]:
    """Open a clinic on PostgreSQL and Redis; afterwards show that no constraint had to refuse."""
    clock, (host, port) = SharedClock(conninfo), redis
    backend, cache = OnPostgres(conninfo), RedisSearchCache(host=host, port=port, clock=clock)
    refused = refused_here()
    with asyncio.Runner() as runner, closing(clock):
        runner.run(backend.open())
        try:
            clinics = Clinic(backend, cache, clock=clock), Clinic(backend, cache, clock=clock)
            yield Stage(runner, clinics, backend)
        finally:
            runner.run(cache.close())
            runner.run(backend.close())
    assert refused_here() == refused
