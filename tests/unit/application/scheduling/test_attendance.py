"""Checking in, noting who did not come, and correcting both."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from healthcare.adapters.memory.database import MemoryDatabase
from healthcare.application.scheduling.mark_no_shows import MOST_AT_ONCE
from healthcare.domain.kernel import AppointmentId, EventKind, Forbidden, NotFound, NotYours, Role
from healthcare.domain.scheduling.errors import AppointmentNotBooked, CheckInTooEarly, NothingToUndo
from healthcare.domain.scheduling.model import CHECK_IN_OPENS, MISSED_AFTER, Appointment
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.builders import DAY, HOUR, MINUTE, NOW, SYSTEM, TOMORROW, FakeClock, an_actor
from tests.clinic import Clinic

pytestmark = pytest.mark.anyio

MOMENT = timedelta(microseconds=1)


async def check_in(clinic: Clinic, appointment: Appointment) -> Appointment:
    return await clinic.can.check_in(actor=an_actor(appointment.patient.id), appointment=appointment.id)


async def undo(clinic: Clinic, appointment: Appointment) -> Appointment:
    return await clinic.can.undo_status(actor=an_actor(appointment.doctor.id), appointment=appointment.id)


async def mark(clinic: Clinic) -> int:
    return await clinic.can.mark_no_shows(actor=SYSTEM)


async def status(clinic: Clinic, appointment: Appointment) -> AppointmentStatus:
    found = await clinic.appointment(appointment.id)
    assert found
    return found.status


async def test_a_patient_checks_in_from_fifteen_minutes_before_the_start(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    clinic.clock.set(TOMORROW - CHECK_IN_OPENS - MOMENT)
    with pytest.raises(CheckInTooEarly):
        await check_in(clinic, appointment)

    clinic.clock.wait(MOMENT)
    checked_in = await check_in(clinic, appointment)

    assert (checked_in.status, checked_in.version) == (AppointmentStatus.CHECKED_IN, 2)
    assert await clinic.appointment(appointment.id) == checked_in
    (event,) = await clinic.events(EventKind.APPOINTMENT_CHECKED_IN)
    assert (event.actor, event.subject) == (appointment.patient.id, appointment.id)


async def test_checking_in_many_times_at_once_is_checking_in_once(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    clinic.clock.set(TOMORROW)

    outcomes = await asyncio.gather(*(check_in(clinic, appointment) for _ in range(5)))

    assert len(set(outcomes)) == 1
    assert len(await clinic.events(EventKind.APPOINTMENT_CHECKED_IN)) == 1


async def test_the_clock_of_the_database_says_whether_it_is_too_early() -> None:
    database_clock = FakeClock(TOMORROW - DAY)
    clinic = Clinic(MemoryDatabase(database_clock), clock=FakeClock(NOW))
    appointment = await clinic.booked()
    clinic.clock.set(TOMORROW)

    with pytest.raises(CheckInTooEarly):
        await check_in(clinic, appointment)
    database_clock.set(TOMORROW)

    assert (await check_in(clinic, appointment)).status is AppointmentStatus.CHECKED_IN


async def test_a_patient_who_became_a_doctor_checks_in(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    async with clinic.database.begin() as uow:
        await uow.users.set_role(appointment.patient.id, Role.DOCTOR)
    clinic.clock.set(TOMORROW)

    assert (await check_in(clinic, appointment)).status is AppointmentStatus.CHECKED_IN


async def test_nobody_else_checks_in_and_that_they_tried_is_recorded(clinic: Clinic) -> None:
    appointment, stranger = await clinic.booked(), await clinic.user()
    clinic.clock.set(TOMORROW)

    for who in (stranger.id, appointment.doctor.id):
        with pytest.raises(NotYours):
            await clinic.can.check_in(actor=an_actor(who), appointment=appointment.id)

    events = await clinic.events(EventKind.ACCESS_REFUSED)
    assert [event.subject for event in events] == [appointment.id] * 2


async def test_who_has_checked_in_is_seen_whenever_the_doctor_starts(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    clinic.clock.set(TOMORROW)
    await check_in(clinic, appointment)

    await clinic.can.start_consultation(actor=an_actor(appointment.doctor.id), appointment=appointment.id)

    assert await status(clinic, appointment) is AppointmentStatus.FULFILLED


async def test_what_is_still_booked_fifteen_minutes_after_its_end_is_marked_as_missed(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    clinic.clock.set(appointment.time.end + MISSED_AFTER - MOMENT)
    assert await mark(clinic) == 0

    clinic.clock.wait(MOMENT)
    assert await mark(clinic) == 1

    assert await status(clinic, appointment) is AppointmentStatus.NOSHOW
    (event,) = await clinic.events(EventKind.APPOINTMENT_MISSED)
    assert (event.actor, event.subject, event.request) == (None, appointment.id, SYSTEM.request)


async def test_what_is_marked_is_marked_once_however_many_workers_there_are(clinic: Clinic) -> None:
    appointments = [await clinic.booked() for _ in range(3)]
    clinic.clock.wait(2 * DAY)

    assert sum(await asyncio.gather(*(mark(clinic) for _ in range(3)))) == 3
    assert await mark(clinic) == 0

    events = await clinic.events(EventKind.APPOINTMENT_MISSED)
    assert sorted(event.subject for event in events if event.subject) == sorted(one.id for one in appointments)


async def test_whoever_came_or_cancelled_or_only_held_a_slot_missed_nothing(clinic: Clinic) -> None:
    came, seen, cancelled = await clinic.booked(), await clinic.booked(), await clinic.booked()
    await clinic.held()
    await clinic.can.cancel_appointment(actor=an_actor(cancelled.patient.id), appointment=cancelled.id, reason="ill")
    clinic.clock.set(TOMORROW)
    await check_in(clinic, came)
    await clinic.can.start_consultation(actor=an_actor(seen.doctor.id), appointment=seen.id)
    clinic.clock.wait(2 * DAY)

    assert await mark(clinic) == 0

    assert await clinic.events(EventKind.APPOINTMENT_MISSED) == []


async def test_the_oldest_are_marked_first_and_a_hundred_at_once(clinic: Clinic) -> None:
    doctor, patient = await clinic.doctor(), await clinic.user()
    starts = [TOMORROW + n * HOUR for n in range(MOST_AT_ONCE + 1)]
    appointments = [await clinic.booked(slot, patient) for slot in await clinic.slots(doctor, *starts)]
    clinic.clock.set(starts[-1] + DAY)

    assert await mark(clinic) == MOST_AT_ONCE == 100
    assert await status(clinic, appointments[-1]) is AppointmentStatus.BOOKED
    assert [await mark(clinic), await mark(clinic)] == [1, 0]


async def test_a_worker_whose_clock_is_fast_finds_nothing_to_do() -> None:
    database_clock = FakeClock()
    clinic = Clinic(MemoryDatabase(database_clock), clock=FakeClock())
    appointment = await clinic.booked()
    clinic.clock.set(appointment.time.end + MISSED_AFTER)

    assert await mark(clinic) == 0
    assert await status(clinic, appointment) is AppointmentStatus.BOOKED
    database_clock.set(clinic.clock.now())

    assert await mark(clinic) == 1


async def test_of_a_late_check_in_and_the_worker_at_once_one_wins(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    clinic.clock.wait(2 * DAY)

    checked_in, marked = await asyncio.gather(check_in(clinic, appointment), mark(clinic), return_exceptions=True)

    if isinstance(checked_in, Appointment):
        assert (marked, await status(clinic, appointment)) == (0, AppointmentStatus.CHECKED_IN)
    else:
        assert (type(checked_in), marked) == (AppointmentNotBooked, 1)


async def test_its_doctor_undoes_a_check_in(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    clinic.clock.set(TOMORROW)
    await check_in(clinic, appointment)

    undone = await undo(clinic, appointment)

    assert (undone.status, undone.version) == (AppointmentStatus.BOOKED, 3)
    assert await clinic.appointment(appointment.id) == undone
    (event,) = await clinic.events(EventKind.APPOINTMENT_UNDONE)
    assert (event.actor, event.subject) == (appointment.doctor.id, appointment.id)


async def test_its_doctor_undoes_a_no_show_for_good(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    clinic.clock.wait(2 * DAY)
    await mark(clinic)

    undone = await undo(clinic, appointment)

    assert undone.status is AppointmentStatus.CHECKED_IN
    assert await mark(clinic) == 0
    begun = await clinic.can.start_consultation(actor=an_actor(appointment.doctor.id), appointment=appointment.id)
    assert begun.new


async def test_what_was_not_noted_cannot_be_undone(clinic: Clinic) -> None:
    appointment = await clinic.booked()

    with pytest.raises(NothingToUndo):
        await undo(clinic, appointment)

    assert await clinic.events(EventKind.APPOINTMENT_UNDONE) == []


async def test_nobody_but_its_doctor_undoes_anything_and_that_they_tried_is_recorded(clinic: Clinic) -> None:
    appointment, other, admin = await clinic.booked(), await clinic.doctor(), await clinic.user(Role.ADMIN)
    clinic.clock.set(TOMORROW - MINUTE)
    await check_in(clinic, appointment)

    for who, refusal in [(appointment.patient.id, Forbidden), (admin.id, Forbidden), (other.id, NotYours)]:
        with pytest.raises(refusal):
            await clinic.can.undo_status(actor=an_actor(who), appointment=appointment.id)

    assert len(await clinic.events(EventKind.ACCESS_REFUSED)) == 3
    assert await status(clinic, appointment) is AppointmentStatus.CHECKED_IN


async def test_what_does_not_exist_is_neither_checked_in_nor_undone(clinic: Clinic) -> None:
    doctor, missing = await clinic.doctor(), AppointmentId(uuid4())

    with pytest.raises(NotFound):
        await clinic.can.check_in(actor=an_actor(doctor.id), appointment=missing)
    with pytest.raises(NotFound):
        await clinic.can.undo_status(actor=an_actor(doctor.id), appointment=missing)

    assert await clinic.events() == []
