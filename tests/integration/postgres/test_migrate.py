"""Migrations are applied once and in order, whoever runs them and however often."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from healthcare.adapters.embedded.servers import Servers
from healthcare.adapters.postgres.database import PostgresDatabase
from healthcare.adapters.postgres.migrate import Migration, MigrationRefused, migrate, shipped
from healthcare.domain.kernel import Actor, AppointmentId, Money, SlotId
from healthcare.domain.scheduling.asks import Booking
from healthcare.domain.scheduling.cancellation import Cancellation, ReasonCode
from healthcare.domain.scheduling.model import Appointment
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.builders import a_doctor, a_patient, a_time
from tests.clinic import Clinic
from tests.integration.conftest import conninfo_of
from tests.integration.world import Conninfo

ONE = Migration(1, "one", "CREATE TABLE one (id int); INSERT INTO one VALUES (1)")
TWO = Migration(2, "two", "SELECT pg_sleep(0.2); CREATE TABLE two (id int)")


@pytest.fixture
def empty(servers: Servers) -> Iterator[Conninfo]:
    """A database without tables."""
    with psycopg.connect(servers.dsn("postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE to_migrate")
        yield conninfo_of(servers, "to_migrate")
        admin.execute("DROP DATABASE to_migrate WITH (FORCE)")


def tables(conninfo: Conninfo) -> list[str]:
    """Return the names of the tables."""
    with psycopg.connect(make_conninfo("", **conninfo)) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
    return [row[0] for row in rows]


def test_what_was_applied_is_not_applied_again(empty: Conninfo) -> None:
    assert migrate(empty, [ONE]) == ["one"]
    assert migrate(empty, [ONE, TWO]) == ["two"]
    assert migrate(empty, [ONE, TWO]) == []
    assert tables(empty) == ["migrations", "one", "two"]


def test_three_at_once_apply_each_file_once(empty: Conninfo) -> None:
    with ThreadPoolExecutor(3) as at_once:
        applied = list(at_once.map(lambda _: migrate(empty, [ONE, TWO]), range(3)))

    assert sorted(name for names in applied for name in names) == ["one", "two"]


def test_a_file_that_was_edited_after_it_was_applied_is_refused(empty: Conninfo) -> None:
    migrate(empty, [ONE])

    with pytest.raises(MigrationRefused, match="edited"):
        migrate(empty, [Migration(1, "one", ONE.statements + " ")])


def test_a_file_that_fails_leaves_nothing_of_itself(empty: Conninfo) -> None:
    broken = Migration(2, "broken", "CREATE TABLE half (id int); SELECT 1 / 0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty, [ONE, broken])

    assert tables(empty) == ["migrations", "one"]
    assert migrate(empty, [ONE, TWO]) == ["two"]


def test_the_shipped_files_follow_one_another(empty: Conninfo) -> None:
    assert [one.version for one in shipped()] == list(range(1, len(shipped()) + 1))
    assert migrate(empty) == [one.name for one in shipped()]


ROWS_OF_0002 = """
    INSERT INTO users (id, email, email_key, full_name, role, time_zone, password_hash)
    VALUES ('{doctor}', 'd@test.example', 'd@test.example', 'Rosalind Franklin', 'doctor', 'UTC', '!'),
           ('{patient}', 'p@test.example', 'p@test.example', 'Grace Hopper', 'patient', 'UTC', '!');
    INSERT INTO doctor_profiles VALUES ('{doctor}', 'cardiology', '{{en}}', 4900, 'EUR', 'UTC', '1');
    INSERT INTO slots (id, doctor_id, specialty, starts_at, ends_at)
    VALUES ('{slot}', '{doctor}', 'cardiology', '2099-01-01 09:00Z', '2099-01-01 09:30Z');
    INSERT INTO appointments (id, slot_id, doctor_id, patient_id, starts_at, ends_at, fee_amount, fee_currency,
                              status, version, cancellation_reason)
    VALUES ('{cancelled}', '{slot}', '{doctor}', '{patient}', '2099-01-01 09:00Z', '2099-01-01 09:30Z', 100, 'EUR',
            'cancelled', 2, 'ill'),
           ('{booked}', '{slot}', '{doctor}', '{patient}', '2099-01-01 09:00Z', '2099-01-01 09:30Z', 4900, 'EUR',
            'booked', 1, NULL);
    INSERT INTO idempotency_keys (user_id, action, key, fingerprint, answer, created_at)
    VALUES ('{patient}', 'book-appointment', 'key', '\\x{fingerprint}', '{{
        "id": "{booked}", "slot": "{slot}",
        "doctor": {{"id": "{doctor}", "full_name": "Rosalind Franklin", "specialty": "cardiology"}},
        "patient": {{"id": "{patient}", "full_name": "Grace Hopper"}},
        "time": {{"start": "2099-01-01T09:00:00Z", "end": "2099-01-01T09:30:00Z"}},
        "fee": {{"amount": 4900, "currency": "EUR"}}, "status": "booked", "version": 1}}', now());
"""


@pytest.mark.anyio
async def test_what_was_kept_before_there_were_holds_reads_back_and_goes_on(empty: Conninfo) -> None:
    doctor, patient, slot = a_doctor(), a_patient(), SlotId(uuid4())
    time = a_time(datetime(2099, 1, 1, 9, tzinfo=UTC))
    booked = Appointment(
        id=AppointmentId(uuid4()), slot=slot, doctor=doctor, patient=patient, time=time, fee=Money(4900, "EUR")
    )
    cancelled = replace(
        booked,
        id=AppointmentId(uuid4()),
        fee=Money(100, "EUR"),
        status=AppointmentStatus.CANCELLED,
        version=2,
        cancellation=Cancellation("ill", ReasonCode.OTHER),
    )
    ask = Booking(actor=Actor(patient.id, "request"), slot=slot, key="key")
    ids = {"doctor": doctor.id, "patient": patient.id, "slot": slot, "booked": booked.id, "cancelled": cancelled.id}
    migrate(empty, shipped()[:2])
    with psycopg.connect(make_conninfo("", **empty)) as connection:
        connection.execute(ROWS_OF_0002.format(**ids, fingerprint=ask.fingerprint.hex()).encode())

    assert migrate(empty) == [one.name for one in shipped()[2:]]

    database = PostgresDatabase(empty, size=1)
    await database.open()
    try:
        async with database.begin() as uow:
            assert await uow.appointments.get(booked.id) == booked
            assert await uow.appointments.get(cancelled.id) == cancelled
            profile = await uow.profiles.get(doctor.id)
            diary = await uow.bookings.lock([ask])
        clinic = Clinic(database)
        assert await clinic.can.book_appointment(ask) == booked
        given_up = await clinic.can.cancel_appointment(
            actor=Actor(doctor.id, "request"), appointment=booked.id, reason="ill"
        )
        async with database.begin() as uow:
            assert await uow.appointments.get(booked.id) == given_up
    finally:
        await database.close()
    assert profile
    assert profile.notice_hours == 0
    assert [receipt.appointment for receipt in diary.receipts.values()] == [booked]


@pytest.mark.parametrize("table", ["audit_entries", "prescriptions"])
@pytest.mark.parametrize("change", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_what_must_be_provable_later_cannot_be_changed(postgres: Conninfo, table: str, change: str) -> None:
    with psycopg.connect(make_conninfo("", **postgres)) as connection:
        # Only the trigger is looked at here, so the row need not fit anything.
        connection.execute("SET session_replication_role = replica")
        fill(connection, table)
        connection.execute("SET session_replication_role = origin")

        with pytest.raises(psycopg.errors.RaiseException, match="never changed"):
            connection.execute(change.format(table).encode())


def fill(connection: "psycopg.Connection[tuple[object, ...]]", table: str) -> None:
    """Put one row into the table."""
    if table == "audit_entries":
        values = "gen_random_uuid(), now(), NULL, 'user.registered', NULL, 'success', 'x'"
    else:
        person = "gen_random_uuid(), 'A'"
        values = f"gen_random_uuid(), gen_random_uuid(), {person}, 'x', {person}, '[]', now()"
    connection.execute(f"INSERT INTO {table} VALUES ({values})".encode())
