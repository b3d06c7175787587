"""Not asking again what has just failed to answer."""

from time import monotonic
from typing import Final

import structlog

REST: Final = 0.75
"""Seconds for which one failure speaks for all."""


class Breaker:
    """After a failure it lets nobody through for a while, and then one, whose luck decides for the others."""

    def __init__(self) -> None:
        self._again: float | None = None
        self._log = structlog.get_logger(__name__)

    def allows(self) -> bool:
        """Say whether to try; whoever is let through says how it went."""
        if self._again is None:
            return True
        if monotonic() < self._again:
            return False
        self._again = monotonic() + REST
        return True

    def succeeded(self) -> None:
        """Let everybody through."""
        if self._again is not None:
            self._log.info("cache.back")
        self._again = None

    def failed(self, reason: Exception) -> None:
        """Let nobody through for a while."""
        if self._again is None:
            self._log.warning("cache.away", exc_info=reason)
        self._again = monotonic() + REST
