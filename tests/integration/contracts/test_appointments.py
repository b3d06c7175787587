"""What every adapter of `Appointments` does."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from healthcare.domain.kernel import AppointmentId, EventKind, Money, Page, Paging, Patient, Role, UserId
from healthcare.domain.scheduling.cancellation import EXPIRED
from healthcare.domain.scheduling.model import HELD_FOR, MISSED_AFTER, Appointment
from healthcare.domain.scheduling.ports import Appointments
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.builders import DAY, HOUR, MINUTE, NOW, TOMORROW, a_profile, a_user_id, an_appointment
from tests.clinic import Clinic
from tests.integration.contracts.asks import cancel, decide, hold, in_status, miss, put
from tests.integration.contracts.pages import all_pages
from tests.integration.contracts.queues import pass_by

pytestmark = pytest.mark.anyio

PORT = Appointments

MICROSECOND = timedelta(microseconds=1)


async def of(
    clinic: Clinic, user: UserId, paging: Paging | None = None, *, as_doctor: bool = True
) -> Page[Appointment]:
    async with clinic.database.begin() as uow:
        return await uow.appointments.of(user, paging or Paging(), as_doctor=as_doctor)


async def overdue(clinic: Clinic, most: int = 9) -> list[AppointmentId]:
    async with clinic.database.begin() as uow:
        return list(await uow.appointments.overdue(most, before=clinic.clock.now()))


async def test_an_appointment_is_kept_as_it_was_booked(clinic: Clinic) -> None:
    doctor = await clinic.doctor("neurology", fee=Money(7500, "CHF"), notice_hours=48)
    patient = await clinic.user(full_name="Zoë Öz")
    appointment = await clinic.booked(await clinic.slot(doctor), patient)

    async with clinic.database.begin() as uow:
        kept = await uow.appointments.get(appointment.id)

    assert kept == appointment
    assert (kept.doctor, kept.patient.full_name) == (doctor, "Zoë Öz")
    assert (kept.fee, kept.notice_hours) == (Money(7500, "CHF"), 48)


async def test_an_appointment_that_does_not_exist_is_none(clinic: Clinic) -> None:
    async with clinic.database.begin() as uow:
        assert await uow.appointments.get(AppointmentId(uuid4())) is None


async def test_an_appointment_keeps_its_terms_and_its_slot_says_in_what_it_is(clinic: Clinic) -> None:
    appointment = await clinic.booked()

    async with clinic.database.begin() as uow:
        await uow.profiles.put(
            a_profile(appointment.doctor.id, specialty="neurology", fee=Money(1, "CHF"), notice_hours=48)
        )
        await uow.slots.move(appointment.doctor.id, "neurology", now=NOW)

    assert await clinic.appointment(appointment.id) == replace(
        appointment, doctor=replace(appointment.doctor, specialty="neurology")
    )


@pytest.mark.parametrize("status", AppointmentStatus)
async def test_an_appointment_is_kept_in_every_status_with_what_belongs_to_it(
    clinic: Clinic, status: AppointmentStatus
) -> None:
    slot, user, other = await clinic.slot(), await clinic.user(), await clinic.booked()
    patient = Patient(user.id, user.full_name)
    appointment = in_status(an_appointment(slot=slot, patient=patient, version=7), status)

    await put(clinic, appointment)

    assert await clinic.appointment(appointment.id) == appointment
    assert (await of(clinic, user.id)).items == (appointment,)
    assert await clinic.appointment(other.id) == other


async def test_a_hold_is_shown_as_cancelled_from_the_moment_at_which_it_runs_out(clinic: Clinic) -> None:
    held = await clinic.held()

    clinic.clock.wait(HELD_FOR - MICROSECOND)
    before = await clinic.appointment(held.id), *(await of(clinic, held.patient.id)).items
    clinic.clock.wait(MICROSECOND)
    after = await clinic.appointment(held.id), *(await of(clinic, held.patient.id)).items

    assert before == (held, held)
    assert after == (held.at(clinic.clock.now()),) * 2
    assert (after[1].status, after[1].cancellation) == (AppointmentStatus.CANCELLED, EXPIRED)


async def test_a_hold_is_shown_alike_before_and_after_somebody_has_come_upon_it(clinic: Clinic) -> None:
    slot = await clinic.slot()
    held = await clinic.held(slot)
    clinic.clock.wait(HELD_FOR)

    before, nobody = await clinic.appointment(held.id), await clinic.events(EventKind.HOLD_EXPIRED)
    await decide(clinic, hold(await clinic.user(), slot))
    after, somebody = await clinic.appointment(held.id), await clinic.events(EventKind.HOLD_EXPIRED)

    assert after == before
    assert ([one.subject for one in nobody], [one.subject for one in somebody]) == ([], [held.id])


async def test_overdue_is_what_has_ended_and_is_still_booked_the_oldest_first(clinic: Clinic) -> None:
    user = await clinic.user()
    patient = Patient(user.id, user.full_name)
    starts = (TOMORROW - n * 30 * MINUTE for n, _ in enumerate(AppointmentStatus, start=3))
    others = await clinic.slots(await clinic.doctor(), *starts)
    second, first, third, later = await clinic.slots(
        await clinic.doctor(), *(TOMORROW - n * 30 * MINUTE for n in (2, 3, 1, 0))
    )
    await put(
        clinic,
        *(
            in_status(an_appointment(slot=slot, patient=patient), status)
            for slot, status in zip(others, AppointmentStatus, strict=True)
            if status is not AppointmentStatus.BOOKED
        ),
    )
    booked = [await clinic.booked(slot) for slot in (second, first, third, later)]
    ids = [booked[place].id for place in (1, 0, 2)]

    clinic.clock.set(third.time.end - MICROSECOND)
    before = await overdue(clinic)
    clinic.clock.set(third.time.end)

    assert before == ids[:2]
    assert await overdue(clinic) == ids
    assert await overdue(clinic, most=2) == ids[:2]


async def test_overdue_is_nothing_any_more_that_was_noted_as_missed(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    clinic.clock.set(appointment.time.end + MISSED_AFTER)

    await decide(clinic, miss(appointment))

    assert await overdue(clinic) == []


async def test_both_sides_see_their_appointments_by_start_cancelled_ones_too(clinic: Clinic) -> None:
    doctor, patient = await clinic.doctor(), await clinic.user()
    late, early = await clinic.slots(doctor, TOMORROW + HOUR, TOMORROW)
    second, first = await clinic.booked(late, patient), await clinic.booked(early, patient)
    elsewhere = await clinic.booked(await clinic.slot(start=TOMORROW + DAY), patient)
    await clinic.booked()
    (first,) = await decide(clinic, cancel(first))

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


async def test_an_appointment_is_read_while_somebody_asks_for_it(clinic: Clinic) -> None:
    appointment = await clinic.booked()

    seen = await pass_by(
        clinic.database,
        lambda uow: uow.bookings.lock([cancel(appointment)]),
        lambda uow: uow.appointments.get(appointment.id),
    )

    assert seen == appointment
