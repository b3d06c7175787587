"""The system's clock and its source of ids."""

from datetime import UTC, datetime
from secrets import token_urlsafe
from uuid import UUID, uuid4


class SystemClock:
    """The time of this machine."""

    def now(self) -> datetime:
        """Return the present instant, in UTC."""
        return datetime.now(UTC)


def new_id() -> UUID:
    """Return a random id (UUID version 4): it tells nothing, not even when it was made."""
    return uuid4()


def new_password() -> str:
    """Return a password that nobody can guess, of 24 characters that need no escaping anywhere."""
    return token_urlsafe(18)
