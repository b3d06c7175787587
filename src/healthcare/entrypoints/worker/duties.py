"""What a worker does, each until it is told to stop; no failure ends any of it."""

import asyncio
from time import monotonic
from typing import Final, Protocol

from taskiq.receiver import Receiver

from healthcare.adapters.taskiq.broker import DRAIN, BellBroker
from healthcare.application.deadline import answer_within
from healthcare.domain.kernel import Actor
from healthcare.entrypoints.worker.patience import Complaints, occurs

WORKER: Final = Actor(None, request="worker", system=True)
LONGEST: Final = 4.0
"""Seconds for one call of a chore, whatever it consists of: it ends before a worker must that is told to stop."""
LOOK_EVERY: Final = 1.0
FORGET_KEYS_EVERY: Final = 3600.0
MARK_NO_SHOWS_EVERY: Final = 10.0
TRY_AGAIN_AFTER: Final = 60.0
LISTEN_AGAIN_AFTER: Final = (0.1, 2.0)
"""Seconds; of the last, the first pause and the longest."""


class Chore(Protocol):
    """A use case of the system itself."""

    async def __call__(self, *, actor: Actor) -> int:
        """Do some of what there is to do, and return how much that was."""
        ...


async def drain(record_events: Chore, due: asyncio.Event, stop: asyncio.Event) -> None:
    """Empty the outbox each second, and at once when it is due; what becomes due meanwhile is looked for again."""
    complaints = Complaints("events")
    while not stop.is_set():
        due.clear()
        try:
            await exhaust(record_events, stop)
            complaints.succeeded()
        except Exception as reason:  # noqa: BLE001 - the events are still there: the next look finds them
            complaints.failed(reason)
        await occurs(due, within=LOOK_EVERY)


async def repeat(chore: Chore, about: str, stop: asyncio.Event, *, every: float) -> None:
    """Do all there is to do, now and again after so many seconds."""
    complaints = Complaints(about)
    pause = 0.0
    while not await occurs(stop, within=pause):
        try:
            await exhaust(chore, stop)
            complaints.succeeded()
            pause = every
        except Exception as reason:  # noqa: BLE001 - what is left over can wait until the next time
            complaints.failed(reason)
            pause = min(every, TRY_AGAIN_AFTER)


async def exhaust(chore: Chore, stop: asyncio.Event) -> None:
    """Do all there is to do, unless told to stop."""
    done = 1
    while done and not stop.is_set():
        with answer_within(LONGEST):
            done = await chore(actor=WORKER)


async def listen(broker: BellBroker, due: asyncio.Event, stop: asyncio.Event) -> None:
    """Say that it is due whenever the bell rings; where the bell cannot be heard, go on listening for it."""

    async def rung() -> None:
        due.set()

    broker.is_worker_process = True
    broker.register_task(rung, task_name=DRAIN)
    complaints = Complaints("bell")
    first, longest = LISTEN_AGAIN_AFTER
    pause = first
    while not stop.is_set():
        began = monotonic()
        try:
            await Receiver(broker, max_async_tasks=1, run_startup=False).listen(stop)
        except Exception as reason:  # noqa: BLE001 - without the bell, the worker still looks each second
            complaints.failed(reason)
        pause = first if monotonic() - began > pause else min(2 * pause, longest)
        await occurs(stop, within=pause)
