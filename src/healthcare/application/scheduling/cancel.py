"""Cancelling."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.searches import touching
from healthcare.application.uow import Begin
from healthcare.domain.kernel import Actor, AppointmentId, EventKind, Happened, NotFound, check_text
from healthcare.domain.policy import Action, permit, require_relation
from healthcare.domain.scheduling.model import Appointment, Touched
from healthcare.domain.scheduling.ports import SearchCache


@dataclass(frozen=True, slots=True)
class CancelAppointment:
    """Its patient or its doctor gives an appointment up before it starts; the slot is free again."""

    action: ClassVar = Action.CANCEL_APPOINTMENT
    begin: Begin
    cache: SearchCache
    happened: Happened

    async def __call__(self, *, actor: Actor, appointment: AppointmentId, reason: str) -> Appointment:
        """Cancel, for a reason in the caller's own words."""
        check_text(reason, "reason")
        async with touching(self.cache) as touched, self.begin() as uow:
            role = await uow.users.role(actor.user)
            permit(self.action, actor, role, subject=appointment)
            if (found := await uow.appointments.lock(appointment)) is None:
                raise NotFound
            require_relation(
                self.action, actor, role, doctor=found.doctor.id, patient=found.patient.id, subject=appointment
            )
            cancelled = found.cancel(now=self.happened.clock.now())
            touched.add(Touched.by(cancelled))
            await uow.appointments.put(cancelled, reason=reason)
            await uow.outbox.add(self.happened(EventKind.APPOINTMENT_CANCELLED, actor, appointment))
        return cancelled
