"""A doctor's own slots."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.uow import Begin
from healthcare.domain.kernel import Actor, Page, Paging
from healthcare.domain.policy import Action, permit
from healthcare.domain.scheduling.model import Slot


@dataclass(frozen=True, slots=True)
class ListSlots:
    """A doctor sees their own slots, past ones too."""

    action: ClassVar = Action.LIST_SLOTS
    begin: Begin

    async def __call__(self, *, actor: Actor, paging: Paging) -> Page[Slot]:
        """Return the caller's slots by start."""
        async with self.begin() as uow:
            permit(self.action, actor, await uow.users.role(actor.user))
            return await uow.slots.of(actor.known, paging)
