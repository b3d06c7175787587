"""Work that goes on beside the one who started it."""

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

GRACE: Final = 0.02
"""Seconds: see `within`."""


def started(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start the work; whoever cares how it ends asks the task, and nobody has to."""
    task = asyncio.create_task(work)
    task.add_done_callback(_look_at)
    return task


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Return what comes of the work, or give it up.

    Raises:
        TimeoutError: it took longer.
    """
    task = started(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            # Where this process itself stood still, the answer may be here already, and only not read.
            await asyncio.wait({task}, timeout=GRACE)
    finally:
        done = task.done()
        task.cancel()  # redis-py then drops its connection: an answer that comes late finds nobody
    if not done:
        raise TimeoutError
    return task.result()


async def ended(tasks: Collection[asyncio.Task[Any]]) -> None:
    """End the tasks, and wait until they have."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _look_at(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # otherwise a failure that nobody waits for is reported as a mistake
