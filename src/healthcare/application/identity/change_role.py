"""Giving a user a role."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.searches import touching
from healthcare.application.uow import Begin
from healthcare.domain.identity.model import User
from healthcare.domain.kernel import Actor, EventKind, Happened, NotFound, Role, UserId
from healthcare.domain.policy import Action, permit
from healthcare.domain.scheduling.ports import SearchCache
from healthcare.domain.scheduling.search import Touched


@dataclass(frozen=True, slots=True)
class ChangeRole:
    """Changes of role queue on one lock, so that two admins cannot remove each other at once."""

    action: ClassVar = Action.CHANGE_ROLE
    begin: Begin
    cache: SearchCache
    happened: Happened

    async def __call__(self, *, actor: Actor, user: UserId, role: Role) -> User:
        """Give `user` the role; giving the one they have changes nothing."""
        async with touching(self.cache) as touched, self.begin() as uow:
            await uow.users.lock_roles()
            permit(self.action, actor, await uow.users.role(actor.user), subject=user)
            if (before := await uow.users.get(user)) is None:
                raise NotFound
            after = before.become(role, admins=await uow.users.count_admins())
            if after != before:
                await uow.users.set_role(user, role)
                await uow.outbox.add(self.happened(EventKind.ROLE_CHANGED, actor, user))
            if profile := await uow.profiles.get(user):
                touched.add(Touched(profile.specialty))
        return after
