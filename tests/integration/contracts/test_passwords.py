"""What every adapter of `Passwords` does."""

from collections.abc import AsyncIterator

import pytest

from healthcare.adapters.security.passwords import Argon2Passwords
from healthcare.domain.identity.ports import Passwords
from tests.builders import PASSWORD, FakePasswords

pytestmark = pytest.mark.anyio

PORT = Passwords


@pytest.fixture(params=["fake", "argon2"])
async def passwords(request: pytest.FixtureRequest) -> AsyncIterator[Passwords]:
    if request.param == "fake":
        yield FakePasswords()
        return
    real = Argon2Passwords()
    await real.open()
    yield real
    await real.close()


@pytest.mark.parametrize("password", [PASSWORD, "pässwörd with spaces 🩺", "a:b:c:d:e:f:g:h:i", "x" * 128])
async def test_a_password_is_right_and_others_are_wrong(passwords: Passwords, password: str) -> None:
    password_hash = await passwords.hash(password)

    assert await passwords.verify(password, password_hash)
    assert not await passwords.verify(password + " ", password_hash)
    assert not await passwords.verify(password.swapcase() + "!", password_hash)
    assert not await passwords.verify("", password_hash)


async def test_nobody_has_a_password(passwords: Passwords) -> None:
    assert not await passwords.verify(PASSWORD, None)
    assert not await passwords.verify("", None)


async def test_hashes_are_salted(passwords: Passwords) -> None:
    assert await passwords.hash(PASSWORD) != await passwords.hash(PASSWORD)


async def test_a_new_hash_is_not_outdated(passwords: Passwords) -> None:
    assert not passwords.is_outdated(await passwords.hash(PASSWORD))


async def test_where_nobody_waits_there_is_a_place_and_asking_takes_none(passwords: Passwords) -> None:
    for _ in range(100):
        passwords.require_place()
    assert await passwords.verify(PASSWORD, await passwords.hash(PASSWORD))
