"""Users, their e-mail addresses, passwords and roles."""

import re
from dataclasses import dataclass, replace

from healthcare.domain.identity.errors import LastAdmin
from healthcare.domain.kernel import Invalid, Role, UserId, check_text
from healthcare.domain.zones import check_zone

LONGEST_EMAIL = 254
"""Characters; RFC 5321 §4.5.3.1.3 less the angle brackets."""
EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f.]+(\.[^@\s\x00-\x1f\x7f.]+)*")

SHORTEST_PASSWORD = 15
"""Characters; NIST SP 800-63B-4 §3.1.1.2, for a password that is the only factor."""
LONGEST_PASSWORD = 128


@dataclass(frozen=True, slots=True)
class Email:
    """An e-mail address. Two that differ only in case are the same address."""

    value: str

    def __post_init__(self) -> None:
        """Raise Invalid unless it looks like one: the only real proof is a message that arrives."""
        check_text(self.value, "email", most=LONGEST_EMAIL)
        if not EMAIL.fullmatch(self.value):
            raise Invalid.because("email", "email", "is not an e-mail address")

    @property
    def key(self) -> str:
        """What is equal for equal addresses."""
        return self.value.casefold()


def check_password(password: str) -> None:
    """Raise Invalid unless a new password is 15 to 128 characters long."""
    check_text(password, "password", least=SHORTEST_PASSWORD, most=LONGEST_PASSWORD)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who can sign in."""

    id: UserId
    email: Email
    full_name: str
    role: Role
    time_zone: str

    def __post_init__(self) -> None:
        """Raise Invalid unless the name says something and the zone exists."""
        check_text(self.full_name, "full_name")
        check_zone(self.time_zone, "time_zone")

    def become(self, role: Role, *, admins: int) -> "User":
        """Take another role, where there are `admins` admins at present.

        Raises:
            LastAdmin: nobody would be left who can give roles.
        """
        if self.role is Role.ADMIN and role is not Role.ADMIN and admins <= 1:
            raise LastAdmin
        return replace(self, role=role)


@dataclass(frozen=True, slots=True)
class Account:
    """A user, and the hash that proves it is they."""

    user: User
    password_hash: str
