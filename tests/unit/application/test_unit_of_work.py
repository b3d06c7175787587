"""What every unit of work does beyond keeping: it records whom it turned away, and wakes the workers."""

from uuid import uuid4

import pytest

from healthcare.domain.kernel import EventKind, Forbidden, NotFound, NotYours
from tests.builders import a_user, an_actor, an_event
from tests.clinic import Clinic

pytestmark = pytest.mark.anyio


async def test_leaving_the_block_keeps_everything_and_wakes_the_workers(clinic: Clinic) -> None:
    user, event = a_user(), an_event()

    async with clinic.begin() as uow:
        await uow.users.add(user, "hash")
        await uow.outbox.add(event)
        assert clinic.bell.rung == 0

    assert await clinic.events() == [event]
    assert clinic.bell.rung == 1


async def test_nobody_is_woken_where_nothing_happened(clinic: Clinic) -> None:
    async with clinic.begin() as uow:
        await uow.users.add(a_user(), "hash")

    assert clinic.bell.rung == 0


async def test_raising_keeps_nothing_and_wakes_nobody(clinic: Clinic) -> None:
    with pytest.raises(NotFound):
        async with clinic.begin() as uow:
            await uow.outbox.add(an_event())
            raise NotFound

    assert await clinic.events() == []
    assert clinic.bell.rung == 0


@pytest.mark.parametrize("kind", [Forbidden, NotYours])
async def test_whom_it_turned_away_is_kept_though_nothing_else_is(
    clinic: Clinic, kind: type[Forbidden] | type[NotYours]
) -> None:
    """Nobody is woken for that: the next look at the outbox will do."""
    actor, subject = an_actor(), uuid4()

    with pytest.raises(kind):
        async with clinic.begin() as uow:
            await uow.outbox.add(an_event())
            raise kind(actor, subject)

    (event,) = await clinic.events()
    assert (event.kind, event.actor, event.subject) == (EventKind.ACCESS_REFUSED, actor.user, subject)
    assert clinic.bell.rung == 0
