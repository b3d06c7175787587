"""How appointments are moved."""

from collections.abc import Collection
from datetime import timedelta

import pytest

from healthcare.domain.kernel import AppointmentId, EventKind, Forbidden, Money, NotFound, NotYours, Role
from healthcare.domain.scheduling.asks import Rescheduling
from healthcare.domain.scheduling.cancellation import RELEASED
from healthcare.domain.scheduling.diary import Diary
from healthcare.domain.scheduling.errors import (
    AppointmentNotBooked,
    AppointmentStarted,
    PatientBusy,
    SlotInThePast,
    SlotTaken,
    VersionStale,
)
from healthcare.domain.scheduling.model import Appointment, Slot
from healthcare.domain.scheduling.search import Touched
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.builders import (
    DAY,
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
LATER = a_time(TOMORROW + DAY)


def move(diary: Diary, appointment: Appointment, slot: Slot, *, versions: Collection[int] | None = None) -> Appointment:
    """Move an appointment, as its patient."""
    actor = an_actor(appointment.patient.id)
    return diary.reschedule(
        Rescheduling(actor=actor, appointment=appointment.id, slot=slot.id, versions=versions), HAPPENED
    )


def diary_of(appointment: Appointment, *slots: Slot, others: Collection[Appointment] = ()) -> Diary:
    """Return a diary in which the patient of an appointment wants these slots."""
    return a_diary([appointment.patient.id], slots, appointments=[appointment, *others])


def test_a_patient_moves_an_appointment_to_a_free_slot() -> None:
    appointment, slot = an_appointment(version=3), a_slot(time=LATER)
    diary = diary_of(appointment, slot)

    moved = move(diary, appointment, slot)

    assert (moved.id, moved.slot, moved.time, moved.version) == (appointment.id, slot.id, LATER, 4)
    assert (diary.steps, diary.new) == ([moved], set())
    (event,) = diary.events
    assert (event.kind, event.actor) == (EventKind.APPOINTMENT_RESCHEDULED, appointment.patient.id)
    assert event.subject == appointment.id


def test_searches_of_both_places_are_told() -> None:
    appointment = an_appointment(slot=a_slot(doctor=a_doctor(specialty="cardiology")))
    slot = a_slot(doctor=a_doctor(specialty="neurology"), time=LATER)
    diary = diary_of(appointment, slot)

    move(diary, appointment, slot)

    assert diary.touched == {
        Touched("cardiology", TOMORROW.date()),
        Touched("neurology", (TOMORROW + DAY).date()),
    }


def test_the_slot_that_was_left_is_free_for_others_and_the_new_one_is_not() -> None:
    old, new, bob = a_slot(), a_slot(time=LATER), a_user_id()
    appointment = an_appointment(slot=old)
    diary = a_diary([appointment.patient.id, bob], [old, new], appointments=[appointment])
    move(diary, appointment, new)

    with pytest.raises(SlotTaken):
        diary.book(a_booking(an_actor(bob), new.id), HAPPENED)
    assert diary.book(a_booking(an_actor(bob), old.id), HAPPENED).slot == old.id


def test_the_patients_own_time_is_freed_first_also_for_an_overlapping_slot_of_another_doctor() -> None:
    appointment = an_appointment(slot=a_slot(time=a_time(TOMORROW)))
    for start in (TOMORROW - 29 * MINUTE, TOMORROW, TOMORROW + 29 * MINUTE):
        slot = a_slot(time=a_time(start))

        assert move(diary_of(appointment, slot), appointment, slot).time.start == start


def test_only_the_time_of_this_appointment_is_freed() -> None:
    appointment, slot = an_appointment(), a_slot(time=LATER)
    other = an_appointment(slot=a_slot(time=a_time(LATER.start + 29 * MINUTE)), patient=appointment.patient)
    diary = diary_of(appointment, slot, others=[other])

    with pytest.raises(PatientBusy):
        move(diary, appointment, slot)

    assert (diary.appointments[appointment.id], diary.steps) == (appointment, [])


def test_who_holds_the_new_slot_gives_the_hold_up_for_the_move() -> None:
    appointment, slot = an_appointment(), a_slot(time=LATER)
    hold = a_hold(slot=slot, patient=appointment.patient)
    diary = diary_of(appointment, slot, others=[hold])

    moved = move(diary, appointment, slot)

    assert (moved.id, moved.slot) == (appointment.id, slot.id)
    assert diary.appointments[hold.id].cancellation == RELEASED
    assert [event.kind for event in diary.events] == [EventKind.HOLD_RELEASED, EventKind.APPOINTMENT_RESCHEDULED]


def test_the_hold_stays_where_the_move_is_refused() -> None:
    appointment, slot = an_appointment(), a_slot(time=LATER)
    hold = a_hold(slot=slot, patient=appointment.patient)
    busy = an_appointment(slot=a_slot(time=LATER), patient=appointment.patient)
    diary = diary_of(appointment, slot, others=[hold, busy])

    with pytest.raises(PatientBusy):
        move(diary, appointment, slot)

    assert (diary.appointments[hold.id], diary.events) == (hold, [])


def test_an_appointment_can_be_moved_to_where_it_stands() -> None:
    slot = a_slot()
    appointment = an_appointment(slot=slot)

    moved = move(diary_of(appointment, slot), appointment, slot)

    assert (moved.slot, moved.version) == (slot.id, 2)


def test_two_patients_can_change_places_by_way_of_a_third() -> None:
    """A diary sees its own decisions: each move is decided where the others have led."""
    one, other, third = (a_slot(time=a_time(TOMORROW + n * HOUR)) for n in range(3))
    mine, theirs = an_appointment(slot=one), an_appointment(slot=other)
    diary = a_diary([mine.patient.id, theirs.patient.id], [one, other, third], appointments=[mine, theirs])

    with pytest.raises(SlotTaken):
        move(diary, mine, other)
    move(diary, mine, third)
    move(diary, theirs, one)
    move(diary, mine, other)

    assert (diary.appointments[mine.id].slot, diary.appointments[mine.id].version) == (other.id, 3)
    assert diary.appointments[theirs.id].slot == one.id


def test_with_the_same_doctor_the_terms_stay_and_with_another_they_are_taken_over() -> None:
    doctor = a_doctor()
    appointment = an_appointment(slot=a_slot(doctor=doctor, fee=Money(4900, "EUR"), notice_hours=24))
    same = a_slot(doctor=doctor, time=LATER, fee=Money(9900, "EUR"), notice_hours=48)
    another = a_slot(time=LATER, fee=Money(100, "CHF"), notice_hours=72)

    stayed = move(diary_of(appointment, same), appointment, same)
    went = move(diary_of(appointment, another), appointment, another)

    assert (stayed.fee, stayed.notice_hours) == (Money(4900, "EUR"), 24)
    assert (went.fee, went.notice_hours) == (Money(100, "CHF"), 72)


def test_who_saw_an_earlier_version_is_told_so() -> None:
    appointment, slot = an_appointment(version=3), a_slot(time=LATER)
    diary = diary_of(appointment, slot)

    for stale in ([2], [1, 2, 4], []):
        with pytest.raises(VersionStale):
            move(diary, appointment, slot, versions=stale)

    assert (diary.steps, diary.events) == ([], [])
    assert move(diary, appointment, slot, versions=[1, 3]).version == 4


def test_of_two_who_saw_the_same_version_the_first_moves() -> None:
    appointment, slot, other = an_appointment(), a_slot(time=LATER), a_slot(time=a_time(TOMORROW + 2 * DAY))
    diary = diary_of(appointment, slot, other)

    moved = move(diary, appointment, slot, versions=[1])
    with pytest.raises(VersionStale):
        move(diary, appointment, other, versions=[1])

    assert diary.appointments[appointment.id] is moved


@pytest.mark.parametrize("status", [one for one in AppointmentStatus if one is not AppointmentStatus.BOOKED])
def test_only_what_is_booked_is_moved(status: AppointmentStatus) -> None:
    appointment, slot = an_appointment(status=status), a_slot(time=LATER)

    with pytest.raises(AppointmentNotBooked):
        move(diary_of(appointment, slot), appointment, slot)


def test_nothing_is_moved_that_has_started() -> None:
    appointment, slot = an_appointment(slot=a_slot(time=a_time(NOW))), a_slot(time=LATER)

    with pytest.raises(AppointmentStarted):
        move(diary_of(appointment, slot), appointment, slot)


@pytest.mark.parametrize("status", [AppointmentStatus.BOOKED, AppointmentStatus.PENDING])
def test_nothing_is_moved_to_what_somebody_has_or_holds(status: AppointmentStatus) -> None:
    appointment, slot = an_appointment(), a_slot(time=LATER)
    diary = diary_of(appointment, slot, others=[an_appointment(slot=slot, status=status)])

    with pytest.raises(SlotTaken):
        move(diary, appointment, slot)


def test_nothing_is_moved_to_a_slot_that_does_not_exist_was_taken_back_or_has_started() -> None:
    appointment, withdrawn, past = an_appointment(), a_slot(offered=False), a_slot(time=a_time(NOW - HOUR))
    diary = diary_of(appointment, withdrawn, past)

    for slot, refusal in [(a_slot(), NotFound), (withdrawn, NotFound), (past, SlotInThePast)]:
        with pytest.raises(refusal):
            move(diary, appointment, slot)

    assert (diary.appointments[appointment.id], diary.steps, diary.events) == (appointment, [], [])
    assert diary.touched == set()


def test_an_appointment_that_does_not_exist_is_not_found() -> None:
    ada, slot = a_user_id(), a_slot()
    missing = Rescheduling(actor=an_actor(ada), appointment=AppointmentId(a_user_id()), slot=slot.id)

    with pytest.raises(NotFound):
        a_diary([ada], [slot]).reschedule(missing, HAPPENED)


def test_for_other_patients_it_does_not_exist_either_and_that_they_tried_is_recorded() -> None:
    appointment, slot, eve = an_appointment(), a_slot(time=LATER), an_actor()
    diary = a_diary([eve.known], [slot], appointments=[appointment])

    with pytest.raises(NotYours):
        diary.decide(Rescheduling(actor=eve, appointment=appointment.id, slot=slot.id), HAPPENED)

    (event,) = diary.events
    assert (event.kind, event.actor, event.subject) == (EventKind.ACCESS_REFUSED, eve.user, appointment.id)


@pytest.mark.parametrize("role", [Role.DOCTOR, Role.ADMIN])
def test_its_doctor_and_admins_do_not_move_it(role: Role) -> None:
    appointment, slot = an_appointment(), a_slot(time=LATER)
    who = an_actor(appointment.doctor.id)
    diary = a_diary(slots=[slot], roles={who.known: role}, appointments=[appointment])

    with pytest.raises(Forbidden):
        diary.reschedule(Rescheduling(actor=who, appointment=appointment.id, slot=slot.id), HAPPENED)


def test_refusals_come_in_order() -> None:
    """Whose it is, version, status, started, and only then the slot."""
    slot = a_slot(time=LATER)
    cancelled = an_appointment(
        slot=a_slot(time=a_time(NOW - timedelta(hours=1))), status=AppointmentStatus.CANCELLED, version=2
    )
    eve = an_actor()

    with pytest.raises(NotYours):
        a_diary([eve.known], appointments=[cancelled]).reschedule(
            Rescheduling(actor=eve, appointment=cancelled.id, slot=slot.id, versions=[1]), HAPPENED
        )
    with pytest.raises(VersionStale):
        move(diary_of(cancelled), cancelled, slot, versions=[1])
    with pytest.raises(AppointmentNotBooked):
        move(diary_of(cancelled), cancelled, slot, versions=[2])
    started = an_appointment(slot=a_slot(time=a_time(NOW - HOUR)))
    with pytest.raises(AppointmentStarted):
        move(diary_of(started), started, slot)
