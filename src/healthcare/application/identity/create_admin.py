"""Making the first admin, from the command line."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.uow import Begin
from healthcare.domain.identity.errors import EmailTaken
from healthcare.domain.identity.model import Email, User, check_password
from healthcare.domain.identity.ports import Passwords
from healthcare.domain.kernel import Actor, EventKind, Happened, Role, UserId
from healthcare.domain.policy import Action, permit


@dataclass(frozen=True, slots=True)
class CreateAdmin:
    """Whoever operates the system can make an admin: somebody must be the first."""

    action: ClassVar = Action.CREATE_ADMIN
    begin: Begin
    passwords: Passwords
    happened: Happened

    async def __call__(self, *, actor: Actor, email: Email, password: str, full_name: str, time_zone: str) -> User:
        """Register an admin whose e-mail address nobody has."""
        permit(self.action, actor)
        check_password(password)
        user = User(
            id=UserId(self.happened.new_id()), email=email, full_name=full_name, role=Role.ADMIN, time_zone=time_zone
        )
        password_hash = await self.passwords.hash(password)
        async with self.begin() as uow:
            await uow.users.lock_roles()
            await uow.users.lock_email(email)
            if await uow.users.account(email):
                raise EmailTaken
            await uow.users.add(user, password_hash)
            await uow.outbox.add(
                self.happened(EventKind.USER_REGISTERED, actor, user.id),
                self.happened(EventKind.ROLE_CHANGED, actor, user.id),
            )
        return user
