"""Registering, and making the first admin."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from healthcare.domain.identity.errors import EmailTaken
from healthcare.domain.identity.model import User
from healthcare.domain.kernel import EventKind, Invalid, Role
from tests.builders import NOBODY, PASSWORD, SYSTEM, an_email
from tests.clinic import Clinic

pytestmark = pytest.mark.anyio


async def register(clinic: Clinic, email: str = "ada@example.org", *, password: str = PASSWORD) -> User:
    return await clinic.can.register_patient(
        actor=NOBODY, email=an_email(email), password=password, full_name="Ada Lovelace", time_zone="Europe/London"
    )


async def create_admin(clinic: Clinic, email: str = "ada@example.org", *, password: str = PASSWORD) -> User:
    return await clinic.can.create_admin(
        actor=SYSTEM, email=an_email(email), password=password, full_name="Ada Lovelace", time_zone="Europe/London"
    )


async def test_whoever_registers_is_a_patient(clinic: Clinic) -> None:
    user = await register(clinic)

    async with clinic.database.begin() as uow:
        assert await uow.users.get(user.id) == user
    assert (user.role, user.email.value, user.time_zone) == (Role.PATIENT, "ada@example.org", "Europe/London")


async def test_only_a_hash_of_the_password_is_kept(clinic: Clinic) -> None:
    user = await register(clinic)

    async with clinic.database.begin() as uow:
        account = await uow.users.account(user.email)
    assert account
    assert account.password_hash != PASSWORD
    assert await clinic.passwords.verify(PASSWORD, account.password_hash)


async def test_that_somebody_registered_is_said_by_them(clinic: Clinic) -> None:
    user = await register(clinic)

    (event,) = await clinic.events()
    assert (event.kind, event.actor, event.subject) == (EventKind.USER_REGISTERED, user.id, user.id)


@pytest.mark.parametrize("again", [register, create_admin])
@pytest.mark.parametrize("address", ["ada@example.org", "ADA@Example.ORG"])
async def test_an_address_registers_once_whatever_its_case(
    clinic: Clinic, again: Callable[[Clinic, str], Awaitable[User]], address: str
) -> None:
    await register(clinic)

    with pytest.raises(EmailTaken):
        await again(clinic, address)

    assert len(await clinic.events()) == 1


async def test_of_two_who_register_one_address_at_once_one_does(clinic: Clinic) -> None:
    outcomes = await asyncio.gather(*(register(clinic) for _ in range(5)), return_exceptions=True)

    assert len([one for one in outcomes if isinstance(one, User)]) == 1
    assert len([one for one in outcomes if isinstance(one, EmailTaken)]) == 4
    assert len(await clinic.events()) == 1


async def test_a_password_that_is_too_short_is_refused_before_it_is_hashed(clinic: Clinic) -> None:
    for refuse in (register, create_admin):
        with pytest.raises(Invalid):
            await refuse(clinic, password="short")

    assert clinic.passwords.made == 0


async def test_an_admin_is_made_from_outside(clinic: Clinic) -> None:
    admin = await create_admin(clinic)

    assert admin.role is Role.ADMIN
    registered, changed = await clinic.events()
    assert [registered.kind, changed.kind] == [EventKind.USER_REGISTERED, EventKind.ROLE_CHANGED]
    assert [registered.subject, changed.subject] == [admin.id, admin.id]
    assert [registered.actor, changed.actor] == [None, None]
