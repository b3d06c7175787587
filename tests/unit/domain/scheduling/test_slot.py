"""When a slot can be claimed and taken back, and what comes of a claim."""

from uuid import uuid4

import pytest

from healthcare.domain.kernel import AppointmentId, Money, NotFound
from healthcare.domain.scheduling.errors import SlotInThePast, SlotTaken
from healthcare.domain.scheduling.model import HELD_FOR
from healthcare.domain.scheduling.search import Touched
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.builders import MINUTE, NOW, TOMORROW, a_doctor, a_patient, a_slot, a_time

ID = AppointmentId(uuid4())


def test_a_free_slot_becomes_an_appointment() -> None:
    slot, patient = a_slot(fee=Money(7500, "CHF"), notice_hours=24), a_patient()

    appointment = slot.book(patient, id=ID)

    assert (appointment.id, appointment.slot, appointment.patient) == (ID, slot.id, patient)
    assert (appointment.doctor, appointment.time) == (slot.doctor, slot.time)
    assert (appointment.fee, appointment.notice_hours) == (Money(7500, "CHF"), 24)
    assert (appointment.status, appointment.version) == (AppointmentStatus.BOOKED, 1)
    assert (appointment.expires_at, appointment.extended, appointment.cancellation) == (None, False, None)


def test_a_hold_is_an_appointment_that_is_pending_and_ends_after_five_minutes() -> None:
    slot, patient = a_slot(fee=Money(7500, "CHF"), notice_hours=24), a_patient()

    held = slot.hold(patient, id=ID, now=NOW)

    assert (held.id, held.slot, held.patient, held.time) == (ID, slot.id, patient, slot.time)
    assert (held.fee, held.notice_hours) == (Money(7500, "CHF"), 24)
    assert (held.status, held.version, held.extended) == (AppointmentStatus.PENDING, 1, False)
    assert held.expires_at == NOW + 5 * MINUTE == NOW + HELD_FOR


def test_a_slot_that_is_taken_is_not_free() -> None:
    with pytest.raises(SlotTaken):
        a_slot(taken=True).require_free(now=NOW)


def test_a_slot_that_is_not_offered_does_not_exist() -> None:
    with pytest.raises(NotFound):
        a_slot(offered=False).require_free(now=NOW)


def test_a_slot_is_free_until_it_starts() -> None:
    a_slot(time=a_time(NOW + MINUTE)).require_free(now=NOW)

    with pytest.raises(SlotInThePast) as refused:
        a_slot(time=a_time(NOW)).require_free(now=NOW)
    assert refused.value.faults[0].path == ("slot_id",)


def test_not_offered_comes_before_taken_and_taken_before_past() -> None:
    with pytest.raises(NotFound):
        a_slot(offered=False, taken=True, time=a_time(NOW)).require_free(now=NOW)
    with pytest.raises(SlotTaken):
        a_slot(taken=True, time=a_time(NOW)).require_free(now=NOW)


def test_a_free_slot_can_be_taken_back() -> None:
    slot = a_slot()

    withdrawn = slot.withdraw()

    assert not withdrawn.offered
    assert (withdrawn.id, withdrawn.time) == (slot.id, slot.time)


def test_a_slot_that_a_patient_has_cannot_be_taken_back() -> None:
    with pytest.raises(SlotTaken):
        a_slot(taken=True).withdraw()


def test_a_slot_that_a_patient_has_is_taken_back_where_that_is_to_be_overlooked() -> None:
    assert not a_slot(taken=True).withdraw(even_taken=True).offered


@pytest.mark.parametrize("even_taken", [False, True])
def test_a_slot_cannot_be_taken_back_twice(even_taken: bool) -> None:
    with pytest.raises(NotFound):
        a_slot().withdraw().withdraw(even_taken=even_taken)


def test_a_slot_concerns_the_searches_in_its_specialty_on_its_utc_date() -> None:
    slot = a_slot(doctor=a_doctor(specialty="neurology"), time=a_time(TOMORROW))

    assert Touched.by(slot) == Touched("neurology", TOMORROW.date())
