"""Who came, who did not, and what was noted by mistake."""

from datetime import datetime
from uuid import uuid4

import pytest

from healthcare.domain.kernel import (
    Actor,
    AppointmentId,
    EventKind,
    Forbidden,
    NotFound,
    NotYours,
    Role,
    Unauthenticated,
    UserId,
)
from healthcare.domain.scheduling.asks import CheckingIn, Missing, Starting, Undoing
from healthcare.domain.scheduling.diary import Diary
from healthcare.domain.scheduling.errors import AppointmentNotBooked, CheckInTooEarly, NothingToUndo, NotMissed
from healthcare.domain.scheduling.model import Appointment
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.builders import (
    DAY,
    MINUTE,
    NOBODY,
    NOW,
    SYSTEM,
    TOMORROW,
    a_diary,
    a_user_id,
    an_actor,
    an_appointment,
    happened_at,
)

HAPPENED = happened_at()
QUARTER = 15 * MINUTE
EVE, DOCTOR, ADMIN = a_user_id(), a_user_id(), a_user_id()


def check_in(diary: Diary, appointment: Appointment, who: UserId | None = None) -> Appointment:
    actor = an_actor(who or appointment.patient.id)
    return diary.check_in(CheckingIn(actor=actor, appointment=appointment.id), HAPPENED)


def miss(diary: Diary, appointment: Appointment, who: Actor = SYSTEM) -> Appointment:
    return diary.miss(Missing(actor=who, appointment=appointment.id), HAPPENED)


def undo(diary: Diary, appointment: Appointment, who: UserId | None = None) -> Appointment:
    actor = an_actor(who or appointment.doctor.id)
    return diary.undo(Undoing(actor=actor, appointment=appointment.id), HAPPENED)


def diary_of(appointment: Appointment, now: datetime = NOW) -> Diary:
    """Return a diary in which an appointment's own two people may ask, and any other doctor and any admin."""
    people = {appointment.patient.id: Role.PATIENT, appointment.doctor.id: Role.DOCTOR}
    others = {DOCTOR: Role.DOCTOR, ADMIN: Role.ADMIN}
    return a_diary([EVE], roles=people | others, appointments=[appointment], now=now)


def test_a_patient_checks_in_from_fifteen_minutes_before_the_start() -> None:
    appointment = an_appointment(version=3)
    diary = diary_of(appointment, TOMORROW - QUARTER)

    checked_in = check_in(diary, appointment)

    assert (checked_in.id, checked_in.status, checked_in.version) == (appointment.id, AppointmentStatus.CHECKED_IN, 4)
    assert diary.steps == [checked_in]
    (event,) = diary.events
    assert (event.kind, event.actor) == (EventKind.APPOINTMENT_CHECKED_IN, appointment.patient.id)
    assert event.subject == appointment.id


def test_the_moment_of_the_diary_decides_whether_it_is_too_early() -> None:
    appointment = an_appointment()
    diary = diary_of(appointment, TOMORROW - QUARTER - MINUTE / 60)

    with pytest.raises(CheckInTooEarly):
        check_in(diary, appointment)

    assert (diary.steps, diary.events) == ([], [])


def test_who_checks_in_twice_gets_the_same_answer_and_nothing_is_kept_or_recorded() -> None:
    appointment = an_appointment()
    diary = diary_of(appointment, TOMORROW)

    first, second = check_in(diary, appointment), check_in(diary, appointment)

    assert first is second
    assert len(diary.steps) == len(diary.events) == 1


def test_a_patient_who_became_a_doctor_still_checks_in() -> None:
    appointment = an_appointment()
    patient = appointment.patient.id
    diary = a_diary(roles={patient: Role.DOCTOR}, appointments=[appointment], now=TOMORROW)

    assert check_in(diary, appointment).status is AppointmentStatus.CHECKED_IN


def test_nobody_else_checks_a_patient_in_not_even_their_doctor() -> None:
    appointment = an_appointment()
    diary = diary_of(appointment, TOMORROW)

    for who, refusal in [(EVE, NotYours), (appointment.doctor.id, NotYours), (ADMIN, Forbidden)]:
        with pytest.raises(refusal):
            check_in(diary, appointment, who)


def test_what_is_still_booked_fifteen_minutes_after_its_end_was_missed() -> None:
    appointment = an_appointment(version=3)
    diary = diary_of(appointment, appointment.time.end + QUARTER)

    missed = miss(diary, appointment)

    assert (missed.id, missed.status, missed.version) == (appointment.id, AppointmentStatus.NOSHOW, 4)
    (event,) = diary.events
    assert (event.kind, event.actor, event.subject) == (EventKind.APPOINTMENT_MISSED, None, appointment.id)


def test_the_moment_of_the_diary_decides_whether_it_was_missed() -> None:
    appointment = an_appointment()
    diary = diary_of(appointment, appointment.time.end + QUARTER - MINUTE / 60)

    with pytest.raises(NotMissed):
        miss(diary, appointment)

    assert (diary.steps, diary.events) == ([], [])


def test_who_checked_in_in_time_did_not_miss_it() -> None:
    appointment = an_appointment()
    diary = diary_of(appointment, TOMORROW + DAY)
    check_in(diary, appointment)

    with pytest.raises(AppointmentNotBooked):
        miss(diary, appointment)


def test_only_the_system_notes_that_nobody_came() -> None:
    appointment = an_appointment()
    diary = diary_of(appointment, TOMORROW + DAY)

    for who in (appointment.patient.id, appointment.doctor.id, ADMIN):
        with pytest.raises(Forbidden):
            miss(diary, appointment, an_actor(who))
    with pytest.raises(Unauthenticated):
        miss(diary, appointment, NOBODY)


def test_what_does_not_exist_was_not_missed() -> None:
    with pytest.raises(NotFound):
        a_diary().miss(Missing(actor=SYSTEM, appointment=AppointmentId(uuid4())), HAPPENED)


@pytest.mark.parametrize(
    ("mistake", "truth"),
    [
        (AppointmentStatus.CHECKED_IN, AppointmentStatus.BOOKED),
        (AppointmentStatus.NOSHOW, AppointmentStatus.CHECKED_IN),
    ],
)
def test_its_doctor_corrects_what_was_noted_by_mistake(mistake: AppointmentStatus, truth: AppointmentStatus) -> None:
    appointment = an_appointment(status=mistake, version=3)
    diary = diary_of(appointment)

    undone = undo(diary, appointment)

    assert (undone.id, undone.status, undone.version) == (appointment.id, truth, 4)
    (event,) = diary.events
    assert (event.kind, event.actor) == (EventKind.APPOINTMENT_UNDONE, appointment.doctor.id)
    assert event.subject == appointment.id


def test_who_came_after_all_is_not_missed_again() -> None:
    appointment = an_appointment()
    diary = diary_of(appointment, TOMORROW + DAY)
    miss(diary, appointment)
    undo(diary, appointment)

    with pytest.raises(AppointmentNotBooked):
        miss(diary, appointment)


def test_where_nothing_was_noted_there_is_nothing_to_undo() -> None:
    appointment = an_appointment()
    diary = diary_of(appointment)

    with pytest.raises(NothingToUndo):
        undo(diary, appointment)

    assert (diary.steps, diary.events) == ([], [])


def test_nobody_but_its_doctor_undoes_anything() -> None:
    appointment = an_appointment(status=AppointmentStatus.CHECKED_IN)
    diary = diary_of(appointment)

    for who, refusal in [(appointment.patient.id, Forbidden), (ADMIN, Forbidden), (DOCTOR, NotYours)]:
        with pytest.raises(refusal):
            undo(diary, appointment, who)


@pytest.mark.parametrize("status", [AppointmentStatus.BOOKED, AppointmentStatus.CHECKED_IN])
def test_that_care_has_begun_is_kept_and_is_an_event_of_the_consultation(status: AppointmentStatus) -> None:
    appointment = an_appointment(status=status, version=3)
    diary = diary_of(appointment)

    diary.fulfil(diary.find(Starting(actor=an_actor(appointment.doctor.id), appointment=appointment.id)))

    (fulfilled,) = diary.steps
    assert (fulfilled.id, fulfilled.status, fulfilled.version) == (appointment.id, AppointmentStatus.FULFILLED, 4)
    assert diary.events == []
