"""How slots are taken back, and whose patients may still come."""

from uuid import uuid4

import pytest

from healthcare.domain.kernel import EventKind, Forbidden, NotFound, NotYours, Role, SlotId
from healthcare.domain.scheduling.asks import Withdrawal
from healthcare.domain.scheduling.diary import Diary
from healthcare.domain.scheduling.errors import SlotTaken
from healthcare.domain.scheduling.model import Slot
from healthcare.domain.scheduling.search import Touched
from healthcare.domain.scheduling.status import UNFINISHED, AppointmentStatus
from tests.builders import (
    HOUR,
    MINUTE,
    NOW,
    TOMORROW,
    a_booking,
    a_diary,
    a_doctor,
    a_hold,
    a_slot,
    a_time,
    a_user_id,
    an_actor,
    an_appointment,
    happened_at,
)

HAPPENED = happened_at()
DOCTOR = a_doctor()


def take_back(diary: Diary, slot: Slot, *, even_taken: bool = False) -> Slot:
    """Take a slot back, as its doctor."""
    return diary.withdraw(Withdrawal(actor=an_actor(DOCTOR.id), slot=slot.id, even_taken=even_taken), HAPPENED)


def diary_of(*slots: Slot, claimed_by: AppointmentStatus | None = None) -> Diary:
    """Return a diary in which the doctor may ask, and somebody has every slot where `claimed_by` says so."""
    claims = [an_appointment(slot=slot, status=claimed_by) for slot in slots] if claimed_by else []
    return a_diary(slots=slots, roles={DOCTOR.id: Role.DOCTOR}, appointments=claims)


def test_a_doctor_takes_a_free_slot_back() -> None:
    slot = a_slot(doctor=DOCTOR)
    diary = diary_of(slot)

    assert not take_back(diary, slot).offered

    assert (diary.withdrawn, diary.steps) == ([slot.id], [])
    (event,) = diary.events
    assert (event.kind, event.actor, event.subject) == (EventKind.SLOT_WITHDRAWN, DOCTOR.id, slot.id)
    assert diary.touched == {Touched.by(slot)}


def test_nobody_books_what_was_taken_back_in_the_same_list() -> None:
    slot, ada = a_slot(doctor=DOCTOR), a_user_id()
    diary = a_diary([ada], [slot], roles={DOCTOR.id: Role.DOCTOR})
    take_back(diary, slot)

    with pytest.raises(NotFound):
        diary.book(a_booking(an_actor(ada), slot.id), HAPPENED)


def test_a_slot_is_taken_back_once() -> None:
    slot = a_slot(doctor=DOCTOR)
    diary = diary_of(slot)
    take_back(diary, slot)

    for even_taken in (False, True):
        with pytest.raises(NotFound):
            take_back(diary, slot, even_taken=even_taken)

    assert len(diary.withdrawn) == len(diary.events) == 1


@pytest.mark.parametrize("status", [one for one in AppointmentStatus if an_appointment(status=one).live])
def test_what_a_patient_has_is_taken_back_only_where_that_is_to_be_overlooked(status: AppointmentStatus) -> None:
    slot = a_slot(doctor=DOCTOR)
    diary = diary_of(slot, claimed_by=status)

    with pytest.raises(SlotTaken):
        take_back(diary, slot)
    assert (diary.withdrawn, diary.events) == ([], [])

    take_back(diary, slot, even_taken=True)
    assert diary.withdrawn == [slot.id]
    assert [one.status for one in diary.appointments.values()] == [status]


def test_what_was_booked_in_the_same_list_is_taken() -> None:
    slot, ada = a_slot(doctor=DOCTOR), a_user_id()
    diary = a_diary([ada], [slot], roles={DOCTOR.id: Role.DOCTOR})
    diary.book(a_booking(an_actor(ada), slot.id), HAPPENED)

    with pytest.raises(SlotTaken):
        take_back(diary, slot)


def test_what_nobody_has_any_more_is_free() -> None:
    slot = a_slot(doctor=DOCTOR)

    assert not take_back(diary_of(slot, claimed_by=AppointmentStatus.CANCELLED), slot).offered


def test_a_slot_whose_hold_has_run_out_is_free() -> None:
    slot = a_slot(doctor=DOCTOR)
    diary = a_diary(slots=[slot], roles={DOCTOR.id: Role.DOCTOR}, appointments=[a_hold(slot=slot, expires_at=NOW)])
    diary.sweep(HAPPENED, request="request-7")

    assert not take_back(diary, slot).offered


def test_a_slot_that_does_not_exist_is_not_found_and_that_is_not_recorded() -> None:
    diary = diary_of()

    with pytest.raises(NotFound):
        diary.decide(Withdrawal(actor=an_actor(DOCTOR.id), slot=SlotId(uuid4())), HAPPENED)

    assert diary.events == []


def test_the_slot_of_another_doctor_does_not_exist_either_and_that_is_recorded() -> None:
    slot = a_slot()
    diary = diary_of(slot)

    with pytest.raises(NotYours):
        diary.decide(Withdrawal(actor=an_actor(DOCTOR.id), slot=slot.id, even_taken=True), HAPPENED)

    assert diary.withdrawn == []
    (event,) = diary.events
    assert (event.kind, event.actor, event.subject) == (EventKind.ACCESS_REFUSED, DOCTOR.id, slot.id)


@pytest.mark.parametrize("role", [Role.PATIENT, Role.ADMIN])
def test_who_is_no_doctor_any_more_takes_nothing_back(role: Role) -> None:
    slot = a_slot(doctor=DOCTOR)

    with pytest.raises(Forbidden):
        take_back(a_diary(slots=[slot], roles={DOCTOR.id: role}), slot)


def test_the_patients_who_may_still_come_are_told_in_order_of_start() -> None:
    late, early, elsewhere = (a_slot(time=a_time(TOMORROW + n * MINUTE)) for n in (60, 0, 30))
    claims = [an_appointment(slot=slot) for slot in (late, early, elsewhere)]
    diary = a_diary(slots=[late, early, elsewhere], appointments=claims)

    assert [one.slot for one in diary.unfinished([late.id, early.id])] == [early.id, late.id]


def test_who_may_still_come_has_a_hold_or_an_appointment_of_which_nothing_has_come_yet() -> None:
    slots = [a_slot(time=a_time(TOMORROW + place * HOUR)) for place in range(len(AppointmentStatus))]
    claims = [an_appointment(slot=slot, status=status) for slot, status in zip(slots, AppointmentStatus, strict=True)]
    diary = a_diary(slots=slots, appointments=claims)

    assert {one.status for one in diary.unfinished([slot.id for slot in slots])} == UNFINISHED
