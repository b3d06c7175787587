"""What every adapter of `Profiles` does."""

import pytest

from healthcare.application.uow import UnitOfWork
from healthcare.domain.directory.model import MOST_NOTICE, Profile
from healthcare.domain.directory.ports import Profiles
from healthcare.domain.kernel import MOST_MONEY, Money, Role
from tests.builders import a_profile, a_user_id
from tests.clinic import Clinic, Database
from tests.integration.contracts.queues import pass_by, queue

pytestmark = pytest.mark.anyio

PORT = Profiles


async def test_a_profile_is_kept_as_it_is(clinic: Clinic) -> None:
    doctor = await clinic.user(Role.DOCTOR)
    profile = a_profile(
        doctor.id,
        languages=("de-CH", "en", "zh-Hant"),
        fee=Money(MOST_MONEY, "JPY"),
        registration_number="Ä 1/2'",
        notice_hours=MOST_NOTICE,
    )

    async with clinic.database.begin() as uow:
        await uow.profiles.put(profile)

    async with clinic.database.begin() as uow:
        assert await uow.profiles.get(doctor.id) == profile


async def test_a_later_profile_replaces_an_earlier_one(clinic: Clinic) -> None:
    doctor = await clinic.doctor("cardiology")
    later = a_profile(doctor.id, specialty="neurology", languages=("fr",), fee=Money(0, "CHF"), time_zone="UTC")

    async with clinic.database.begin() as uow:
        await uow.profiles.put(later)

    async with clinic.database.begin() as uow:
        assert await uow.profiles.get(doctor.id) == later


async def test_who_has_none_has_none(clinic: Clinic) -> None:
    doctor = await clinic.user(Role.DOCTOR)

    async with clinic.database.begin() as uow:
        assert await uow.profiles.get(doctor.id) is None
        assert await uow.profiles.get(a_user_id()) is None


async def test_one_who_is_no_longer_a_doctor_keeps_theirs(clinic: Clinic) -> None:
    doctor = await clinic.doctor()

    async with clinic.database.begin() as uow:
        await uow.users.set_role(doctor.id, Role.PATIENT)

    async with clinic.database.begin() as uow:
        assert await uow.profiles.get(doctor.id)


async def test_specialties_are_those_that_have_a_doctor_once_each_and_in_order(clinic: Clinic) -> None:
    former = await clinic.doctor("neurology")
    for specialty in ("psychiatry", "ent-2", "ent", "cardiology", "psychiatry", "ent-10"):
        await clinic.doctor(specialty)
    async with clinic.database.begin() as uow:
        await uow.users.set_role(former.id, Role.ADMIN)

    async with clinic.database.begin() as uow:
        assert await uow.profiles.specialties() == ["cardiology", "ent", "ent-10", "ent-2", "psychiatry"]


async def test_there_may_be_no_specialties(database: Database) -> None:
    async with database.begin() as uow:
        assert await uow.profiles.specialties() == []


async def test_whoever_changes_a_doctors_profile_or_slots_waits_for_others_who_do(clinic: Clinic) -> None:
    doctor = await clinic.doctor("cardiology")

    async def move(uow: UnitOfWork) -> None:
        await uow.profiles.lock(doctor.id)
        await uow.profiles.put(a_profile(doctor.id, specialty="neurology"))

    async def look(uow: UnitOfWork) -> Profile | None:
        await uow.profiles.lock(doctor.id)
        return await uow.profiles.get(doctor.id)

    seen = await queue(clinic.database, move, look)

    assert seen
    assert seen.specialty == "neurology"


async def test_other_doctors_are_changed_meanwhile(clinic: Clinic) -> None:
    one, other = await clinic.doctor(), await clinic.doctor()

    await pass_by(clinic.database, lambda uow: uow.profiles.lock(one.id), lambda uow: uow.profiles.lock(other.id))
