"""Appointments as they can be read, in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from msgspec.json import Decoder
from psycopg.rows import DictRow

from healthcare.adapters.postgres.scheduling.rows import (
    APPOINTMENT,
    APPOINTMENT_TABLES,
    beyond,
    start_of,
)
from healthcare.adapters.postgres.session import Session
from healthcare.domain.kernel import AppointmentId, Page, Paging, UserId
from healthcare.domain.scheduling.model import Appointment

SEEN: Final = f"SELECT {APPOINTMENT}::text AS found, clock_timestamp() AS now FROM {APPOINTMENT_TABLES}"
READ: Final = Decoder(Appointment)


@dataclass(frozen=True, slots=True)
class PostgresAppointments:
    """The claims on slots."""

    session: Session

    async def get(self, appointment: AppointmentId) -> Appointment | None:
        """Return the appointment."""
        rows = await self.session.read(f"{SEEN} WHERE a.id = %s", [appointment])
        return next(iter(seen(rows)), None)

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
            {SEEN}
             WHERE a.id IN ({" UNION ".join(half.format(who=who) for who in halves)})
             ORDER BY a.starts_at, a.id
             LIMIT %(most)s
            """,
            {"user": user, **beyond(paging)},
        )
        return paging.cut(seen(rows), start_of)

    async def overdue(self, most: int, *, before: datetime) -> Sequence[AppointmentId]:
        """Return those that ended before this instant and are still booked."""
        rows = await self.session.read(
            "SELECT id FROM appointments WHERE status = 'booked' AND ends_at <= %s ORDER BY ends_at, id LIMIT %s",
            [before, most],
        )
        return [row["id"] for row in rows]


def seen(rows: Sequence[DictRow]) -> list[Appointment]:
    """Read appointments as they are by the server's clock."""
    return [READ.decode(row["found"]).at(row["now"]) for row in rows]
