"""What every adapter of `Outbox` does."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from healthcare.application.uow import MOST_TRIES, DeadLetter, Outbox, UnitOfWork
from healthcare.domain.kernel import Event, EventId, EventKind, Outcome, Page, Paging
from tests.builders import MINUTE, NOW, a_user_id, an_event
from tests.clinic import Database, Undone
from tests.integration.contracts.pages import all_pages
from tests.integration.contracts.queues import pass_by, queue

pytestmark = pytest.mark.anyio

PORT = Outbox


async def put(database: Database, number: int = 1) -> list[Event]:
    """Put events in, each in a unit of work of its own."""
    events = [an_event(at=NOW + place * MINUTE) for place in range(number)]
    for event in events:
        async with database.begin() as uow:
            await uow.outbox.add(event)
    return events


async def waiting(database: Database, most: int = 500) -> Sequence[EventId]:
    async with database.begin() as uow:
        return await uow.outbox.lock(most)


async def take(uow: UnitOfWork, most: int = 500) -> Sequence[Event]:
    return await uow.outbox.take(await uow.outbox.lock(most))


async def fail(database: Database, event: Event, reason: str = "why") -> None:
    async with database.begin() as uow:
        await uow.outbox.failed(event.id, reason)


async def kill(database: Database, event: Event, reason: str = "why") -> None:
    """Let an event fail until it is a dead letter."""
    for _ in range(MOST_TRIES):
        await fail(database, event, reason)


async def dead(database: Database) -> list[DeadLetter]:
    async with database.begin() as uow:
        return list((await uow.outbox.dead(Paging())).items)


async def test_an_event_is_kept_as_it_is(database: Database) -> None:
    events = [
        an_event(actor=a_user_id(), subject=uuid4(), request="a.b_c-9"),
        an_event(actor=None, subject=None, kind=EventKind.SIGN_IN_FAILED, outcome=Outcome.REFUSED),
    ]

    async with database.begin() as uow:
        await uow.outbox.add(*events)

    async with database.begin() as uow:
        assert sorted(await take(uow), key=lambda event: event.kind) == events


async def test_an_event_becomes_visible_to_others_when_the_unit_of_work_commits(database: Database) -> None:
    event = an_event()

    async with database.begin() as uow:
        await uow.outbox.add(event)
        assert await waiting(database) == []

    assert await waiting(database) == [event.id]


async def test_an_event_of_a_unit_of_work_that_raised_was_never_there(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.begin() as uow:
            await uow.outbox.add(an_event())
            raise ZeroDivisionError

    assert await waiting(database) == []


async def test_the_outbox_is_filled_by_putting_something_in(database: Database) -> None:
    async with database.begin() as uow:
        assert not uow.outbox.filled
        await uow.outbox.add()
        assert not uow.outbox.filled
        await uow.outbox.add(an_event())
        assert uow.outbox.filled


async def test_taking_out_does_not_fill_it(database: Database) -> None:
    await put(database)

    async with database.begin() as uow:
        await take(uow)
        assert not uow.outbox.filled


async def test_the_oldest_are_reserved_first_and_no_more_than_asked_for(database: Database) -> None:
    events = await put(database, 5)

    assert await waiting(database, 3) == [event.id for event in events[:3]]
    assert await waiting(database, 9) == [event.id for event in events]


async def test_what_somebody_has_reserved_nobody_else_reserves_nor_waits_for(database: Database) -> None:
    first, second, third = await put(database, 3)

    others = await pass_by(database, lambda uow: uow.outbox.lock(2), lambda uow: uow.outbox.lock(2))

    assert others == [third.id]
    assert await waiting(database) == [first.id, second.id, third.id]


async def test_what_was_reserved_and_not_taken_is_there_for_others(database: Database) -> None:
    (event,) = await put(database)

    with suppress(Undone):
        async with database.begin() as uow:
            await take(uow)
            raise Undone

    assert await waiting(database) == [event.id]


async def test_what_was_taken_is_gone(database: Database) -> None:
    taken, left = await put(database, 2)

    async with database.begin() as uow:
        assert await take(uow, 1) == [taken]

    assert await waiting(database) == [left.id]


async def test_nothing_can_be_taken(database: Database) -> None:
    async with database.begin() as uow:
        assert await uow.outbox.take([]) == []


async def test_however_many_take_at_once_each_event_is_taken_exactly_once(database: Database) -> None:
    events = await put(database, 20)
    taken: list[EventId] = []

    async def drain() -> None:
        while True:
            async with database.begin() as uow:
                some = await take(uow, 3)
                await asyncio.sleep(0)
            taken.extend(event.id for event in some)
            if not some:
                return

    await asyncio.gather(*(drain() for _ in range(4)))
    await drain()

    assert sorted(taken) == sorted(event.id for event in events)


async def test_what_failed_comes_last(database: Database) -> None:
    bad, worse, good = await put(database, 3)
    for event in (worse, bad, worse):
        await fail(database, event)

    assert await waiting(database) == [good.id, bad.id, worse.id]


async def test_what_failed_five_times_is_a_dead_letter_with_its_last_reason(database: Database) -> None:
    bad, good = await put(database, 2)
    for place in range(1, MOST_TRIES):
        await fail(database, bad, f"reason {place}")
    assert await waiting(database) == [good.id, bad.id]
    assert await dead(database) == []

    before = datetime.now(UTC)
    await fail(database, bad, "the last reason")

    assert await waiting(database) == [good.id]
    (letter,) = await dead(database)
    assert (letter.id, letter.kind, letter.at, letter.reason) == (bad.id, bad.kind, bad.at, "the last reason")
    assert abs(letter.died_at - before) < 10 * MINUTE


async def test_what_is_no_longer_there_cannot_fail(database: Database) -> None:
    (event,) = await put(database)
    async with database.begin() as uow:
        await take(uow)

    await fail(database, event)

    assert await waiting(database) == []
    assert await dead(database) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
async def test_dead_letters_are_listed_in_the_order_in_which_they_died(database: Database, limit: int) -> None:
    third, first, second = await put(database, 3)
    for event in (first, second, third):
        await kill(database, event)

    async def page(paging: Paging) -> Page[DeadLetter]:
        async with database.begin() as uow:
            return await uow.outbox.dead(paging)

    listed = await all_pages(page, limit=limit)

    assert [letter.id for letter in listed] == [first.id, second.id, third.id]


async def test_what_is_put_back_is_an_event_like_all_others(database: Database) -> None:
    event = an_event(actor=a_user_id(), subject=uuid4(), kind=EventKind.ACCESS_REFUSED, outcome=Outcome.REFUSED)
    async with database.begin() as uow:
        await uow.outbox.add(event)
    await kill(database, event)
    (failed_once,) = await put(database)
    await fail(database, failed_once)

    async with database.begin() as uow:
        assert await uow.outbox.requeue([event.id]) == [event.id]
        assert uow.outbox.filled

    assert await dead(database) == []
    assert await waiting(database) == [event.id, failed_once.id], "it has not failed yet"
    async with database.begin() as uow:
        assert await take(uow, 1) == [event]


async def test_what_was_put_back_can_die_again(database: Database) -> None:
    (event,) = await put(database)
    await kill(database, event, "first")
    async with database.begin() as uow:
        await uow.outbox.requeue([event.id])

    await kill(database, event, "second")

    assert [letter.reason for letter in await dead(database)] == ["second"]
    assert await waiting(database) == []


async def test_several_are_put_back_in_the_order_in_which_they_happened(database: Database) -> None:
    events = await put(database, 3)
    for event in reversed(events):
        await kill(database, event)

    async with database.begin() as uow:
        back = await uow.outbox.requeue([events[2].id, events[0].id, events[1].id])

    assert sorted(back) == sorted(event.id for event in events)
    assert await waiting(database) == [event.id for event in events]


async def test_only_dead_letters_are_put_back(database: Database) -> None:
    alive, letter, other = await put(database, 3)
    await fail(database, alive)
    for event in (letter, other):
        await kill(database, event)

    async with database.begin() as uow:
        assert await uow.outbox.requeue([alive.id, letter.id, letter.id, EventId(uuid4())]) == [letter.id]

    assert await waiting(database) == [letter.id, alive.id]
    assert [one.id for one in await dead(database)] == [other.id]


async def test_putting_nothing_back_does_not_fill_it(database: Database) -> None:
    async with database.begin() as uow:
        assert await uow.outbox.requeue([]) == []
        assert await uow.outbox.requeue([EventId(uuid4())]) == []
        assert not uow.outbox.filled


async def test_what_was_put_back_by_a_unit_of_work_that_raised_is_a_dead_letter_still(database: Database) -> None:
    (event,) = await put(database)
    await kill(database, event)

    with suppress(Undone):
        async with database.begin() as uow:
            await uow.outbox.requeue([event.id])
            raise Undone

    assert await waiting(database) == []
    assert [letter.id for letter in await dead(database)] == [event.id]


async def test_of_two_who_put_the_same_back_the_second_waits_and_finds_nothing(database: Database) -> None:
    one, two = await put(database, 2)
    for event in (one, two):
        await kill(database, event)

    second = await queue(
        database,
        lambda uow: uow.outbox.requeue([one.id, two.id]),
        lambda uow: uow.outbox.requeue([two.id, one.id]),
    )

    assert second == []
    assert await waiting(database) == [one.id, two.id]
