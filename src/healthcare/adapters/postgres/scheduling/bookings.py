"""The path from a wish to what comes of it, in PostgreSQL: lock, look, keep, however many wish."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from psycopg.types.json import Json

from healthcare.adapters.postgres.documents import as_json
from healthcare.adapters.postgres.outbox import PostgresOutbox
from healthcare.adapters.postgres.scheduling.rows import (
    APPOINTMENT,
    APPOINTMENT_TABLES,
    LIVE,
    SLOT,
    SLOT_TABLES,
)
from healthcare.adapters.postgres.session import Session
from healthcare.domain.kernel import AppointmentId, Patient, Role, SlotId, UserId
from healthcare.domain.policy import Action
from healthcare.domain.scheduling.asks import Ask
from healthcare.domain.scheduling.diary import Diary, Receipt
from healthcare.domain.scheduling.model import Appointment, Slot

FIND: Final = "SELECT id, slot_id, patient_id FROM appointments WHERE id = ANY(%(appointments)s::uuid[])"

LOCK: Final = """
    WITH locked AS MATERIALIZED (
             SELECT id FROM slots WHERE id = ANY(%(slots)s::uuid[]) ORDER BY id FOR UPDATE),
         queue AS MATERIALIZED (
             SELECT DISTINCT hashtextextended('patient:' || patient, 0) AS key
               FROM unnest(%(patients)s::uuid[]) AS patient
              ORDER BY key),
         queued AS MATERIALIZED (
             SELECT count(pg_advisory_xact_lock(key)) AS number FROM queue WHERE (SELECT count(*) FROM locked) >= 0),
         changing AS MATERIALIZED (
             SELECT id FROM appointments WHERE id = ANY(%(appointments)s::uuid[])
              UNION
             SELECT id FROM appointments WHERE slot_id = ANY(%(slots)s::uuid[]) AND status = 'pending'
              UNION
             SELECT id FROM appointments WHERE patient_id = ANY(%(patients)s::uuid[]) AND status = 'pending')
    SELECT id FROM appointments
     WHERE (SELECT number FROM queued) >= 0 AND id IN (SELECT id FROM changing)
     ORDER BY id FOR UPDATE
"""
"""First the slots, then the patients, then the appointments that may change, each in order: whoever follows the same
order cannot deadlock. Which holds have run out nobody can know before looking, so all of them are locked; one that was
made while we waited is too young to have run out."""

LOOK: Final = f"""
    SELECT json_build_object(
        'now', clock_timestamp(),
        'users', (
            SELECT json_agg(u) FROM (
                SELECT id, role, full_name FROM users WHERE id = ANY(%(callers)s::uuid[])) AS u),
        'slots', (
            SELECT json_agg({SLOT}) FROM {SLOT_TABLES} WHERE s.id = ANY(%(slots)s::uuid[])),
        'appointments', (
            SELECT json_agg({APPOINTMENT}) FROM {APPOINTMENT_TABLES}
             WHERE a.id IN (
                       SELECT unnest(%(appointments)s::uuid[])
                        UNION
                       SELECT id FROM appointments WHERE slot_id = ANY(%(slots)s::uuid[]) AND {LIVE}
                        UNION
                       SELECT id FROM appointments WHERE patient_id = ANY(%(patients)s::uuid[]) AND status = 'pending'
                        UNION
                       SELECT mine.id
                         FROM (SELECT patient_id, tstzrange(starts_at, ends_at) AS time
                                 FROM unnest(%(movers)s::uuid[], %(targets)s::uuid[]) AS asked (patient_id, slot_id)
                                 JOIN slots ON slots.id = asked.slot_id
                               OFFSET 0) AS wish
                        CROSS JOIN LATERAL (
                              SELECT id FROM appointments
                               WHERE patient_id = wish.patient_id
                                 AND {LIVE}
                                 AND tstzrange(starts_at, ends_at) && wish.time
                              OFFSET 0) AS mine)),
        'receipts', (
            SELECT json_agg(found) FROM (
                SELECT k.user_id, k.key, encode(k.fingerprint, 'hex') AS fingerprint, k.answer
                  FROM unnest(%(owners)s::uuid[], %(keys)s::text[]) AS asked (user_id, key)
                 CROSS JOIN LATERAL (
                       SELECT * FROM idempotency_keys
                        WHERE (user_id, action, key) = (asked.user_id, %(action)s, asked.key)
                       OFFSET 0) AS k) AS found)
    )::text AS seen
"""
"""One document: the server's time, and everything that the diary must know.

OFFSET 0 keeps patient and time together: the planner would otherwise look for everybody's appointments of that time. It
also has it look for each key by itself: with a plan from when there were few keys, it would read all there are.
"""

APPOINTMENT_ROW: Final = """
    id uuid, slot_id uuid, doctor_id uuid, patient_id uuid, starts_at timestamptz, ends_at timestamptz,
    fee_amount bigint, fee_currency text, notice_hours smallint, status text, version integer,
    expires_at timestamptz, extended boolean,
    cancellation_reason text, cancellation_code text, cancelled_late boolean
"""
COLUMNS: Final = ", ".join(column.split()[0] for column in APPOINTMENT_ROW.split(","))

CHANGE: Final = f"""
    UPDATE appointments AS a
       SET ({COLUMNS}) = ROW (after.*)
      FROM json_to_recordset(%(after)s) AS after ({APPOINTMENT_ROW})
     WHERE a.id = after.id
"""

ADD_APPOINTMENTS: Final = f"""
    INSERT INTO appointments ({COLUMNS})
    SELECT {COLUMNS} FROM json_to_recordset(%(new)s) AS new ({APPOINTMENT_ROW})
"""

WITHDRAW: Final = "UPDATE slots SET withdrawn_at = clock_timestamp() WHERE id = ANY(%(withdrawn)s::uuid[])"

ADD_RECEIPTS: Final = """
    INSERT INTO idempotency_keys (user_id, action, key, fingerprint, answer, created_at, replays)
    SELECT user_id, %(action)s, key, decode(fingerprint, 'hex'), answer, %(now)s, replays
      FROM json_to_recordset(%(receipts)s) AS receipt (
           user_id uuid, key text, fingerprint text, answer json, replays integer)
"""

REPLAY: Final = """
    UPDATE idempotency_keys k SET replays = replays + times
      FROM json_to_recordset(%(replayed)s) AS replayed (user_id uuid, key text, times integer)
     WHERE (k.user_id, k.action, k.key) = (replayed.user_id, %(action)s, replayed.key)
"""
"""A replay writes, so that its answer too waits for the standby that holds the booking."""


class UserRow(msgspec.Struct, frozen=True):
    """Somebody who asks."""

    id: UUID
    role: Role
    full_name: str


class ReceiptRow(msgspec.Struct, frozen=True):
    """What a key was used for."""

    user_id: UUID
    key: str
    fingerprint: str
    answer: Appointment


class Seen(msgspec.Struct, frozen=True):
    """What LOOK returns; an empty list comes as nothing."""

    now: datetime
    users: list[UserRow] | None
    slots: list[Slot] | None
    appointments: list[Appointment] | None
    receipts: list[ReceiptRow] | None

    @property
    def diary(self) -> Diary:
        """The same, for the domain."""
        users, slots, receipts = self.users or (), self.slots or (), self.receipts or ()
        return Diary(
            now=self.now,
            roles={UserId(one.id): one.role for one in users},
            patients={UserId(one.id): Patient(UserId(one.id), one.full_name) for one in users},
            slots={one.id: one for one in slots},
            appointments={one.id: one for one in self.appointments or ()},
            receipts={
                (UserId(one.user_id), one.key): Receipt(bytes.fromhex(one.fingerprint), one.answer) for one in receipts
            },
        )


SEEN: Final = msgspec.json.Decoder(Seen)

Whereabouts = Mapping[UUID, tuple[SlotId, UserId]]
"""The slots and the patients of the appointments that are asked for, as they were before they were locked."""


@dataclass(frozen=True, slots=True)
class PostgresBookings:
    """Lock and look travel together, and what is to be kept with the commit. To find appointments is a way more."""

    session: Session

    async def lock(self, asked: Sequence[Ask]) -> Diary:
        """Lock, and only then look.

        Two statements on purpose: a statement sees the database as it was when it began, so one that waits for a lock
        must not also look for appointments. An appointment names its slot before it is locked; where it has been moved
        meanwhile, the wrong slot was locked, and everything begins anew.
        """
        while True:
            found = await self._find({one.appointment for one in asked if one.appointment})
            parameters = questions(asked, found)
            rows = await self.session.read(LOOK, parameters, after=LOCK)
            diary = SEEN.decode(rows[0]["seen"]).diary
            if all(diary.appointments[AppointmentId(id)].slot == slot for id, (slot, _) in found.items()):
                return diary
            await self.session.begin_anew()

    async def keep(self, diary: Diary) -> None:
        """Keep what the diary decided."""
        for after in changes(diary):
            self.session.write_later(CHANGE, {"after": rows_of(after)})
        final = {one.id: one for one in diary.steps}
        if diary.new:
            self.session.write_later(
                ADD_APPOINTMENTS, {"new": rows_of(one for id, one in final.items() if id in diary.new)}
            )
        if diary.withdrawn:
            self.session.write_later(WITHDRAW, {"withdrawn": diary.withdrawn})
        await PostgresOutbox(self.session).add(*diary.events)
        replayed = [
            {"user_id": user, "key": key, "times": times}
            for (user, key), times in diary.replayed.items()
            if (user, key) not in diary.fresh
        ]
        if replayed:
            self.session.write_later(REPLAY, {"replayed": as_json(replayed), "action": Action.BOOK_APPOINTMENT})
        receipts = [
            {
                "user_id": user,
                "key": key,
                "fingerprint": receipt.fingerprint.hex(),
                "answer": receipt.appointment,
                "replays": diary.replayed[user, key],
            }
            for (user, key), receipt in diary.fresh.items()
        ]
        if receipts:
            self.session.write_later(
                ADD_RECEIPTS,
                {"receipts": as_json(receipts), "now": diary.now, "action": Action.BOOK_APPOINTMENT},
            )

    async def forget(self, most: int, *, before: datetime) -> int:
        """Delete up to `most` receipts that are older."""
        rows = await self.session.write(
            """
            WITH gone AS (
                DELETE FROM idempotency_keys
                 WHERE ctid = ANY (ARRAY(
                       SELECT ctid FROM idempotency_keys WHERE created_at < %s ORDER BY created_at LIMIT %s
                          FOR UPDATE SKIP LOCKED))
                RETURNING 1)
            SELECT count(*) AS number FROM gone
            """,
            [before, most],
        )
        return int(rows[0]["number"])

    async def _find(self, appointments: Collection[AppointmentId]) -> Whereabouts:
        if not appointments:
            return {}
        rows = await self.session.read(FIND, {"appointments": list(appointments)})
        return {row["id"]: (row["slot_id"], row["patient_id"]) for row in rows}


def questions(asked: Sequence[Ask], found: Whereabouts) -> dict[str, object]:
    """Return the parameters of LOCK and LOOK."""
    callers = [one.actor.user for one in asked if one.actor.user]
    movers = [
        (found[one.appointment][1] if one.appointment and one.appointment in found else one.actor.user) for one in asked
    ]
    wishes = [(patient, one.slot) for patient, one in zip(movers, asked, strict=True) if patient and one.slot]
    keyed = [(one.actor.user, one.key) for one in asked if one.actor.user and one.key]
    return {
        "callers": array(callers),
        "appointments": array(found),
        "slots": array([*(one.slot for one in asked if one.slot), *(slot for slot, _ in found.values())]),
        "patients": array([*callers, *(patient for _, patient in found.values())]),
        "movers": array(patient for patient, _ in wishes),
        "targets": array(slot for _, slot in wishes),
        "owners": array(user for user, _ in keyed),
        "keys": array_of_texts(key for _, key in keyed),
        "action": Action.BOOK_APPOINTMENT,
    }


def array(ids: Iterable[UUID]) -> str:
    """Write ids as an array of PostgreSQL; psycopg, which looks at each element by itself, takes twice as long."""
    return f"{{{','.join([id.hex for id in ids])}}}"


def array_of_texts(texts: Iterable[str]) -> str:
    """Write texts as an array of PostgreSQL; psycopg looks for what to quote in each, and here all are quoted."""
    escaped = [text.replace("\\", "\\\\").replace('"', '\\"') for text in texts]
    return "{" + ",".join([f'"{text}"' for text in escaped]) + "}"


def changes(diary: Diary) -> Sequence[Sequence[Appointment]]:
    """Return what becomes of the appointments that were there before, as statements in an order that always works.

    PostgreSQL checks a unique index row by row. So what claims nothing any more goes first; then the moves one by one,
    as they were decided, each to a place that is free by then; then all that stay where they are.
    """
    final = {one.id: one for one in diary.steps if one.id not in diary.new}
    gone = [one for one in final.values() if not one.live]
    moves, stay = list[Appointment](), list[Appointment]()
    places = {one.id: one.slot for one in diary.seen.values()}
    for step in diary.steps:
        if step.id in final and final[step.id].live:
            if step.slot != places[step.id]:
                moves.append(step)
                places[step.id] = step.slot
                stay = [one for one in stay if one.id != step.id]
            else:
                stay.append(step)
    return [group for group in [gone, *([move] for move in moves), *one_by_one(stay)] if group]


def one_by_one(steps: Sequence[Appointment]) -> Sequence[Sequence[Appointment]]:
    """Part the steps of the same appointment: a trigger lets no status be left out, however soon another follows."""
    groups, number = defaultdict[int, list[Appointment]](list), Counter[AppointmentId]()
    for step in steps:
        groups[number[step.id]].append(step)
        number[step.id] += 1
    return list(groups.values())


def rows_of(appointments: Iterable[Appointment]) -> Json:
    """Write appointments as rows of APPOINTMENT_ROW."""
    return as_json([row_of(one) for one in appointments])


def row_of(one: Appointment) -> dict[str, object]:
    """Write one of them."""
    why = one.cancellation
    return {
        "id": one.id,
        "slot_id": one.slot,
        "doctor_id": one.doctor.id,
        "patient_id": one.patient.id,
        "starts_at": one.time.start,
        "ends_at": one.time.end,
        "fee_amount": one.fee.amount,
        "fee_currency": one.fee.currency,
        "notice_hours": one.notice_hours,
        "status": one.status,
        "version": one.version,
        "expires_at": one.expires_at,
        "extended": one.extended,
        "cancellation_reason": why.reason if why else None,
        "cancellation_code": why.code if why else None,
        "cancelled_late": why.late if why else False,
    }
