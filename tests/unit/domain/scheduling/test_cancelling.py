"""How appointments are cancelled, and by whom."""

import pytest

from healthcare.domain.kernel import AppointmentId, EventKind, Invalid, NotFound, NotYours, Role, SlotId, UserId
from healthcare.domain.scheduling.asks import Cancelling
from healthcare.domain.scheduling.cancellation import Cancellation, ReasonCode
from healthcare.domain.scheduling.diary import Diary
from healthcare.domain.scheduling.errors import AppointmentMoved, AppointmentNotBooked, AppointmentStarted
from healthcare.domain.scheduling.model import Appointment
from healthcare.domain.scheduling.search import Touched
from healthcare.domain.scheduling.status import UNFINISHED, AppointmentStatus
from tests.builders import (
    HOUR,
    MINUTE,
    NOW,
    a_booking,
    a_diary,
    a_hold,
    a_patient,
    a_slot,
    a_time,
    a_user_id,
    an_actor,
    an_appointment,
    happened_at,
)

HAPPENED = happened_at()
ADMIN, EVE = a_user_id(), a_user_id()


def cancel(
    diary: Diary,
    appointment: Appointment,
    who: UserId,
    *,
    code: ReasonCode | None = None,
    only_on: SlotId | None = None,
) -> Appointment:
    ask = Cancelling(actor=an_actor(who), appointment=appointment.id, reason="ill", code=code, only_on=only_on)
    return diary.cancel(ask, HAPPENED)


def diary_of(appointment: Appointment) -> Diary:
    """Return a diary in which an appointment's own two people, an admin and a stranger may ask."""
    people = {appointment.patient.id: Role.PATIENT, appointment.doctor.id: Role.DOCTOR, ADMIN: Role.ADMIN}
    return a_diary([EVE], roles=people, appointments=[appointment])


@pytest.mark.parametrize("who", ["patient", "doctor", "admin"])
def test_its_patient_its_doctor_and_any_admin_cancel_an_appointment(who: str) -> None:
    appointment = an_appointment(version=3)
    people = {"patient": appointment.patient.id, "doctor": appointment.doctor.id, "admin": ADMIN}
    diary = diary_of(appointment)

    cancelled = cancel(diary, appointment, people[who])

    assert (cancelled.id, cancelled.status, cancelled.version) == (appointment.id, AppointmentStatus.CANCELLED, 4)
    assert (diary.steps, diary.touched) == ([cancelled], {Touched.by(appointment)})
    (event,) = diary.events
    assert (event.kind, event.actor) == (EventKind.APPOINTMENT_CANCELLED, people[who])
    assert event.subject == appointment.id


def test_without_a_code_the_cancellation_says_who_cancelled() -> None:
    appointment = an_appointment()
    codes = {appointment.patient.id: "pat", appointment.doctor.id: "prov", ADMIN: "other"}

    for who, code in codes.items():
        assert cancel(diary_of(appointment), appointment, who).cancellation == Cancellation("ill", ReasonCode(code))


def test_a_code_is_kept_as_it_was_given() -> None:
    appointment = an_appointment()

    cancelled = cancel(diary_of(appointment), appointment, appointment.doctor.id, code=ReasonCode.PROV_PERS)

    assert cancelled.cancellation == Cancellation("ill", ReasonCode.PROV_PERS)


def test_to_cancel_a_hold_is_never_late() -> None:
    hold = a_hold(slot=a_slot(notice_hours=168))

    cancelled = hold.cancel("ill", by=hold.patient.id, now=NOW)

    assert cancelled.cancellation == Cancellation("ill", ReasonCode.PAT)


def test_only_its_patient_is_late() -> None:
    appointment = an_appointment(slot=a_slot(time=a_time(NOW + HOUR - MINUTE), notice_hours=1))
    late = {appointment.patient.id: True, appointment.doctor.id: False, ADMIN: False}

    for who, expected in late.items():
        cancellation = cancel(diary_of(appointment), appointment, who).cancellation
        assert cancellation
        assert cancellation.late is expected


def test_an_admin_who_has_the_appointment_themselves_cancels_as_its_patient() -> None:
    appointment = an_appointment(slot=a_slot(notice_hours=48), patient=a_patient(ADMIN))

    cancelled = cancel(a_diary(roles={ADMIN: Role.ADMIN}, appointments=[appointment]), appointment, ADMIN)

    assert cancelled.cancellation == Cancellation("ill", ReasonCode.PAT, late=True)


def test_a_hold_can_be_cancelled_like_an_appointment() -> None:
    hold = a_hold()

    assert cancel(diary_of(hold), hold, hold.patient.id).status is AppointmentStatus.CANCELLED


@pytest.mark.parametrize("role", [Role.PATIENT, Role.DOCTOR])
def test_for_anybody_else_it_does_not_exist_and_that_they_tried_is_recorded(role: Role) -> None:
    appointment = an_appointment()
    diary = a_diary(roles={EVE: role}, appointments=[appointment])

    with pytest.raises(NotYours):
        diary.decide(Cancelling(actor=an_actor(EVE), appointment=appointment.id, reason="envy"), HAPPENED)

    assert diary.steps == []
    (event,) = diary.events
    assert (event.kind, event.actor, event.subject) == (EventKind.ACCESS_REFUSED, EVE, appointment.id)


def test_what_does_not_exist_is_not_found_and_that_is_not_recorded() -> None:
    diary = a_diary([EVE])
    missing = AppointmentId(a_user_id())

    for only_on in (None, SlotId(a_user_id())):
        with pytest.raises(NotFound):
            diary.decide(Cancelling(actor=an_actor(EVE), appointment=missing, reason="ill", only_on=only_on), HAPPENED)

    assert diary.events == []


@pytest.mark.parametrize("status", [one for one in AppointmentStatus if one not in UNFINISHED])
def test_what_is_over_is_not_cancelled(status: AppointmentStatus) -> None:
    appointment = an_appointment(status=status)

    with pytest.raises(AppointmentNotBooked):
        cancel(diary_of(appointment), appointment, ADMIN)


def test_what_has_started_is_not_cancelled_by_anybody() -> None:
    appointment = an_appointment(slot=a_slot(time=a_time(NOW)))

    for who in (appointment.patient.id, appointment.doctor.id, ADMIN):
        with pytest.raises(AppointmentStarted):
            cancel(diary_of(appointment), appointment, who)


def test_an_appointment_is_cancelled_once() -> None:
    appointment = an_appointment()
    diary = diary_of(appointment)
    cancel(diary, appointment, appointment.patient.id)

    with pytest.raises(AppointmentNotBooked):
        cancel(diary, appointment, appointment.doctor.id)

    assert len(diary.steps) == len(diary.events) == 1


def test_the_slot_and_the_patients_time_are_free_again() -> None:
    slot, bob = a_slot(), a_user_id()
    appointment = an_appointment(slot=slot)
    ada = appointment.patient.id
    diary = a_diary([ada, bob], [slot, other := a_slot()], appointments=[appointment])

    cancel(diary, appointment, ada)

    assert diary.book(a_booking(an_actor(bob), slot.id), HAPPENED).slot == slot.id
    assert diary.book(a_booking(an_actor(ada), other.id), HAPPENED).slot == other.id


def test_where_it_must_still_stand_on_a_slot_it_is_cancelled_there_and_nowhere_else() -> None:
    appointment = an_appointment()
    diary = diary_of(appointment)

    with pytest.raises(AppointmentMoved):
        cancel(diary, appointment, appointment.doctor.id, only_on=a_slot().id)

    assert (diary.steps, diary.events) == ([], [])
    assert cancel(diary, appointment, appointment.doctor.id, only_on=appointment.slot).cancellation


def test_that_it_was_moved_comes_before_whose_it_is_by_now_and_what_became_of_it() -> None:
    """Whoever had it and is told so need not have it any more; nobody was turned away."""
    appointment = an_appointment(status=AppointmentStatus.CANCELLED)
    former = a_user_id()
    diary = a_diary(roles={former: Role.DOCTOR}, appointments=[appointment])

    with pytest.raises(AppointmentMoved):
        diary.decide(
            Cancelling(actor=an_actor(former), appointment=appointment.id, reason="ill", only_on=a_slot().id), HAPPENED
        )

    assert diary.events == []


@pytest.mark.parametrize("reason", ["", "  ", "x" * 201, "\x00"])
def test_a_reason_says_something(reason: str) -> None:
    with pytest.raises(Invalid) as refused:
        Cancelling(actor=an_actor(), appointment=an_appointment().id, reason=reason)

    assert refused.value.faults[0].path == ("reason",)


def test_the_codes_are_those_of_fhir_r4() -> None:
    codes = """
        pat pat-crs pat-cpp pat-dec pat-fb pat-lt pat-mt pat-mv pat-preg pat-swl pat-ucp
        prov prov-pers prov-dch prov-edu prov-hosp prov-labs prov-mri prov-onc maint meds-inc
        other oth-cms oth-err oth-fin oth-iv oth-int oth-mu oth-room oth-oerr oth-swie oth-weath
    """

    assert sorted(ReasonCode) == sorted(codes.split())
