"""One of one's own appointments."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.uow import Begin
from healthcare.domain.kernel import Actor, AppointmentId, NotFound
from healthcare.domain.policy import Action, permit, require_relation
from healthcare.domain.scheduling.model import Appointment


@dataclass(frozen=True, slots=True)
class ReadAppointment:
    """Its patient and its doctor can see an appointment."""

    action: ClassVar = Action.READ_APPOINTMENT
    begin: Begin

    async def __call__(self, *, actor: Actor, appointment: AppointmentId) -> Appointment:
        """Return the appointment."""
        async with self.begin() as uow:
            role = await uow.users.role(actor.user)
            permit(self.action, actor, role, subject=appointment)
            if (found := await uow.appointments.get(appointment)) is None:
                raise NotFound
            require_relation(
                self.action, actor, role, doctor=found.doctor.id, patient=found.patient.id, subject=appointment
            )
        return found
