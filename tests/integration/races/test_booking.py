"""However patients race, nobody books twice what can be booked once."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from healthcare.adapters.postgres.scheduling.rows import LIVE
from healthcare.domain.kernel import UserId
from tests.examples import examples
from tests.figures import Figures
from tests.integration.races.gate import released_at_once
from tests.integration.races.offices import WAYS, Office, Opened, Outcome, Told, entered, offices
from tests.integration.world import World, tomorrow_at

SLOTS = 400
CONTENDERS = 8
PATIENTS_WHO_WANT_TOO_MUCH = 40
PROGRAMS = examples(12)

every_way = pytest.mark.parametrize("way", WAYS)


def double_booked(world: World) -> int:
    """Return how many slots have two live appointments, and how many pairs put a patient in two places."""
    (row,) = world.ask(
        f"""
        SELECT (SELECT count(*) FROM (SELECT FROM appointments WHERE {LIVE}
                                       GROUP BY slot_id HAVING count(*) > 1) AS twice)
             + (SELECT count(*) FROM appointments a JOIN appointments b
                    ON a.patient_id = b.patient_id AND a.id < b.id
                   AND tstzrange(a.starts_at, a.ends_at) && tstzrange(b.starts_at, b.ends_at)
                 WHERE a.{LIVE} AND b.{LIVE})
        """
    )
    assert isinstance(row[0], int)
    return row[0]


def refusals(outcomes: list[Outcome]) -> list[str]:
    """Return the codes of the refusals."""
    return [one for one in outcomes if isinstance(one, str)]


@every_way
def test_of_eight_patients_who_want_one_slot_one_gets_it(world: World, way: str, figures: Figures) -> None:
    """400 slots, one after the other, with contenders who were seen waiting for each other."""
    patients = world.add_users("patient", CONTENDERS)
    # A doctor's slots may not overlap: 400 half hours fill more than eight days.
    slots = world.add_slots(
        world.add_doctors(1)[0], [tomorrow_at(0) + place * timedelta(minutes=30) for place in range(SLOTS)]
    )

    with offices(world, way) as opened:
        waited = asyncio.run(contend(world, opened, patients, slots))

    figures.add(f"eight want one slot, {way}", operations=SLOTS * CONTENDERS)
    assert double_booked(world) == 0
    assert world.ask("SELECT count(*) FROM appointments") == [(SLOTS,)]
    assert world.ask("SELECT count(*) FROM outbox WHERE kind = 'appointment.booked'") == [(SLOTS,)]
    assert waited > SLOTS / 2, f"contenders waited for one another on {waited} slots only"


async def contend(world: World, opened: Opened, patients: list[UserId], slots: list[UUID]) -> int:
    """Let all patients want each slot; return on how many slots they were seen waiting."""
    waited = 0
    conninfo = make_conninfo("", **world.postgres)
    async with await AsyncConnection.connect(conninfo, autocommit=True) as watcher, opened() as office:
        for slot in slots:
            contenders = [lambda patient=patient, slot=slot: office.book(patient, slot) for patient in patients]
            outcomes, seen = await released_at_once(watcher, slot, contenders, office.lanes)
            waited += seen
            assert refusals(outcomes) == ["slot-taken"] * (CONTENDERS - 1)
    return waited


@every_way
def test_a_patient_who_wants_overlapping_slots_at_once_gets_one(world: World, way: str) -> None:
    """Eight doctors, slots shifted against each other; the constraint alone deadlocks on such bursts."""
    patients = world.add_users("patient", PATIENTS_WHO_WANT_TOO_MUCH)
    doctors = world.add_doctors(CONTENDERS)
    starts = [tomorrow_at(0) + place * timedelta(hours=1) for place in range(len(patients))]
    slots = [
        world.add_slots(doctor, [start + timedelta(minutes=3 * shift) for start in starts])
        for shift, doctor in enumerate(doctors)
    ]

    async def want_too_much(opened: Opened) -> None:
        async with opened() as office:
            for place, patient in enumerate(patients):
                outcomes = await asyncio.gather(*[office.book(patient, of_doctor[place]) for of_doctor in slots])
                assert refusals(outcomes) == ["patient-busy"] * (CONTENDERS - 1)

    with offices(world, way) as opened:
        asyncio.run(want_too_much(opened))
    assert double_booked(world) == 0


Command = tuple[int, int, str, int]
Programs = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 5),
        st.sampled_from(["book", "book and cancel", "book and move", "hold", "hold and book"]),
        st.integers(0, 5),
    ),
    min_size=2,
    max_size=24,
)
"""Who claims what in which way, and where they move if they do; slots 0 to 2 are apart, 3 to 5 overlap each other."""

REFUSALS = {"slot-taken", "patient-busy", "too-many-holds", "hold-extended", "appointment-not-booked"}


@every_way
def test_no_program_of_claims_moves_and_cancellations_books_twice(world: World, way: str, figures: Figures) -> None:
    """Hypothesis draws who races for what; the database does the interleaving; the assertions count."""
    commands = 0
    with offices(world, way) as opened, asyncio.Runner() as runner, entered(opened(), runner) as office:

        @settings(deadline=None, max_examples=PROGRAMS)
        @given(program=Programs)
        def check(program: list[Command]) -> None:
            nonlocal commands
            commands += sum(1 + (" and " in how) for _, _, how, _ in program)
            runner.run(run(world, office, program))

        check()
    figures.add(f"programs of bookings, {way}", operations=commands)


async def run(world: World, office: Office, program: list[Command]) -> None:
    """Run one program, and compare what was told last of each appointment with what was kept."""
    clear(world)
    patients = world.add_users("patient", 4)
    minutes = [0, 60, 120, 240, 250, 260]
    slots = [
        world.add_slots(doctor, [tomorrow_at(9) + timedelta(minutes=minute)])[0]
        for doctor, minute in zip(world.add_doctors(len(minutes)), minutes, strict=True)
    ]

    async def act(patient: UserId, slot: UUID, how: str, target: UUID) -> list[Outcome]:
        first = await (office.hold if how.startswith("hold") else office.book)(patient, slot)
        if not isinstance(first, Told):
            return [first]
        match how:
            case "book and cancel":
                return [first, await office.cancel(first)]
            case "book and move":
                return [first, await office.reschedule(first, target)]
            case "hold and book":
                return [first, await office.book(patient, slot)]
        return [first]

    acts = [act(patients[who], slots[what], how, slots[to]) for who, what, how, to in program]
    outcomes = [outcome for one in await asyncio.gather(*acts) for outcome in one]
    assert set(refusals(outcomes)) <= REFUSALS
    assert double_booked(world) == 0
    told = sorted((one for one in outcomes if isinstance(one, Told)), key=lambda one: one.version)
    last = list({one.id: one for one in told}.values())
    taken = {(one.patient, one.slot) for one in last if one.status == "booked"}
    # Whoever moves to a slot that they hold gives the hold up.
    stands = [
        (one.id, one.slot, "cancelled", one.version + 1)
        if one.status == "pending" and (one.patient, one.slot) in taken
        else (one.id, one.slot, one.status, one.version)
        for one in last
    ]
    assert Counter(world.ask("SELECT id, slot_id, status, version FROM appointments")) == Counter(stands)


def clear(world: World) -> None:
    """Empty the tables between two examples."""
    with world.connect() as connection:
        connection.execute("TRUNCATE users, outbox CASCADE")
