"""What statements about slots and appointments return: documents that the domain's own classes are read from."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from msgspec.json import Decoder
from psycopg.rows import DictRow

from healthcare.domain.kernel import Paging, Position
from healthcare.domain.scheduling.model import Appointment, Slot

LIVE: Final = "status NOT IN ('cancelled', 'entered-in-error')"
"""What the domain calls live, as the indexes write it; a test compares the three."""

NOW: Final = "(SELECT clock_timestamp())"
"""This moment, looked up once in a statement, so that an index can be read from there."""

CLAIMS: Final = f"{LIVE} AND (expires_at IS NULL OR expires_at > {NOW})"
"""Whether an appointment claims its slot now: a hold that has run out counts for nothing, as in the domain."""

CLAIMED: Final = f"EXISTS (SELECT FROM appointments WHERE slot_id = s.id AND {CLAIMS})"
"""Whether somebody has the slot `s` at this moment."""

SLOT: Final = """
    json_build_object(
        'id', s.id,
        'doctor', json_build_object('id', s.doctor_id, 'full_name', d.full_name, 'specialty', s.specialty),
        'time', json_build_object('start', s.starts_at, 'end', s.ends_at),
        'fee', json_build_object('amount', p.fee_amount, 'currency', p.fee_currency),
        'notice_hours', p.notice_hours,
        'offered', s.withdrawn_at IS NULL AND d.role = 'doctor')
"""
SLOT_TABLES: Final = """
    slots s JOIN users d ON d.id = s.doctor_id JOIN doctor_profiles p ON p.doctor_id = s.doctor_id
"""
APPOINTMENT: Final = """
    json_build_object(
        'id', a.id,
        'slot', a.slot_id,
        'doctor', json_build_object('id', a.doctor_id, 'full_name', d.full_name, 'specialty', s.specialty),
        'patient', json_build_object('id', a.patient_id, 'full_name', p.full_name),
        'time', json_build_object('start', a.starts_at, 'end', a.ends_at),
        'fee', json_build_object('amount', a.fee_amount, 'currency', a.fee_currency),
        'notice_hours', a.notice_hours,
        'status', a.status,
        'version', a.version,
        'expires_at', a.expires_at,
        'extended', a.extended,
        'cancellation', CASE WHEN a.cancellation_reason IS NOT NULL THEN json_build_object(
            'reason', a.cancellation_reason,
            'code', coalesce(a.cancellation_code, 'other'),
            'late', a.cancelled_late) END)
"""
APPOINTMENT_TABLES: Final = """
    appointments a
    JOIN slots s ON s.id = a.slot_id
    JOIN users d ON d.id = a.doctor_id
    JOIN users p ON p.id = a.patient_id
"""

SLOTS: Final = Decoder(list[Slot])


def document(rows: Sequence[DictRow]) -> str:
    """Return the one document that a statement has returned."""
    found: str | None = rows[0]["found"]
    return found or "[]"


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
