"""Turning events into entries, exactly once, and asking for them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from uuid import uuid4

import pytest

from healthcare.adapters.memory.database import MemoryDatabase, MemoryUnitOfWork
from healthcare.application.audit.record import RecordEvents, entry_of
from healthcare.application.uow import MOST_TRIES, OutcomeUnknown, Unavailable, UnitOfWork
from healthcare.domain.audit.model import Entry, Question
from healthcare.domain.kernel import Event, EventId, EventKind, NotFound, Outcome, Page, Paging, Role
from tests.builders import MINUTE, NOW, SYSTEM, FakeClock, an_actor, an_event
from tests.clinic import Clinic

pytestmark = pytest.mark.anyio


class Poisoned:
    """A memory database in which some events cannot be recorded."""

    def __init__(self, *, poison: set[EventId] | None = None, reason: Exception | None = None) -> None:
        self.database = MemoryDatabase(FakeClock())
        self.poison = poison or set()
        self.reason = reason or ValueError("what is this?")
        self.begun = 0

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[UnitOfWork]:
        self.begun += 1
        async with self.database.begin() as uow:
            assert isinstance(uow, MemoryUnitOfWork)
            entries = uow.entries
            poisoned = self

            class Picky:
                async def add(self, many: Sequence[Entry]) -> None:
                    if poisoned.poison & {one.id for one in many}:
                        raise poisoned.reason
                    await entries.add(many)

                async def find(self, question: Question, paging: Paging) -> Page[Entry]:
                    return await entries.find(question, paging)

            yield replace(uow, entries=Picky())  # type: ignore[arg-type]

    async def put(self, *events: Event) -> None:
        async with self.database.begin() as uow:
            await uow.outbox.add(*events)

    async def entries(self) -> set[EventId]:
        async with self.database.begin() as uow:
            return {entry.id for entry in (await uow.entries.find(Question(), Paging(500))).items}

    async def dead(self) -> list[tuple[EventId, str]]:
        async with self.database.begin() as uow:
            return [(letter.id, letter.reason) for letter in (await uow.outbox.dead(Paging())).items]

    async def waiting(self) -> list[EventId]:
        async with self.database.begin() as uow:
            return list(await uow.outbox.lock(500))


async def test_an_entry_says_what_the_event_says() -> None:
    event = an_event(actor=an_actor().user, subject=uuid4(), outcome=Outcome.REFUSED, request="request-9")

    entry = entry_of(event)

    assert (entry.id, entry.at, entry.actor, entry.kind) == (event.id, event.at, event.actor, event.kind)
    assert (entry.subject, entry.outcome, entry.request) == (event.subject, event.outcome, event.request)


async def test_events_leave_the_outbox_as_entries() -> None:
    events = [an_event(at=NOW + n * MINUTE) for n in range(5)]
    world = Poisoned()
    await world.put(*events)

    assert await RecordEvents(world.begin)(actor=SYSTEM, most=3) == 3
    assert await world.entries() == {event.id for event in events[:3]}
    assert await RecordEvents(world.begin)(actor=SYSTEM, most=3) == 2
    assert await RecordEvents(world.begin)(actor=SYSTEM, most=3) == 0
    assert await world.entries() == {event.id for event in events}


async def test_however_many_record_at_once_each_event_is_recorded_exactly_once() -> None:
    world = Poisoned()
    events = [an_event() for _ in range(40)]
    await world.put(*events)

    counts = await asyncio.gather(*(RecordEvents(world.begin)(actor=SYSTEM, most=7) for _ in range(8)))

    assert sum(counts) == 40
    assert await world.entries() == {event.id for event in events}


async def test_an_event_that_was_recorded_before_is_not_recorded_twice() -> None:
    world, event = Poisoned(), an_event()
    for _ in range(2):
        await world.put(event)
        await RecordEvents(world.begin)(actor=SYSTEM)

    assert await world.entries() == {event.id}
    assert await world.waiting() == []


async def test_a_bad_event_does_not_hold_up_the_others() -> None:
    events = [an_event() for _ in range(5)]
    bad = events[1].id
    world = Poisoned(poison={bad})
    await world.put(*events)

    assert await RecordEvents(world.begin)(actor=SYSTEM) == 4

    assert await world.entries() == {event.id for event in events} - {bad}
    assert await world.waiting() == [bad]


async def test_no_more_are_tried_than_were_asked_for() -> None:
    events = [an_event() for _ in range(5)]
    world = Poisoned(poison={events[0].id})
    await world.put(*events)

    assert await RecordEvents(world.begin)(actor=SYSTEM, most=3) == 2


async def test_a_bad_event_is_tried_once_in_a_call() -> None:
    bad = an_event()
    world = Poisoned(poison={bad.id})
    await world.put(bad)

    assert await RecordEvents(world.begin)(actor=SYSTEM) == 0

    assert world.begun == 4, "all at once, alone, put back, and a look at what else is waiting"
    assert await world.dead() == []


async def test_an_event_that_fails_five_times_is_a_dead_letter_with_its_reason() -> None:
    bad = an_event()
    world = Poisoned(poison={bad.id})
    await world.put(bad)

    for _ in range(MOST_TRIES):
        assert await world.dead() == []
        await RecordEvents(world.begin)(actor=SYSTEM)

    ((letter, reason),) = await world.dead()
    assert letter == bad.id
    assert reason.startswith("builtins.ValueError at ")
    assert reason.endswith(" add")
    assert "what is this?" not in reason, "messages quote values"
    assert await world.waiting() == []
    assert await world.entries() == set()


async def test_a_reason_that_passes_costs_nothing() -> None:
    event = an_event()
    world = Poisoned(poison={event.id})
    await world.put(event)
    await RecordEvents(world.begin)(actor=SYSTEM)

    world.poison.clear()

    assert await RecordEvents(world.begin)(actor=SYSTEM) == 1
    assert await world.entries() == {event.id}


@pytest.mark.parametrize("reason", [Unavailable, OutcomeUnknown])
async def test_where_the_database_is_away_no_event_is_to_blame(reason: type[Exception]) -> None:
    event = an_event()
    world = Poisoned(poison={event.id}, reason=reason())
    await world.put(event)

    with pytest.raises(reason):
        await RecordEvents(world.begin)(actor=SYSTEM)

    assert world.begun == 1
    assert await world.waiting() == [event.id]


async def test_where_the_database_goes_away_between_two_events_no_event_is_to_blame() -> None:
    events = [an_event() for _ in range(2)]
    world = Poisoned(poison={events[1].id})
    await world.put(*events)

    @asynccontextmanager
    async def begin() -> AsyncIterator[UnitOfWork]:
        async with world.begin() as uow:
            if world.begun == 3:
                raise Unavailable
            yield uow

    with pytest.raises(Unavailable):
        await RecordEvents(begin)(actor=SYSTEM)

    assert await world.entries() == {events[0].id}
    assert await world.waiting() == [events[1].id]


async def test_a_failure_that_has_nothing_to_do_with_an_event_is_raised() -> None:
    def begin() -> AbstractAsyncContextManager[UnitOfWork]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await RecordEvents(begin)(actor=SYSTEM)


async def test_an_admin_sees_what_happened_the_newest_first(clinic: Clinic) -> None:
    admin = await clinic.user(Role.ADMIN)
    appointment = await clinic.booked()
    clinic.clock.wait(MINUTE)
    await clinic.can.cancel_appointment(
        actor=an_actor(appointment.patient.id), appointment=appointment.id, reason="ill"
    )
    await clinic.can.record_events(actor=SYSTEM)

    page = await clinic.can.search_audit(actor=an_actor(admin.id), question=Question(), paging=Paging())

    assert [entry.kind for entry in page.items] == [EventKind.APPOINTMENT_CANCELLED, EventKind.APPOINTMENT_BOOKED]
    assert {entry.actor for entry in page.items} == {appointment.patient.id}


async def dead_letters(clinic: Clinic, number: int) -> list[EventId]:
    """Let events fail until they are dead letters."""
    events = [an_event(at=NOW - MINUTE) for _ in range(number)]
    async with clinic.database.begin() as uow:
        await uow.outbox.add(*events)
        for event in events * MOST_TRIES:
            await uow.outbox.failed(event.id, "builtins.ValueError")
    return [event.id for event in events]


async def test_operators_see_dead_letters_page_by_page(clinic: Clinic) -> None:
    letters = await dead_letters(clinic, 3)

    page = await clinic.can.list_dead_letters(actor=SYSTEM, paging=Paging(2))
    rest = await clinic.can.list_dead_letters(actor=SYSTEM, paging=Paging(2, page.next))

    assert [letter.id for letter in (*page.items, *rest.items)] == letters


async def test_what_an_operator_puts_back_is_recorded_and_so_is_that_they_did(clinic: Clinic) -> None:
    first, second, third = await dead_letters(clinic, 3)

    await clinic.can.requeue_events(actor=SYSTEM, letters=[third, first])

    assert clinic.bell.rung == 1
    events = await clinic.events(EventKind.EVENT_REQUEUED)
    assert {event.subject for event in events} == {first, third}
    assert {(event.actor, event.request, event.at) for event in events} == {(None, SYSTEM.request, NOW)}
    assert await clinic.can.record_events(actor=SYSTEM) == 4
    assert [letter.id for letter in (await clinic.can.list_dead_letters(actor=SYSTEM, paging=Paging())).items] == [
        second
    ]


async def test_where_one_is_no_dead_letter_none_is_put_back(clinic: Clinic) -> None:
    letters = await dead_letters(clinic, 1)
    alive = an_event()
    async with clinic.database.begin() as uow:
        await uow.outbox.add(alive)

    with pytest.raises(NotFound, match=str(alive.id)):
        await clinic.can.requeue_events(actor=SYSTEM, letters=[*letters, alive.id])

    assert await clinic.events() == [alive]
    assert clinic.bell.rung == 0
