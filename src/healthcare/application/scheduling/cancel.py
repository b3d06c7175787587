"""Cancelling."""

from dataclasses import dataclass
from typing import ClassVar

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
        async with self.begin() as uow:
            permit(self.action, actor, await uow.users.role(actor.user), subject=appointment)
            if (found := await uow.appointments.lock(appointment)) is None:
                raise NotFound
            require_relation(self.action, actor, doctor=found.doctor.id, patient=found.patient.id, subject=appointment)
            cancelled = found.cancel(now=self.happened.clock.now())
            await uow.appointments.put(cancelled, reason=reason)
            await uow.outbox.add(self.happened(EventKind.APPOINTMENT_CANCELLED, actor, appointment))
        await self.cache.forget({Touched(cancelled.doctor.specialty, cancelled.time.start.date())})
        return cancelled
