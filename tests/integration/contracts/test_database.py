"""What every adapter of `Database` does; what a unit of work does is said in the contract of its own."""

from uuid import uuid4

import pytest

from healthcare.application.uow import Database
from healthcare.domain.kernel import EventKind, Outcome
from tests.builders import a_user, a_user_id, an_event
from tests.clinic import Database as Backend

pytestmark = pytest.mark.anyio

PORT = Database


async def test_who_only_reads_sees_what_was_kept(database: Backend) -> None:
    user = a_user()
    async with database.begin() as uow:
        await uow.users.add(user, "hash")
        async with database.read() as other:
            assert await other.users.get(user.id) is None

    async with database.read() as uow:
        assert await uow.users.get(user.id) == user


async def test_an_event_that_is_kept_by_itself_is_kept_as_it_is(database: Backend) -> None:
    events = [
        an_event(actor=a_user_id(), subject=uuid4(), request="a.b_c-9"),
        an_event(actor=None, subject=None, kind=EventKind.SIGN_IN_FAILED, outcome=Outcome.REFUSED),
    ]

    for event in events:
        await database.record(event)

    async with database.begin() as uow:
        kept = await uow.outbox.take(await uow.outbox.lock(9))
    assert sorted(kept, key=events.index) == events


async def test_an_event_that_is_sent_twice_is_kept_once(database: Backend) -> None:
    event = an_event()

    await database.record(event)
    await database.record(event)

    async with database.begin() as uow:
        assert await uow.outbox.lock(9) == [event.id]
