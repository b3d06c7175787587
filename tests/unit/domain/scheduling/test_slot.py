"""When a slot can be booked and taken back, and when an appointment can be cancelled or fulfilled."""

from uuid import uuid4

import pytest

from healthcare.domain.kernel import AppointmentId, Money, NotFound
from healthcare.domain.scheduling.errors import AppointmentNotBooked, AppointmentStarted, SlotInThePast, SlotTaken
from healthcare.domain.scheduling.model import NOT_LIVE, AppointmentStatus, Touched
from tests.builders import MINUTE, NOW, TOMORROW, a_doctor, a_patient, a_slot, a_time, an_appointment

ID = AppointmentId(uuid4())
NOT_BOOKED = [status for status in AppointmentStatus if status is not AppointmentStatus.BOOKED]


def test_a_free_slot_becomes_an_appointment() -> None:
    slot, patient = a_slot(fee=Money(7500, "CHF")), a_patient()

    appointment = slot.book(patient, id=ID, now=NOW)

    assert (appointment.id, appointment.slot, appointment.patient) == (ID, slot.id, patient)
    assert (appointment.doctor, appointment.time, appointment.fee) == (slot.doctor, slot.time, slot.fee)
    assert (appointment.status, appointment.version) == (AppointmentStatus.BOOKED, 1)


def test_a_slot_that_is_taken_cannot_be_booked() -> None:
    with pytest.raises(SlotTaken):
        a_slot(taken=True).book(a_patient(), id=ID, now=NOW)


def test_a_slot_that_is_not_offered_does_not_exist() -> None:
    with pytest.raises(NotFound):
        a_slot(offered=False).book(a_patient(), id=ID, now=NOW)


def test_a_slot_can_be_booked_until_it_starts() -> None:
    a_slot(time=a_time(NOW + MINUTE)).book(a_patient(), id=ID, now=NOW)

    with pytest.raises(SlotInThePast) as refused:
        a_slot(time=a_time(NOW)).book(a_patient(), id=ID, now=NOW)
    assert refused.value.faults[0].path == ("slot_id",)


def test_not_offered_comes_before_taken_and_taken_before_past() -> None:
    with pytest.raises(NotFound):
        a_slot(offered=False, taken=True, time=a_time(NOW)).book(a_patient(), id=ID, now=NOW)
    with pytest.raises(SlotTaken):
        a_slot(taken=True, time=a_time(NOW)).book(a_patient(), id=ID, now=NOW)


def test_a_free_slot_can_be_taken_back() -> None:
    slot = a_slot()

    withdrawn = slot.withdraw()

    assert not withdrawn.offered
    assert (withdrawn.id, withdrawn.time) == (slot.id, slot.time)


def test_a_slot_that_a_patient_has_cannot_be_taken_back() -> None:
    with pytest.raises(SlotTaken):
        a_slot(taken=True).withdraw()


def test_a_slot_cannot_be_taken_back_twice() -> None:
    with pytest.raises(NotFound):
        a_slot().withdraw().withdraw()


def test_a_slot_concerns_the_searches_in_its_specialty_on_its_utc_date() -> None:
    slot = a_slot(doctor=a_doctor(specialty="neurology"), time=a_time(TOMORROW))

    assert Touched.by(slot) == Touched("neurology", TOMORROW.date())


def test_a_booked_appointment_can_be_cancelled_before_it_starts() -> None:
    appointment = an_appointment(version=3)

    cancelled = appointment.cancel(now=appointment.time.start - MINUTE)

    assert (cancelled.status, cancelled.version) == (AppointmentStatus.CANCELLED, 4)


def test_an_appointment_cannot_be_cancelled_when_it_starts() -> None:
    appointment = an_appointment()

    with pytest.raises(AppointmentStarted):
        appointment.cancel(now=appointment.time.start)


@pytest.mark.parametrize("status", NOT_BOOKED)
def test_only_what_is_booked_can_be_cancelled(status: AppointmentStatus) -> None:
    with pytest.raises(AppointmentNotBooked):
        an_appointment(status=status).cancel(now=NOW)


def test_that_it_is_not_booked_comes_before_that_it_has_started() -> None:
    appointment = an_appointment(status=AppointmentStatus.FULFILLED)

    with pytest.raises(AppointmentNotBooked):
        appointment.cancel(now=appointment.time.end)


def test_care_can_begin_at_any_time() -> None:
    fulfilled = an_appointment(version=3).fulfil()

    assert (fulfilled.status, fulfilled.version) == (AppointmentStatus.FULFILLED, 4)


@pytest.mark.parametrize("status", NOT_BOOKED)
def test_care_cannot_come_of_what_is_not_booked(status: AppointmentStatus) -> None:
    with pytest.raises(AppointmentNotBooked):
        an_appointment(status=status).fulfil()


def test_an_appointment_claims_its_slot_unless_it_was_cancelled_or_never_was() -> None:
    assert set(AppointmentStatus) - NOT_LIVE == {AppointmentStatus.BOOKED, AppointmentStatus.FULFILLED}
