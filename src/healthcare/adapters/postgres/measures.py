"""What Prometheus is told of the database: how busy the pool is, and what waits."""

from collections.abc import Mapping
from math import nan
from typing import Final

from prometheus_client import Gauge

from healthcare.adapters.postgres.session import Session

CONNECTIONS: Final = Gauge("postgres_pool_connections", "Connections of this process to PostgreSQL.", ["state"])
WAITING: Final = Gauge("postgres_pool_waiting", "Transactions of this process that wait for a connection.")
OLDEST: Final = Gauge(
    "outbox_oldest_event_age_seconds",
    "How long the event whose turn it is has waited for a worker; the same for all processes, 0 if none waits.",
)
DEAD: Final = Gauge("dead_letters", "Events that could not be recorded and were put aside; the same for all processes.")


def measure_pool(stats: Mapping[str, int]) -> None:
    """Measure the pool by what it counts itself."""
    idle = stats["pool_available"]
    CONNECTIONS.labels("idle").set(idle)
    CONNECTIONS.labels("used").set(stats["pool_size"] - idle)
    WAITING.set(stats["requests_waiting"])


def forget_work() -> None:
    """Say that nobody knows what waits, rather than what waited once."""
    for gauge in (OLDEST, DEAD):
        gauge.set(nan)


async def measure_work(session: Session) -> None:
    """Measure what waits in the database."""
    (row,) = await session.read(
        """
        SELECT extract(epoch FROM now() - (SELECT at FROM outbox ORDER BY tries, position LIMIT 1))::float AS oldest,
               (SELECT count(*) FROM dead_letters) AS dead
        """
    )
    OLDEST.set(max(row["oldest"] or 0.0, 0.0))  # less than 0 where the clocks of two machines differ
    DEAD.set(row["dead"])
