"""How a new user comes to be known, whoever asks for it."""

from dataclasses import dataclass

from healthcare.application.uow import Begin
from healthcare.domain.identity.errors import EmailTaken
from healthcare.domain.identity.model import User, check_password
from healthcare.domain.identity.ports import Passwords
from healthcare.domain.kernel import Actor, EventKind, Happened, UserId


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Keeps a new user, whose e-mail address nobody may have."""

    begin: Begin
    passwords: Passwords
    happened: Happened

    def new_user_id(self) -> UserId:
        """Return an id that no user has."""
        return UserId(self.happened.new_id())

    async def keep(self, user: User, password: str, *kinds: EventKind, actor: Actor, by: UserId | None = None) -> None:
        """Keep the user, and say what happened; the hash is made before the transaction, as it takes longer."""
        check_password(password)
        password_hash = await self.passwords.hash(password)
        async with self.begin() as uow:
            await uow.users.lock_email(user.email)
            if await uow.users.account(user.email):
                raise EmailTaken
            await uow.users.add(user, password_hash)
            await uow.outbox.add(*[self.happened(kind, actor, user.id, by=by) for kind in kinds])
