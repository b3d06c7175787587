"""Signing in."""

from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.uow import Begin, Busy, OutcomeUnknown, Read, Record, Unavailable
from healthcare.domain.identity.errors import HashingQueueFull, SignInFailed
from healthcare.domain.identity.model import Email, User
from healthcare.domain.identity.ports import Passwords, Tokens
from healthcare.domain.kernel import Actor, EventKind, Happened
from healthcare.domain.policy import Action, permit


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The proof that a user has signed in."""

    user: User
    token: str
    lifetime: int
    """Seconds for which the token is good."""


@dataclass(frozen=True, slots=True)
class LogIn:
    """A wrong password and an unknown address get the same answer in the same time.

    An imported password is the exception: as long as its hash is of another kind, it takes the time of that kind.
    """

    action: ClassVar = Action.LOG_IN
    begin: Begin
    read: Read
    record: Record
    passwords: Passwords
    tokens: Tokens
    happened: Happened

    async def __call__(self, *, actor: Actor, email: Email, password: str) -> SignedIn:
        """Check the password, with no transaction open meanwhile: hashing takes longer than all the rest."""
        permit(self.action, actor)
        self.passwords.require_place()
        async with self.read() as uow:
            account = await uow.users.account(email)
        right = await self.passwords.verify(password, account.password_hash if account else None)
        if account is None or not right:
            await self.record(self.happened(EventKind.SIGN_IN_FAILED, actor, account.user.id if account else None))
            raise SignInFailed
        user = account.user
        if self.passwords.is_outdated(account.password_hash):
            with suppress(HashingQueueFull, Busy, Unavailable, OutcomeUnknown):  # the next sign-in tries again
                await self._renew(user, password)
        await self.record(self.happened(EventKind.SIGN_IN_SUCCEEDED, actor, user.id, by=user.id))
        token = self.tokens.issue(user.id, now=self.happened.clock.now())
        return SignedIn(user, token, self.tokens.lifetime)

    async def _renew(self, user: User, password: str) -> None:
        renewed = await self.passwords.hash(password)
        async with self.begin() as uow:
            await uow.users.set_password_hash(user.id, renewed)
