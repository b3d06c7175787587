"""Slots, in PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from healthcare.adapters.postgres.scheduling.rows import (
    CLAIMED,
    CLAIMS,
    LIVE,
    NOW,
    SLOT,
    SLOT_TABLES,
    SLOTS,
    beyond,
    document,
    start_of,
)
from healthcare.adapters.postgres.session import Session
from healthcare.domain.kernel import Doctor, Money, Page, Paging, SlotId, UserId
from healthcare.domain.scheduling.model import Slot, TimeRange
from healthcare.domain.scheduling.publication import LONGEST_SLOT
from healthcare.domain.scheduling.search import Search

FREE: Final = f"""
    WITH free AS MATERIALIZED (
             SELECT s.id, s.doctor_id, s.starts_at, s.ends_at
               FROM slots s
              WHERE s.specialty = %(specialty)s
                AND s.starts_at >= %(start)s AND s.starts_at < %(end)s AND s.starts_at > %(now)s
                AND s.withdrawn_at IS NULL
                AND EXISTS (SELECT FROM users d WHERE d.id = s.doctor_id AND d.role = 'doctor' OFFSET 0)
                AND NOT {CLAIMED}
                AND (s.starts_at, s.id) > (%(after)s, %(after_id)s)
              ORDER BY s.starts_at, s.id
              LIMIT %(most)s),
         offering AS (
             SELECT d.id, d.full_name, p.fee_amount, p.fee_currency, p.notice_hours
               FROM users d JOIN doctor_profiles p ON p.doctor_id = d.id
              WHERE d.id IN (SELECT doctor_id FROM free))
    SELECT json_build_object(
        'free', (
            SELECT coalesce(json_agg(json_build_array(id, doctor_id, starts_at, ends_at) ORDER BY starts_at, id), '[]')
              FROM free),
        'doctors', (
            SELECT coalesce(json_agg(json_build_array(id, full_name, fee_amount, fee_currency, notice_hours)), '[]')
              FROM offering)
    )::text AS found
"""
"""The slots of a specialty that can be booked in a time. Each doctor comes once: to write them into each slot, and to
read that, was most of the work.

OFFSET 0 has it begin with the slots: the planner would otherwise go through all doctors.
"""


class Offering(msgspec.Struct, frozen=True, array_like=True):
    """A doctor, and what all their slots have in common."""

    id: UserId
    full_name: str
    fee_amount: int
    fee_currency: str
    notice_hours: int

    def of(self, specialty: str) -> tuple[Doctor, Money, int]:
        """Return the doctor, the fee, and the hours of notice."""
        return Doctor(self.id, self.full_name, specialty), Money(self.fee_amount, self.fee_currency), self.notice_hours


class FreeSlot(msgspec.Struct, frozen=True, array_like=True):
    """A slot of one of them; its times as text, because so many begin at the same time."""

    id: SlotId
    doctor: UserId
    start: str
    end: str


class Offered(msgspec.Struct, frozen=True):
    """What FREE returns."""

    free: list[FreeSlot]
    doctors: list[Offering]

    def slots(self, specialty: str) -> list[Slot]:
        """Return the same, for the domain."""
        offerings = {one.id: one.of(specialty) for one in self.doctors}
        slots, times = list[Slot](), dict[tuple[str, str], TimeRange]()
        for one in self.free:
            if (time := times.get((one.start, one.end))) is None:
                time = TimeRange(datetime.fromisoformat(one.start), datetime.fromisoformat(one.end))
                times[one.start, one.end] = time
            doctor, fee, notice = offerings[one.doctor]
            slots.append(Slot(id=one.id, doctor=doctor, time=time, fee=fee, notice_hours=notice))
        return slots


OFFERED: Final = msgspec.json.Decoder(Offered)


@dataclass(frozen=True, slots=True)
class PostgresSlots:
    """The time that doctors offer."""

    session: Session

    async def times(self, doctor: UserId, within: TimeRange) -> Sequence[TimeRange]:
        """Return when the doctor's slots stand, or have a patient all the same, that overlap the range."""
        rows = await self.session.read(
            f"""
            SELECT starts_at, ends_at
              FROM slots
             WHERE doctor_id = %(doctor)s AND withdrawn_at IS NULL
               AND tstzrange(starts_at, ends_at) && tstzrange(%(start)s, %(end)s)
             UNION
            SELECT starts_at, ends_at
              FROM appointments
             WHERE doctor_id = %(doctor)s AND {CLAIMS}
               AND starts_at > %(earliest)s AND starts_at < %(end)s AND ends_at > %(start)s
            """,
            {
                "doctor": doctor,
                "start": within.start,
                "end": within.end,
                "earliest": within.start - timedelta(minutes=LONGEST_SLOT),
            },
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

    async def on(self, doctor: UserId, start: datetime, end: datetime) -> Sequence[SlotId]:
        """Return which of the doctor's slots start in this time and stand, or have a patient all the same."""
        rows = await self.session.read(
            f"""
            SELECT id FROM slots
             WHERE doctor_id = %(doctor)s AND withdrawn_at IS NULL AND starts_at >= %(start)s AND starts_at < %(end)s
             UNION
            SELECT slot_id FROM appointments
             WHERE doctor_id = %(doctor)s AND starts_at >= %(start)s AND starts_at < %(end)s AND {LIVE}
             ORDER BY id
            """,
            {"doctor": doctor, "start": start, "end": end},
        )
        return [row["id"] for row in rows]

    async def of(self, doctor: UserId, paging: Paging) -> Page[Slot]:
        """Return the doctor's slots by start."""
        rows = await self.session.read(
            f"""
            SELECT json_agg(slot)::text AS found FROM (
            SELECT {SLOT}::jsonb || jsonb_build_object('taken', {CLAIMED}) AS slot
              FROM {SLOT_TABLES}
             WHERE s.doctor_id = %(doctor)s
               AND s.withdrawn_at IS NULL
               AND (s.starts_at, s.id) > (%(after)s, %(after_id)s)
             ORDER BY s.starts_at, s.id
             LIMIT %(most)s) AS theirs
            """,
            {"doctor": doctor, **beyond(paging)},
        )
        return paging.cut(SLOTS.decode(document(rows)), start_of)

    async def free(self, search: Search, *, now: datetime) -> Page[Slot]:
        """Return the slots that can be booked, have not started and are searched for."""
        start, end = search.bounds
        rows = await self.session.read(
            FREE,
            {"specialty": search.specialty, "start": start, "end": end, "now": now, **beyond(search.paging)},
        )
        return search.paging.cut(OFFERED.decode(document(rows)).slots(search.specialty), start_of)

    async def alternatives(self, slots: Collection[SlotId], most: int) -> Mapping[SlotId, Sequence[Slot]]:
        """Return for each the next slots of the same doctor that can be booked, by start."""
        rows = await self.session.read(
            f"""
            SELECT wanted.id, instead.found
              FROM slots wanted
             CROSS JOIN LATERAL (
                   SELECT json_agg(slot)::text AS found FROM (
                   SELECT {SLOT} AS slot
                     FROM {SLOT_TABLES}
                    WHERE s.doctor_id = wanted.doctor_id
                      AND s.starts_at > {NOW}
                      AND s.withdrawn_at IS NULL
                      AND d.role = 'doctor'
                      AND NOT {CLAIMED}
                    ORDER BY s.starts_at, s.id
                    LIMIT %(most)s) AS next) AS instead
             WHERE wanted.id = ANY(%(slots)s::uuid[])
            """,
            {"slots": list(slots), "most": most},
        )
        return {row["id"]: SLOTS.decode(row["found"] or "[]") for row in rows}
