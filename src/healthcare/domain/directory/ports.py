"""What the use cases of the directory need from outside."""

from typing import Protocol

from healthcare.domain.directory.model import Profile
from healthcare.domain.kernel import UserId


class Profiles(Protocol):
    """What doctors say of themselves."""

    async def lock(self, doctor: UserId) -> None:
        """Queue with whoever else changes this doctor's profile or slots, until the unit of work ends."""
        ...

    async def get(self, doctor: UserId) -> Profile | None:
        """Return the doctor's profile; one who is no longer a doctor keeps theirs."""
        ...

    async def put(self, profile: Profile) -> None:
        """Keep the profile in place of an earlier one."""
        ...

    async def specialties(self) -> list[str]:
        """Return the specialties that have a doctor, in alphabetical order."""
        ...
