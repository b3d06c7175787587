"""Reading, listing and cancelling appointments."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from healthcare.domain.kernel import AppointmentId, EventKind, Invalid, NotFound, NotYours, Paging, Role, UserId
from healthcare.domain.scheduling.cancellation import Cancellation, ReasonCode
from healthcare.domain.scheduling.errors import AppointmentNotBooked, AppointmentStarted
from healthcare.domain.scheduling.model import Appointment
from healthcare.domain.scheduling.search import Touched
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.builders import DAY, HOUR, MINUTE, NOW, TOMORROW, a_profile, an_actor
from tests.clinic import Clinic
from tests.unit.application.telltale import Telltale

pytestmark = pytest.mark.anyio


async def cancel(clinic: Clinic, who: UserId, appointment: Appointment, reason: str = "ill") -> Appointment:
    return await clinic.can.cancel_appointment(actor=an_actor(who), appointment=appointment.id, reason=reason)


async def test_its_patient_and_its_doctor_read_an_appointment(clinic: Clinic) -> None:
    appointment = await clinic.booked()

    for who in (appointment.patient.id, appointment.doctor.id):
        assert await clinic.can.read_appointment(actor=an_actor(who), appointment=appointment.id) == appointment


async def test_for_others_it_does_not_exist_and_that_they_asked_is_recorded(clinic: Clinic) -> None:
    appointment, stranger = await clinic.booked(), await clinic.user()

    with pytest.raises(NotYours):
        await clinic.can.read_appointment(actor=an_actor(stranger.id), appointment=appointment.id)
    with pytest.raises(NotYours):
        await cancel(clinic, stranger.id, appointment)

    events = await clinic.events(EventKind.ACCESS_REFUSED)
    assert [(event.actor, event.subject) for event in events] == [(stranger.id, appointment.id)] * 2
    assert await clinic.appointment(appointment.id) == appointment


async def test_what_does_not_exist_is_not_found_and_that_is_not_recorded(clinic: Clinic) -> None:
    actor, missing = an_actor((await clinic.user()).id), AppointmentId(uuid4())

    with pytest.raises(NotFound):
        await clinic.can.read_appointment(actor=actor, appointment=missing)
    with pytest.raises(NotFound):
        await clinic.can.cancel_appointment(actor=actor, appointment=missing, reason="ill")

    assert await clinic.events() == []


async def test_patients_and_doctors_see_the_appointments_that_are_theirs(clinic: Clinic) -> None:
    doctor, patient = await clinic.doctor(), await clinic.user()
    early, late = await clinic.slots(doctor, TOMORROW, TOMORROW + HOUR)
    second, first = await clinic.booked(late, patient), await clinic.booked(early, patient)
    await clinic.booked()

    for who in (doctor.id, patient.id):
        page = await clinic.can.list_appointments(actor=an_actor(who), paging=Paging())
        assert page.items == (first, second)


async def test_who_is_no_doctor_any_more_sees_none_of_their_patients(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    former = appointment.doctor.id
    async with clinic.database.begin() as uow:
        await uow.users.set_role(former, Role.PATIENT)

    with pytest.raises(NotYours):
        await clinic.can.read_appointment(actor=an_actor(former), appointment=appointment.id)
    with pytest.raises(NotYours):
        await cancel(clinic, former, appointment)
    assert (await clinic.can.list_appointments(actor=an_actor(former), paging=Paging())).items == ()


async def test_appointments_are_listed_page_by_page(clinic: Clinic) -> None:
    doctor, patient = await clinic.doctor(), await clinic.user()
    booked = [await clinic.booked(slot, patient) for slot in await clinic.slots(doctor, TOMORROW, NOW + 2 * DAY)]

    first = await clinic.can.list_appointments(actor=an_actor(patient.id), paging=Paging(1))
    second = await clinic.can.list_appointments(actor=an_actor(patient.id), paging=Paging(1, first.next))

    assert [*first.items, *second.items] == booked
    assert second.next is None


@pytest.mark.parametrize(("side", "code"), [("patient", "pat"), ("doctor", "prov"), ("admin", "other")])
async def test_its_patient_its_doctor_or_any_admin_cancels_an_appointment(clinic: Clinic, side: str, code: str) -> None:
    appointment, admin = await clinic.booked(), await clinic.user(Role.ADMIN)
    who = {"patient": appointment.patient.id, "doctor": appointment.doctor.id, "admin": admin.id}[side]

    cancelled = await cancel(clinic, who, appointment)

    assert (cancelled.status, cancelled.version) == (AppointmentStatus.CANCELLED, 2)
    assert cancelled.cancellation == Cancellation("ill", ReasonCode(code))
    assert await clinic.appointment(appointment.id) == cancelled
    (event,) = await clinic.events(EventKind.APPOINTMENT_CANCELLED)
    assert (event.actor, event.subject) == (who, appointment.id)


async def test_a_code_of_ones_own_is_kept(clinic: Clinic) -> None:
    appointment = await clinic.booked()

    await clinic.can.cancel_appointment(
        actor=an_actor(appointment.patient.id), appointment=appointment.id, reason="snow", code=ReasonCode.OTH_WEATH
    )

    kept = await clinic.appointment(appointment.id)
    assert kept
    assert kept.cancellation == Cancellation("snow", ReasonCode.OTH_WEATH)


@pytest.mark.parametrize(("left", "late"), [(24 * HOUR, False), (24 * HOUR - MINUTE, True)])
async def test_a_patient_may_cancel_later_than_the_doctor_asks_and_that_is_marked(
    clinic: Clinic, left: timedelta, late: bool
) -> None:
    doctor = await clinic.doctor(notice_hours=24)
    appointment = await clinic.booked(await clinic.slot(doctor, NOW + 2 * DAY))
    clinic.clock.set(appointment.time.start - left)

    cancelled = await cancel(clinic, appointment.patient.id, appointment)

    assert cancelled.cancellation == Cancellation("ill", ReasonCode.PAT, late=late)


async def test_the_notice_is_that_of_when_it_was_booked(clinic: Clinic) -> None:
    doctor = await clinic.doctor(notice_hours=0)
    appointment = await clinic.booked(await clinic.slot(doctor))
    await clinic.can.keep_profile(actor=an_actor(doctor.id), profile=a_profile(doctor.id, notice_hours=168))

    cancelled = await cancel(clinic, appointment.patient.id, appointment)

    assert cancelled.cancellation == Cancellation("ill", ReasonCode.PAT, late=False)


async def test_the_slot_of_a_cancelled_appointment_is_found_and_booked_again(clinic: Clinic) -> None:
    slot, patient = await clinic.slot(), await clinic.user()
    first = await clinic.booked(slot, patient)

    await cancel(clinic, patient.id, first)

    assert [free.id for free in await clinic.free()] == [slot.id]
    assert (await clinic.booked(slot, patient)).id != first.id


async def test_an_appointment_is_cancelled_once(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    both = (appointment.patient.id, appointment.doctor.id)

    outcomes = await asyncio.gather(*(cancel(clinic, who, appointment) for who in both), return_exceptions=True)

    assert [type(one) for one in outcomes if isinstance(one, Exception)] == [AppointmentNotBooked]
    assert len(await clinic.events(EventKind.APPOINTMENT_CANCELLED)) == 1


async def test_an_appointment_that_has_started_cannot_be_cancelled(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    clinic.clock.wait(DAY)

    with pytest.raises(AppointmentStarted):
        await cancel(clinic, appointment.patient.id, appointment)

    assert await clinic.appointment(appointment.id) == appointment


@pytest.mark.parametrize("reason", ["", "  ", "x" * 201, "\x00"])
async def test_a_reason_is_given(clinic: Clinic, reason: str) -> None:
    appointment = await clinic.booked()

    with pytest.raises(Invalid) as refused:
        await cancel(clinic, appointment.patient.id, appointment, reason)

    assert refused.value.faults[0].path == ("reason",)


async def test_searches_are_told_once_the_slot_is_free() -> None:
    telltale = Telltale()
    clinic = Clinic(cache=telltale)
    slot = await clinic.slot()
    appointment = await clinic.booked(slot)
    telltale.look = clinic.free

    await cancel(clinic, appointment.patient.id, appointment)

    assert telltale.told[1:] == [{Touched("cardiology", TOMORROW.date())}]
    assert telltale.seen == [[slot]]
