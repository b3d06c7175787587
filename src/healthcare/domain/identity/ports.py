"""What the use cases of identity need from outside."""

from datetime import datetime
from typing import Protocol

from healthcare.domain.identity.model import Account, Email, User
from healthcare.domain.kernel import Role, UserId


class Users(Protocol):
    """The people who can sign in."""

    async def lock_email(self, email: Email) -> None:
        """Let nobody else register this address until the unit of work ends."""
        ...

    async def lock_roles(self) -> None:
        """Queue with everybody else who changes a role, until the unit of work ends."""
        ...

    async def role(self, user: UserId | None) -> Role | None:
        """Return the user's role at present; None where there is no such user."""
        ...

    async def get(self, user: UserId) -> User | None:
        """Return the user."""
        ...

    async def account(self, email: Email) -> Account | None:
        """Return the user with this address, whatever its case, and their password hash."""
        ...

    async def add(self, user: User, password_hash: str) -> None:
        """Keep a new user.

        Raises:
            EmailTaken: somebody has this address.
        """
        ...

    async def set_role(self, user: UserId, role: Role) -> None:
        """Keep the user's new role."""
        ...

    async def set_password_hash(self, user: UserId, password_hash: str) -> None:
        """Keep a hash made anew from the same password."""
        ...

    async def count_admins(self) -> int:
        """Return how many admins there are."""
        ...


class Passwords(Protocol):
    """Slow hashes of passwords, made and checked where nobody has to wait for somebody else's."""

    def require_place(self) -> None:
        """Ask whether there is room for one more, so that nothing is looked up in vain for whoever would be refused.

        Raises:
            HashingQueueFull: too many are waiting.
        """
        ...

    async def hash(self, password: str) -> str:
        """Return a salted hash.

        Raises:
            HashingQueueFull: too many are waiting.
        """
        ...

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Say whether the password is right. None, for want of a user, takes as long and is always wrong.

        Raises:
            HashingQueueFull: too many are waiting.
        """
        ...

    def is_outdated(self, password_hash: str) -> bool:
        """Say whether the hash was made in a way that we no longer use."""
        ...


class Tokens(Protocol):
    """Access tokens. They name a user and nothing else: what the user may do is looked up each time."""

    @property
    def lifetime(self) -> int:
        """Seconds for which a token is good."""
        ...

    def issue(self, user: UserId, *, now: datetime) -> str:
        """Return a token for the user."""
        ...

    def read(self, token: str, *, now: datetime) -> UserId:
        """Return the user whom the token names.

        Raises:
            InvalidToken: it is expired, or not one of ours.
        """
        ...
