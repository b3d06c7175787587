"""Slots, in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from healthcare.adapters.postgres.scheduling.rows import (
    CLAIMED,
    LIVE,
    SLOT,
    SLOT_TABLES,
    SLOTS,
    beyond,
    document,
    start_of,
)
from healthcare.adapters.postgres.session import Session
from healthcare.domain.kernel import Page, Paging, SlotId, UserId
from healthcare.domain.scheduling.model import Search, Slot, TimeRange

FREE: Final = f"""
    SELECT json_agg(slot)::text AS found FROM (
    SELECT {SLOT} AS slot
      FROM {SLOT_TABLES}
     WHERE s.specialty = %(specialty)s
       AND s.starts_at >= %(start)s AND s.starts_at < %(end)s AND s.starts_at > %(now)s
       AND s.withdrawn_at IS NULL
       AND d.role = 'doctor'
       AND NOT {CLAIMED}
       AND (s.starts_at, s.id) > (%(after)s, %(after_id)s)
     ORDER BY s.starts_at, s.id
     LIMIT %(most)s) AS free
"""
"""The slots of a specialty that can be booked in a time."""


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
        return search.paging.cut(SLOTS.decode(document(rows)), start_of)

    async def alternatives(self, slot: SlotId, most: int) -> Sequence[Slot]:
        """Return the next slots of the same doctor that can be booked, by start."""
        rows = await self.session.read(
            f"""
            SELECT json_agg(slot)::text AS found FROM (
            SELECT {SLOT} AS slot
              FROM {SLOT_TABLES}
             WHERE s.doctor_id = (SELECT doctor_id FROM slots WHERE id = %s)
               AND s.starts_at > clock_timestamp()
               AND s.withdrawn_at IS NULL
               AND d.role = 'doctor'
               AND NOT {CLAIMED}
             ORDER BY s.starts_at, s.id
             LIMIT %s) AS instead
            """,
            [slot, most],
        )
        return SLOTS.decode(document(rows))
