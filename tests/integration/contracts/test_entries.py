"""What every adapter of `Entries` does."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from healthcare.domain.audit.model import Entry, Question
from healthcare.domain.audit.ports import Entries
from healthcare.domain.kernel import EventKind, Outcome, Page, Paging
from tests.builders import MINUTE, NOW, a_user_id, an_entry
from tests.clinic import Database
from tests.integration.contracts.pages import all_pages

pytestmark = pytest.mark.anyio

PORT = Entries


async def add(database: Database, *entries: Entry) -> None:
    async with database.begin() as uow:
        await uow.entries.add(entries)


async def find(database: Database, question: Question | None = None, paging: Paging | None = None) -> list[Entry]:
    async with database.begin() as uow:
        return list((await uow.entries.find(question or Question(), paging or Paging())).items)


async def test_an_entry_is_kept_as_it_is(database: Database) -> None:
    entries = [
        an_entry(at=NOW + timedelta(microseconds=123456), actor=a_user_id(), subject=uuid4(), outcome=Outcome.REFUSED),
        an_entry(actor=None, subject=None, kind=EventKind.SIGN_IN_FAILED, request="a.b_c-9"),
    ]

    await add(database, *entries)

    assert await find(database) == entries


async def test_every_kind_can_be_kept(database: Database) -> None:
    await add(database, *(an_entry(kind=kind) for kind in EventKind))

    assert {entry.kind for entry in await find(database)} == set(EventKind)


async def test_nothing_can_be_kept(database: Database) -> None:
    await add(database)

    assert await find(database) == []


async def test_an_entry_that_is_kept_already_stays_as_it_is(database: Database) -> None:
    entry, other = an_entry(), an_entry(at=NOW - MINUTE)
    await add(database, entry)

    await add(database, replace(entry, request="another"), other)

    assert await find(database) == [entry, other]


async def test_the_newest_come_first(database: Database) -> None:
    entries = [an_entry(at=NOW + n * MINUTE) for n in (2, 0, 1)]
    await add(database, *entries)

    assert await find(database) == [entries[0], entries[2], entries[1]]


async def test_entries_are_found_by_each_thing_and_by_all_of_them(database: Database) -> None:
    actor, subject, kind = a_user_id(), uuid4(), EventKind.ROLE_CHANGED
    wanted = an_entry(actor=actor, subject=subject, kind=kind)
    others = [
        an_entry(actor=a_user_id(), subject=subject, kind=kind),
        an_entry(actor=actor, subject=uuid4(), kind=kind),
        an_entry(actor=actor, subject=subject),
        an_entry(),
    ]
    await add(database, wanted, *others)

    async def found(question: Question) -> set[object]:
        return {entry.id for entry in await find(database, question)}

    assert await found(Question(actor=actor)) == {one.id for one in (wanted, others[1], others[2])}
    assert await found(Question(subject=subject)) == {one.id for one in (wanted, others[0], others[2])}
    assert await found(Question(kind=kind)) == {one.id for one in (wanted, others[0], others[1])}
    assert await found(Question(actor=actor, subject=subject, kind=kind)) == {wanted.id}
    assert await found(Question(actor=a_user_id())) == set()


async def test_since_is_in_it_and_until_is_not(database: Database) -> None:
    before, first, second, after = (an_entry(at=NOW + n * MINUTE) for n in range(4))
    await add(database, before, first, second, after)

    assert await find(database, Question(since=first.at, until=after.at)) == [second, first]
    assert await find(database, Question(since=first.at)) == [after, second, first]
    assert await find(database, Question(until=first.at)) == [before]


@pytest.mark.parametrize("limit", [1, 3, 6, 7])
async def test_entries_come_page_by_page_also_where_they_are_of_one_instant(database: Database, limit: int) -> None:
    actor = a_user_id()
    entries = [an_entry(at=NOW + n // 3 * MINUTE, actor=actor) for n in range(6)]
    await add(database, *entries, an_entry())

    async def fetch(paging: Paging) -> Page[Entry]:
        async with database.begin() as uow:
            return await uow.entries.find(Question(actor=actor), paging)

    seen = await all_pages(fetch, limit=limit)

    assert seen == sorted(entries, key=lambda entry: (entry.at, entry.id), reverse=True)
