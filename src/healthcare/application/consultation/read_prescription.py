"""Reading a prescription."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.uow import Begin
from healthcare.domain.consultation.model import Prescription
from healthcare.domain.kernel import Actor, ConsultationId, EventKind, Happened, NotFound
from healthcare.domain.policy import Action, permit, require_relation


@dataclass(frozen=True, slots=True)
class ReadPrescription:
    """Its patient and its doctor read it, and that they did is kept before they see it."""

    action: ClassVar = Action.READ_PRESCRIPTION
    begin: Begin
    happened: Happened

    async def __call__(self, *, actor: Actor, consultation: ConsultationId) -> Prescription:
        """Return the prescription of a consultation."""
        async with self.begin() as uow:
            role = await uow.users.role(actor.user)
            permit(self.action, actor, role, subject=consultation)
            if (found := await uow.consultations.get(consultation)) is None:
                raise NotFound
            require_relation(
                self.action, actor, role, doctor=found.doctor.id, patient=found.patient.id, subject=consultation
            )
            if (prescription := await uow.prescriptions.of(consultation)) is None:
                raise NotFound
            await uow.outbox.add(self.happened(EventKind.PRESCRIPTION_READ, actor, prescription.id))
        return prescription
