"""Registering as a patient."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.uow import Begin
from healthcare.domain.identity.errors import EmailTaken
from healthcare.domain.identity.model import Email, User, check_password
from healthcare.domain.identity.ports import Passwords
from healthcare.domain.kernel import Actor, EventKind, Happened, Role, UserId
from healthcare.domain.policy import Action, permit


@dataclass(frozen=True, slots=True)
class RegisterPatient:
    """Anybody can become a patient; other roles are given."""

    action: ClassVar = Action.REGISTER
    begin: Begin
    passwords: Passwords
    happened: Happened

    async def __call__(self, *, actor: Actor, email: Email, password: str, full_name: str, time_zone: str) -> User:
        """Register somebody whose e-mail address nobody has."""
        permit(self.action, actor)
        check_password(password)
        user = User(
            id=UserId(self.happened.new_id()),
            email=email,
            full_name=full_name,
            role=Role.PATIENT,
            time_zone=time_zone,
        )
        password_hash = await self.passwords.hash(password)
        async with self.begin() as uow:
            await uow.users.lock_email(email)
            if await uow.users.account(email):
                raise EmailTaken
            await uow.users.add(user, password_hash)
            await uow.outbox.add(self.happened(EventKind.USER_REGISTERED, actor, user.id, by=user.id))
        return user
