"""What an operator wants to know of a Redis before anybody's request finds it out."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError

from healthcare.adapters.redis.client import connect
from healthcare.application.uow import Unavailable
from healthcare.domain.kernel import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was found; None: the server does not tell everybody."""

    version: str | None
    policy: str | None
    """What it does when it is full."""
    memory: int | None
    """Bytes that it may use; 0: as many as there are."""
    clock: tuple[datetime, datetime, datetime] | None
    """The server's time, between two looks at one's own."""


async def examine(*, host: str, port: int, clock: Clock) -> Examined:
    """Look at everything, and change nothing.

    Raises:
        Unavailable: says why it cannot be looked at.
    """
    async with connect(host=host, port=port, most=1) as redis:
        try:
            await redis.ping()
            about = await _info(redis)
            return Examined(
                version=about.get("valkey_version") or about.get("redis_version"),
                policy=about.get("maxmemory_policy"),
                memory=about.get("maxmemory"),
                clock=await _clock(redis, clock),
            )
        except RedisError as error:
            raise Unavailable(str(error)) from None


async def _info(redis: Redis) -> dict[str, Any]:
    try:
        about: dict[str, Any] = await redis.info()
    except NoPermissionError:
        return {}
    return about


async def _clock(redis: Redis, clock: Clock) -> tuple[datetime, datetime, datetime] | None:
    before = clock.now()
    try:
        seconds, microseconds = await redis.time()
    except NoPermissionError:
        return None
    return before, datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds), clock.now()
