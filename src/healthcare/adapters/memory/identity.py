"""Users, in memory."""

from dataclasses import dataclass, replace

from healthcare.adapters.memory.transaction import Transaction
from healthcare.domain.identity.errors import EmailTaken
from healthcare.domain.identity.model import Account, Email, User
from healthcare.domain.kernel import Role, UserId


@dataclass(frozen=True, slots=True)
class MemoryUsers:
    """The people who can sign in."""

    tx: Transaction

    async def lock_email(self, email: Email) -> None:
        """Queue with whoever else registers this address."""
        await self.tx.lock("email", email.key)

    async def lock_roles(self) -> None:
        """Queue with whoever else changes a role."""
        await self.tx.lock("roles")

    async def role(self, user: UserId | None) -> Role | None:
        """Return the user's role at present."""
        await self.tx.turn()
        found = self.tx.accounts.get(user) if user else None
        return found.user.role if found else None

    async def get(self, user: UserId) -> User | None:
        """Return the user."""
        await self.tx.turn()
        found = self.tx.accounts.get(user)
        return found.user if found else None

    async def account(self, email: Email) -> Account | None:
        """Return the user with this address, and their password hash."""
        await self.tx.turn()
        return next((one for one in self.tx.accounts if one.user.email.key == email.key), None)

    async def add(self, user: User, password_hash: str) -> None:
        """Keep a new user. Whoever adds the same address meanwhile is waited for, as a unique index does."""
        await self.tx.lock("email", user.email.key)
        if any(one.user.email.key == user.email.key for one in self.tx.accounts):
            raise EmailTaken
        self.tx.accounts.put(user.id, Account(user, password_hash))

    async def set_role(self, user: UserId, role: Role) -> None:
        """Keep the user's new role."""
        await self.tx.lock("user", user)
        account = self.tx.accounts[user]
        self.tx.accounts.put(user, replace(account, user=replace(account.user, role=role)))

    async def set_password_hash(self, user: UserId, password_hash: str) -> None:
        """Keep a hash made anew."""
        await self.tx.lock("user", user)
        self.tx.accounts.put(user, replace(self.tx.accounts[user], password_hash=password_hash))

    async def count_admins(self) -> int:
        """Return how many admins there are."""
        await self.tx.turn()
        return sum(one.user.role is Role.ADMIN for one in self.tx.accounts)
