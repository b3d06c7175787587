"""Noting who did not come."""

from dataclasses import dataclass
from typing import ClassVar, Final

from healthcare.application.scheduling.decide import DecideTogether
from healthcare.application.uow import Begin
from healthcare.domain.kernel import Actor, Clock, Refusal
from healthcare.domain.policy import Action, permit
from healthcare.domain.scheduling.asks import Missing
from healthcare.domain.scheduling.model import MISSED_AFTER

MOST_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class MarkNoShows:
    """What is still booked 15 minutes after its end was missed; undone by the doctor if that is not so."""

    action: ClassVar = Action.MARK_NO_SHOWS
    begin: Begin
    clock: Clock
    together: DecideTogether

    async def __call__(self, *, actor: Actor) -> int:
        """Mark the oldest, and return how many those were; 0 means that none is left.

        They are looked for by this process's clock and decided by the diary's: who looks too early finds nothing to do.
        """
        permit(self.action, actor)
        async with self.begin() as uow:
            overdue = await uow.appointments.overdue(MOST_AT_ONCE, before=self.clock.now() - MISSED_AFTER)
        answers = await self.together([Missing(actor=actor, appointment=one) for one in overdue])
        return sum(not isinstance(one, Refusal) for one in answers)
