"""Version tokens: while the tokens of a search are the same, no answer to it has changed."""

from collections.abc import Sequence
from secrets import token_bytes
from typing import Final, TypeGuard

from redis.asyncio import Redis
from redis.exceptions import ResponseError

LENGTH: Final = 16
KEPT: Final = 600
"""Seconds. A token that has run out costs one query; it must only outlive the answers that are made under it."""

Tokens = tuple[bytes, ...]


class TokensUnreadable(ResponseError):
    """Something else stands where the tokens should be."""


class VersionTokens:
    """The tokens in Redis. They are random: a counter would start again after a loss, and meet old answers."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def read(self, names: Sequence[str]) -> Tokens:
        """Return the tokens; those that are missing are made, and all processes agree on them.

        Raises:
            TokensUnreadable: they cannot be made.
        """
        found = await self._redis.mget(names)
        for overwrite in (False, True):
            if tokens := understood(found):
                return tokens
            async with self._redis.pipeline() as pipeline:
                for name, token in zip(names, found, strict=True):
                    if not is_token(token):
                        # What is missing, another may make at this moment: theirs stands. What is still missing
                        # afterwards is a key of another type, and like any value that is no token it must go.
                        pipeline.set(name, token_bytes(LENGTH), ex=KEPT, nx=token is None and not overwrite)
                pipeline.mget(names)
                *_, found = await pipeline.execute()
        if tokens := understood(found):
            return tokens
        raise TokensUnreadable

    async def check(self) -> None:
        """Raise unless Redis answers."""
        await self._redis.ping()


def understood(found: Sequence[object]) -> Tokens | None:
    """Return what was found if all of it are tokens."""
    tokens = tuple(value for value in found if is_token(value))
    return tokens if len(tokens) == len(found) else None


def is_token(value: object) -> TypeGuard[bytes]:
    """Say whether this may be a token, and not what somebody else has put in its place."""
    return isinstance(value, bytes) and len(value) == LENGTH
