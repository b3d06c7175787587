"""The bell that wakes the workers."""

import asyncio
from contextlib import suppress
from time import monotonic
from typing import Final

import structlog
from taskiq.kicker import AsyncKicker

from healthcare.adapters.taskiq.broker import DRAIN, BellBroker

PATIENCE: Final = 0.5
"""Seconds that one ring may take; the workers look by themselves each second."""
PAUSE: Final = 0.25
"""Seconds between two rings: one takes up to 1.6 ms of a process, and wakes a worker for all that came by then."""
SILENCE: Final = 30.0
"""Seconds between two complaints."""


class TaskiqBell:
    """However many ring while a ring is on its way, one more follows it."""

    def __init__(self, broker: BellBroker) -> None:
        self._broker = broker
        self._rung = asyncio.Event()
        self._ringing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._complained = -SILENCE
        self._log = structlog.get_logger(__name__)

    def ring(self) -> None:
        """Say that there is something to do. It never fails and never waits."""
        self._rung.set()

    async def open(self) -> None:
        """Begin to pass rings on; Redis need not be there."""
        await self._broker.startup()
        self._ringing = asyncio.create_task(self._pass_on())

    async def close(self) -> None:
        """Ring a last time, without any pause, and hang up.

        The task is asked to end, not cancelled: a cancellation that meets an answer of Redis is lost on its way.
        """
        self._closing.set()
        self._rung.set()
        if self._ringing:
            await self._ringing
        await self._broker.shutdown()

    async def check(self) -> None:
        """Raise unless Redis answers."""
        await self._broker.check()

    async def _pass_on(self) -> None:
        while not self._closing.is_set():
            await self._rung.wait()
            await self._kick()
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE):
                    await self._closing.wait()
        if self._rung.is_set():
            await self._kick()

    async def _kick(self) -> None:
        self._rung.clear()
        try:
            async with asyncio.timeout(PATIENCE):
                await AsyncKicker(DRAIN, self._broker, {}).kiq()
        except Exception as reason:  # noqa: BLE001 - the outbox has it: nothing is lost but a second
            self._complain(reason)

    def _complain(self, reason: Exception) -> None:
        if monotonic() - self._complained >= SILENCE:
            self._complained = monotonic()
            self._log.warning("bell.away", exc_info=reason)
