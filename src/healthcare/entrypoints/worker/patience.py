"""Going on after failures, without complaining about each."""

import asyncio
from time import monotonic
from typing import Final

import structlog

SILENCE: Final = 30.0
"""Seconds between two complaints about the same."""


class Complaints:
    """What goes wrong with one thing: the first failure is logged, a few of those that follow, and the recovery."""

    def __init__(self, about: str) -> None:
        self._log = structlog.get_logger(__name__).bind(about=about)
        self._last: float | None = None

    def failed(self, reason: Exception) -> None:
        """Log it, unless that was done a moment ago."""
        if self._last is None or monotonic() - self._last >= SILENCE:
            self._log.warning("worker.failed", exc_info=reason)
            self._last = monotonic()

    def succeeded(self) -> None:
        """Log it, if it has failed before."""
        if self._last is not None:
            self._log.info("worker.recovered")
            self._last = None


async def occurs(event: asyncio.Event, *, within: float) -> bool:
    """Wait for the event, and say whether it has occurred in so many seconds."""
    try:
        async with asyncio.timeout(within):
            return await event.wait()
    except TimeoutError:
        return event.is_set()
