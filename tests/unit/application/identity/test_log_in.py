"""Signing in."""

from dataclasses import replace

import pytest

from healthcare.application.identity.log_in import SignedIn
from healthcare.domain.identity.errors import HashingQueueFull, SignInFailed
from healthcare.domain.kernel import EventKind, Outcome
from tests.builders import NOBODY, FakePasswords, a_user, an_email
from tests.clinic import Clinic

pytestmark = pytest.mark.anyio

RIGHT = "their password"


async def log_in(clinic: Clinic, email: str = "ada@example.org", password: str = RIGHT) -> SignedIn:
    return await clinic.can.log_in(actor=NOBODY, email=an_email(email), password=password)


@pytest.mark.parametrize("address", ["ada@example.org", "ADA@Example.ORG"])
async def test_the_right_password_gets_a_token_that_names_the_user(clinic: Clinic, address: str) -> None:
    user = await clinic.user(email="ada@example.org")

    signed_in = await log_in(clinic, address)

    assert signed_in.user == user
    assert clinic.tokens.read(signed_in.token, now=clinic.clock.now()) == user.id
    assert signed_in.lifetime == clinic.tokens.lifetime


async def test_that_somebody_signed_in_is_said_by_them(clinic: Clinic) -> None:
    user = await clinic.user(email="ada@example.org")

    await log_in(clinic)

    (event,) = await clinic.events()
    assert (event.kind, event.outcome) == (EventKind.SIGN_IN_SUCCEEDED, Outcome.SUCCESS)
    assert (event.actor, event.subject, event.request) == (user.id, user.id, NOBODY.request)


async def test_a_wrong_password_is_refused_and_recorded_with_whose_it_should_have_been(clinic: Clinic) -> None:
    user = await clinic.user(email="ada@example.org")

    with pytest.raises(SignInFailed):
        await log_in(clinic, password="something else")

    (event,) = await clinic.events()
    assert (event.kind, event.outcome) == (EventKind.SIGN_IN_FAILED, Outcome.REFUSED)
    assert (event.actor, event.subject) == (None, user.id)
    assert clinic.tokens.issued == {}


async def test_an_unknown_address_is_refused_in_the_same_way_and_names_no_subject(clinic: Clinic) -> None:
    await clinic.user(email="ada@example.org")

    with pytest.raises(SignInFailed) as wrong:
        await log_in(clinic, password="something else")
    with pytest.raises(SignInFailed) as unknown:
        await log_in(clinic, "bob@example.org")

    assert str(wrong.value) == str(unknown.value)
    assert [event.subject for event in await clinic.events()][1] is None


async def test_an_unknown_address_takes_as_long(clinic: Clinic) -> None:
    await clinic.user(email="ada@example.org")

    for address in ("ada@example.org", "bob@example.org"):
        with pytest.raises(SignInFailed):
            await log_in(clinic, address, "something else")

    assert clinic.passwords.verified == 2


async def test_a_hash_that_we_no_longer_make_is_made_anew_at_sign_in(clinic: Clinic) -> None:
    user = a_user(email="ada@example.org")
    async with clinic.database.begin() as uow:
        await uow.users.add(user, f"old:0:{RIGHT}")

    await log_in(clinic)

    async with clinic.database.begin() as uow:
        account = await uow.users.account(user.email)
    assert account
    assert not clinic.passwords.is_outdated(account.password_hash)
    assert (await log_in(clinic)).user == user


async def test_who_signs_in_need_not_wait_for_a_new_hash_that_cannot_be_had(clinic: Clinic) -> None:
    """The password was right; the next sign-in makes it."""
    user = a_user(email="ada@example.org")
    async with clinic.database.begin() as uow:
        await uow.users.add(user, f"old:0:{RIGHT}")

    class Full(FakePasswords):
        async def hash(self, _password: str) -> str:
            raise HashingQueueFull

    can = replace(clinic.can.log_in, passwords=Full())
    signed_in = await can(actor=NOBODY, email=user.email, password=RIGHT)

    assert signed_in.user == user


async def test_an_old_hash_stays_where_the_password_was_wrong(clinic: Clinic) -> None:
    user = a_user(email="ada@example.org")
    async with clinic.database.begin() as uow:
        await uow.users.add(user, f"old:0:{RIGHT}")

    with pytest.raises(SignInFailed):
        await log_in(clinic, password="something else")

    assert clinic.passwords.made == 0


async def test_a_hash_that_is_up_to_date_is_not_made_anew(clinic: Clinic) -> None:
    await clinic.user(email="ada@example.org")
    made = clinic.passwords.made

    await log_in(clinic)

    assert clinic.passwords.made == made


class FullQueue(FakePasswords):
    """Passwords that nobody gets to."""

    def require_place(self) -> None:
        raise HashingQueueFull


async def test_where_too_many_wait_nobody_is_looked_up(clinic: Clinic) -> None:
    log_in = replace(clinic.can.log_in, passwords=FullQueue(), read=lambda: pytest.fail("somebody was looked up"))

    with pytest.raises(HashingQueueFull):
        await log_in(actor=NOBODY, email=an_email(), password="secret")
