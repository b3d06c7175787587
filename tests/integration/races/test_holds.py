"""However patients race, a slot is held by one of them, and nobody holds more than they may."""

import asyncio
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from healthcare.adapters.postgres.scheduling import bookings
from healthcare.domain.kernel import UserId
from tests.figures import Figures
from tests.integration.races.gate import released_at_once
from tests.integration.races.offices import Opened, Told, in_process, offices
from tests.integration.races.test_booking import CONTENDERS, double_booked, every_way, refusals
from tests.integration.races.test_guards import MOST_ROUNDS, NO_QUEUE
from tests.integration.world import World, tomorrow_at

SLOTS = 40
ROUNDS = 16

RUN_OUT = "UPDATE appointments SET expires_at = clock_timestamp() WHERE status = 'pending'"


@every_way
def test_of_eight_patients_who_hold_one_slot_one_gets_it(world: World, way: str, figures: Figures) -> None:
    """One slot after the other, with contenders who were seen waiting for each other."""
    patients = world.add_users("patient", CONTENDERS)
    slots = world.add_slots(
        world.add_doctors(1)[0], [tomorrow_at(0) + place * timedelta(minutes=30) for place in range(SLOTS)]
    )

    with offices(world, way) as opened:
        waited = asyncio.run(contend(world, opened, patients, slots))

    figures.add(f"eight hold one slot, {way}", operations=SLOTS * CONTENDERS)
    assert double_booked(world) == 0
    assert world.ask("SELECT count(*) FROM appointments") == [(SLOTS,)]
    assert world.ask("SELECT count(*) FROM outbox WHERE kind = 'slot.held'") == [(SLOTS,)]
    assert waited > SLOTS / 2, f"contenders waited for one another on {waited} slots only"


async def contend(world: World, opened: Opened, patients: list[UserId], slots: list[UUID]) -> int:
    """Let all patients hold each slot; return on how many slots they were seen waiting."""
    waited = 0
    conninfo = make_conninfo("", **world.postgres)
    async with await AsyncConnection.connect(conninfo, autocommit=True) as watcher, opened() as office:
        for slot in slots:
            contenders = [partial(office.hold, patient, slot) for patient in patients]
            outcomes, seen = await released_at_once(watcher, slot, contenders, office.lanes)
            waited += seen
            assert refusals(outcomes) == ["slot-taken"] * (CONTENDERS - 1)
            await watcher.execute(RUN_OUT)  # nobody is to hold too many
    return waited


@pytest.mark.parametrize("queue", [True, False])
def test_the_patients_queue_is_what_keeps_a_patient_from_holding_more_than_three(
    world: World, monkeypatch: pytest.MonkeyPatch, queue: bool
) -> None:
    """No constraint counts holds."""
    if not queue:
        monkeypatch.setattr(bookings, "LOCK", NO_QUEUE)

    most = asyncio.run(hold_five_at_once(world, rounds=ROUNDS if queue else MOST_ROUNDS))

    assert (most == 3) is queue


async def hold_five_at_once(world: World, *, rounds: int) -> int:
    """Let patient after patient hold five slots at once, until somebody gets too many; return how many they got."""
    (doctor,) = world.add_doctors(1)
    got = 0
    async with in_process(world) as office:
        for place in range(rounds):
            (patient,) = world.add_users("patient", 1)
            starts = [tomorrow_at(0) + timedelta(hours=place, minutes=minute) for minute in range(0, 60, 12)]
            slots = world.add_slots(doctor, starts, minutes=12)
            outcomes = await asyncio.gather(*[office.hold(patient, slot) for slot in slots])
            got = len(slots) - len(refusals(outcomes))
            assert set(refusals(outcomes)) <= {"too-many-holds"}
            assert got >= 3
            if got > 3:
                break
    return got


@every_way
def test_while_others_hold_a_slot_its_holder_books_it_in_time_or_like_anybody(world: World, way: str) -> None:
    """In time the holder gets it whoever is faster; a hold that has run out counts for nothing."""
    holder, *others = world.add_users("patient", CONTENDERS)
    slots = world.add_slots(world.add_doctors(1)[0], [tomorrow_at(place) for place in range(ROUNDS)])
    in_time = slots[::2]

    async def race(opened: Opened) -> None:
        async with opened() as office:
            for slot in slots:
                assert isinstance(await office.hold(holder, slot), Told)
                if slot not in in_time:
                    run_out(world)
                holds = [office.hold(other, slot) for other in others]
                mine, *theirs = await asyncio.gather(office.book(holder, slot), *holds)
                assert refusals([mine, *theirs]) == ["slot-taken"] * (CONTENDERS - 1)
                assert isinstance(mine, Told) or slot not in in_time
                run_out(world)

    with offices(world, way) as opened:
        asyncio.run(race(opened))

    assert double_booked(world) == 0
    expired = "SELECT id FROM appointments WHERE cancellation_reason = 'expired' ORDER BY id"
    swept = world.ask("SELECT subject_id FROM outbox WHERE kind = 'hold.expired' ORDER BY subject_id")
    assert world.ask(expired) == swept
    assert len(swept) >= len(slots) - len(in_time)


def run_out(world: World) -> None:
    """Let the time of all holds be over."""
    with world.connect() as connection:
        connection.execute(RUN_OUT)
