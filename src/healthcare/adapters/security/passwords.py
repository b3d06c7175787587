"""Password hashes: argon2id, and bcrypt for users who were brought along from elsewhere."""

import os
import sys
import threading
from asyncio import wrap_future
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf
from threading import BoundedSemaphore
from time import monotonic
from typing import Final, ParamSpec, TypeVar

import bcrypt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from healthcare.application.deadline import remaining
from healthcare.domain.identity.errors import HashingQueueFull

HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""Argon2id with 19 MiB: the least that OWASP's Password Storage Cheat Sheet asks for."""
OURS: Final = "$argon2id$v=19$m=19456,t=2,p=1$"
"""How its hashes begin."""
THREADS: Final = 2
MOST_WAITING: Final = 16
PATIENT: Final = 19
"""How nice these threads are: whoever wants the processor for a request gets nearly all of it."""
BCRYPT: Final = ("$2a$", "$2b$", "$2y$")
BCRYPT_READS: Final = 72
"""Bytes; what bcrypt itself never looked at cannot have been part of the password."""

P = ParamSpec("P")
R = TypeVar("R")


class Argon2Passwords:
    """Hashes on a few threads of its own, so that nothing else ever waits for a password."""

    def __init__(self) -> None:
        """Start no thread yet: threads come with the first password."""
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords", initializer=_stand_back)
        self._places = BoundedSemaphore(THREADS + MOST_WAITING)
        self._nobody = HASHER.hash("nobody has this password")

    async def open(self) -> None:
        """Do nothing: threads come with the first password."""

    async def close(self) -> None:
        """Finish the passwords that are being hashed, and forget those that wait."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def require_place(self) -> None:
        """Raise HashingQueueFull where no more can wait; see `Passwords.require_place`."""
        if not self._places.acquire(blocking=False):
            raise HashingQueueFull
        self._places.release()

    async def hash(self, password: str) -> str:
        """Return a salted argon2id hash; see `Passwords.hash`."""
        return await self._run(HASHER.hash, _encoded(password))

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Say whether the password is right; see `Passwords.verify`."""
        right = await self._run(_matches, password, self._nobody if password_hash is None else password_hash)
        return right and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Say whether the hash is none of argon2id, or was made with other parameters."""
        return not password_hash.startswith(OURS)

    async def _run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if not self._places.acquire(blocking=False):
            raise HashingQueueFull
        job = self._threads.submit(_in_time, monotonic() + remaining(inf), partial(work, *args, **kwargs))
        # Whoever stops waiting frees their place only when the thread has really let go of the work.
        job.add_done_callback(lambda _: self._places.release())
        return await wrap_future(job)


def _in_time(end: float, work: Callable[[], R]) -> R:
    """Do the work, unless nobody waits for it any more: on a slow machine all would be done too late."""
    if monotonic() >= end:
        raise HashingQueueFull
    return work()


def _stand_back() -> None:
    """Let requests go first where hashes and they want the same processor."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), PATIENT)  # there, of this thread alone


def _matches(password: str, password_hash: str) -> bool:
    if password_hash.startswith(BCRYPT):
        return _matches_bcrypt(_encoded(password), password_hash.encode())
    try:
        return HASHER.verify(password_hash, _encoded(password))
    except (VerificationError, InvalidHashError):
        return False


def _matches_bcrypt(password: bytes, password_hash: bytes) -> bool:
    try:
        return bcrypt.checkpw(password[:BCRYPT_READS], password_hash)
    except ValueError:
        # The hash is cut off, or the password holds what bcrypt cannot take: no such password was ever hashed.
        return False


def _encoded(password: str) -> bytes:
    # Halves of surrogate pairs have no UTF-8; they must be wrong, not fatal.
    return password.encode("utf-8", "surrogatepass")
