"""Consultations and prescriptions, in memory."""

from dataclasses import dataclass, replace

from healthcare.adapters.memory.scheduling import appointment_of
from healthcare.adapters.memory.transaction import Constraint, Transaction
from healthcare.domain.consultation.errors import PrescriptionIssued
from healthcare.domain.consultation.model import Consultation, Prescription
from healthcare.domain.kernel import AppointmentId, ConsultationId


@dataclass(frozen=True, slots=True)
class MemoryConsultations:
    """The care that is given."""

    tx: Transaction

    async def of(self, appointment: AppointmentId) -> Consultation | None:
        """Return the consultation of an appointment."""
        await self.tx.turn()
        return next((self._read(one) for one in self.tx.consultations if one.appointment == appointment), None)

    async def get(self, consultation: ConsultationId) -> Consultation | None:
        """Return the consultation."""
        await self.tx.turn()
        found = self.tx.consultations.get(consultation)
        return self._read(found) if found else None

    async def lock(self, consultation: ConsultationId) -> Consultation | None:
        """Return the consultation as nobody else can change it."""
        await self.tx.lock("consultation", consultation)
        return await self.get(consultation)

    async def add(self, consultation: Consultation) -> None:
        """Keep a new consultation."""
        await self.tx.lock("consultation of", consultation.appointment)
        if any(one.appointment == consultation.appointment for one in self.tx.consultations):
            raise Constraint("one_consultation_per_appointment")
        self.tx.consultations.put(consultation.id, consultation)

    async def put(self, consultation: Consultation) -> None:
        """Keep a change."""
        await self.tx.lock("consultation", consultation.id)
        self.tx.consultations.put(consultation.id, consultation)

    def _read(self, consultation: Consultation) -> Consultation:
        appointment = appointment_of(self.tx, self.tx.appointments[consultation.appointment])
        return replace(consultation, doctor=appointment.doctor, patient=appointment.patient)


@dataclass(frozen=True, slots=True)
class MemoryPrescriptions:
    """What doctors order."""

    tx: Transaction

    async def add(self, prescription: Prescription) -> None:
        """Keep a new prescription."""
        await self.tx.lock("prescription of", prescription.consultation)
        if prescription.consultation in self.tx.prescriptions:
            raise PrescriptionIssued
        self.tx.prescriptions.put(prescription.consultation, prescription)

    async def of(self, consultation: ConsultationId) -> Prescription | None:
        """Return the prescription of a consultation."""
        await self.tx.turn()
        return self.tx.prescriptions.get(consultation)
