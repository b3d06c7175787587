"""Holding."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.scheduling.decide import Decide
from healthcare.domain.kernel import Actor, SlotId
from healthcare.domain.policy import Action
from healthcare.domain.scheduling.asks import Holding
from healthcare.domain.scheduling.model import Appointment


@dataclass(frozen=True, slots=True)
class HoldSlot:
    """A patient has a free slot kept for them for 5 minutes, and once for 5 more. A hold ends by itself."""

    action: ClassVar = Action.HOLD_SLOT
    decide: Decide

    async def __call__(self, *, actor: Actor, slot: SlotId) -> Appointment:
        """Hold the slot; the hold is an appointment that is still pending."""
        return await self.decide(Holding(actor=actor, slot=slot))
