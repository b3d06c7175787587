"""What writers have changed: Redis drops the tokens of it, at once or as soon as it can be told."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol

import structlog
from redis.exceptions import ConnectionError as Disconnected

from healthcare.adapters.redis.flights import FreshFlights, landed
from healthcare.adapters.redis.tasks import ended, started, within
from healthcare.application.deadline import answer_within, remaining

LONGEST: Final = 0.5
"""Seconds that a writer waits."""
ATTEMPT: Final = 0.2
PAUSE: Final = 0.1
GIVEN_UP: Final = 5.0
"""Seconds after which there is nothing left to be told: every answer that is older has ended by itself."""
MOST: Final = 10_000


@dataclass(slots=True, eq=False)
class Change:
    """One writer's change; two changes of the same at the same time are still two."""

    given_up: float
    late: bool = False
    """Whether the writer has gone on without waiting any longer."""


class Tokens(Protocol):
    """Where tokens are dropped: the next reader makes new ones."""

    async def drop(self, names: Collection[str]) -> None:
        """Drop these."""
        ...


class Changes:
    """The changes that Redis is still to be told; those of writers who come while it is told go together, next."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._untold: dict[str, Change] = {}
        self._telling: FreshFlights[None, None] = FreshFlights()
        self._again: asyncio.Task[None] | None = None
        self._failing = False
        self._log = structlog.get_logger(__name__)

    async def tell(self, names: Collection[str]) -> None:
        """Drop these tokens, and return when Redis has done so, or after half a second: it is tried in any case."""
        # A change of the same that is late already stays so until Redis has been told.
        change = Change(monotonic() + GIVEN_UP, late=self.late(names))
        self._untold |= dict.fromkeys(names, change)
        while len(self._untold) > MOST:
            del self._untold[next(iter(self._untold))]
        telling = self._telling.join(None, self._tell)
        try:
            # What was changed is committed: no failure of the cache undoes it. `_tell` says what is wrong.
            with suppress(Exception), answer_within(max(ATTEMPT, remaining(LONGEST))):
                await landed(telling)
        finally:
            change.late = True

    def late(self, names: Iterable[str]) -> bool:
        """Say whether Redis still has a token of these, although the writer has gone on."""
        return bool(self._untold) and any(name in self._untold and self._untold[name].late for name in names)

    async def close(self) -> None:
        """Try no longer."""
        await ended([self._again] if self._again else [])
        await self._telling.close()

    async def _tell(self) -> None:
        batch = dict(self._untold)
        try:
            await self._drop(batch)
        except Exception as reason:
            if not self._failing:
                self._log.warning("cache.changes_untold", exc_info=reason)
            self._failing = True
            if self._again is None or self._again.done():
                self._again = started(self._tell_again())
            raise
        self._failing = False
        self._told(batch)

    async def _drop(self, names: Collection[str]) -> None:
        try:
            await within(ATTEMPT, self._tokens.drop(names))
        except Disconnected:  # perhaps a restart has cut this one connection: another will do
            await within(ATTEMPT, self._tokens.drop(names))

    async def _tell_again(self) -> None:
        while self._untold:
            await asyncio.sleep(PAUSE)
            now = monotonic()
            self._told({name: change for name, change in self._untold.items() if change.given_up < now})
            with suppress(Exception):
                await landed(self._telling.join(None, self._tell))

    def _told(self, batch: Mapping[str, Change]) -> None:
        for name, change in batch.items():
            if self._untold.get(name) is change:
                del self._untold[name]
