"""However many slots there are, the statements of the product find their rows by index."""

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import md5
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.errors import Diagnostic

from healthcare.adapters.embedded.servers import Servers
from healthcare.adapters.postgres.database import PostgresDatabase, PostgresUnitOfWork
from healthcare.adapters.system import SystemClock, new_id
from healthcare.domain.audit.model import Question
from healthcare.domain.identity.model import Email
from healthcare.domain.kernel import (
    Actor,
    AppointmentId,
    ConsultationId,
    EventKind,
    Happened,
    Paging,
    Position,
    SlotId,
    UserId,
)
from healthcare.domain.scheduling.asks import (
    Ask,
    Booking,
    Cancelling,
    Holding,
    Missing,
    Release,
    Rescheduling,
    Withdrawal,
)
from healthcare.domain.scheduling.diary import Diary
from healthcare.domain.scheduling.model import Appointment, Slot, TimeRange
from healthcare.domain.scheduling.search import Search
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.examples import examples
from tests.integration.conftest import conninfo_of
from tests.integration.world import Conninfo

SLOTS = min(examples(200_000), 1_000_000)
DOCTORS = 500
PATIENTS = SLOTS // 20
MOST_ROWS = 300
"""What one scan may read: more than a doctor offers in the days ahead, all of which moves with their specialty; less
than what stands before the late pages of one doctor's list."""
SMALL = {"doctor_profiles"}
"""One row for each doctor: such a table may be read from end to end."""


def numbered(number: int) -> UUID:
    """Return the id of a number: doctors stand among patients, as if they had registered in any order."""
    return UUID(md5(str(number).encode(), usedforsecurity=False).hexdigest())


TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAY = TODAY + timedelta(days=2)
DAYS_AHEAD = 30
DOCTOR = UserId(numbered(7))
PATIENT = UserId(numbered(1_007))
LAST = SlotId(numbered(SLOTS - 1))
"""A slot that is free."""
ACTOR = Actor(PATIENT, "request")
HAPPENED = Happened(SystemClock(), new_id)
NEXT = Paging(after=Position(DAY, numbered(1)))
LATE = Paging(after=Position(DAY + timedelta(days=DAYS_AHEAD - 5), numbered(1)))

# Doctors are numbered from 1 and patients from 1,001. All doctors begin slots at the same times, eight a day, and slots
# are numbered time by time: whoever has every fifth one then never is in two places.
LOAD = """
    CREATE FUNCTION id(number bigint) RETURNS uuid IMMUTABLE LANGUAGE sql
        RETURN md5(number::text)::uuid;
    -- Foreign keys are not looked up row by row; all that is loaded keeps them.
    SET session_replication_role = replica;
    INSERT INTO users (id, email, email_key, full_name, role, time_zone, password_hash)
    SELECT id(n), n || '@test.example', n || '@test.example', 'Person ' || n,
           CASE WHEN n <= %(doctors)s THEN 'doctor' ELSE 'patient' END, 'UTC', '!'
      FROM generate_series(1, 1000 + %(patients)s) n WHERE n <= %(doctors)s OR n > 1000;
    INSERT INTO doctor_profiles
    SELECT id(n), 'specialty ' || n %% 25, '{en}', 4900, 'EUR', 'UTC', '1' FROM generate_series(1, %(doctors)s) n;
    CREATE TEMPORARY TABLE numbered AS
    SELECT n, n %% %(doctors)s + 1 AS doctor, id(1001 + n / 5 %% %(patients)s) AS patient, starts_at
      FROM generate_series(0, %(slots)s - 1) n,
   LATERAL (SELECT %(last)s::timestamptz + make_interval(days => (n - %(slots)s) / %(doctors)s / 8,
                                                         mins => 540 + 30 * (n / %(doctors)s %% 8))) AS t (starts_at);
    INSERT INTO slots (id, doctor_id, specialty, starts_at, ends_at)
    SELECT id(n), id(doctor), 'specialty ' || doctor %% 25, starts_at, starts_at + interval '30 minutes' FROM numbered;
    INSERT INTO appointments (id, slot_id, doctor_id, patient_id, starts_at, ends_at, fee_amount, fee_currency, version,
                              status, cancellation_reason, cancellation_code, expires_at)
    SELECT id(n), id(n), id(doctor), patient, starts_at, starts_at + interval '30 minutes', 4900, 'EUR', 1,
           status,
           CASE status WHEN 'cancelled' THEN 'ill' END,
           CASE status WHEN 'cancelled' THEN 'pat' END,
           CASE status WHEN 'pending' THEN starts_at END
      FROM numbered,
   LATERAL (SELECT CASE WHEN abs(hashint8(n)) %% 100 < 10 THEN 'cancelled'
                        WHEN abs(hashint8(n)) %% 100 = 10 THEN 'pending'
                        WHEN abs(hashint8(n)) %% 100 < 15 AND starts_at < %(today)s THEN 'noshow'
                        WHEN starts_at < %(today)s - interval '1 day' THEN 'fulfilled'
                        ELSE 'booked' END) AS s (status)
     WHERE (n / %(doctors)s + doctor) %% 5 = 0;
    INSERT INTO idempotency_keys (user_id, action, key, fingerprint, answer, created_at)
    SELECT patient_id, 'book-appointment', id::text, '', '{}', starts_at - interval '30 days' FROM appointments;
    INSERT INTO consultations (id, appointment_id, status, started_at, ended_at)
    SELECT id, id, 'finished', starts_at, ends_at FROM appointments WHERE status = 'fulfilled';
    INSERT INTO prescriptions
    SELECT c.id, c.id, doctor_id, 'D', 'S', patient_id, 'P', '[]', ends_at
      FROM consultations c JOIN appointments a ON a.id = appointment_id;
    INSERT INTO outbox (id, kind, at, outcome, request_id)
    SELECT id(n), 'slots.published', now(), 'success', 'request' FROM generate_series(1, 10000) n;
    INSERT INTO audit_entries (id, at, actor_id, kind, subject_id, outcome, request_id)
    SELECT id(n), starts_at, patient, (%(kinds)s::text[])[1 + n / 2 %% %(number)s], id(n),
           'success', 'request'
      FROM numbered WHERE n %% 2 = 1;
    DROP TABLE numbered;
"""

EXPLAIN = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_nested_statements": "on",  # those by which foreign keys are looked up
    "auto_explain.log_format": "json",
    "client_min_messages": "log",
    "log_min_messages": "fatal",  # nobody reads the plans in the server's log
}


@dataclass(frozen=True, slots=True)
class Scan:
    """How a plan reads one table."""

    table: str
    way: str
    rows: float
    """Read in all, with those that were read in vain."""

    @property
    def slow(self) -> bool:
        """Whether it takes longer the more rows the table has."""
        return self.table not in SMALL and (self.way == "Seq Scan" or self.rows > MOST_ROWS)


Path = Callable[[PostgresUnitOfWork], Awaitable[object]]


@pytest.fixture(scope="module")
def crowded(servers: Servers, template: Conninfo) -> Iterator[Conninfo]:
    """A clinic of many years, whose server explains to its clients what it does."""
    name = "test_plans"
    with psycopg.connect(servers.dsn("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template['dbname']} STRATEGY file_copy")
        conninfo = conninfo_of(servers, name)
        load(servers.dsn(name))
        for setting, value in EXPLAIN.items():
            admin.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'".encode())
        yield conninfo
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def load(dsn: str) -> None:
    """Fill the tables, and let PostgreSQL count them."""
    kinds = [kind.value for kind in EventKind]
    values = {
        "slots": SLOTS,
        "doctors": DOCTORS,
        "patients": PATIENTS,
        "today": TODAY,
        "last": TODAY + timedelta(days=DAYS_AHEAD),
        "kinds": kinds,
        "number": len(kinds),
    }
    with psycopg.connect(dsn, autocommit=True) as connection:
        psycopg.ClientCursor(connection).execute(LOAD.encode(), values)
        connection.execute("VACUUM ANALYZE")


async def scans(conninfo: Conninfo, path: Path, *, without: str | None = None) -> list[Scan]:
    """Take the path with the product's own pool, keep nothing, and return how tables were read."""
    plans: list[dict[str, Any]] = []

    def notice(diagnostic: Diagnostic) -> None:
        _, found, plan = (diagnostic.message_primary or "").partition("plan:\n")
        if found:
            plans.append(json.loads(plan)["Plan"])

    database = PostgresDatabase(conninfo, size=1)
    await database.open()
    try:
        async with database.begin() as uow:
            assert isinstance(uow, PostgresUnitOfWork)
            session = uow.users.session
            connection = await session._begun()  # noqa: SLF001 - the pool shows its connections to nobody
            connection.add_notice_handler(notice)
            if without:
                await session.read(without)
            await path(uow)
            # This also ends the last statement, and explains it.
            await connection.roll_back()
            session.changed = False
    finally:
        await database.close()
    return [scan for plan in plans for scan in scans_of(plan)]


def scans_of(node: dict[str, Any]) -> Iterator[Scan]:
    """Return how a node of a plan, and all below it, read tables."""
    if "Scan" in node["Node Type"] and "Relation Name" in node:
        vain = sum(value for name, value in node.items() if name.startswith("Rows Removed by"))
        yield Scan(node["Relation Name"], node["Node Type"], (node["Actual Rows"] + vain) * node["Actual Loops"])
    for below in node.get("Plans", []):
        yield from scans_of(below)


async def decide(uow: PostgresUnitOfWork, *asked: Ask) -> Diary:
    """Look, decide and keep; nobody is refused."""
    diary = await uow.bookings.lock(asked)
    diary.sweep(HAPPENED, request="request")
    for one in asked:
        diary.decide(one, HAPPENED)
    await uow.bookings.keep(diary)
    return diary


async def free_slots(uow: PostgresUnitOfWork, number: int, *, out_of: int) -> Sequence[Slot]:
    """Return slots that can be booked, at equal distances among the first of a day."""
    page = await uow.slots.free(Search("specialty 7", DAY.date(), paging=Paging(out_of)), now=datetime.now(UTC))
    return page.items[:: out_of // number][:number]


async def booked(uow: PostgresUnitOfWork, number: int) -> Sequence[Appointment]:
    """Return appointments of one doctor that are still to come."""
    page = await uow.appointments.of(DOCTOR, NEXT, as_doctor=True)
    return [one for one in page.items if one.status is AppointmentStatus.BOOKED][:number]


async def book(uow: PostgresUnitOfWork) -> None:
    """Book a free slot twice with one key, so that the second time is a replay."""
    ask = Booking(actor=ACTOR, slot=LAST, key="key")
    for replay in (False, True):
        diary = await decide(uow, ask)
        assert bool(diary.replayed) is replay


async def hold(uow: PostgresUnitOfWork) -> None:
    """Hold two slots, one of them for longer; give one back, and book the other."""
    one, other = await free_slots(uow, 2, out_of=50)
    for slot in (one, other, one):
        await decide(uow, Holding(actor=ACTOR, slot=slot.id))
    await decide(uow, Release(actor=ACTOR, slot=other.id))
    diary = await decide(uow, Booking(actor=ACTOR, slot=one.id, key="key"))
    assert not diary.new


async def reschedule(uow: PostgresUnitOfWork) -> None:
    """Move an appointment to another doctor."""
    (appointment,) = await booked(uow, 1)
    await decide(uow, moving(appointment, LAST))


async def cancel(uow: PostgresUnitOfWork) -> None:
    """Cancel an appointment that is still to come."""
    (appointment,) = await booked(uow, 1)
    await decide(uow, Cancelling(actor=Actor(DOCTOR, "request"), appointment=appointment.id, reason="reason"))


async def crowd(uow: PostgresUnitOfWork) -> None:
    """Decide for 48 patients at once."""
    slots, appointments = await free_slots(uow, 48, out_of=96), await booked(uow, 32)
    patients = [Actor(UserId(numbered(2_000 + number)), "request") for number in range(16)]
    booked_then, held, wanted = slots[:16], slots[16:32], slots[32:]
    diary = await decide(
        uow,
        *(Booking(actor=who, slot=slot.id, key="key") for who, slot in zip(patients, booked_then, strict=True)),
        *(Holding(actor=who, slot=slot.id) for who, slot in zip(patients, held, strict=True)),
        *(moving(one, slot.id) for one, slot in zip(appointments[:16], wanted, strict=True)),
        *(
            Cancelling(actor=Actor(one.patient.id, "request"), appointment=one.id, reason="r")
            for one in appointments[16:]
        ),
    )
    assert len(diary.new) == 32


def moving(appointment: Appointment, slot: SlotId) -> Rescheduling:
    return Rescheduling(actor=Actor(appointment.patient.id, "request"), appointment=appointment.id, slot=slot)


async def miss(uow: PostgresUnitOfWork) -> None:
    """Find out who did not come yesterday."""
    overdue = await uow.appointments.overdue(100, before=TODAY)
    assert len(overdue) == 100
    await decide(uow, *(Missing(actor=Actor(None, "request", system=True), appointment=one) for one in overdue))


async def cancel_day(uow: PostgresUnitOfWork) -> None:
    """Take a whole day back, with the appointments that stand on it."""
    slots = await uow.slots.on(DOCTOR, DAY, DAY + timedelta(days=1))
    doctor = Actor(DOCTOR, "request")
    diary = await decide(uow, *(Withdrawal(actor=doctor, slot=slot, even_taken=True) for slot in slots))
    assert len(diary.withdrawn) == 8


async def consult(uow: PostgresUnitOfWork) -> None:
    """Read the consultation and the prescription of an appointment of long ago."""
    page = await uow.appointments.of(DOCTOR, Paging(), as_doctor=True)
    given = [await uow.consultations.of(appointment.id) for appointment in page.items[:5]]
    consultation = next(one for one in given if one)
    assert await uow.consultations.lock(ConsultationId(consultation.id))
    assert await uow.prescriptions.of(consultation.id)


async def relay(uow: PostgresUnitOfWork) -> None:
    """Take events out of the outbox; one of them fails."""
    first, *others = await uow.outbox.lock(100)
    assert len(await uow.outbox.take(others)) == 99
    await uow.outbox.failed(first, "reason")


def search(paging: Paging) -> Path:
    return lambda uow: uow.slots.free(Search("specialty 7", DAY.date(), paging=paging), now=datetime.now(UTC))


def appointments(user: UserId, paging: Paging, *, as_doctor: bool) -> Path:
    return lambda uow: uow.appointments.of(user, paging, as_doctor=as_doctor)


def entries(question: Question, paging: Paging | None = None) -> Path:
    return lambda uow: uow.entries.find(question, paging or Paging())


PATHS: dict[str, Path] = {
    "sign in": lambda uow: uow.users.account(Email("1007@test.example")),
    "search": search(Paging()),
    "search on": search(NEXT),
    "slots of a doctor": lambda uow: uow.slots.of(DOCTOR, Paging()),
    "slots of a doctor, on": lambda uow: uow.slots.of(DOCTOR, LATE),
    "times of a doctor": lambda uow: uow.slots.times(DOCTOR, TimeRange(DAY, DAY + timedelta(days=1))),
    "change of specialty": lambda uow: uow.slots.move(DOCTOR, "other", now=datetime.now(UTC)),
    "alternatives": lambda uow: uow.slots.alternatives([SlotId(numbered(7)), SlotId(numbered(70_007))], 3),
    "booking": book,
    "hold": hold,
    "rescheduling": reschedule,
    "cancellation": cancel,
    "many at once": crowd,
    "day": cancel_day,
    "no-shows": miss,
    "old receipts": lambda uow: uow.bookings.forget(100, before=TODAY - timedelta(days=30)),
    "appointments of a patient": appointments(PATIENT, Paging(), as_doctor=False),
    "appointments of a doctor": appointments(DOCTOR, Paging(), as_doctor=True),
    "appointments of a doctor, on": appointments(DOCTOR, NEXT, as_doctor=True),
    "an appointment": lambda uow: uow.appointments.get(AppointmentId(numbered(7))),
    "consultation": consult,
    "outbox": relay,
    "entries": entries(Question()),
    "entries on": entries(Question(), NEXT),
    "entries of an actor": entries(Question(actor=PATIENT)),
    "entries on a subject": entries(Question(subject=numbered(7))),
    "entries of a kind": entries(Question(kind=EventKind.ACCESS_REFUSED)),
    "entries of a day": entries(Question(since=TODAY - timedelta(days=1), until=TODAY)),
    "entries of an actor and a kind": entries(Question(actor=PATIENT, kind=EventKind.ACCESS_REFUSED)),
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", PATHS)
async def test_no_path_reads_a_big_table_from_end_to_end(crowded: Conninfo, name: str) -> None:
    """Neither in order of storage nor through an index that does not fit."""
    taken = await scans(crowded, PATHS[name])
    assert taken
    assert not [scan for scan in taken if scan.slow]


MANY_KEYS = f"""
    INSERT INTO idempotency_keys (user_id, action, key, fingerprint, answer, created_at)
    SELECT %s, 'book-appointment', number::text, '', '{{}}', now() FROM generate_series(1, {4 * MOST_ROWS}) AS number
"""


async def keys_that_come_later(uow: PostgresUnitOfWork) -> None:
    """Book while there are no keys, and with the plan that was made then when there are many."""
    one, other = await free_slots(uow, 2, out_of=50)
    await uow.users.session.write("ANALYZE idempotency_keys")
    await decide(uow, Booking(actor=ACTOR, slot=one.id, key="key"))
    await uow.users.session.write(MANY_KEYS, [ACTOR.known])
    await decide(uow, Booking(actor=ACTOR, slot=other.id, key="another"))


@pytest.mark.anyio
async def test_a_plan_that_is_made_while_there_are_no_keys_is_good_for_many(crowded: Conninfo) -> None:
    taken = await scans(crowded, keys_that_come_later, without="TRUNCATE idempotency_keys")
    assert len([scan for scan in taken if scan.table == "idempotency_keys"]) == 2
    assert not [scan for scan in taken if scan.slow]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "without", "table"),
    [
        ("search", "DROP INDEX free_time", "slots"),
        ("booking", "DROP INDEX one_live_appointment_per_slot", "appointments"),
        ("booking", "ALTER TABLE idempotency_keys DROP CONSTRAINT one_effect_per_key", "idempotency_keys"),
        ("no-shows", "DROP INDEX appointments_by_end", "appointments"),
        ("alternatives", "DROP INDEX slots_by_doctor", "slots"),
        ("old receipts", "DROP INDEX keys_by_age", "idempotency_keys"),
        ("appointments of a patient", "DROP INDEX appointments_by_patient", "appointments"),
        ("appointments of a doctor", "DROP INDEX appointments_by_doctor", "appointments"),
        ("outbox", "DROP INDEX outbox_by_turn", "outbox"),
        ("entries of an actor", "DROP INDEX entries_by_actor", "audit_entries"),
    ],
)
async def test_an_index_that_is_missing_is_noticed(crowded: Conninfo, name: str, without: str, table: str) -> None:
    """It is dropped in the transaction that takes the path, and is there again afterwards."""
    taken = await scans(crowded, PATHS[name], without=without)
    assert table in {scan.table for scan in taken if scan.slow}
