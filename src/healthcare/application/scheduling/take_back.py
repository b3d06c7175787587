"""Taking a free slot back."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.scheduling.decide import DecideTogether
from healthcare.domain.kernel import Actor, Refusal, SlotId
from healthcare.domain.policy import Action
from healthcare.domain.scheduling.asks import Withdrawal


@dataclass(frozen=True, slots=True)
class TakeSlotBack:
    """A doctor takes a slot back while it is free. The row stays: appointments may refer to it."""

    action: ClassVar = Action.TAKE_SLOT_BACK
    together: DecideTogether

    async def __call__(self, *, actor: Actor, slot: SlotId) -> None:
        """Withdraw the slot."""
        (answer,) = await self.together([Withdrawal(actor=actor, slot=slot)])
        if isinstance(answer, Refusal):
            raise answer
