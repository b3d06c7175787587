"""Seeing which events nobody could record."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.uow import Begin, DeadLetter
from healthcare.domain.kernel import Actor, Page, Paging
from healthcare.domain.policy import Action, permit


@dataclass(frozen=True, slots=True)
class ListDeadLetters:
    """Operators see the ids of what happened, and nothing of what anybody wrote."""

    action: ClassVar = Action.LIST_DEAD_LETTERS
    begin: Begin

    async def __call__(self, *, actor: Actor, paging: Paging) -> Page[DeadLetter]:
        """Return dead letters, those that died first before the others."""
        permit(self.action, actor)
        async with self.begin() as uow:
            return await uow.outbox.dead(paging)
