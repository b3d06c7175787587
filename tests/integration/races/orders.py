"""Commands that are led through PostgreSQL step by step, in every order there is."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, cast

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from healthcare.adapters.postgres.connection import Parameters
from healthcare.adapters.postgres.scheduling import bookings
from healthcare.adapters.postgres.scheduling.rows import LIVE
from healthcare.adapters.postgres.session import Session

Call = Callable[[], Awaitable[object]]
"""Gives a command."""
Watcher = AsyncConnection[tuple[object, ...]]
"""A connection that only looks."""

SOON: Final = 0.003
"""Seconds, after which whoever has not come to the next stop may be waiting for another."""

OF_PUBLISHING: Final = ("FOR NO KEY UPDATE", "SELECT starts_at, ends_at", "INSERT INTO slots")
"""What it locks, looks at and keeps by; it goes no way that others go."""

UNLOCKED: Final = f"""
    SELECT a.id FROM appointments a JOIN slots s ON s.id = a.slot_id
     WHERE a.xmin = pg_current_xact_id()::xid AND a.{LIVE}
       AND pg_current_xact_id()::xid NOT IN (s.xmin, s.xmax)
"""
"""The live appointments that this transaction has changed, and whose slots it has neither locked nor changed."""


class Led:
    """A command that goes on from stop to stop, and only when it is told to."""

    def __init__(self, call: Call, moved: asyncio.Event) -> None:
        self._call, self._moved, self._gate = call, moved, asyncio.Event()
        self.stands = False
        self.backend = 0
        """The process that serves it in PostgreSQL."""
        self.unlocked = False
        """Whether it was about to commit a change of a live appointment without a lock on its slot."""
        self.task = asyncio.create_task(self._run())
        self.task.add_done_callback(lambda _: moved.set())

    async def stop(self, backend: int) -> None:
        """Stand until it is told to go on."""
        self.stands, self.backend = True, backend
        self._moved.set()
        await self._gate.wait()
        self._gate.clear()

    def go_on(self) -> None:
        """Let it run to its next stop."""
        self.stands = False
        self._gate.set()

    async def _run(self) -> object:
        led.set(self)
        try:
            return await self._call()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer that is judged
            return error


led: ContextVar[Led | None] = ContextVar("led", default=None)
"""The command in whose task something happens."""


class LedSession(Session):
    """Stops before it finds, locks, looks and commits."""

    async def read(self, statement: str, parameters: Parameters = (), *, after: str | None = None) -> list[DictRow]:
        """Run a statement, and one before it by itself: others may come in between, as they may in the server."""
        if after:
            await self.read(after, parameters)
        stops = statement in {bookings.FIND, bookings.LOCK, bookings.LOOK} or any(
            part in statement for part in OF_PUBLISHING
        )
        if stops and (command := led.get()):
            await command.stop((self._connection or await self._begun()).info.backend_pid)
        return await super().read(statement, parameters)

    async def commit(self) -> None:
        """Keep what was written."""
        if command := led.get():
            command.unlocked = command.unlocked or bool(await super().read(UNLOCKED))
            await command.stop((self._connection or await self._begun()).info.backend_pid)
        await super().commit()


@dataclass(frozen=True, slots=True)
class Step:
    """Who went on, and who could have."""

    chosen: int
    ready: Sequence[int]


@dataclass(frozen=True, slots=True)
class Played:
    """One order, and what came of it."""

    steps: Sequence[Step]
    answers: Sequence[object]
    """What each command returned or raised."""
    unlocked: bool
    """Whether one of them changed a live appointment without a lock on its slot."""

    @property
    def order(self) -> tuple[int, ...]:
        """Who went on, step by step."""
        return tuple(step.chosen for step in self.steps)

    def others(self, given: Sequence[int]) -> list[tuple[int, ...]]:
        """Return the choices that are still to be made where only the first ones were given.

        Who plays these too, and those that come of them, has played every order once.
        """
        return [
            (*self.order[:place], other)
            for place, step in enumerate(self.steps[len(given) :], len(given))
            for other in step.ready
            if other != step.chosen
        ]


async def played(calls: Sequence[Call], watcher: Watcher, choices: Sequence[int] = ()) -> Played:
    """Let the commands go on in the order of the choices, and after those always the first that can.

    Whoever waits in PostgreSQL for another cannot go on, and does so by itself as soon as it gets what it waits for.
    """
    moved = asyncio.Event()
    commands = [Led(call, moved) for call in calls]
    steps: list[Step] = []
    await at_rest(commands, watcher, moved)
    while ready := [place for place, one in enumerate(commands) if one.stands]:
        chosen = choices[len(steps)] if len(steps) < len(choices) else ready[0]
        steps.append(Step(chosen, ready))
        commands[chosen].go_on()
        await at_rest(commands, watcher, moved)
    return Played(steps, [await one.task for one in commands], any(one.unlocked for one in commands))


async def at_rest(commands: Sequence[Led], watcher: Watcher, moved: asyncio.Event) -> None:
    """Wait until each of the commands stands, has ended, or waits for one that does not move."""
    while running := [one for one in commands if not one.stands and not one.task.done()]:
        moved.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(moved.wait(), SOON)
            continue
        if await all_wait(running, {one.backend for one in commands if one.stands}, watcher):
            return


async def all_wait(running: Sequence[Led], still: set[int], watcher: Watcher) -> bool:
    """Say whether they all wait for a lock of somebody who does not move, or who waits for somebody like that."""
    backends = {one.backend for one in running}
    cursor = await watcher.execute(
        "SELECT backend, pg_blocking_pids(backend) FROM unnest(%s::int[]) AS backend", [list(backends)]
    )
    waits_for = dict(cast("list[tuple[int, list[int]]]", await cursor.fetchall()))
    while found := {one for one in backends - still if not still.isdisjoint(waits_for[one])}:
        still = still | found
    return backends <= still
