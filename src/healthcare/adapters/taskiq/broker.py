"""The broker: rings are published to whoever listens at this moment, and kept nowhere."""

from collections.abc import AsyncGenerator
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from taskiq.formatters.proxy_formatter import ProxyFormatter
from taskiq.serializers import JSONSerializer
from taskiq_redis import PubSubBroker

DRAIN: Final = "drain"
"""The only task. It carries nothing: what there is to do stands in the outbox."""
CHANNEL: Final = "healthcare:bell"
CONNECTIONS: Final = 4
"""One listens, and one rings at a time; the others are for checks."""
PATIENCE: Final = 0.3
"""Seconds for any step but listening."""


class BellBroker(PubSubBroker):
    """The stock broker, but that it gives its connection back when listening ends."""

    async def listen(self) -> AsyncGenerator[bytes, None]:
        """Yield rings until the connection is lost, which raises."""
        async with Redis(connection_pool=self.connection_pool) as redis, redis.pubsub() as channel:
            await channel.subscribe(self.queue_name)
            async for message in channel.listen():
                if message["type"] == "message":
                    yield message["data"]

    async def check(self) -> None:
        """Raise unless Redis answers."""
        async with Redis(connection_pool=self.connection_pool) as redis:
            await redis.ping()


def create_broker(*, host: str, port: int) -> BellBroker:
    """Return a broker that has no results and writes nothing but JSON."""
    broker = BellBroker(
        url=f"redis://{host}:{port}",
        queue_name=CHANNEL,
        max_connection_pool_size=CONNECTIONS,
        timeout=PATIENCE,
        socket_timeout=PATIENCE,  # listening has none: a blocking read of a channel may last for ever
        socket_connect_timeout=PATIENCE,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
    )
    # Both are the defaults today. Whoever can write to Redis must never choose what is run here.
    return broker.with_serializer(JSONSerializer()).with_formatter(ProxyFormatter(broker))
