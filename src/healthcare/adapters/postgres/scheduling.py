"""Slots, appointments and bookings, in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg.rows import DictRow
from psycopg.types.json import Json
from psycopg.types.range import Range

from healthcare.adapters.postgres.outbox import PostgresOutbox
from healthcare.adapters.postgres.session import Session
from healthcare.domain.kernel import AppointmentId, Doctor, Money, Page, Paging, Patient, Position, Role, SlotId, UserId
from healthcare.domain.policy import Action
from healthcare.domain.scheduling.model import (
    Appointment,
    AppointmentStatus,
    Booked,
    Booking,
    Diary,
    Receipt,
    Search,
    Slot,
    TimeRange,
)

LIVE: Final = "status NOT IN ('cancelled', 'entered-in-error')"
"""What the domain calls live, as the indexes write it; a test compares the three."""

SLOT: Final = f"""
    SELECT s.id, s.doctor_id, d.full_name AS doctor_full_name, s.specialty, s.starts_at, s.ends_at,
           p.fee_amount, p.fee_currency,
           s.withdrawn_at IS NULL AND d.role = 'doctor' AS offered,
           EXISTS (SELECT FROM appointments a WHERE a.slot_id = s.id AND a.{LIVE}) AS taken
      FROM slots s
      JOIN users d ON d.id = s.doctor_id
      JOIN doctor_profiles p ON p.doctor_id = s.doctor_id
"""

APPOINTMENT: Final = """
    SELECT a.id, a.slot_id, a.doctor_id, d.full_name AS doctor_full_name, s.specialty,
           a.patient_id, p.full_name AS patient_full_name,
           a.starts_at, a.ends_at, a.fee_amount, a.fee_currency, a.status, a.version
      FROM appointments a
      JOIN slots s ON s.id = a.slot_id
      JOIN users d ON d.id = a.doctor_id
      JOIN users p ON p.id = a.patient_id
"""

LOCK: Final = """
    WITH locked AS MATERIALIZED (
             SELECT id FROM slots WHERE id = ANY(%(slots)s::uuid[]) ORDER BY id FOR UPDATE),
         queue AS MATERIALIZED (
             SELECT DISTINCT hashtextextended('patient:' || patient, 0) AS key
               FROM unnest(%(patients)s::uuid[]) AS patient
              ORDER BY key)
    SELECT count(pg_advisory_xact_lock(key)) FROM queue WHERE (SELECT count(*) FROM locked) >= 0
"""
"""First the slots, then the patients, each in order: whoever follows the same order cannot deadlock."""

LOOK: Final = f"""
    SELECT asked.user_id, u.role, u.full_name, s.*, k.fingerprint, k.answer,
           (SELECT array_agg(tstzrange(a.starts_at, a.ends_at))
              FROM appointments a
             WHERE a.patient_id = asked.user_id
               AND a.{LIVE}
               AND tstzrange(a.starts_at, a.ends_at) && tstzrange(s.starts_at, s.ends_at)) AS busy
      FROM unnest(%(patients)s::uuid[], %(slots)s::uuid[], %(keys)s::text[])
           WITH ORDINALITY AS asked (user_id, slot_id, key, place)
      LEFT JOIN users u ON u.id = asked.user_id
      LEFT JOIN LATERAL ({SLOT} WHERE s.id = asked.slot_id) AS s ON true
      LEFT JOIN idempotency_keys k
             ON (k.user_id, k.action, k.key) = (asked.user_id, %(action)s, asked.key)
     ORDER BY asked.place
"""
"""One row for each who asks, in order of arrival."""

KEEP: Final = """
    WITH booked AS (
             SELECT * FROM json_to_recordset(%(booked)s) AS (
                 id uuid, slot_id uuid, doctor_id uuid, patient_id uuid, starts_at timestamptz, ends_at timestamptz,
                 fee_amount bigint, fee_currency text, status text, version integer,
                 user_id uuid, action text, key text, fingerprint text, answer jsonb,
                 event_id uuid, event_kind text, event_at timestamptz, event_outcome text, event_request text)),
         appointment AS (
             INSERT INTO appointments (id, slot_id, doctor_id, patient_id, starts_at, ends_at,
                                       fee_amount, fee_currency, status, version)
             SELECT id, slot_id, doctor_id, patient_id, starts_at, ends_at, fee_amount, fee_currency, status, version
               FROM booked),
         event AS (
             INSERT INTO outbox (id, kind, at, actor_id, subject_id, outcome, request_id, traceparent)
             SELECT event_id, event_kind, event_at, user_id, id, event_outcome, event_request, %(parent)s::text
               FROM booked)
    INSERT INTO idempotency_keys (user_id, action, key, fingerprint, answer, created_at)
    SELECT user_id, action, key, decode(fingerprint, 'hex'), answer, event_at FROM booked
"""


def slot_of(row: DictRow) -> Slot:
    """Read a slot from the columns of SLOT."""
    return Slot(
        id=row["id"],
        doctor=Doctor(row["doctor_id"], row["doctor_full_name"], row["specialty"]),
        time=TimeRange(row["starts_at"], row["ends_at"]),
        fee=Money(row["fee_amount"], row["fee_currency"]),
        taken=row["taken"],
        offered=row["offered"],
    )


def appointment_of(row: DictRow) -> Appointment:
    """Read an appointment from the columns of APPOINTMENT."""
    return Appointment(
        id=row["id"],
        slot=row["slot_id"],
        doctor=Doctor(row["doctor_id"], row["doctor_full_name"], row["specialty"]),
        patient=Patient(row["patient_id"], row["patient_full_name"]),
        time=TimeRange(row["starts_at"], row["ends_at"]),
        fee=Money(row["fee_amount"], row["fee_currency"]),
        status=AppointmentStatus(row["status"]),
        version=row["version"],
    )


BEGINNING: Final = Position(datetime.min.replace(tzinfo=UTC), UUID(int=0))
"""Where a list begins that has no page before."""


def start_of(item: Slot | Appointment) -> Position:
    """Return the item's place in a list by start."""
    return Position(item.time.start, item.id)


def beyond(paging: Paging) -> dict[str, object]:
    """Return the parameters of `(starts_at, id) > (%(after)s, %(after_id)s) … LIMIT %(most)s`.

    The first page is no other statement: it comes after what comes before everything.
    """
    after = paging.after or BEGINNING
    return {"after": after.at, "after_id": after.id, "most": paging.limit + 1}


@dataclass(frozen=True, slots=True)
class PostgresSlots:
    """The time that doctors offer."""

    session: Session

    async def times(self, doctor: UserId, within: TimeRange) -> Sequence[TimeRange]:
        """Return when the doctor's slots stand that overlap the range."""
        rows = await self.session.read(
            """
            SELECT starts_at, ends_at
              FROM slots
             WHERE doctor_id = %s AND withdrawn_at IS NULL AND tstzrange(starts_at, ends_at) && tstzrange(%s, %s)
            """,
            [doctor, within.start, within.end],
        )
        return [TimeRange(row["starts_at"], row["ends_at"]) for row in rows]

    async def add(self, slots: Sequence[Slot]) -> None:
        """Keep new slots."""
        rows = [(slot.id, slot.doctor.id, slot.doctor.specialty, slot.time.start, slot.time.end) for slot in slots]
        await self.session.write(
            """
            INSERT INTO slots (id, doctor_id, specialty, starts_at, ends_at)
            SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::timestamptz[], %s::timestamptz[])
            """,
            [list(column) for column in zip(*rows, strict=True)],
        )

    async def move(self, doctor: UserId, specialty: str, *, now: datetime) -> None:
        """Offer the doctor's slots that have not started under another specialty."""
        await self.session.write(
            """
            WITH locked AS MATERIALIZED (
                SELECT id FROM slots
                 WHERE doctor_id = %s AND withdrawn_at IS NULL AND starts_at > %s
                 ORDER BY id FOR UPDATE)
            UPDATE slots SET specialty = %s WHERE id IN (SELECT id FROM locked)
            """,
            [doctor, now, specialty],
        )

    async def lock(self, slot: SlotId) -> Slot | None:
        """Return the slot as nobody else can change it; it is looked at only when the lock is had."""
        await self.session.read(LOCK, {"slots": [slot], "patients": []})
        rows = await self.session.read(f"{SLOT} WHERE s.id = %s", [slot])
        return slot_of(rows[0]) if rows else None

    async def withdraw(self, slot: SlotId) -> None:
        """Keep that the slot is no longer offered."""
        await self.session.write("UPDATE slots SET withdrawn_at = now() WHERE id = %s", [slot])

    async def of(self, doctor: UserId, paging: Paging) -> Page[Slot]:
        """Return the doctor's slots by start."""
        rows = await self.session.read(
            f"""
            {SLOT}
             WHERE s.doctor_id = %(doctor)s
               AND s.withdrawn_at IS NULL
               AND (s.starts_at, s.id) > (%(after)s, %(after_id)s)
             ORDER BY s.starts_at, s.id
             LIMIT %(most)s
            """,
            {"doctor": doctor, **beyond(paging)},
        )
        return paging.cut([slot_of(row) for row in rows], start_of)

    async def free(self, search: Search, *, now: datetime) -> Page[Slot]:
        """Return the slots that can be booked, have not started and are searched for."""
        start, end = search.bounds
        rows = await self.session.read(
            f"""
            {SLOT}
             WHERE s.specialty = %(specialty)s
               AND s.starts_at >= %(start)s AND s.starts_at < %(end)s AND s.starts_at > %(now)s
               AND s.withdrawn_at IS NULL
               AND d.role = 'doctor'
               AND NOT EXISTS (SELECT FROM appointments a WHERE a.slot_id = s.id AND a.{LIVE})
               AND (s.starts_at, s.id) > (%(after)s, %(after_id)s)
             ORDER BY s.starts_at, s.id
             LIMIT %(most)s
            """,
            {"specialty": search.specialty, "start": start, "end": end, "now": now, **beyond(search.paging)},
        )
        return search.paging.cut([slot_of(row) for row in rows], start_of)


@dataclass(frozen=True, slots=True)
class PostgresBookings:
    """The path from a wish to an appointment: three statements, however many wish."""

    session: Session

    async def lock(self, asked: Sequence[Booking]) -> Diary:
        """Lock, and only then look.

        Two statements on purpose: a statement sees the database as it was when it began, so one that waits for a lock
        must not also look for appointments.
        """
        parameters = {
            "patients": [one.actor.user for one in asked],
            "slots": [one.slot for one in asked],
            "keys": [one.key for one in asked],
            "action": Action.BOOK_APPOINTMENT,
        }
        await self.session.read(LOCK, parameters)
        diary = Diary(roles={}, patients={}, slots={}, busy={}, receipts={})
        for one, row in zip(asked, await self.session.read(LOOK, parameters), strict=True):
            see(diary, one, row)
        return diary

    async def keep(self, diary: Diary) -> None:
        """Keep what the diary decided: all bookings in one statement; replays and refusals are rare."""
        if diary.booked:
            self.session.announced = True
            booked = Json([row_of(one) for one in diary.booked], dumps=encode)
            await self.session.write(KEEP, {"booked": booked, "parent": self.session.parent})
        await PostgresOutbox(self.session).add(*diary.refused)
        if diary.replayed:
            # A replay writes, so that its answer too waits for the standby that holds the booking.
            await self.session.write(
                """
                UPDATE idempotency_keys k SET replays = replays + 1
                  FROM unnest(%s::uuid[], %s::text[]) AS replayed (user_id, key)
                 WHERE (k.user_id, k.action, k.key) = (replayed.user_id, %s, replayed.key)
                """,
                [
                    [one.actor.known for one in diary.replayed],
                    [one.key for one in diary.replayed],
                    Action.BOOK_APPOINTMENT,
                ],
            )

    async def forget(self, most: int, *, before: datetime) -> int:
        """Delete up to `most` receipts that are older."""
        rows = await self.session.write(
            """
            WITH gone AS (
                DELETE FROM idempotency_keys
                 WHERE ctid = ANY (ARRAY(SELECT ctid FROM idempotency_keys WHERE created_at < %s LIMIT %s))
                RETURNING 1)
            SELECT count(*) AS number FROM gone
            """,
            [before, most],
        )
        return int(rows[0]["number"])


@dataclass(frozen=True, slots=True)
class PostgresAppointments:
    """The claims on slots."""

    session: Session

    async def get(self, appointment: AppointmentId) -> Appointment | None:
        """Return the appointment."""
        rows = await self.session.read(f"{APPOINTMENT} WHERE a.id = %s", [appointment])
        return appointment_of(rows[0]) if rows else None

    async def lock(self, appointment: AppointmentId) -> Appointment | None:
        """Return the appointment as nobody else can change it or claim its slot.

        Its slot and its patient never change, so they can be read before they are locked.
        """
        rows = await self.session.read("SELECT slot_id, patient_id FROM appointments WHERE id = %s", [appointment])
        if not rows:
            return None
        (row,) = rows
        await self.session.read(LOCK, {"slots": [row["slot_id"]], "patients": [row["patient_id"]]})
        await self.session.read("SELECT 1 FROM appointments WHERE id = %s FOR UPDATE", [appointment])
        return await self.get(appointment)

    async def put(self, appointment: Appointment, *, reason: str | None = None) -> None:
        """Keep a change, and the reason of the one who cancelled."""
        await self.session.write(
            """
            UPDATE appointments
               SET status = %s, version = %s, cancellation_reason = coalesce(%s, cancellation_reason)
             WHERE id = %s
            """,
            [appointment.status, appointment.version, reason, appointment.id],
        )

    async def of(self, user: UserId, paging: Paging, *, as_doctor: bool) -> Page[Appointment]:
        """Return those in which the user is the patient or the doctor; each half has an index of its own."""
        half = """
            (SELECT id FROM appointments
              WHERE {who} = %(user)s
                AND (starts_at, id) > (%(after)s, %(after_id)s)
              ORDER BY starts_at, id
              LIMIT %(most)s)
        """
        halves = ["patient_id", "doctor_id"] if as_doctor else ["patient_id"]
        rows = await self.session.read(
            f"""
            {APPOINTMENT}
             WHERE a.id IN ({" UNION ".join(half.format(who=who) for who in halves)})
             ORDER BY a.starts_at, a.id
             LIMIT %(most)s
            """,
            {"user": user, **beyond(paging)},
        )
        return paging.cut([appointment_of(row) for row in rows], start_of)


def see(diary: Diary, ask: Booking, row: DictRow) -> None:
    """Write down in the diary what one row of LOOK says."""
    if (user := ask.actor.user) is None:
        return  # the diary turns them away
    if row["role"] is not None:
        diary.roles[user] = Role(row["role"])
        diary.patients[user] = Patient(user, row["full_name"])
    if row["id"] is not None:
        diary.slots[ask.slot] = slot_of(row)
    busy: list[Range[datetime]] = row["busy"] or []
    diary.busy.setdefault(user, []).extend(
        TimeRange(time.lower, time.upper) for time in busy if time.lower and time.upper
    )
    if row["fingerprint"] is not None:
        appointment = msgspec.convert(row["answer"], Appointment)
        diary.receipts[user, ask.key] = Receipt(bytes(row["fingerprint"]), appointment)


def row_of(one: Booked) -> dict[str, Any]:
    """Return one row for KEEP."""
    appointment, event = one.appointment, one.event
    return {
        "id": appointment.id,
        "slot_id": appointment.slot,
        "doctor_id": appointment.doctor.id,
        "patient_id": appointment.patient.id,
        "starts_at": appointment.time.start,
        "ends_at": appointment.time.end,
        "fee_amount": appointment.fee.amount,
        "fee_currency": appointment.fee.currency,
        "status": appointment.status,
        "version": appointment.version,
        "user_id": one.booking.actor.known,
        "action": Action.BOOK_APPOINTMENT,
        "key": one.booking.key,
        "fingerprint": one.booking.fingerprint.hex(),
        "answer": appointment,
        "event_id": event.id,
        "event_kind": event.kind,
        "event_at": event.at,
        "event_outcome": event.outcome,
        "event_request": event.request,
    }


def encode(rows: list[dict[str, Any]]) -> str:
    """Write rows as JSON, which PostgreSQL reads as a table."""
    return msgspec.json.encode(rows).decode()
