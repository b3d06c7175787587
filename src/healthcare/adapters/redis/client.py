"""Connections to Redis."""

from typing import Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

LAST_LINE: Final = 1.0
"""Seconds after which a connection gives up by itself; whoever uses it gives up long before."""


def connect(*, host: str, port: int, most: int) -> Redis:
    """Return a client of at most `most` connections that retries nothing; they are made when they are needed."""
    pool = BlockingConnectionPool(
        host=host,
        port=port,
        max_connections=most,
        timeout=LAST_LINE,
        socket_timeout=LAST_LINE,
        socket_connect_timeout=LAST_LINE,
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # version 3 costs more round trips per connection, for notices that nobody here reads
        driver_info=None,
    )
    return Redis.from_pool(pool)
