"""A way to make contenders wait for one another, and to see that they do."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

from psycopg import AsyncConnection

T = TypeVar("T")

ALL_WAIT_WITHIN = 0.3
"""Seconds; less than the lock_timeout of those who wait."""


async def released_at_once(
    watcher: AsyncConnection[tuple[object, ...]],
    slot: UUID,
    contenders: Sequence[Callable[[], Awaitable[T]]],
    lanes: int,
) -> tuple[list[T], bool]:
    """Hold the slot's row until the contenders queue for it, let them go, and return what came of them.

    The second value is whether they were seen waiting for a lock before the first could go on: all but one, or in as
    many transactions as there are lanes.
    """
    expected = min(len(contenders), lanes)
    async with watcher.transaction():
        await watcher.execute("SELECT FROM slots WHERE id = %s FOR UPDATE", [slot])
        running = []
        for contend in contenders:
            running.append(asyncio.ensure_future(contend()))
            await asyncio.sleep(0)  # those who ask in one turn of the loop would take one lane
        waiting = await _count_waiting(watcher, expected)
    return await asyncio.gather(*running), waiting >= min(len(contenders) - 1, lanes)


async def _count_waiting(watcher: AsyncConnection[tuple[object, ...]], expected: int) -> int:
    end = asyncio.get_running_loop().time() + ALL_WAIT_WITHIN
    most = 0
    while most < expected and asyncio.get_running_loop().time() < end:
        cursor = await watcher.execute(
            """
            SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock' AND backend_type = 'client backend'
            """
        )
        row = await cursor.fetchone()
        assert row
        assert isinstance(row[0], int)
        most = max(most, row[0])
        # What is seen of others is kept for a transaction unless one asks to see anew.
        await watcher.execute("SELECT pg_stat_clear_snapshot()")
        await asyncio.sleep(0.004)  # those who are to arrive need the processor too
    return most
