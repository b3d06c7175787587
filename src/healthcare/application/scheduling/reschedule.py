"""Rescheduling."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.scheduling.decide import Decide
from healthcare.domain.kernel import Actor, AppointmentId, SlotId
from healthcare.domain.policy import Action
from healthcare.domain.scheduling.asks import Rescheduling
from healthcare.domain.scheduling.model import Appointment


@dataclass(frozen=True, slots=True)
class RescheduleAppointment:
    """A patient moves an appointment to another slot, of another doctor too; if that fails, it stays where it is."""

    action: ClassVar = Action.RESCHEDULE_APPOINTMENT
    decide: Decide

    async def __call__(
        self, *, actor: Actor, appointment: AppointmentId, slot: SlotId, versions: Collection[int] | None = None
    ) -> Appointment:
        """Move the appointment, provided that it has one of these versions; None: whichever it has."""
        return await self.decide(Rescheduling(actor=actor, appointment=appointment, slot=slot, versions=versions))
