"""Issuing a prescription."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.uow import Begin
from healthcare.domain.consultation.model import Item, Prescription, check_items
from healthcare.domain.kernel import Actor, ConsultationId, EventKind, Happened, NotFound, PrescriptionId
from healthcare.domain.policy import Action, permit, require_relation


@dataclass(frozen=True, slots=True)
class IssuePrescription:
    """The booked doctor orders medicines, and the consultation is finished."""

    action: ClassVar = Action.ISSUE_PRESCRIPTION
    begin: Begin
    happened: Happened

    async def __call__(self, *, actor: Actor, consultation: ConsultationId, items: tuple[Item, ...]) -> Prescription:
        """Issue it once and for all."""
        check_items(items)
        async with self.begin() as uow:
            role = await uow.users.role(actor.user)
            permit(self.action, actor, role, subject=consultation)
            if (found := await uow.consultations.lock(consultation)) is None:
                raise NotFound
            require_relation(self.action, actor, role, doctor=found.doctor.id, subject=consultation)
            finished, prescription = found.prescribe(
                items, id=PrescriptionId(self.happened.new_id()), now=self.happened.clock.now()
            )
            await uow.consultations.put(finished)
            await uow.prescriptions.add(prescription)
            await uow.outbox.add(self.happened(EventKind.PRESCRIPTION_ISSUED, actor, prescription.id))
        return prescription
