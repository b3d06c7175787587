"""Users, in PostgreSQL."""

from dataclasses import dataclass

from psycopg.rows import DictRow

from healthcare.adapters.postgres.session import Session
from healthcare.domain.identity.model import Account, Email, User
from healthcare.domain.kernel import Role, UserId

USER = "id, email, full_name, role, time_zone"


def user_of(row: DictRow) -> User:
    """Read a user from the columns of USER."""
    return User(
        id=row["id"],
        email=Email(row["email"]),
        full_name=row["full_name"],
        role=Role(row["role"]),
        time_zone=row["time_zone"],
    )


@dataclass(frozen=True, slots=True)
class PostgresUsers:
    """The people who can sign in."""

    session: Session

    async def lock_email(self, email: Email) -> None:
        """Queue with whoever else registers this address."""
        await self.session.read("SELECT pg_advisory_xact_lock(hashtextextended('email:' || %s, 0))", [email.key])

    async def lock_roles(self) -> None:
        """Queue with whoever else changes a role."""
        await self.session.read("SELECT pg_advisory_xact_lock(hashtextextended('roles', 0))")

    async def role(self, user: UserId | None) -> Role | None:
        """Return the user's role at present."""
        rows = await self.session.read("SELECT role FROM users WHERE id = %s", [user])
        return Role(rows[0]["role"]) if rows else None

    async def get(self, user: UserId) -> User | None:
        """Return the user."""
        rows = await self.session.read(f"SELECT {USER} FROM users WHERE id = %s", [user])
        return user_of(rows[0]) if rows else None

    async def account(self, email: Email) -> Account | None:
        """Return the user with this address, and their password hash."""
        rows = await self.session.read(f"SELECT {USER}, password_hash FROM users WHERE email_key = %s", [email.key])
        return Account(user_of(rows[0]), rows[0]["password_hash"]) if rows else None

    async def add(self, user: User, password_hash: str) -> None:
        """Keep a new user."""
        await self.session.write(
            """
            INSERT INTO users (id, email, email_key, full_name, role, time_zone, password_hash)
            VALUES (%s, %s, %s, %s, %s, %s, %s)
            """,
            [user.id, user.email.value, user.email.key, user.full_name, user.role, user.time_zone, password_hash],
        )

    async def set_role(self, user: UserId, role: Role) -> None:
        """Keep the user's new role."""
        await self.session.write("UPDATE users SET role = %s WHERE id = %s", [role, user])

    async def set_password_hash(self, user: UserId, password_hash: str) -> None:
        """Keep a hash made anew."""
        await self.session.write("UPDATE users SET password_hash = %s WHERE id = %s", [password_hash, user])

    async def count_admins(self) -> int:
        """Return how many admins there are."""
        rows = await self.session.read("SELECT count(*) AS admins FROM users WHERE role = 'admin'")
        return int(rows[0]["admins"])
