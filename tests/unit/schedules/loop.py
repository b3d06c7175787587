"""An event loop whose order is drawn from a seed, so that a race that was found is found again."""

import asyncio
from asyncio import Handle, TimerHandle
from collections import deque
from collections.abc import Coroutine
from heapq import heappop
from random import Random
from typing import Any, TypeVar

import pytest

from healthcare.application import deadline, together

T = TypeVar("T")


class SeededLoop(asyncio.BaseEventLoop):
    """Of everything that is ready it runs what the seed says next, and it never waits.

    Time stands while anything is ready. When nothing is, it jumps to the next timer; so a lock that is not had in half
    a second is given up at once, and always after everything that could have happened before. There is no selector:
    programs that run here talk to nobody outside.
    """

    _ready: deque[Handle]
    _scheduled: list[TimerHandle]

    def __init__(self, random: Random) -> None:
        """Begin at 0 seconds."""
        super().__init__()
        self._random = random
        self._now = 0.0

    def time(self) -> float:
        """Return the seconds that have passed for the programs."""
        return self._now

    def _run_once(self) -> None:
        while not self._ready:
            if not self._scheduled:
                raise RuntimeError("everybody waits for somebody else, for ever")
            timer = heappop(self._scheduled)
            if not timer.cancelled():
                self._now = max(self._now, timer.when())
                self._ready.append(timer)
        if len(self._ready) > 1:
            self._ready.rotate(self._random.randrange(len(self._ready)))
        handle = self._ready.popleft()
        if not handle.cancelled():
            handle._run()  # noqa: SLF001 - this is what being a loop means


def run(random: Random, program: Coroutine[Any, Any, T]) -> T:
    """Run a program to its end, in an order drawn from `random`; deadlines pass with the time of the loop."""
    loop = SeededLoop(random)
    with pytest.MonkeyPatch.context() as patch:
        for module in (together, deadline):
            patch.setattr(module, "monotonic", loop.time)
        try:
            return loop.run_until_complete(program)
        finally:
            loop.close()
