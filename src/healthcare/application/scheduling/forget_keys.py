"""Forgetting idempotency keys."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

from healthcare.application.uow import Begin
from healthcare.domain.kernel import Actor, Clock
from healthcare.domain.policy import Action, permit

KEPT: Final = timedelta(hours=24)
MOST_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class ForgetKeys:
    """A key answers for 24 hours; later the same key is a new one."""

    action: ClassVar = Action.FORGET_KEYS
    begin: Begin
    clock: Clock

    async def __call__(self, *, actor: Actor) -> int:
        """Delete records that are older, and return how many those were; 0 means that none is left."""
        permit(self.action, actor)
        async with self.begin() as uow:
            return await uow.bookings.forget(MOST_AT_ONCE, before=self.clock.now() - KEPT)
