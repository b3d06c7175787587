"""Giving a hold up."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.scheduling.decide import Decide
from healthcare.domain.kernel import Actor, SlotId
from healthcare.domain.policy import Action
from healthcare.domain.scheduling.asks import Release


@dataclass(frozen=True, slots=True)
class ReleaseHold:
    """A patient lets others have the slot that they hold."""

    action: ClassVar = Action.RELEASE_HOLD
    decide: Decide

    async def __call__(self, *, actor: Actor, slot: SlotId) -> None:
        """Give the slot back."""
        await self.decide(Release(actor=actor, slot=slot))
