"""Checking in."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.scheduling.decide import Decide
from healthcare.domain.kernel import Actor, AppointmentId
from healthcare.domain.policy import Action
from healthcare.domain.scheduling.asks import CheckingIn
from healthcare.domain.scheduling.model import Appointment


@dataclass(frozen=True, slots=True)
class CheckIn:
    """A patient says that they are there, from 15 minutes before the start; a second time changes nothing."""

    action: ClassVar = Action.CHECK_IN
    decide: Decide

    async def __call__(self, *, actor: Actor, appointment: AppointmentId) -> Appointment:
        """Check in."""
        return await self.decide(CheckingIn(actor=actor, appointment=appointment))
