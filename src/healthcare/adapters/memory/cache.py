"""The search cache, in memory."""

from asyncio import Task, create_task, shield
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from healthcare.domain.kernel import Clock
from healthcare.domain.scheduling.ports import Found
from healthcare.domain.scheduling.search import Search, Touched

LONGEST_KEPT: Final = timedelta(seconds=5)

Tokens = tuple[object, ...]
"""What stood for the parts of a search when it was asked: an answer is good as long as these stand."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, under which tokens it was made, and until when it may be given."""

    tokens: Tokens
    body: bytes
    until: datetime


class MemorySearchCache:
    """Keeps answers for 5 seconds at most, and asks once however many wait."""

    def __init__(self, clock: Clock) -> None:
        """Begin empty."""
        self._clock = clock
        self._tokens: dict[Touched, object] = {}
        """A token is a new object each time: no two are ever equal. None stands for a part that never changed."""
        self._answers: dict[Search, Answer] = {}
        self._flights: dict[tuple[Search, Tokens], Task[Found]] = {}

    async def answer(self, search: Search, make: Callable[[], Awaitable[Found]]) -> bytes:
        """Return a kept answer that was true when this call began, or make one."""
        asked = self._clock.now()
        tokens = tuple(self._tokens.get(part) for part in search.touched)
        kept = self._answers.get(search)
        if kept and kept.tokens == tokens and asked < kept.until:
            return kept.body
        while flight := self._flights.get((search, tokens)):
            found = await shield(flight)
            # It may have begun before a slot in it started, and this call after that.
            if found.until is None or asked < found.until:
                return found.body
        flight = self._flights[search, tokens] = create_task(self._fly(search, tokens, make))
        # Whoever stops waiting stops nobody else; a failure that nobody waits for any more is nobody's.
        flight.add_done_callback(lambda done: done.cancelled() or done.exception())
        return (await shield(flight)).body

    async def forget(self, touched: Collection[Touched]) -> None:
        """Let no later call get an answer that was made before this one."""
        for part in touched:
            self._tokens[part] = object()

    async def open(self) -> None:
        """There is nothing to connect to."""

    async def close(self) -> None:
        """There is nothing to close."""

    async def check(self) -> None:
        """Memory always answers."""

    async def _fly(self, search: Search, tokens: Tokens, make: Callable[[], Awaitable[Found]]) -> Found:
        begun = self._clock.now()
        try:
            found = await make()
        finally:
            del self._flights[search, tokens]
        latest = begun + LONGEST_KEPT
        until = min(latest, found.until) if found.until else latest
        self._answers = {asked: one for asked, one in self._answers.items() if begun < one.until}
        self._answers[search] = Answer(tokens, found.body, until)
        return found
