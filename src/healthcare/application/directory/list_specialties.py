"""The specialties that patients can choose from."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.uow import Begin
from healthcare.domain.kernel import Actor
from healthcare.domain.policy import Action, permit


@dataclass(frozen=True, slots=True)
class ListSpecialties:
    """Anybody can see which specialties have a doctor."""

    action: ClassVar = Action.LIST_SPECIALTIES
    begin: Begin

    async def __call__(self, *, actor: Actor) -> list[str]:
        """Return the specialties in alphabetical order."""
        permit(self.action, actor)
        async with self.begin() as uow:
            return await uow.profiles.specialties()
