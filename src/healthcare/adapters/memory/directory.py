"""Doctors' profiles, in memory."""

from dataclasses import dataclass

from healthcare.adapters.memory.transaction import Transaction
from healthcare.domain.directory.model import Profile
from healthcare.domain.kernel import Role, UserId


@dataclass(frozen=True, slots=True)
class MemoryProfiles:
    """What doctors say of themselves."""

    tx: Transaction

    async def lock(self, doctor: UserId) -> None:
        """Queue with whoever else changes this doctor's profile or slots."""
        await self.tx.lock("user", doctor)

    async def get(self, doctor: UserId) -> Profile | None:
        """Return the doctor's profile."""
        await self.tx.turn()
        return self.tx.profiles.get(doctor)

    async def put(self, profile: Profile) -> None:
        """Keep the profile in place of an earlier one."""
        await self.tx.lock("profile", profile.doctor)
        self.tx.profiles.put(profile.doctor, profile)

    async def specialties(self) -> list[str]:
        """Return the specialties that have a doctor."""
        await self.tx.turn()
        accounts = self.tx.accounts
        return sorted({one.specialty for one in self.tx.profiles if accounts[one.doctor].user.role is Role.DOCTOR})
