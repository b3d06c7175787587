"""Where two commands want what only one can have, one gets it, and the other is told so."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import pytest

from healthcare.application.scheduling.decide import TakenForNow
from healthcare.application.use_cases import UseCases
from healthcare.domain.consultation.errors import PrescriptionIssued
from healthcare.domain.consultation.model import Item
from healthcare.domain.directory.model import Profile
from healthcare.domain.identity.errors import EmailTaken, LastAdmin
from healthcare.domain.identity.model import Email
from healthcare.domain.kernel import Actor, Forbidden, Money, NotFound, Refusal, Role, SlotId, UserId
from healthcare.domain.scheduling.asks import Booking
from healthcare.domain.scheduling.errors import SlotsOverlap, SlotTaken
from healthcare.domain.scheduling.model import TimeRange
from healthcare.domain.scheduling.publication import Publication
from healthcare.entrypoints import settings
from healthcare.entrypoints.container import Container, opened
from tests.integration.races.offices import refused_here
from tests.integration.world import World, deadlocks, tomorrow_at

pytestmark = pytest.mark.anyio

ROUNDS = 25
ITEM = Item("Paracetamol", "500 mg", "oral", "3 a day", "5 days", "")


@asynccontextmanager
async def clinic(world: World) -> AsyncIterator[UseCases]:
    """Wire the whole system on PostgreSQL and Redis, and show that its locks were enough."""
    before = deadlocks(world), refused_here()
    async with opened(Container(settings=settings.read(world.environment))) as use_cases:
        yield use_cases
    assert (deadlocks(world), refused_here()) == before


def by(user: UserId) -> Actor:
    """Act as this user."""
    return Actor(user, "race")


async def race(*commands: Awaitable[object]) -> tuple[list[object], list[type[Refusal]]]:
    """Run the commands at once; return what succeeded, and the kinds of the refusals. Anything else fails."""
    outcomes: Sequence[object] = await asyncio.gather(*commands, return_exceptions=True)
    failures = [one for one in outcomes if isinstance(one, BaseException)]
    assert all(isinstance(one, Refusal) for one in failures), failures
    refusals = [type(one) for one in failures if isinstance(one, Refusal)]
    return [one for one in outcomes if not isinstance(one, BaseException)], refusals


async def test_two_admins_who_demote_each_other_leave_one(world: World) -> None:
    """The one who comes second is no admin any more."""
    async with clinic(world) as use_cases:
        for _ in range(ROUNDS):
            with world.connect() as connection:
                connection.execute("UPDATE users SET role = 'patient'")
            anna, ben = world.add_users("admin", 2)
            done, refused = await race(
                use_cases.change_role(actor=by(anna), user=ben, role=Role.PATIENT),
                use_cases.change_role(actor=by(ben), user=anna, role=Role.PATIENT),
            )
            assert (len(done), refused) == (1, [Forbidden])
            assert world.ask("SELECT count(*) FROM users WHERE role = 'admin'") == [(1,)]


async def test_two_admins_who_both_resign_leave_one(world: World) -> None:
    """The last one cannot."""
    async with clinic(world) as use_cases:
        for _ in range(ROUNDS):
            with world.connect() as connection:
                connection.execute("UPDATE users SET role = 'patient'")
            admins = world.add_users("admin", 2)
            done, refused = await race(
                *[use_cases.change_role(actor=by(one), user=one, role=Role.PATIENT) for one in admins]
            )
            assert (len(done), refused) == (1, [LastAdmin])


async def test_of_overlapping_publications_one_is_kept(world: World) -> None:
    """Whole or not at all."""
    async with clinic(world) as use_cases:
        for number in range(ROUNDS):
            (doctor,) = world.add_doctors(1)
            start = tomorrow_at(number % 20)
            publications = [
                Publication(TimeRange(start + timedelta(minutes=shift), start + timedelta(minutes=shift + 60)), 20)
                for shift in (0, 10, 30, 50)
            ]
            done, refused = await race(
                *[use_cases.publish_slots(actor=by(doctor), publication=one) for one in publications]
            )
            assert (len(done), refused) == (1, [SlotsOverlap] * 3)
            assert world.ask("SELECT count(*) FROM slots WHERE doctor_id = %s", [doctor]) == [(3,)]


async def test_a_slot_is_booked_or_taken_back_but_never_both(world: World) -> None:
    """Whoever comes second is told that it is taken, or that there is no such slot."""
    ways: Counter[type[Refusal]] = Counter()
    (patient,) = world.add_users("patient", 1)
    async with clinic(world) as use_cases:
        for number in range(ROUNDS):
            (doctor,) = world.add_doctors(1)
            (slot,) = world.add_slots(doctor, [tomorrow_at(0) + number * timedelta(hours=1)])
            book = use_cases.book_appointment(Booking(actor=by(patient), slot=SlotId(slot), key=str(uuid4())))
            take_back = use_cases.take_slot_back(actor=by(doctor), slot=SlotId(slot))
            done, refused = await race(*((book, take_back) if number % 2 else (take_back, book)))
            assert len(done) == len(refused) == 1
            ways.update(refused)
    assert set(ways) <= {TakenForNow, SlotTaken, NotFound}
    assert world.ask(
        "SELECT count(*) FROM appointments JOIN slots ON slots.id = slot_id WHERE withdrawn_at IS NOT NULL"
    ) == [(0,)]


async def test_a_consultation_is_started_once_and_ends_with_one_prescription(world: World) -> None:
    """Eight times start, eight times prescribe, all at once each."""
    (patient,) = world.add_users("patient", 1)
    async with clinic(world) as use_cases:
        for number in range(ROUNDS):
            (doctor,) = world.add_doctors(1)
            (slot,) = world.add_slots(doctor, [tomorrow_at(0) + number * timedelta(hours=1)])
            appointment = await use_cases.book_appointment(
                Booking(actor=by(patient), slot=SlotId(slot), key=str(uuid4()))
            )
            started = await asyncio.gather(
                *[use_cases.start_consultation(actor=by(doctor), appointment=appointment.id) for _ in range(8)]
            )
            assert len({one.consultation.id for one in started}) == 1
            assert sum(one.new for one in started) == 1
            consultation = started[0].consultation.id
            done, refused = await race(
                *[
                    use_cases.issue_prescription(actor=by(doctor), consultation=consultation, items=(ITEM,))
                    for _ in range(8)
                ]
            )
            assert (len(done), refused) == (1, [PrescriptionIssued] * 7)
    assert world.ask("SELECT count(*) FROM outbox WHERE kind = 'prescription.issued'") == [(ROUNDS,)]


async def test_an_appointment_is_cancelled_or_started_but_never_both(world: World) -> None:
    """One of the two comes too late."""
    (patient,) = world.add_users("patient", 1)
    async with clinic(world) as use_cases:
        for number in range(ROUNDS):
            (doctor,) = world.add_doctors(1)
            (slot,) = world.add_slots(doctor, [tomorrow_at(0) + number * timedelta(hours=1)])
            appointment = await use_cases.book_appointment(
                Booking(actor=by(patient), slot=SlotId(slot), key=str(uuid4()))
            )
            cancel = use_cases.cancel_appointment(actor=by(patient), appointment=appointment.id, reason="no")
            start = use_cases.start_consultation(actor=by(doctor), appointment=appointment.id)
            done, refused = await race(*((cancel, start) if number % 2 else (start, cancel)))
            assert len(done) == len(refused) == 1
    assert world.ask(
        "SELECT count(*) FROM consultations c JOIN appointments a ON a.id = c.appointment_id"
        " WHERE a.status = 'cancelled'"
    ) == [(0,)]


async def test_an_address_is_registered_once_whatever_its_case(world: World) -> None:
    """Four who register at once with four spellings of one address."""
    async with clinic(world) as use_cases:
        for number in range(5):
            spellings = [f"{first}nna{number}@{second}est.example" for first in "aA" for second in "tT"]
            done, refused = await race(
                *[
                    use_cases.register_patient(
                        actor=Actor(None, "race"),
                        email=Email(spelling),
                        password="correct horse battery",
                        full_name="Anna",
                        time_zone="UTC",
                    )
                    for spelling in spellings
                ]
            )
            assert (len(done), refused) == (1, [EmailTaken] * 3)


async def test_slots_of_a_doctor_who_changes_specialty_meanwhile_are_booked_in_one_of_the_two(world: World) -> None:
    """Booking and change of specialty meet on the slot's row: neither deadlocks nor loses the other."""
    async with clinic(world) as use_cases:
        patients = world.add_users("patient", 8)
        (doctor,) = world.add_doctors(1)
        slots = world.add_slots(doctor, [tomorrow_at(8) + number * timedelta(minutes=30) for number in range(16)])
        for number in range(2):
            specialty = f"specialty-{number}"
            profile = Profile(
                doctor=doctor,
                specialty=specialty,
                languages=("en",),
                fee=Money(number, "EUR"),
                time_zone="UTC",
                registration_number="1",
            )
            mine = zip(patients, slots[8 * number : 8 * number + 8], strict=True)
            done, refused = await race(
                use_cases.keep_profile(actor=by(doctor), profile=profile),
                *[
                    use_cases.book_appointment(Booking(actor=by(who), slot=SlotId(slot), key=str(uuid4())))
                    for who, slot in mine
                ],
            )
            assert (len(done), refused) == (9, [])
            assert world.ask("SELECT DISTINCT specialty FROM slots") == [(specialty,)]
