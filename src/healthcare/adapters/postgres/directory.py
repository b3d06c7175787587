"""Doctors' profiles, in PostgreSQL."""

from dataclasses import dataclass

from healthcare.adapters.postgres.session import Session
from healthcare.domain.directory.model import Profile
from healthcare.domain.kernel import Money, UserId


@dataclass(frozen=True, slots=True)
class PostgresProfiles:
    """What doctors say of themselves."""

    session: Session

    async def lock(self, doctor: UserId) -> None:
        """Queue with whoever else changes this doctor's profile or slots."""
        await self.session.read("SELECT 1 FROM users WHERE id = %s FOR NO KEY UPDATE", [doctor])

    async def get(self, doctor: UserId) -> Profile | None:
        """Return the doctor's profile."""
        rows = await self.session.read("SELECT * FROM doctor_profiles WHERE doctor_id = %s", [doctor])
        if not rows:
            return None
        (row,) = rows
        return Profile(
            doctor=row["doctor_id"],
            specialty=row["specialty"],
            languages=tuple(row["languages"]),
            fee=Money(row["fee_amount"], row["fee_currency"]),
            time_zone=row["time_zone"],
            registration_number=row["registration_number"],
            notice_hours=row["notice_hours"],
        )

    async def put(self, profile: Profile) -> None:
        """Keep the profile in place of an earlier one."""
        await self.session.write(
            """
            INSERT INTO doctor_profiles AS p
                   (doctor_id, specialty, languages, fee_amount, fee_currency, time_zone, registration_number,
                    notice_hours)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
                ON CONFLICT (doctor_id) DO UPDATE
               SET (specialty, languages, fee_amount, fee_currency, time_zone, registration_number, notice_hours)
                 = (excluded.specialty, excluded.languages, excluded.fee_amount, excluded.fee_currency,
                    excluded.time_zone, excluded.registration_number, excluded.notice_hours)
            """,
            [
                profile.doctor,
                profile.specialty,
                list(profile.languages),
                profile.fee.amount,
                profile.fee.currency,
                profile.time_zone,
                profile.registration_number,
                profile.notice_hours,
            ],
        )

    async def specialties(self) -> list[str]:
        """Return the specialties that have a doctor."""
        rows = await self.session.read(
            """
            SELECT DISTINCT p.specialty
              FROM doctor_profiles p JOIN users u ON u.id = p.doctor_id
             WHERE u.role = 'doctor'
             ORDER BY p.specialty
            """
        )
        return [row["specialty"] for row in rows]
