"""Starting a consultation, issuing its prescription, and reading that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from healthcare.application.consultation.read_prescription import ReadPrescription
from healthcare.application.consultation.start import Started
from healthcare.application.uow import Unavailable, UnitOfWork
from healthcare.domain.consultation.errors import PrescriptionIssued
from healthcare.domain.consultation.model import Consultation, ConsultationStatus, Prescription
from healthcare.domain.kernel import AppointmentId, ConsultationId, EventKind, Invalid, NotFound, NotYours, UserId
from healthcare.domain.scheduling.errors import AppointmentNotBooked
from healthcare.domain.scheduling.model import Appointment
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.builders import DAY, NOW, an_actor, an_item
from tests.clinic import Clinic

pytestmark = pytest.mark.anyio


async def start(clinic: Clinic, appointment: Appointment, who: UserId | None = None) -> Started:
    return await clinic.can.start_consultation(actor=an_actor(who or appointment.doctor.id), appointment=appointment.id)


async def started(clinic: Clinic) -> Consultation:
    return (await start(clinic, await clinic.booked())).consultation


async def prescribe(clinic: Clinic, consultation: Consultation, who: UserId | None = None) -> Prescription:
    return await clinic.can.issue_prescription(
        actor=an_actor(who or consultation.doctor.id), consultation=consultation.id, items=(an_item(),)
    )


async def read(clinic: Clinic, consultation: Consultation, who: UserId) -> Prescription:
    return await clinic.can.read_prescription(actor=an_actor(who), consultation=consultation.id)


@pytest.mark.parametrize("wait", [0, 1, 2], ids=["early", "in time", "late"])
async def test_the_booked_doctor_starts_at_any_time(clinic: Clinic, wait: int) -> None:
    appointment = await clinic.booked()
    clinic.clock.wait(wait * DAY)

    begun = await start(clinic, appointment)

    assert begun.new
    assert (begun.consultation.appointment, begun.consultation.status) == (
        appointment.id,
        ConsultationStatus.IN_PROGRESS,
    )
    assert (begun.consultation.doctor, begun.consultation.patient) == (appointment.doctor, appointment.patient)
    assert (begun.consultation.started_at, begun.consultation.ended_at) == (NOW + wait * DAY, None)


async def test_starting_fulfils_the_appointment(clinic: Clinic) -> None:
    appointment = await clinic.booked()

    begun = await start(clinic, appointment)

    kept = await clinic.appointment(appointment.id)
    assert kept
    assert (kept.status, kept.version) == (AppointmentStatus.FULFILLED, 2)
    (event,) = await clinic.events(EventKind.CONSULTATION_STARTED)
    assert (event.actor, event.subject) == (appointment.doctor.id, begun.consultation.id)


async def test_starting_again_changes_nothing(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    first = await start(clinic, appointment)

    again = await start(clinic, appointment)

    assert again == Started(first.consultation, new=False)
    assert len(await clinic.events(EventKind.CONSULTATION_STARTED)) == 1


async def test_starting_many_times_at_once_starts_one(clinic: Clinic) -> None:
    appointment = await clinic.booked()

    outcomes = await asyncio.gather(*(start(clinic, appointment) for _ in range(5)))

    assert len({one.consultation.id for one in outcomes}) == 1
    assert [one.new for one in outcomes].count(True) == 1
    assert len(await clinic.events(EventKind.CONSULTATION_STARTED)) == 1


async def test_no_care_comes_of_a_cancelled_appointment(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    await clinic.can.cancel_appointment(
        actor=an_actor(appointment.patient.id), appointment=appointment.id, reason="ill"
    )

    with pytest.raises(AppointmentNotBooked):
        await start(clinic, appointment)


async def test_an_appointment_of_which_care_came_cannot_be_cancelled(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    await start(clinic, appointment)

    with pytest.raises(AppointmentNotBooked):
        await clinic.can.cancel_appointment(
            actor=an_actor(appointment.patient.id), appointment=appointment.id, reason="ill"
        )


async def test_of_start_and_cancel_at_once_one_wins(clinic: Clinic) -> None:
    appointment = await clinic.booked()

    outcomes = await asyncio.gather(
        start(clinic, appointment),
        clinic.can.cancel_appointment(actor=an_actor(appointment.patient.id), appointment=appointment.id, reason="ill"),
        return_exceptions=True,
    )

    assert [type(one) for one in outcomes if isinstance(one, Exception)] == [AppointmentNotBooked]


async def test_an_appointment_that_does_not_exist_is_not_found(clinic: Clinic) -> None:
    doctor = await clinic.doctor()

    with pytest.raises(NotFound):
        await clinic.can.start_consultation(actor=an_actor(doctor.id), appointment=AppointmentId(uuid4()))

    assert await clinic.events() == []


async def test_other_doctors_do_not_start_and_that_they_tried_is_recorded(clinic: Clinic) -> None:
    appointment, other = await clinic.booked(), await clinic.doctor()

    with pytest.raises(NotYours):
        await start(clinic, appointment, other.id)

    (event,) = await clinic.events(EventKind.ACCESS_REFUSED)
    assert (event.actor, event.subject) == (other.id, appointment.id)


async def test_a_prescription_finishes_the_consultation(clinic: Clinic) -> None:
    consultation = await started(clinic)
    clinic.clock.wait(DAY)

    prescription = await prescribe(clinic, consultation)

    async with clinic.database.begin() as uow:
        finished = await uow.consultations.get(consultation.id)
        assert await uow.prescriptions.of(consultation.id) == prescription
    assert finished
    assert (finished.status, finished.ended_at) == (ConsultationStatus.FINISHED, NOW + DAY)
    (event,) = await clinic.events(EventKind.PRESCRIPTION_ISSUED)
    assert (event.actor, event.subject) == (consultation.doctor.id, prescription.id)


async def test_a_second_prescription_is_refused_and_the_first_stays(clinic: Clinic) -> None:
    consultation = await started(clinic)
    first = await prescribe(clinic, consultation)

    with pytest.raises(PrescriptionIssued):
        await prescribe(clinic, consultation)

    assert await read(clinic, consultation, consultation.patient.id) == first


async def test_of_two_prescriptions_at_once_one_is_issued(clinic: Clinic) -> None:
    consultation = await started(clinic)

    outcomes = await asyncio.gather(*(prescribe(clinic, consultation) for _ in range(3)), return_exceptions=True)

    assert [type(one) for one in outcomes if isinstance(one, Exception)] == [PrescriptionIssued] * 2
    assert len(await clinic.events(EventKind.PRESCRIPTION_ISSUED)) == 1


async def test_a_prescription_without_items_is_refused(clinic: Clinic) -> None:
    consultation = await started(clinic)

    with pytest.raises(Invalid):
        await clinic.can.issue_prescription(
            actor=an_actor(consultation.doctor.id), consultation=consultation.id, items=()
        )


async def test_a_consultation_that_does_not_exist_is_not_found(clinic: Clinic) -> None:
    actor, missing = an_actor((await clinic.doctor()).id), ConsultationId(uuid4())

    with pytest.raises(NotFound):
        await clinic.can.issue_prescription(actor=actor, consultation=missing, items=(an_item(),))
    with pytest.raises(NotFound):
        await clinic.can.read_prescription(actor=actor, consultation=missing)

    assert await clinic.events() == []


async def test_other_doctors_neither_prescribe_nor_read_and_that_they_tried_is_recorded(clinic: Clinic) -> None:
    consultation, other = await started(clinic), await clinic.doctor()

    with pytest.raises(NotYours):
        await prescribe(clinic, consultation, other.id)
    with pytest.raises(NotYours):
        await read(clinic, consultation, other.id)

    events = await clinic.events(EventKind.ACCESS_REFUSED)
    assert [(event.actor, event.subject) for event in events] == [(other.id, consultation.id)] * 2


async def test_its_patient_and_its_doctor_read_a_prescription_and_each_time_is_recorded(clinic: Clinic) -> None:
    consultation = await started(clinic)
    prescription = await prescribe(clinic, consultation)
    people = [consultation.patient.id, consultation.doctor.id]

    assert [await read(clinic, consultation, who) for who in people] == [prescription, prescription]

    events = await clinic.events(EventKind.PRESCRIPTION_READ)
    assert {(event.actor, event.subject) for event in events} == {(who, prescription.id) for who in people}


async def test_a_read_that_cannot_be_recorded_is_not_answered(clinic: Clinic) -> None:
    consultation = await started(clinic)
    await prescribe(clinic, consultation)

    @asynccontextmanager
    async def begin() -> AsyncIterator[UnitOfWork]:
        async with clinic.begin() as uow:
            yield uow
            raise Unavailable

    with pytest.raises(Unavailable):
        await ReadPrescription(begin, clinic.happened)(
            actor=an_actor(consultation.patient.id), consultation=consultation.id
        )


async def test_before_it_is_issued_there_is_nothing_to_read(clinic: Clinic) -> None:
    consultation = await started(clinic)

    with pytest.raises(NotFound):
        await read(clinic, consultation, consultation.patient.id)

    assert await clinic.events(EventKind.PRESCRIPTION_READ) == []


async def test_another_patient_does_not_read_it(clinic: Clinic) -> None:
    consultation, stranger = await started(clinic), await clinic.user()
    await prescribe(clinic, consultation)

    with pytest.raises(NotYours):
        await read(clinic, consultation, stranger.id)
