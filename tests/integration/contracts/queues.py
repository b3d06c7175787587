"""Who waits for whom."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from healthcare.application.uow import UnitOfWork
from tests.clinic import Database

T = TypeVar("T")

Call = Callable[[UnitOfWork], Awaitable[T]]

NOT_YET = 0.1
"""Seconds after which a call that has not returned is waiting; less than the time for which a lock is waited for."""


async def alone(database: Database, call: Call[T]) -> T:
    """Make the call in a unit of work of its own."""
    async with database.begin() as uow:
        return await call(uow)


async def queue(database: Database, first: Call[object], second: Call[T]) -> T:
    """Make the first call, and the second in another unit of work meanwhile; fail unless it waits for the first's end.

    Return what the second call then returns.
    """
    async with database.begin() as uow:
        await first(uow)
        waiting = asyncio.create_task(alone(database, second))
        await asyncio.wait({waiting}, timeout=NOT_YET)
        assert not waiting.done(), "it did not wait"
    return await waiting


async def pass_by(database: Database, first: Call[object], second: Call[T]) -> T:
    """Make the first call, and the second in another unit of work meanwhile, which must not wait for the end."""
    async with database.begin() as uow:
        await first(uow)
        return await alone(database, second)
