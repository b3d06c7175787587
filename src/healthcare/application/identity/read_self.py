"""Reading what is known of oneself."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.uow import Begin
from healthcare.domain.identity.model import User
from healthcare.domain.kernel import Actor, Unauthenticated
from healthcare.domain.policy import Action, permit


@dataclass(frozen=True, slots=True)
class ReadSelf:
    """Whoever is signed in can see who they are to us."""

    action: ClassVar = Action.READ_SELF
    begin: Begin

    async def __call__(self, *, actor: Actor) -> User:
        """Return the caller."""
        async with self.begin() as uow:
            if (user := await uow.users.get(actor.known)) is None:
                raise Unauthenticated
            permit(self.action, actor, user.role)
        return user
