"""Holding slots, extending and releasing holds, booking what one holds, and what becomes of a hold that runs out."""

import asyncio
from datetime import timedelta

import pytest

from healthcare.adapters.memory.database import MemoryDatabase
from healthcare.application.scheduling.decide import TakenForNow
from healthcare.domain.identity.model import User
from healthcare.domain.kernel import Actor, EventKind, NotFound, Role
from healthcare.domain.scheduling.asks import Holding
from healthcare.domain.scheduling.cancellation import EXPIRED, RELEASED
from healthcare.domain.scheduling.errors import HoldExtended, PatientBusy, SlotTaken, TooManyHolds
from healthcare.domain.scheduling.model import HELD_FOR, Appointment, Slot
from healthcare.domain.scheduling.search import Touched
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.builders import HOUR, MINUTE, NOW, TOMORROW, FakeClock, a_booking, an_actor
from tests.clinic import Clinic
from tests.unit.application.telltale import Telltale

pytestmark = pytest.mark.anyio

MOMENT = timedelta(microseconds=1)
THIS_DAY = Touched("cardiology", TOMORROW.date())


async def release(clinic: Clinic, slot: Slot, who: User) -> None:
    await clinic.can.release_hold(actor=an_actor(who.id), slot=slot.id)


async def kept(clinic: Clinic, appointment: Appointment) -> Appointment:
    found = await clinic.appointment(appointment.id)
    assert found
    return found


async def test_a_patient_holds_a_slot_for_five_minutes(clinic: Clinic) -> None:
    slot, patient = await clinic.slot(), await clinic.user(full_name="Ada Lovelace")

    held = await clinic.held(slot, patient)

    assert (held.slot, held.patient.full_name, held.status) == (slot.id, "Ada Lovelace", AppointmentStatus.PENDING)
    assert held.expires_at == NOW + HELD_FOR
    assert await kept(clinic, held) == held
    (event,) = await clinic.events()
    assert (event.kind, event.actor, event.subject) == (EventKind.SLOT_HELD, patient.id, held.id)


async def test_others_neither_find_nor_get_what_is_held(clinic: Clinic) -> None:
    slot, other = await clinic.slots(await clinic.doctor(), TOMORROW, TOMORROW + HOUR)
    await clinic.held(slot)

    with pytest.raises(SlotTaken):
        await clinic.held(slot)
    with pytest.raises(SlotTaken):
        await clinic.booked(slot)

    assert await clinic.free() == [other]


async def test_whoever_holds_a_slot_again_holds_it_for_five_minutes_more_once(clinic: Clinic) -> None:
    slot, patient = await clinic.slot(), await clinic.user()
    held = await clinic.held(slot, patient)
    clinic.clock.wait(4 * MINUTE)

    longer = await clinic.held(slot, patient)
    with pytest.raises(HoldExtended):
        await clinic.held(slot, patient)

    assert (longer.id, longer.expires_at, longer.version) == (held.id, NOW + 2 * HELD_FOR, 2)
    assert await kept(clinic, held) == longer
    assert [event.kind for event in await clinic.events()] == [EventKind.SLOT_HELD, EventKind.HOLD_EXTENDED]


async def test_a_patient_holds_three_slots_and_no_fourth(clinic: Clinic) -> None:
    slots = await clinic.slots(await clinic.doctor(), *(TOMORROW + n * HOUR for n in range(4)))
    patient = await clinic.user()
    for slot in slots[:3]:
        await clinic.held(slot, patient)

    with pytest.raises(TooManyHolds):
        await clinic.held(slots[3], patient)

    assert [slot.id for slot in await clinic.free()] == [slots[3].id]


async def test_of_four_that_a_patient_wants_to_hold_at_once_they_hold_three(clinic: Clinic) -> None:
    slots = await clinic.slots(await clinic.doctor(), *(TOMORROW + n * HOUR for n in range(4)))
    patient = await clinic.user()

    outcomes = await asyncio.gather(*(clinic.held(slot, patient) for slot in slots), return_exceptions=True)

    assert [type(one) for one in outcomes if isinstance(one, Exception)] == [TooManyHolds]


async def test_of_many_who_want_to_hold_or_book_one_slot_at_once_one_gets_it(clinic: Clinic) -> None:
    slot, patients = await clinic.slot(), [await clinic.user() for _ in range(8)]

    outcomes = await asyncio.gather(
        *((clinic.held if place % 2 else clinic.booked)(slot, patient) for place, patient in enumerate(patients)),
        return_exceptions=True,
    )

    assert [type(one) for one in outcomes if isinstance(one, Exception)] == [TakenForNow] * 7
    assert len(await clinic.events()) == 1


async def test_who_books_what_they_hold_gets_an_appointment_with_the_holds_id(clinic: Clinic) -> None:
    slot, patient = await clinic.slot(), await clinic.user()
    held = await clinic.held(slot, patient)

    booked = await clinic.booked(slot, patient)

    assert (booked.id, booked.status, booked.version) == (held.id, AppointmentStatus.BOOKED, 2)
    clinic.clock.wait(HOUR)
    assert await kept(clinic, held) == booked
    assert await clinic.appointments(patient) == (booked,)


async def test_the_key_of_a_booking_gets_the_same_answer_also_where_a_hold_was_booked(clinic: Clinic) -> None:
    slot, patient = await clinic.slot(), await clinic.user()
    await clinic.held(slot, patient)
    ask = a_booking(an_actor(patient.id), slot.id)

    assert await clinic.can.book_appointment(ask) == await clinic.can.book_appointment(ask)


async def test_a_hold_is_booked_until_it_runs_out_and_then_the_slot_is_anybodys(clinic: Clinic) -> None:
    slot, ada, bob = await clinic.slot(), await clinic.user(), await clinic.user()
    held = await clinic.held(slot, ada)

    clinic.clock.wait(HELD_FOR - MOMENT)
    with pytest.raises(SlotTaken):
        await clinic.booked(slot, bob)
    clinic.clock.wait(MOMENT)
    booked = await clinic.booked(slot, bob)

    assert booked.id != held.id
    with pytest.raises(SlotTaken):
        await clinic.booked(slot, ada)


async def test_who_books_what_they_held_too_late_gets_an_appointment_of_its_own(clinic: Clinic) -> None:
    slot, patient = await clinic.slot(), await clinic.user()
    held = await clinic.held(slot, patient)
    clinic.clock.wait(HELD_FOR)

    booked = await clinic.booked(slot, patient)

    assert (booked.id != held.id, booked.version) == (True, 1)
    assert [one.status for one in await clinic.appointments(patient)].count(AppointmentStatus.CANCELLED) == 1


async def test_what_has_run_out_is_free_and_shown_as_cancelled_before_anybody_writes_that_down(clinic: Clinic) -> None:
    slot, patient = await clinic.slot(), await clinic.user()
    held = await clinic.held(slot, patient)
    clinic.clock.wait(HELD_FOR)

    assert await clinic.free() == [slot]
    found = await clinic.can.read_appointment(actor=an_actor(patient.id), appointment=held.id)
    assert (found.status, found.cancellation) == (AppointmentStatus.CANCELLED, EXPIRED)
    assert await clinic.appointments(patient) == (found,)
    assert [event.kind for event in await clinic.events()] == [EventKind.SLOT_HELD]


async def test_whoever_next_wants_the_slot_writes_down_that_the_hold_has_run_out(clinic: Clinic) -> None:
    slot, stranger = await clinic.slot(), await clinic.user()
    held = await clinic.held(slot)
    clinic.clock.wait(HELD_FOR)
    shown = await kept(clinic, held)

    await clinic.can.hold_slot(actor=Actor(stranger.id, "request-7"), slot=slot.id)

    (event,) = await clinic.events(EventKind.HOLD_EXPIRED)
    assert (event.actor, event.subject, event.request) == (None, held.id, "request-7")
    assert await kept(clinic, held) == shown


async def test_so_does_its_patient_wherever_they_go_next(clinic: Clinic) -> None:
    patient = await clinic.user()
    held = await clinic.held(await clinic.slot(start=TOMORROW), patient)
    clinic.clock.wait(HELD_FOR)

    await clinic.booked(await clinic.slot(start=TOMORROW), patient)

    assert [event.subject for event in await clinic.events(EventKind.HOLD_EXPIRED)] == [held.id]


async def test_that_is_written_down_also_by_somebody_who_is_refused_and_only_once(clinic: Clinic) -> None:
    slot, doctor = await clinic.slot(), await clinic.user(Role.DOCTOR)
    await clinic.held(slot)
    clinic.clock.wait(HELD_FOR)

    for _ in range(2):
        (refusal,) = await clinic.together([Holding(actor=an_actor(doctor.id), slot=slot.id)])
        assert isinstance(refusal, Exception)

    assert len(await clinic.events(EventKind.HOLD_EXPIRED)) == 1


async def test_the_clock_of_the_database_says_when_a_hold_runs_out() -> None:
    """However wrong the clock of a process is: all processes share one database."""
    database_clock = FakeClock()
    clinic = Clinic(MemoryDatabase(database_clock), clock=FakeClock(NOW + HOUR))
    slot = await clinic.slot()

    held = await clinic.held(slot)
    with pytest.raises(SlotTaken):
        await clinic.booked(slot)
    database_clock.wait(HELD_FOR)

    assert held.expires_at == NOW + HELD_FOR
    assert (await clinic.booked(slot)).slot == slot.id


async def test_a_hold_claims_its_patients_time_until_it_runs_out(clinic: Clinic) -> None:
    patient, other = await clinic.user(), await clinic.slot()
    await clinic.held(await clinic.slot(), patient)

    with pytest.raises(PatientBusy):
        await clinic.held(other, patient)
    clinic.clock.wait(HELD_FOR)

    assert (await clinic.held(other, patient)).slot == other.id


async def test_a_released_slot_is_free_at_once(clinic: Clinic) -> None:
    slot, patient = await clinic.slot(), await clinic.user()
    held = await clinic.held(slot, patient)

    await release(clinic, slot, patient)

    assert await clinic.free() == [slot]
    released = await kept(clinic, held)
    assert (released.status, released.version, released.cancellation) == (AppointmentStatus.CANCELLED, 2, RELEASED)
    (event,) = await clinic.events(EventKind.HOLD_RELEASED)
    assert (event.actor, event.subject) == (patient.id, held.id)


async def test_there_is_nothing_to_release_where_one_holds_nothing_or_no_longer_does(clinic: Clinic) -> None:
    held, expired, booked, theirs = await clinic.slots(await clinic.doctor(), *(TOMORROW + n * HOUR for n in range(4)))
    patient = await clinic.user()
    await clinic.held(expired, patient)
    clinic.clock.wait(HELD_FOR)
    await clinic.held(held, patient)
    await release(clinic, held, patient)
    await clinic.booked(booked, patient)
    await clinic.held(theirs)

    for slot in (held, expired, booked, theirs):
        with pytest.raises(NotFound):
            await release(clinic, slot, patient)

    assert len(await clinic.events(EventKind.HOLD_RELEASED)) == 1


async def test_of_a_release_and_a_booking_at_once_one_wins(clinic: Clinic) -> None:
    slot, patient = await clinic.slot(), await clinic.user()
    held = await clinic.held(slot, patient)

    released, booked = await asyncio.gather(
        release(clinic, slot, patient), clinic.booked(slot, patient), return_exceptions=True
    )

    assert isinstance(booked, Appointment)
    assert (released is None) is (booked.id != held.id)
    assert released is None or isinstance(released, NotFound)


async def test_searches_are_told_of_each_step_once_it_can_be_seen() -> None:
    telltale = Telltale()
    clinic = Clinic(cache=telltale)
    slot, patient = await clinic.slot(), await clinic.user()
    telltale.look = clinic.free

    await clinic.held(slot, patient)
    await clinic.held(slot, patient)
    await release(clinic, slot, patient)

    assert telltale.told == [{THIS_DAY}] * 3
    assert telltale.seen == [[], [], [slot]]


async def test_searches_are_told_of_what_was_swept_also_by_somebody_who_wanted_something_else() -> None:
    telltale = Telltale()
    clinic = Clinic(cache=telltale)
    patient = await clinic.user()
    await clinic.held(await clinic.slot(await clinic.doctor("neurology")), patient)
    clinic.clock.wait(HELD_FOR)

    await clinic.booked(await clinic.slot(start=TOMORROW + HOUR), patient)

    assert telltale.told[-1] == {Touched("neurology", TOMORROW.date()), THIS_DAY}
