"""Consultations, and the prescriptions that end them."""

from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum

from healthcare.domain.consultation.errors import PrescriptionIssued
from healthcare.domain.kernel import (
    AppointmentId,
    ConsultationId,
    Doctor,
    Invalid,
    Patient,
    PrescriptionId,
    check_text,
)

MOST_ITEMS = 50


class ConsultationStatus(StrEnum):
    """How far the care has come; FHIR R4 Encounter.status."""

    IN_PROGRESS = "in-progress"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Item:
    """One medicine and how it is to be taken, in the prescriber's own words."""

    medicine: str
    dose: str
    route: str
    frequency: str
    duration: str
    instructions: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prescription:
    """What the doctor orders. There is no way to change one, and each names people as they were called then."""

    id: PrescriptionId
    consultation: ConsultationId
    doctor: Doctor
    patient: Patient
    items: tuple[Item, ...]
    issued_at: datetime


def check_items(items: tuple[Item, ...]) -> None:
    """Raise Invalid unless there are 1 to 50 items and each says all it must; only instructions may be empty."""
    if not 1 <= len(items) <= MOST_ITEMS:
        raise Invalid.because("items", "length", f"must be 1 to {MOST_ITEMS} items")
    for place, item in enumerate(items):
        for field in fields(Item):
            check_text(
                getattr(item, field.name),
                ("items", place, field.name),
                least=0 if field.name == "instructions" else 1,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Consultation:
    """The care that came of an appointment."""

    id: ConsultationId
    appointment: AppointmentId
    doctor: Doctor
    patient: Patient
    status: ConsultationStatus
    started_at: datetime
    ended_at: datetime | None = None

    def prescribe(
        self, items: tuple[Item, ...], *, id: PrescriptionId, now: datetime
    ) -> tuple["Consultation", Prescription]:
        """Issue the prescription and finish.

        Raises:
            PrescriptionIssued: there is one already.
        """
        if self.status is ConsultationStatus.FINISHED:
            raise PrescriptionIssued
        finished = replace(self, status=ConsultationStatus.FINISHED, ended_at=now)
        return finished, Prescription(
            id=id,
            consultation=self.id,
            doctor=self.doctor,
            patient=self.patient,
            items=items,
            issued_at=now,
        )
