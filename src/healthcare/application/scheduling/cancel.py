"""Cancelling."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.scheduling.decide import Decide
from healthcare.domain.kernel import Actor, AppointmentId
from healthcare.domain.policy import Action
from healthcare.domain.scheduling.asks import Cancelling
from healthcare.domain.scheduling.cancellation import ReasonCode
from healthcare.domain.scheduling.model import Appointment


@dataclass(frozen=True, slots=True)
class CancelAppointment:
    """Its patient, its doctor or an admin gives an appointment up before it starts; the slot is free again.

    A patient may do so later than the doctor asks for; the cancellation is then marked as late.
    """

    action: ClassVar = Action.CANCEL_APPOINTMENT
    decide: Decide

    async def __call__(
        self, *, actor: Actor, appointment: AppointmentId, reason: str, code: ReasonCode | None = None
    ) -> Appointment:
        """Cancel, for a reason in the caller's own words; without a code it tells who cancelled."""
        return await self.decide(Cancelling(actor=actor, appointment=appointment, reason=reason, code=code))
