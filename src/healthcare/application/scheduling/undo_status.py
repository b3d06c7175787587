"""Undoing a mistaken check-in or no-show."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.scheduling.decide import Decide
from healthcare.domain.kernel import Actor, AppointmentId
from healthcare.domain.policy import Action
from healthcare.domain.scheduling.asks import Undoing
from healthcare.domain.scheduling.model import Appointment


@dataclass(frozen=True, slots=True)
class UndoStatus:
    """A doctor corrects what was noted by mistake.

    Who was checked in is booked again. Who was marked as missing is checked in: they did come.
    """

    action: ClassVar = Action.UNDO_STATUS
    decide: Decide

    async def __call__(self, *, actor: Actor, appointment: AppointmentId) -> Appointment:
        """Undo."""
        return await self.decide(Undoing(actor=actor, appointment=appointment))
