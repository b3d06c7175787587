"""What every use case does that changes what searches find."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from healthcare.application.uow import OutcomeUnknown
from healthcare.domain.scheduling.ports import SearchCache
from healthcare.domain.scheduling.search import Touched


@asynccontextmanager
async def touching(cache: SearchCache) -> AsyncIterator[set[Touched]]:
    """Let no later search get an answer from before: put what is touched into the set, and commit inside the block.

    What may have been committed counts too. A refusal has changed nothing.
    """
    touched: set[Touched] = set()
    try:
        yield touched
    except OutcomeUnknown:
        await cache.forget(touched)
        raise
    if touched:
        await cache.forget(touched)
