"""How passwords are hashed, and what happens when many come at once."""

import asyncio
from threading import Event

import bcrypt
import pytest
from argon2 import PasswordHasher

from healthcare.adapters.security import passwords as module
from healthcare.adapters.security.passwords import HASHER, MOST_WAITING, OURS, THREADS, Argon2Passwords
from healthcare.application.deadline import answer_within
from healthcare.domain.identity.errors import HashingQueueFull

PASSWORD = "correct horse battery staple"


def verified(password: str, password_hash: str | None) -> bool:
    return asyncio.run(Argon2Passwords().verify(password, password_hash))


def test_a_password_is_hashed_with_argon2id_and_19_mib() -> None:
    password_hash = asyncio.run(Argon2Passwords().hash(PASSWORD))

    assert password_hash.startswith(OURS)
    assert OURS == "$argon2id$v=19$m=19456,t=2,p=1$"
    assert verified(PASSWORD, password_hash)
    assert not verified(PASSWORD + "!", password_hash)


def test_two_hashes_of_one_password_differ() -> None:
    passwords = Argon2Passwords()
    assert asyncio.run(passwords.hash(PASSWORD)) != asyncio.run(passwords.hash(PASSWORD))


def test_nobody_has_a_password() -> None:
    """Not even the one that the stand-in for unknown users was made from."""
    assert not verified(PASSWORD, None)
    assert not verified("nobody has this password", None)
    assert not verified("nobody has this password", "")


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
def test_a_bcrypt_hash_is_verified_and_outdated(prefix: str) -> None:
    password_hash = prefix + bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()[4:]

    assert verified(PASSWORD, password_hash)
    assert not verified(PASSWORD + "!", password_hash)
    assert Argon2Passwords().is_outdated(password_hash)


def test_bcrypt_looks_at_72_bytes() -> None:
    """Two bytes to a letter, so that the cut goes through bytes and not through characters."""
    password = "ä" * 40
    password_hash = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()

    assert verified(password, password_hash)
    assert verified("ä" * 36 + "!", password_hash)
    assert not verified("ä" * 35 + "!", password_hash)


@pytest.mark.parametrize("password", ["\0", "a\0b", "\ud800", "x" * 60_000, ""])
@pytest.mark.parametrize(
    "password_hash",
    [HASHER.hash(PASSWORD), bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode(), None],
    ids=["argon2id", "bcrypt", "none"],
)
def test_a_strange_password_is_wrong_and_not_fatal(password: str, password_hash: str | None) -> None:
    assert not verified(password, password_hash)


@pytest.mark.parametrize(
    "broken", ["plain", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA", "$2b$04$short", "$2b$"]
)
def test_a_broken_hash_matches_nothing_and_is_outdated(broken: str) -> None:
    assert not verified(PASSWORD, broken)
    assert Argon2Passwords().is_outdated(broken)


def test_only_our_own_parameters_are_up_to_date() -> None:
    passwords = Argon2Passwords()

    assert not passwords.is_outdated(asyncio.run(passwords.hash(PASSWORD)))
    assert passwords.is_outdated(PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD))


def test_whoever_comes_when_the_queue_is_full_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the places come back, also those of callers who stopped waiting."""
    may_finish = Event()

    def slow(_password: str, _password_hash: str) -> bool:
        return may_finish.wait(10)

    async def scene() -> None:
        passwords = Argon2Passwords()
        monkeypatch.setattr(module, "_matches", slow)
        waiting = [asyncio.create_task(passwords.verify("", None)) for _ in range(THREADS + MOST_WAITING)]
        await asyncio.sleep(0.05)
        with pytest.raises(HashingQueueFull):
            passwords.require_place()
        with pytest.raises(HashingQueueFull):
            await passwords.verify("", None)

        waiting[-1].cancel()
        await asyncio.sleep(0.05)
        last = asyncio.create_task(passwords.verify("", None))
        await asyncio.sleep(0.05)
        may_finish.set()
        answers = await asyncio.gather(last, *waiting, return_exceptions=True)
        assert answers[:-1] == [False] * len(waiting)
        assert isinstance(answers[-1], asyncio.CancelledError)
        passwords.require_place()
        assert await passwords.verify("", None) is False
        await passwords.close()

    asyncio.run(scene())


def test_a_password_whose_turn_comes_too_late_is_not_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = list[str]()

    def slow(password: str, _password_hash: str) -> bool:
        hashed.append(password)
        return Event().wait(0.2)

    async def scene() -> None:
        passwords = Argon2Passwords()
        monkeypatch.setattr(module, "_matches", slow)
        with answer_within(0.1):
            ends = await asyncio.gather(
                *(passwords.verify(str(number), None) for number in range(THREADS + 3)), return_exceptions=True
            )
        assert [type(end) for end in ends] == [bool] * THREADS + [HashingQueueFull] * 3
        passwords.require_place()
        await passwords.close()

    asyncio.run(scene())
    assert hashed == [str(number) for number in range(THREADS)]
