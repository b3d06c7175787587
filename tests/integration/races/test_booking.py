"""However patients race, nobody books twice what can be booked once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from tests.integration.races.gate import released_at_once
from tests.integration.world import World, deadlocks, tomorrow_at

from healthcare.adapters.memory.cache import MemorySearchCache
from healthcare.adapters.postgres import scheduling
from healthcare.adapters.postgres.database import PostgresDatabase
from healthcare.adapters.postgres.refusals import constraint_refusals
from healthcare.adapters.system import SystemClock, new_id
from healthcare.application.scheduling.book import BookAppointment, BookAppointments
from healthcare.application.scheduling.cancel import CancelAppointment
from healthcare.domain.kernel import Actor, Happened, Refusal, SlotId, UserId
from healthcare.domain.scheduling.errors import PatientBusy, SlotTaken
from healthcare.domain.scheduling.model import Appointment, Booking

SLOTS = 400
CONTENDERS = 8

Outcome = Appointment | BaseException


@dataclass
class Office:
    """The booking use cases on a database, and a connection that watches it."""

    world: World
    database: PostgresDatabase
    watcher: AsyncConnection[tuple[object, ...]]
    happened: Happened = field(default_factory=lambda: Happened(SystemClock(), new_id))

    def book(self, patient: UserId, slot: UUID) -> Coroutine[None, None, Appointment]:
        """Let the patient book the slot with a new key."""
        cache = MemorySearchCache(clock=self.happened.clock)
        use_case = BookAppointment(BookAppointments(self.database.begin, cache, self.happened))
        return use_case(Booking(actor=Actor(patient, "race"), slot=SlotId(slot), key=str(uuid4())))

    def cancel(self, appointment: Appointment) -> Coroutine[None, None, Appointment]:
        """Let the patient cancel."""
        cache = MemorySearchCache(clock=self.happened.clock)
        use_case = CancelAppointment(self.database.begin, cache, self.happened)
        return use_case(actor=Actor(appointment.patient.id, "race"), appointment=appointment.id, reason="race")


@asynccontextmanager
async def office(world: World) -> AsyncIterator[Office]:
    """Open the database, with a connection for each contender."""
    database = PostgresDatabase(world.postgres, size=CONTENDERS)
    await database.open()
    try:
        async with await AsyncConnection.connect(make_conninfo("", **world.postgres), autocommit=True) as watcher:
            yield Office(world, database, watcher)
    finally:
        await database.close()


@contextmanager
def nothing_but_the_locks_was_needed(world: World) -> Iterator[None]:
    """Show that no deadlock happened and that no constraint had to refuse."""
    before = deadlocks(world), refused_by_constraints()
    yield
    assert (deadlocks(world), refused_by_constraints()) == before


def refused_by_constraints() -> float:
    """Return how often a constraint made a refusal in this process."""
    return sum(
        sample.value
        for family in constraint_refusals.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    )


def double_booked(world: World) -> int:
    """Return how many slots have two live appointments, and how many pairs put a patient in two places."""
    (row,) = world.ask(
        f"""
        SELECT (SELECT count(*) FROM (SELECT FROM appointments WHERE {scheduling.LIVE}
                                       GROUP BY slot_id HAVING count(*) > 1) AS twice)
             + (SELECT count(*) FROM appointments a JOIN appointments b
                    ON a.patient_id = b.patient_id AND a.id < b.id
                   AND tstzrange(a.starts_at, a.ends_at) && tstzrange(b.starts_at, b.ends_at)
                 WHERE a.{scheduling.LIVE} AND b.{scheduling.LIVE})
        """
    )
    assert isinstance(row[0], int)
    return row[0]


def refusals(outcomes: Sequence[Outcome]) -> list[type[Refusal]]:
    """Return the kinds of refusal among the outcomes; any other failure is no answer and fails the test."""
    failures = [one for one in outcomes if isinstance(one, BaseException)]
    assert all(isinstance(one, Refusal) for one in failures), failures
    return [type(one) for one in failures if isinstance(one, Refusal)]


def test_of_eight_patients_who_want_one_slot_one_gets_it(world: World) -> None:
    """400 slots, one after the other, with contenders who were seen waiting for each other."""
    asyncio.run(contend_for_slots(world))


async def contend_for_slots(world: World) -> None:
    patients = world.add_users("patient", CONTENDERS)
    # A doctor's slots may not overlap: 400 half hours fill more than eight days.
    slots = world.add_slots(
        world.add_doctors(1)[0], [tomorrow_at(0) + place * timedelta(minutes=30) for place in range(SLOTS)]
    )
    waited = 0
    with nothing_but_the_locks_was_needed(world):
        async with office(world) as here:
            for slot in slots:
                contenders = [lambda patient=patient, slot=slot: here.book(patient, slot) for patient in patients]
                outcomes, waiting = await released_at_once(here.watcher, slot, contenders)
                waited += waiting >= CONTENDERS - 1
                assert refusals(outcomes) == [SlotTaken] * (CONTENDERS - 1)
    assert double_booked(world) == 0
    assert world.ask("SELECT count(*) FROM appointments") == [(SLOTS,)]
    assert world.ask("SELECT count(*) FROM outbox WHERE kind = 'appointment.booked'") == [(SLOTS,)]
    assert waited > SLOTS / 2, f"contenders waited for one another on {waited} slots only"


def test_a_patient_who_wants_overlapping_slots_at_once_gets_one(world: World) -> None:
    """Eight doctors, slots shifted against each other; the constraint alone deadlocks on such bursts."""
    asyncio.run(want_too_much(world))


async def want_too_much(world: World) -> None:
    doctors = world.add_doctors(CONTENDERS)
    rounds = world.add_users("patient", 40)
    with nothing_but_the_locks_was_needed(world):
        async with office(world) as here:
            for place, patient in enumerate(rounds):
                start = tomorrow_at(0) + place * timedelta(hours=1)
                slots = [
                    world.add_slots(doctor, [start + timedelta(minutes=3 * n)])[0] for n, doctor in enumerate(doctors)
                ]
                outcomes = await asyncio.gather(*[here.book(patient, slot) for slot in slots], return_exceptions=True)
                assert refusals(outcomes) == [PatientBusy] * (CONTENDERS - 1)
    assert double_booked(world) == 0


Programs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans()), min_size=2, max_size=24)
"""Who books what, and whether they then give it up again; slots 0 to 2 are apart, 3 to 5 overlap each other."""


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=Programs)
def test_no_program_of_bookings_and_cancellations_books_twice(
    world: World, program: list[tuple[int, int, bool]]
) -> None:
    """Hypothesis draws who races for what; the database does the interleaving; the assertions count."""
    asyncio.run(run_program(world, program))


async def run_program(world: World, program: list[tuple[int, int, bool]]) -> None:
    clear(world)
    patients = world.add_users("patient", 4)
    doctors = world.add_doctors(6)
    minutes = [0, 60, 120, 240, 250, 260]
    slots = [
        world.add_slots(doctor, [tomorrow_at(9) + timedelta(minutes=minute)])[0]
        for doctor, minute in zip(doctors, minutes, strict=True)
    ]

    async def act(here: Office, patient: UserId, slot: UUID, cancels: bool) -> Appointment:
        appointment = await here.book(patient, slot)
        return await here.cancel(appointment) if cancels else appointment

    async with office(world) as here:
        outcomes = await asyncio.gather(
            *[act(here, patients[who], slots[what], cancels) for who, what, cancels in program], return_exceptions=True
        )
    refused = refusals(outcomes)
    assert set(refused) <= {SlotTaken, PatientBusy}
    assert double_booked(world) == 0
    kept = [(appointment.id, appointment.status) for appointment in outcomes if isinstance(appointment, Appointment)]
    assert Counter(world.ask("SELECT id, status FROM appointments")) == Counter(kept)


def test_the_checks_find_a_double_booking_when_locks_and_constraints_are_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guard that cannot fail guards nothing: without locks and constraints the same race books slots twice."""
    with world.connect() as connection:
        connection.execute("DROP INDEX one_live_appointment_per_slot")
        connection.execute("ALTER TABLE appointments DROP CONSTRAINT patient_is_in_one_place")
    monkeypatch.setattr(scheduling, "LOCK", "SELECT %(slots)s::uuid[], %(patients)s::uuid[]")
    patients = world.add_users("patient", CONTENDERS)
    slots = world.add_slots(world.add_doctors(1)[0], [tomorrow_at(9, 30 * place % 60) for place in range(1)])

    async def race() -> None:
        async with office(world) as here:
            await asyncio.gather(*[here.book(patient, slots[0]) for patient in patients], return_exceptions=True)

    for _ in range(20):
        clear_appointments(world)
        asyncio.run(race())
        if double_booked(world):
            return
    pytest.fail("the checks did not notice that nothing guards the slots")


def clear(world: World) -> None:
    """Empty the tables between two examples."""
    with world.connect() as connection:
        connection.execute("TRUNCATE users CASCADE")
        connection.execute("TRUNCATE outbox")


def clear_appointments(world: World) -> None:
    """Give every slot back."""
    with world.connect() as connection:
        connection.execute("TRUNCATE appointments, idempotency_keys CASCADE")
