"""What statements about slots and appointments return, and what that means."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from msgspec import Struct, convert

from healthcare.domain.kernel import (
    AppointmentId,
    Doctor,
    Money,
    Paging,
    Patient,
    Position,
    SlotId,
    UserId,
)
from healthcare.domain.scheduling.model import (
    Appointment,
    AppointmentStatus,
    Cancellation,
    ReasonCode,
    Slot,
    TimeRange,
)

LIVE: Final = "status NOT IN ('cancelled', 'entered-in-error')"
"""What the domain calls live, as the indexes write it; a test compares the three."""

CLAIMED: Final = f"""
    EXISTS (SELECT FROM appointments a
             WHERE a.slot_id = s.id AND a.{LIVE} AND (a.expires_at IS NULL OR a.expires_at > clock_timestamp()))
"""
"""Whether somebody has the slot `s` at this moment: a hold that has run out counts for nothing, as in the domain."""

SLOT_COLUMNS: Final = """
    s.id, s.doctor_id, d.full_name AS doctor_full_name, s.specialty, s.starts_at, s.ends_at,
    p.fee_amount, p.fee_currency, p.notice_hours, s.withdrawn_at IS NULL AND d.role = 'doctor' AS offered
"""
SLOT_TABLES: Final = """
    slots s JOIN users d ON d.id = s.doctor_id JOIN doctor_profiles p ON p.doctor_id = s.doctor_id
"""
APPOINTMENT_COLUMNS: Final = """
    a.id, a.slot_id, a.doctor_id, d.full_name AS doctor_full_name, s.specialty,
    a.patient_id, p.full_name AS patient_full_name,
    a.starts_at, a.ends_at, a.fee_amount, a.fee_currency, a.notice_hours, a.status, a.version,
    a.expires_at, a.extended, a.cancellation_reason, a.cancellation_code, a.cancelled_late
"""
APPOINTMENT_TABLES: Final = """
    appointments a
    JOIN slots s ON s.id = a.slot_id
    JOIN users d ON d.id = a.doctor_id
    JOIN users p ON p.id = a.patient_id
"""


class SlotRow(Struct, frozen=True):
    """A row of SLOT_COLUMNS, with or without what CLAIMED says."""

    id: UUID
    doctor_id: UUID
    doctor_full_name: str
    specialty: str
    starts_at: datetime
    ends_at: datetime
    fee_amount: int
    fee_currency: str
    notice_hours: int
    offered: bool
    taken: bool = False

    @property
    def slot(self) -> Slot:
        """What it means."""
        return Slot(
            id=SlotId(self.id),
            doctor=Doctor(UserId(self.doctor_id), self.doctor_full_name, self.specialty),
            time=TimeRange(self.starts_at, self.ends_at),
            fee=Money(self.fee_amount, self.fee_currency),
            notice_hours=self.notice_hours,
            taken=self.taken,
            offered=self.offered,
        )


class AppointmentRow(Struct, frozen=True):
    """A row of APPOINTMENT_COLUMNS."""

    id: UUID
    slot_id: UUID
    doctor_id: UUID
    doctor_full_name: str
    specialty: str
    patient_id: UUID
    patient_full_name: str
    starts_at: datetime
    ends_at: datetime
    fee_amount: int
    fee_currency: str
    notice_hours: int
    status: AppointmentStatus
    version: int
    expires_at: datetime | None
    extended: bool
    cancellation_reason: str | None
    cancellation_code: ReasonCode | None
    cancelled_late: bool

    @property
    def appointment(self) -> Appointment:
        """What it means."""
        return Appointment(
            id=AppointmentId(self.id),
            slot=SlotId(self.slot_id),
            doctor=Doctor(UserId(self.doctor_id), self.doctor_full_name, self.specialty),
            patient=Patient(UserId(self.patient_id), self.patient_full_name),
            time=TimeRange(self.starts_at, self.ends_at),
            fee=Money(self.fee_amount, self.fee_currency),
            notice_hours=self.notice_hours,
            status=self.status,
            version=self.version,
            expires_at=self.expires_at,
            extended=self.extended,
            cancellation=self._cancellation,
        )

    @property
    def _cancellation(self) -> Cancellation | None:
        if self.cancellation_reason is None:
            return None
        code = self.cancellation_code or ReasonCode.OTHER
        return Cancellation(self.cancellation_reason, code, late=self.cancelled_late)


def slots_of(rows: Sequence[Mapping[str, object]]) -> list[Slot]:
    """Read slots."""
    return [convert(row, SlotRow).slot for row in rows]


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
