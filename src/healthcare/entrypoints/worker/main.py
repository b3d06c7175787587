"""The worker's process, from its start to a signal that ends it."""

import asyncio
import logging
import signal
from typing import Final

import structlog

from healthcare.domain.zones import use_one_database
from healthcare.entrypoints.container import Container, opened
from healthcare.entrypoints.garbage import spare_what_stays
from healthcare.entrypoints.logging import configure
from healthcare.entrypoints.settings import Settings
from healthcare.entrypoints.worker.duties import FORGET_KEYS_EVERY, MARK_NO_SHOWS_EVERY, drain, listen, repeat

STOP_WITHIN: Final = 5.0
"""Seconds for what is being done when the worker is told to stop: more than one call of a chore may last."""


def main(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    use_one_database()
    configure(settings.log_level)
    logging.getLogger("taskiq").setLevel(logging.WARNING)  # it would report every ring
    asyncio.run(run(Container(settings=settings)))


async def run(container: Container) -> None:
    """Work until SIGTERM or SIGINT, and finish what has been begun."""
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    await work(container, stop)


async def work(container: Container, stop: asyncio.Event) -> None:
    """Do all duties until told to stop, and finish what has been begun."""
    log = structlog.get_logger(__name__)
    due = asyncio.Event()
    async with opened(container) as use_cases:
        spare_what_stays()
        log.info("worker.started")
        try:
            async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as duties:
                duties.create_task(drain(use_cases.record_events, due, stop))
                duties.create_task(repeat(use_cases.forget_keys, "keys", stop, every=FORGET_KEYS_EVERY))
                duties.create_task(repeat(use_cases.mark_no_shows, "no-shows", stop, every=MARK_NO_SHOWS_EVERY))
                duties.create_task(listen(container.broker(), due, stop))
                await stop.wait()
                due.set()
                limit.reschedule(asyncio.get_running_loop().time() + STOP_WITHIN)
        except TimeoutError:
            log.warning("worker.stopped_in_the_middle")
    log.info("worker.stopped")
