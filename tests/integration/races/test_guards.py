"""Each guard with the others taken away: what it holds alone, and that without it the checks find out.

Locks decide races, constraints stand behind them; tokens, unique entries and the policy's relations each hold one
promise more. The switches are here: the product has none.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from healthcare.adapters.postgres.outbox import PostgresOutbox
from healthcare.adapters.postgres.scheduling import bookings
from healthcare.adapters.redis.cache import RedisSearchCache
from healthcare.application.scheduling.decide import DecideTogether
from healthcare.application.uow import Busy
from healthcare.domain import policy
from healthcare.domain.kernel import Actor, Event, EventId, NotYours, Page, Refusal, SlotId, UserId
from healthcare.domain.scheduling.asks import Booking
from healthcare.domain.scheduling.model import Slot
from healthcare.domain.scheduling.search import Search, Touched
from healthcare.entrypoints import settings
from healthcare.entrypoints.container import Container, opened
from tests.examples import examples
from tests.integration.races.gate import released_at_once
from tests.integration.races.offices import in_process, refused_here
from tests.integration.races.test_booking import double_booked
from tests.integration.world import World, deadlocks, tomorrow_at

CONTENDERS = 8
ROUNDS = 12
MOST_ROUNDS = 20 * ROUNDS
"""Where something is bound to go wrong sooner or later."""

NO_LOCKS = "SELECT %(slots)s::uuid[], %(patients)s::uuid[]"
NO_ORDER = bookings.LOCK.replace(
    "ORDER BY id FOR UPDATE)", "ORDER BY array_position(%(slots)s::uuid[], id) FOR UPDATE)"
)
NO_QUEUE = "SELECT %(patients)s::uuid[], id FROM slots WHERE id = ANY(%(slots)s::uuid[]) ORDER BY id FOR UPDATE"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a number of races came to."""

    double: int
    """Double bookings."""
    refused: float
    """Refusals that a constraint had to make."""
    deadlocks: int


def drop_constraints(world: World) -> None:
    """Leave the locks alone."""
    with world.connect() as connection:
        connection.execute("DROP INDEX one_live_appointment_per_slot")
        connection.execute("ALTER TABLE appointments DROP CONSTRAINT patient_is_in_one_place")


async def race(world: World, rounds: int) -> int:
    """Let 8 patients want one slot, then one more 7 slots that overlap; return how many double bookings that made."""
    double = 0
    *patients, greedy = world.add_users("patient", CONTENDERS + 1)
    doctors = world.add_doctors(CONTENDERS)
    async with in_process(world) as office:
        for place in range(rounds):
            start = tomorrow_at(0) + place * timedelta(hours=1)
            slots = [
                world.add_slots(doctor, [start + timedelta(minutes=shift)])[0] for shift, doctor in enumerate(doctors)
            ]
            for burst in ([(patient, slots[0]) for patient in patients], [(greedy, slot) for slot in slots[1:]]):
                answers = await asyncio.gather(*[office.book(*one) for one in burst], return_exceptions=True)
                # A deadlock's victim is told to come again; nothing else may go wrong.
                assert all(isinstance(one, Busy) for one in answers if isinstance(one, BaseException)), answers
            double += double_booked(world)
            with world.connect() as connection:
                connection.execute("TRUNCATE appointments, idempotency_keys CASCADE")
    return double


def seen(world: World, rounds: int = ROUNDS) -> Seen:
    """Race, and count."""
    refused, dead = refused_here(), deadlocks(world)
    double = asyncio.run(race(world, rounds))
    return Seen(double, refused_here() - refused, deadlocks(world) - dead)


def test_with_every_guard_no_constraint_has_to_refuse(world: World) -> None:
    assert seen(world) == Seen(double=0, refused=0, deadlocks=0)


def test_the_locks_hold_without_the_constraints(world: World) -> None:
    drop_constraints(world)

    assert seen(world) == Seen(double=0, refused=0, deadlocks=0)


def test_the_constraints_hold_without_the_locks_and_are_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bookings, "LOCK", NO_LOCKS)

    # Each round takes seconds: the constraints make deadlocks of what the locks would have queued.
    what = seen(world, rounds=examples(3))

    assert what.double == 0
    assert what.refused > 0


@pytest.mark.parametrize("queue", [True, False])
def test_the_patients_queue_is_what_keeps_two_batches_from_a_deadlock(
    world: World, monkeypatch: pytest.MonkeyPatch, queue: bool
) -> None:
    """The same patients at two doctors at once: one batch names them forwards, the other backwards."""
    if not queue:
        monkeypatch.setattr(bookings, "LOCK", NO_QUEUE)
    before = deadlocks(world)

    asyncio.run(cross(world, rounds=ROUNDS if queue else MOST_ROUNDS))

    assert double_booked(world) == 0
    assert (deadlocks(world) > before) is not queue


async def cross(world: World, *, rounds: int) -> None:
    """Book for the same patients in two batches that meet, until one of them has to give up."""
    patients = world.add_users("patient", 60)
    here, there = world.add_doctors(2)
    async with together(world) as decide:
        for place in range(rounds):
            starts = [tomorrow_at(0) + timedelta(hours=place, minutes=minute) for minute in range(60)]
            forwards = list(zip(patients, world.add_slots(here, starts, minutes=1), strict=True))
            backwards = list(zip(patients, world.add_slots(there, starts, minutes=1), strict=True))[::-1]
            if await meet(decide, forwards, backwards):
                break


@pytest.mark.parametrize("order", [True, False])
def test_the_order_of_slots_is_what_keeps_two_batches_from_a_deadlock(
    world: World, monkeypatch: pytest.MonkeyPatch, order: bool
) -> None:
    """Other patients for the same slots: one batch names them forwards, the other backwards."""
    if not order:
        monkeypatch.setattr(bookings, "LOCK", NO_ORDER)
    before = deadlocks(world)

    asyncio.run(cross_on_slots(world))

    assert double_booked(world) == 0
    assert (deadlocks(world) > before) is not order


async def cross_on_slots(world: World) -> None:
    """Book the same slots in two batches, which are let go when both have come to the one in the middle."""
    (doctor,) = world.add_doctors(1)
    some, others = world.add_users("patient", 3), world.add_users("patient", 3)
    conninfo = make_conninfo("", **world.postgres)
    async with await AsyncConnection.connect(conninfo, autocommit=True) as watcher, together(world) as decide:
        for hour in range(5):  # on a busy machine both may not be there in time
            slots = world.add_slots(doctor, [tomorrow_at(hour, minute) for minute in (0, 20, 40)], minutes=20)
            batches = [list(zip(some, slots, strict=True)), list(zip(others, slots[::-1], strict=True))]
            gave_up, _ = await released_at_once(
                watcher, slots[1], [partial(meet, decide, one) for one in batches], lanes=len(batches)
            )
            if any(gave_up):
                break


@asynccontextmanager
async def together(world: World) -> AsyncIterator[DecideTogether]:
    """Open what decides many commands in one transaction."""
    container = Container(settings=settings.read(world.environment))
    async with opened(container):
        yield container.together()


async def meet(decide: DecideTogether, *batches: Sequence[tuple[UserId, UUID]]) -> bool:
    """Book whole batches at once; say whether one of them had to give up."""
    asked = [
        [Booking(actor=Actor(who, "race"), slot=SlotId(slot), key=str(uuid4())) for who, slot in batch]
        for batch in batches
    ]
    answers = await asyncio.gather(*[decide(batch) for batch in asked], return_exceptions=True)
    assert all(isinstance(one, (Busy, Refusal)) for one in answers if isinstance(one, BaseException)), answers
    return any(isinstance(one, Busy) for one in answers)


def test_with_neither_locks_nor_constraints_the_same_race_books_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop_constraints(world)
    monkeypatch.setattr(bookings, "LOCK", NO_LOCKS)

    assert seen(world).double > 0


@pytest.mark.parametrize("guarded", [True, False])
def test_the_dropped_tokens_are_what_keeps_a_taken_slot_out_of_a_search(
    world: World, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    async def keep(cache: RedisSearchCache, touched: Collection[Touched]) -> None:
        """Drop no token."""

    if not guarded:
        monkeypatch.setattr(RedisSearchCache, "forget", keep)

    free, after = asyncio.run(search_around_a_booking(world))

    assert free
    assert (after == free) is not guarded


async def search_around_a_booking(world: World) -> tuple[bytes, bytes]:
    """Return what a search of a day with one slot finds, and what it finds once that is booked."""
    ((doctor,), (patient,)), start = (world.add_doctors(1), world.add_users("patient", 1)), tomorrow_at(9)
    (slot,) = world.add_slots(doctor, [start])
    async with opened(Container(settings=settings.read(world.environment))) as can:
        search = Search("cardiology", start.date())

        async def look() -> bytes:
            return await can.search_slots.written(actor=Actor(patient, "race"), search=search, render=ids)

        free = await look()
        await can.book_appointment(Booking(actor=Actor(patient, "race"), slot=SlotId(slot), key="race"))
        return free, await look()


def ids(search: Search, page: Page[Slot]) -> bytes:
    """Write an answer down."""
    return b"".join(slot.id.bytes for slot in page.items)


@pytest.mark.parametrize("unique", [True, False])
def test_an_event_that_is_recorded_twice_has_one_entry_because_entries_are_unique(
    world: World, monkeypatch: pytest.MonkeyPatch, unique: bool
) -> None:
    take = PostgresOutbox.take

    async def take_and_put_back(outbox: PostgresOutbox, reserved: Sequence[EventId]) -> Sequence[Event]:
        """Do what a worker does that dies too late."""
        events = await take(outbox, reserved)
        await outbox.add(*events)
        return events

    monkeypatch.setattr(PostgresOutbox, "take", take_and_put_back)
    if not unique:
        with world.connect() as connection:
            connection.execute("ALTER TABLE audit_entries DROP CONSTRAINT one_entry_per_event")

    asyncio.run(book_and_record_twice(world))

    assert world.ask("SELECT kind, count(*) FROM audit_entries GROUP BY kind") == [
        ("appointment.booked", 1 if unique else 2)
    ]


async def book_and_record_twice(world: World) -> None:
    """Book one slot, and let a worker look at the outbox twice."""
    (doctor,), (patient,) = world.add_doctors(1), world.add_users("patient", 1)
    (slot,) = world.add_slots(doctor, [tomorrow_at(9)])
    async with opened(Container(settings=settings.read(world.environment))) as can:
        await can.book_appointment(Booking(actor=Actor(patient, "race"), slot=SlotId(slot), key="race"))
        for _ in range(2):
            await can.record_events(actor=Actor(None, "race", system=True))


@pytest.mark.parametrize("guarded", [True, False])
def test_the_relation_in_the_policy_is_what_keeps_a_stranger_from_reading(
    world: World, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    if not guarded:
        rules = {action: replace(rule, relation=None) for action, rule in policy.POLICY.items()}
        monkeypatch.setattr(policy, "POLICY", rules)

    with pytest.raises(NotYours) if guarded else nullcontext():
        asyncio.run(read_as_a_stranger(world))


async def read_as_a_stranger(world: World) -> None:
    """Read the appointment of another patient."""
    (doctor,), (patient, stranger) = world.add_doctors(1), world.add_users("patient", 2)
    (slot,) = world.add_slots(doctor, [tomorrow_at(9)])
    async with opened(Container(settings=settings.read(world.environment))) as can:
        booked = await can.book_appointment(Booking(actor=Actor(patient, "race"), slot=SlotId(slot), key="race"))
        await can.read_appointment(actor=Actor(stranger, "race"), appointment=booked.id)
