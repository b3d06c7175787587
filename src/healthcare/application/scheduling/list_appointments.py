"""One's own appointments."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.uow import Begin
from healthcare.domain.kernel import Actor, Page, Paging, Role
from healthcare.domain.policy import Action, permit
from healthcare.domain.scheduling.model import Appointment


@dataclass(frozen=True, slots=True)
class ListAppointments:
    """Patients and doctors see the appointments that are theirs."""

    action: ClassVar = Action.LIST_APPOINTMENTS
    begin: Begin

    async def __call__(self, *, actor: Actor, paging: Paging) -> Page[Appointment]:
        """Return the caller's appointments by start."""
        async with self.begin() as uow:
            role = await uow.users.role(actor.user)
            permit(self.action, actor, role)
            return await uow.appointments.of(actor.known, paging, as_doctor=role is Role.DOCTOR)
