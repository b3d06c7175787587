"""The life of an appointment: what it may become, from when on, and until when."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

import pytest

from healthcare.domain.kernel import Money
from healthcare.domain.scheduling.cancellation import EXPIRED, RELEASED, Cancellation, ReasonCode
from healthcare.domain.scheduling.errors import (
    AppointmentNotBooked,
    AppointmentStarted,
    CheckInTooEarly,
    HoldExtended,
    NothingToUndo,
    NotMissed,
)
from healthcare.domain.scheduling.model import HELD_FOR, Appointment
from healthcare.domain.scheduling.status import NOT_LIVE, TRANSITIONS, UNFINISHED, AppointmentStatus
from tests.builders import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    TOMORROW,
    a_doctor,
    a_hold,
    a_slot,
    a_time,
    a_user_id,
    an_appointment,
)

MOMENT = timedelta(microseconds=1)
PENDING, BOOKED, CHECKED_IN, FULFILLED, CANCELLED, NOSHOW, ENTERED_IN_ERROR = AppointmentStatus

COMMANDS: Final[list[Callable[[Appointment], Appointment]]] = [
    lambda one: one.at(one.time.start),
    lambda one: one.extend(),
    lambda one: one.confirm(),
    lambda one: one.release(),
    lambda one: one.move(a_slot(), now=NOW),
    lambda one: one.cancel("ill", by=one.patient.id, now=NOW),
    lambda one: one.check_in(now=one.time.start),
    lambda one: one.miss(now=one.time.end + DAY),
    lambda one: one.undo(),
    lambda one: one.fulfil(),
]
"""Whatever can be done to an appointment, each at a time at which nothing is too early or too late."""


def all_but(*these: AppointmentStatus) -> list[AppointmentStatus]:
    return [status for status in AppointmentStatus if status not in these]


def in_status(status: AppointmentStatus) -> Appointment:
    return a_hold() if status is PENDING else an_appointment(status=status)


def what_becomes_of(appointment: Appointment) -> list[Appointment]:
    """Return what each command makes of it, unless it refuses or changes nothing."""
    outcomes: list[Appointment] = []
    for command in COMMANDS:
        with suppress(AppointmentNotBooked, NothingToUndo, HoldExtended):
            outcomes.append(command(appointment))
    return [one for one in outcomes if one is not appointment]


@pytest.mark.parametrize("before", AppointmentStatus)
@pytest.mark.parametrize("after", AppointmentStatus)
def test_a_status_becomes_what_the_table_says_and_nothing_else(
    before: AppointmentStatus, after: AppointmentStatus
) -> None:
    """Only operators correct what was entered in error."""
    changed = {one.status for one in what_becomes_of(in_status(before))} - {before}

    assert (after in changed) is (after in TRANSITIONS[before] and after is not ENTERED_IN_ERROR)


@pytest.mark.parametrize("status", AppointmentStatus)
def test_every_change_raises_the_version_by_one(status: AppointmentStatus) -> None:
    appointment = in_status(status)

    assert {one.version for one in what_becomes_of(appointment)} <= {appointment.version + 1}


@pytest.mark.parametrize("status", AppointmentStatus)
def test_whose_it_is_never_changes(status: AppointmentStatus) -> None:
    appointment = in_status(status)

    assert {(one.id, one.patient) for one in what_becomes_of(appointment)} <= {(appointment.id, appointment.patient)}


@pytest.mark.parametrize("status", AppointmentStatus)
def test_only_a_hold_ends_by_itself_and_only_what_is_cancelled_says_why(status: AppointmentStatus) -> None:
    for one in what_becomes_of(in_status(status)):
        assert (one.expires_at is not None) is (one.status is PENDING)
        assert (one.cancellation is not None) is (one.status is CANCELLED)


def test_the_table_knows_every_status_and_none_becomes_itself() -> None:
    assert set(TRANSITIONS) == set(AppointmentStatus)
    assert [status for status, after in TRANSITIONS.items() if status in after] == []


def test_what_was_given_up_claims_nothing_and_never_will_again() -> None:
    assert set(NOT_LIVE) == {CANCELLED, ENTERED_IN_ERROR}
    assert all(TRANSITIONS[status] <= NOT_LIVE for status in NOT_LIVE)


@pytest.mark.parametrize("status", AppointmentStatus)
def test_an_appointment_claims_its_slot_unless_it_was_cancelled_or_never_was(status: AppointmentStatus) -> None:
    assert in_status(status).live is (status not in {CANCELLED, ENTERED_IN_ERROR})


def test_the_patient_may_still_come_until_care_begins_or_the_appointment_is_over() -> None:
    assert set(UNFINISHED) == {PENDING, BOOKED, CHECKED_IN}


def test_a_hold_is_one_until_it_runs_out() -> None:
    hold = a_hold(expires_at=NOW)

    assert hold.at(NOW - MOMENT) is hold


def test_a_hold_that_has_run_out_is_cancelled() -> None:
    hold = a_hold(expires_at=NOW, version=2)

    after = hold.at(NOW)

    assert (after.status, after.version, after.live) == (CANCELLED, 3, False)
    assert after.cancellation == EXPIRED == Cancellation("expired", ReasonCode.OTHER)
    assert after.expires_at is None


def test_what_is_no_hold_never_runs_out() -> None:
    appointment = an_appointment()

    assert appointment.at(TOMORROW + DAY) is appointment


def test_what_was_a_hold_runs_out_no_more() -> None:
    booked, released = a_hold().confirm(), a_hold().release()

    assert booked.at(TOMORROW) is booked
    assert released.at(TOMORROW) is released


def test_a_hold_can_be_extended_by_five_minutes_from_its_end() -> None:
    hold = a_hold(expires_at=NOW + MINUTE)

    after = hold.extend()

    assert after.expires_at == NOW + 6 * MINUTE == NOW + MINUTE + HELD_FOR
    assert (after.status, after.extended, after.version) == (PENDING, True, 2)


def test_a_hold_can_be_extended_once() -> None:
    with pytest.raises(HoldExtended):
        a_hold().extend().extend()


def test_a_confirmed_hold_is_booked_on_the_terms_of_when_it_was_held() -> None:
    hold = a_hold(slot=a_slot(fee=Money(7500, "CHF"), notice_hours=24), version=2, extended=True)

    booked = hold.confirm()

    assert (booked.status, booked.version, booked.expires_at) == (BOOKED, 3, None)
    assert (booked.id, booked.fee, booked.notice_hours) == (hold.id, Money(7500, "CHF"), 24)


def test_a_released_hold_is_cancelled_by_its_patient_and_never_late() -> None:
    released = a_hold(slot=a_slot(time=a_time(NOW + MINUTE), notice_hours=168)).release()

    assert (released.status, released.version) == (CANCELLED, 2)
    assert released.cancellation == RELEASED == Cancellation("released", ReasonCode.PAT, late=False)


def test_a_moved_appointment_claims_the_other_slot_and_time_and_stays_itself() -> None:
    appointment, slot = an_appointment(version=3), a_slot(time=a_time(TOMORROW + DAY))

    moved = appointment.move(slot, now=NOW)

    assert (moved.slot, moved.doctor, moved.time) == (slot.id, slot.doctor, slot.time)
    assert (moved.id, moved.patient) == (appointment.id, appointment.patient)
    assert (moved.status, moved.version) == (BOOKED, 4)


def test_whoever_stays_with_the_same_doctor_keeps_their_terms() -> None:
    doctor = a_doctor()
    appointment = an_appointment(slot=a_slot(doctor=doctor, fee=Money(4900, "EUR"), notice_hours=24))

    moved = appointment.move(a_slot(doctor=doctor, fee=Money(9900, "EUR"), notice_hours=48), now=NOW)

    assert (moved.fee, moved.notice_hours) == (Money(4900, "EUR"), 24)


def test_whoever_goes_to_another_doctor_takes_over_their_terms() -> None:
    appointment = an_appointment(slot=a_slot(fee=Money(4900, "EUR"), notice_hours=24))

    moved = appointment.move(a_slot(fee=Money(9900, "CHF"), notice_hours=48), now=NOW)

    assert (moved.fee, moved.notice_hours) == (Money(9900, "CHF"), 48)


def test_an_appointment_can_be_moved_until_it_starts() -> None:
    appointment, slot = an_appointment(), a_slot(time=a_time(TOMORROW + DAY))

    appointment.move(slot, now=appointment.time.start - MOMENT)
    with pytest.raises(AppointmentStarted):
        appointment.move(slot, now=appointment.time.start)


@pytest.mark.parametrize("status", all_but(BOOKED))
def test_only_what_is_booked_can_be_moved_and_that_comes_before_that_it_has_started(status: AppointmentStatus) -> None:
    appointment = in_status(status)

    with pytest.raises(AppointmentNotBooked):
        appointment.move(a_slot(), now=NOW)
    with pytest.raises(AppointmentNotBooked):
        appointment.move(a_slot(), now=appointment.time.start)


@pytest.mark.parametrize("status", [PENDING, BOOKED, CHECKED_IN])
def test_an_appointment_can_be_cancelled_until_it_starts(status: AppointmentStatus) -> None:
    appointment = in_status(status)

    cancelled = appointment.cancel("ill", by=appointment.patient.id, now=appointment.time.start - MOMENT)

    assert (cancelled.status, cancelled.version) == (CANCELLED, appointment.version + 1)
    with pytest.raises(AppointmentStarted):
        appointment.cancel("ill", by=appointment.patient.id, now=appointment.time.start)


@pytest.mark.parametrize("status", all_but(*UNFINISHED))
def test_nothing_else_can_be_cancelled_and_that_comes_before_that_it_has_started(status: AppointmentStatus) -> None:
    appointment = in_status(status)

    with pytest.raises(AppointmentNotBooked):
        appointment.cancel("ill", by=appointment.patient.id, now=NOW)
    with pytest.raises(AppointmentNotBooked):
        appointment.cancel("ill", by=appointment.patient.id, now=appointment.time.end)


def test_a_cancellation_keeps_the_words_of_whoever_cancelled_and_says_who_that_was() -> None:
    appointment = an_appointment()
    people = {
        appointment.patient.id: ReasonCode.PAT,
        appointment.doctor.id: ReasonCode.PROV,
        a_user_id(): ReasonCode.OTHER,
    }

    for who, code in people.items():
        assert appointment.cancel("ill", by=who, now=NOW).cancellation == Cancellation("ill", code)


def test_whoever_cancels_may_give_a_code_that_says_more() -> None:
    appointment = an_appointment()

    for who in (appointment.patient.id, appointment.doctor.id, a_user_id()):
        cancelled = appointment.cancel("snow", ReasonCode.OTH_WEATH, by=who, now=NOW)
        assert cancelled.cancellation == Cancellation("snow", ReasonCode.OTH_WEATH)


@pytest.mark.parametrize(("notice", "before", "late"), [(24, 24 * HOUR, False), (24, 24 * HOUR - MOMENT, True)])
@pytest.mark.parametrize("status", [BOOKED, CHECKED_IN])
def test_a_patient_is_late_once_less_time_is_left_than_the_doctor_asks_for(
    status: AppointmentStatus, notice: int, before: timedelta, late: bool
) -> None:
    appointment = an_appointment(slot=a_slot(notice_hours=notice), status=status)

    cancelled = appointment.cancel("ill", by=appointment.patient.id, now=appointment.time.start - before)

    assert cancelled.cancellation == Cancellation("ill", ReasonCode.PAT, late=late)


def test_where_the_doctor_asks_for_no_notice_nobody_is_late() -> None:
    appointment = an_appointment(slot=a_slot(notice_hours=0))

    cancelled = appointment.cancel("ill", by=appointment.patient.id, now=appointment.time.start - MOMENT)

    assert cancelled.cancellation == Cancellation("ill", ReasonCode.PAT, late=False)


def test_only_the_patient_is_ever_late() -> None:
    appointment = an_appointment(slot=a_slot(notice_hours=168))

    for who in (appointment.doctor.id, a_user_id()):
        cancelled = appointment.cancel("ill", ReasonCode.PAT, by=who, now=appointment.time.start - MOMENT)
        assert cancelled.cancellation == Cancellation("ill", ReasonCode.PAT, late=False)


def test_check_in_opens_fifteen_minutes_before_the_start() -> None:
    appointment = an_appointment(version=3)

    checked_in = appointment.check_in(now=appointment.time.start - 15 * MINUTE)

    assert (checked_in.status, checked_in.version) == (CHECKED_IN, 4)
    with pytest.raises(CheckInTooEarly):
        appointment.check_in(now=appointment.time.start - 15 * MINUTE - MOMENT)


def test_check_in_does_not_close_while_the_appointment_is_booked() -> None:
    appointment = an_appointment()

    assert appointment.check_in(now=appointment.time.end + DAY).status is CHECKED_IN


def test_a_second_check_in_changes_nothing_whenever_it_comes() -> None:
    appointment = an_appointment(status=CHECKED_IN)

    assert appointment.check_in(now=NOW) is appointment


@pytest.mark.parametrize("status", all_but(BOOKED, CHECKED_IN))
def test_nobody_checks_in_for_what_is_not_booked_and_that_comes_before_too_early(status: AppointmentStatus) -> None:
    appointment = in_status(status)

    with pytest.raises(AppointmentNotBooked):
        appointment.check_in(now=appointment.time.start)
    with pytest.raises(AppointmentNotBooked):
        appointment.check_in(now=NOW)


def test_an_appointment_is_missed_fifteen_minutes_after_its_end() -> None:
    appointment = an_appointment(version=3)

    missed = appointment.miss(now=appointment.time.end + 15 * MINUTE)

    assert (missed.status, missed.version) == (NOSHOW, 4)
    with pytest.raises(NotMissed):
        appointment.miss(now=appointment.time.end + 15 * MINUTE - MOMENT)


@pytest.mark.parametrize("status", all_but(BOOKED))
def test_nobody_misses_what_is_not_booked_and_that_comes_before_not_yet(status: AppointmentStatus) -> None:
    appointment = in_status(status)

    with pytest.raises(AppointmentNotBooked):
        appointment.miss(now=appointment.time.end + DAY)
    with pytest.raises(AppointmentNotBooked):
        appointment.miss(now=NOW)


def test_a_mistaken_check_in_is_booked_again() -> None:
    undone = an_appointment(status=CHECKED_IN, version=3).undo()

    assert (undone.status, undone.version) == (BOOKED, 4)


def test_who_was_not_missing_after_all_has_checked_in() -> None:
    undone = an_appointment(status=NOSHOW, version=3).undo()

    assert (undone.status, undone.version) == (CHECKED_IN, 4)


@pytest.mark.parametrize("status", all_but(CHECKED_IN, NOSHOW))
def test_nothing_else_can_be_undone(status: AppointmentStatus) -> None:
    with pytest.raises(NothingToUndo):
        in_status(status).undo()


@pytest.mark.parametrize("status", [BOOKED, CHECKED_IN])
def test_care_can_begin_whether_or_not_the_patient_checked_in(status: AppointmentStatus) -> None:
    fulfilled = an_appointment(status=status, version=3).fulfil()

    assert (fulfilled.status, fulfilled.version) == (FULFILLED, 4)


@pytest.mark.parametrize("status", all_but(BOOKED, CHECKED_IN))
def test_care_cannot_come_of_anything_else(status: AppointmentStatus) -> None:
    with pytest.raises(AppointmentNotBooked):
        in_status(status).fulfil()
