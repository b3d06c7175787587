"""Consultations and prescriptions, in PostgreSQL."""

from dataclasses import dataclass

import msgspec
from psycopg.types.json import Jsonb

from healthcare.adapters.postgres.session import Session
from healthcare.domain.consultation.model import Consultation, ConsultationStatus, Item, Prescription
from healthcare.domain.kernel import AppointmentId, ConsultationId, Doctor, Patient

CONSULTATION = """
    SELECT c.id, c.appointment_id, c.status, c.started_at, c.ended_at,
           d.id AS doctor_id, d.full_name AS doctor_full_name, s.specialty,
           p.id AS patient_id, p.full_name AS patient_full_name
      FROM consultations c
      JOIN appointments a ON a.id = c.appointment_id
      JOIN slots s ON s.id = a.slot_id
      JOIN users d ON d.id = a.doctor_id
      JOIN users p ON p.id = a.patient_id
"""


@dataclass(frozen=True, slots=True)
class PostgresConsultations:
    """The care that is given."""

    session: Session

    async def of(self, appointment: AppointmentId) -> Consultation | None:
        """Return the consultation of an appointment."""
        return await self._one("c.appointment_id = %s", appointment)

    async def get(self, consultation: ConsultationId) -> Consultation | None:
        """Return the consultation."""
        return await self._one("c.id = %s", consultation)

    async def lock(self, consultation: ConsultationId) -> Consultation | None:
        """Return the consultation as nobody else can change it."""
        return await self._one("c.id = %s", consultation, after="SELECT 1 FROM consultations WHERE id = %s FOR UPDATE")

    async def add(self, consultation: Consultation) -> None:
        """Keep a new consultation."""
        self.session.write_later(
            """
            INSERT INTO consultations (id, appointment_id, status, started_at, ended_at)
            VALUES (%s, %s, %s, %s, %s)
            """,
            [
                consultation.id,
                consultation.appointment,
                consultation.status,
                consultation.started_at,
                consultation.ended_at,
            ],
        )

    async def put(self, consultation: Consultation) -> None:
        """Keep a change."""
        self.session.write_later(
            "UPDATE consultations SET status = %s, ended_at = %s WHERE id = %s",
            [consultation.status, consultation.ended_at, consultation.id],
        )

    async def _one(
        self, condition: str, value: AppointmentId | ConsultationId, *, after: str | None = None
    ) -> Consultation | None:
        rows = await self.session.read(f"{CONSULTATION} WHERE {condition}", [value], after=after)
        if not rows:
            return None
        (row,) = rows
        return Consultation(
            id=row["id"],
            appointment=row["appointment_id"],
            doctor=Doctor(row["doctor_id"], row["doctor_full_name"], row["specialty"]),
            patient=Patient(row["patient_id"], row["patient_full_name"]),
            status=ConsultationStatus(row["status"]),
            started_at=row["started_at"],
            ended_at=row["ended_at"],
        )


@dataclass(frozen=True, slots=True)
class PostgresPrescriptions:
    """What doctors order."""

    session: Session

    async def add(self, prescription: Prescription) -> None:
        """Keep a new prescription."""
        await self.session.write(
            """
            INSERT INTO prescriptions (id, consultation_id, doctor_id, doctor_full_name, doctor_specialty,
                                       patient_id, patient_full_name, items, issued_at)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [
                prescription.id,
                prescription.consultation,
                prescription.doctor.id,
                prescription.doctor.full_name,
                prescription.doctor.specialty,
                prescription.patient.id,
                prescription.patient.full_name,
                Jsonb(msgspec.to_builtins(prescription.items)),
                prescription.issued_at,
            ],
        )

    async def of(self, consultation: ConsultationId) -> Prescription | None:
        """Return the prescription of a consultation."""
        rows = await self.session.read("SELECT * FROM prescriptions WHERE consultation_id = %s", [consultation])
        if not rows:
            return None
        (row,) = rows
        return Prescription(
            id=row["id"],
            consultation=row["consultation_id"],
            doctor=Doctor(row["doctor_id"], row["doctor_full_name"], row["doctor_specialty"]),
            patient=Patient(row["patient_id"], row["patient_full_name"]),
            items=msgspec.convert(row["items"], tuple[Item, ...]),
            issued_at=row["issued_at"],
        )
