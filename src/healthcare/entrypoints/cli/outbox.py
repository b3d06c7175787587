"""Dead letters: the events that could not be recorded five times, and what is done once the reason is gone."""

import asyncio
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Sequence
from typing import Final
from uuid import UUID

from msgspec.json import encode

from healthcare.application.uow import DeadLetter
from healthcare.application.use_cases import UseCases
from healthcare.domain.kernel import MOST_PER_PAGE, EventId, Paging
from healthcare.entrypoints.cli.operate import OPERATOR, at_work
from healthcare.entrypoints.settings import Settings

AT_ONCE: Final = 100
"""Letters in one transaction, which has to end in time."""


def add_arguments(parser: ArgumentParser) -> None:
    """Say what can be done, and with which."""
    does = parser.add_subparsers(dest="does", required=True, metavar="list|requeue")
    text = "print the dead letters, oldest first: id of the event, since when, what happened, what was raised"
    listing = does.add_parser("list", help=text, description=text)
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    text = "put dead letters back, all that are named or none; the workers are woken, and it is recorded"
    which = does.add_parser("requeue", help=text, description=text).add_mutually_exclusive_group(required=True)
    which.add_argument("ids", nargs="*", type=UUID, default=[], metavar="ID")
    which.add_argument("--all", action="store_true", help="all that are dead letters now")


def run(settings: Settings, arguments: Namespace) -> None:
    """Do what the arguments say."""
    if arguments.does == "list":
        asyncio.run(show(settings, as_json=arguments.json))
    else:
        asyncio.run(requeue(settings, None if arguments.all else arguments.ids))


async def show(settings: Settings, *, as_json: bool) -> None:
    """Print the dead letters, a line each."""
    found = 0
    async with at_work(settings) as use_cases:
        async for letter in _letters(use_cases):
            found += 1
            print(encode(letter).decode() if as_json else _line(letter))
    if not found and not as_json:
        print("there are no dead letters")


async def requeue(settings: Settings, letters: Sequence[UUID] | None) -> None:
    """Put these dead letters back, all or none of them; None: all that there are."""
    async with at_work(settings) as use_cases:
        if letters is not None:
            await use_cases.requeue_events(actor=OPERATOR, letters=[EventId(id) for id in letters])
            print(f"put back: {len(set(letters))}")
            return
        # Listed to the end before the first is put back: one that dies again meanwhile is not tried for ever.
        all_of_them = [letter.id async for letter in _letters(use_cases)]
        for start in range(0, len(all_of_them), AT_ONCE):
            await use_cases.requeue_events(actor=OPERATOR, letters=all_of_them[start : start + AT_ONCE])
        print(f"put back: {len(all_of_them)}")


async def _letters(use_cases: UseCases) -> AsyncIterator[DeadLetter]:
    paging = Paging(MOST_PER_PAGE)
    while True:
        page = await use_cases.list_dead_letters(actor=OPERATOR, paging=paging)
        for letter in page.items:
            yield letter
        if page.next is None:
            return
        paging = Paging(MOST_PER_PAGE, page.next)


def _line(letter: DeadLetter) -> str:
    return f"{letter.id}  {letter.died_at.isoformat(timespec='seconds')}  {letter.kind}  {letter.reason}"
