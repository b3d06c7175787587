"""What every adapter of `Appointments` does."""

from collections.abc import Awaitable
from dataclasses import replace
from uuid import uuid4

import pytest

from healthcare.application.uow import UnitOfWork
from healthcare.domain.kernel import AppointmentId, Money, Page, Paging, Role, UserId
from healthcare.domain.scheduling.model import Appointment, AppointmentStatus
from healthcare.domain.scheduling.ports import Appointments
from tests.builders import DAY, HOUR, MINUTE, NOW, TOMORROW, a_booking, a_profile, a_user_id, an_actor
from tests.clinic import Clinic
from tests.integration.contracts.pages import all_pages
from tests.integration.contracts.queues import pass_by, queue

pytestmark = pytest.mark.anyio

PORT = Appointments


async def of(
    clinic: Clinic, user: UserId, paging: Paging | None = None, *, as_doctor: bool = True
) -> Page[Appointment]:
    async with clinic.database.begin() as uow:
        return await uow.appointments.of(user, paging or Paging(), as_doctor=as_doctor)


async def put(clinic: Clinic, appointment: Appointment) -> None:
    async with clinic.database.begin() as uow:
        await uow.appointments.put(appointment, reason="ill")


async def test_an_appointment_is_kept_as_it_was_booked(clinic: Clinic) -> None:
    doctor, patient = await clinic.doctor("neurology", fee=Money(7500, "CHF")), await clinic.user(full_name="Zoë Öz")
    appointment = await clinic.booked(await clinic.slot(doctor), patient)

    async with clinic.database.begin() as uow:
        kept = await uow.appointments.get(appointment.id)

    assert kept == appointment
    assert (kept.doctor, kept.fee, kept.patient.full_name) == (doctor, Money(7500, "CHF"), "Zoë Öz")


async def test_an_appointment_that_does_not_exist_is_none(clinic: Clinic) -> None:
    async with clinic.database.begin() as uow:
        assert await uow.appointments.get(AppointmentId(uuid4())) is None
        assert await uow.appointments.lock(AppointmentId(uuid4())) is None


async def test_an_appointment_costs_what_it_cost_and_its_slot_says_in_what_it_is(clinic: Clinic) -> None:
    appointment = await clinic.booked()

    async with clinic.database.begin() as uow:
        await uow.profiles.put(a_profile(appointment.doctor.id, specialty="neurology", fee=Money(1, "CHF")))
        await uow.slots.move(appointment.doctor.id, "neurology", now=NOW)

    kept = await clinic.appointment(appointment.id)
    assert kept
    assert (kept.fee, kept.doctor.specialty) == (appointment.fee, "neurology")


@pytest.mark.parametrize("status", [AppointmentStatus.CANCELLED, AppointmentStatus.FULFILLED])
async def test_a_change_is_kept(clinic: Clinic, status: AppointmentStatus) -> None:
    appointment, other = await clinic.booked(), await clinic.booked()
    changed = appointment.fulfil() if status is AppointmentStatus.FULFILLED else appointment.cancel(now=NOW)

    await put(clinic, changed)

    assert await clinic.appointment(appointment.id) == changed
    assert await clinic.appointment(other.id) == other


async def test_what_is_not_live_makes_room_and_what_is_fulfilled_does_not(clinic: Clinic) -> None:
    cancelled, fulfilled, wrong = [await clinic.booked() for _ in range(3)]
    await put(clinic, cancelled.cancel(now=NOW))
    await put(clinic, fulfilled.fulfil())
    await put(clinic, _entered_in_error(wrong))

    async with clinic.database.begin() as uow:
        slots = [await uow.slots.lock(one.slot) for one in (cancelled, fulfilled, wrong)]

    assert [slot and slot.taken for slot in slots] == [False, True, False]


def _entered_in_error(appointment: Appointment) -> Appointment:
    return replace(appointment, status=AppointmentStatus.ENTERED_IN_ERROR)


async def test_both_sides_see_their_appointments_by_start_cancelled_ones_too(clinic: Clinic) -> None:
    doctor, patient = await clinic.doctor(), await clinic.user()
    late, early = await clinic.slots(doctor, TOMORROW + HOUR, TOMORROW)
    second, first = await clinic.booked(late, patient), await clinic.booked(early, patient)
    elsewhere = await clinic.booked(await clinic.slot(start=TOMORROW + DAY), patient)
    await clinic.booked()
    await put(clinic, first := first.cancel(now=NOW))

    assert (await of(clinic, doctor.id)).items == (first, second)
    assert (await of(clinic, patient.id)).items == (first, second, elsewhere)
    assert (await of(clinic, a_user_id())).items == ()
    assert (await of(clinic, doctor.id, as_doctor=False)).items == ()
    assert (await of(clinic, patient.id, as_doctor=False)).items == (first, second, elsewhere)


@pytest.mark.parametrize("limit", [1, 2, 5, 6])
async def test_they_come_page_by_page(clinic: Clinic, limit: int) -> None:
    """Also where a user is the doctor of some and the patient of others, as one whose role has changed."""
    doctor, patient = await clinic.doctor(), await clinic.user()
    slots = [await clinic.slot(start=TOMORROW + n * 30 * MINUTE) for n in range(3)]
    booked = [await clinic.booked(slot, patient) for slot in slots]
    async with clinic.database.begin() as uow:
        await uow.users.set_role(patient.id, Role.DOCTOR)
        await uow.profiles.put(a_profile(patient.id))
    own = await clinic.slots(replace(doctor, id=patient.id), TOMORROW + 15 * MINUTE, TOMORROW + 45 * MINUTE)
    booked += [await clinic.booked(slot) for slot in own]

    seen = await all_pages(lambda paging: of(clinic, patient.id, paging), limit=limit)

    assert [one.id for one in seen] == [one.id for one in sorted(booked, key=lambda one: (one.time.start, one.id))]


async def test_whoever_locks_an_appointment_waits_for_others_who_did_and_sees_what_they_did(clinic: Clinic) -> None:
    appointment = await clinic.booked()

    async def cancel(uow: UnitOfWork) -> None:
        locked = await uow.appointments.lock(appointment.id)
        assert locked == appointment
        await uow.appointments.put(locked.cancel(now=NOW), reason="ill")

    seen = await queue(clinic.database, cancel, lambda uow: uow.appointments.lock(appointment.id))

    assert seen == appointment.cancel(now=NOW)


async def test_whoever_locks_an_appointment_waits_for_those_who_want_its_slot_or_its_patients_time(
    clinic: Clinic,
) -> None:
    ada, bob, slot, other = await clinic.user(), await clinic.user(), await clinic.slot(), await clinic.slot()
    appointment = await clinic.booked(slot, ada)

    asks = [a_booking(an_actor(bob.id), slot.id), a_booking(an_actor(ada.id), other.id)]

    def lock(uow: UnitOfWork) -> Awaitable[Appointment | None]:
        return uow.appointments.lock(appointment.id)

    await queue(clinic.database, lambda uow: uow.bookings.lock(asks[:1]), lock)
    await queue(clinic.database, lambda uow: uow.bookings.lock(asks[1:]), lock)


async def test_an_appointment_is_read_and_others_are_locked_meanwhile(clinic: Clinic) -> None:
    one, other = await clinic.booked(), await clinic.booked()

    await pass_by(
        clinic.database, lambda uow: uow.appointments.lock(one.id), lambda uow: uow.appointments.lock(other.id)
    )
    seen = await pass_by(
        clinic.database, lambda uow: uow.appointments.lock(one.id), lambda uow: uow.appointments.get(one.id)
    )

    assert seen == one
