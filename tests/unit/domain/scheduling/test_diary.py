"""How bookings are decided."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthcare.domain.kernel import (
    Actor,
    EventKind,
    Forbidden,
    Invalid,
    NotFound,
    Outcome,
    Refusal,
    Role,
    SlotId,
    Unauthenticated,
)
from healthcare.domain.scheduling.asks import Booking
from healthcare.domain.scheduling.diary import Diary, Receipt
from healthcare.domain.scheduling.errors import KeyReused, PatientBusy, SlotInThePast, SlotTaken
from healthcare.domain.scheduling.model import Appointment
from healthcare.domain.scheduling.search import Touched
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.builders import (
    HOUR,
    MINUTE,
    NOBODY,
    NOW,
    TOMORROW,
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


def decide(diary: Diary, ask: Booking) -> Appointment:
    answer = diary.decide(ask, HAPPENED)
    assert isinstance(answer, Appointment)
    return answer


def test_a_patient_gets_the_slot_they_ask_for() -> None:
    ada, slot = a_user_id(), a_slot()
    diary = a_diary([ada], [slot])

    appointment = decide(diary, a_booking(an_actor(ada), slot.id))

    assert (appointment.slot, appointment.patient.id) == (slot.id, ada)


def test_what_was_decided_is_there_to_be_kept_with_its_receipt_and_its_event() -> None:
    ada, slot = a_user_id(), a_slot()
    diary, ask = a_diary([ada], [slot]), a_booking(an_actor(ada), slot.id)

    appointment = decide(diary, ask)

    assert (diary.steps, diary.new) == ([appointment], {appointment.id})
    assert diary.fresh == {(ada, ask.key): Receipt(ask.fingerprint, appointment)}
    (event,) = diary.events
    assert (event.kind, event.actor) == (EventKind.APPOINTMENT_BOOKED, ada)
    assert (event.subject, event.request) == (appointment.id, ask.actor.request)
    assert diary.touched == {Touched.by(slot)}
    assert (diary.replayed, diary.withdrawn) == ({}, [])


def test_what_was_there_before_is_still_known_after_the_decisions() -> None:
    ada, slot = a_user_id(), a_slot()
    held = a_hold(slot=slot, patient=a_patient(ada))
    diary = a_diary([ada], [slot], appointments=[held])

    decide(diary, a_booking(an_actor(ada), slot.id))

    assert diary.seen == {held.id: held}
    assert diary.appointments[held.id].status is AppointmentStatus.BOOKED


def test_of_two_who_want_one_slot_the_first_wins() -> None:
    ada, bob, slot = a_user_id(), a_user_id(), a_slot()
    diary = a_diary([ada, bob], [slot])

    won = decide(diary, a_booking(an_actor(ada), slot.id))
    with pytest.raises(SlotTaken):
        decide(diary, a_booking(an_actor(bob), slot.id))

    assert diary.steps == [won]


def test_of_two_overlapping_slots_one_patient_gets_the_first() -> None:
    ada, slot, other = a_user_id(), a_slot(), a_slot(time=a_time(TOMORROW + 29 * MINUTE))
    diary = a_diary([ada], [slot, other])

    decide(diary, a_booking(an_actor(ada), slot.id))
    with pytest.raises(PatientBusy):
        decide(diary, a_booking(an_actor(ada), other.id))


def test_two_patients_get_overlapping_slots() -> None:
    ada, bob, slot, other = a_user_id(), a_user_id(), a_slot(), a_slot()
    diary = a_diary([ada, bob], [slot, other])

    decide(diary, a_booking(an_actor(ada), slot.id))
    decide(diary, a_booking(an_actor(bob), other.id))

    assert len(diary.steps) == 2


def test_one_patient_gets_slots_that_follow_each_other() -> None:
    ada, slot, following = a_user_id(), a_slot(), a_slot(time=a_time(TOMORROW + 30 * MINUTE))
    diary = a_diary([ada], [slot, following])

    decide(diary, a_booking(an_actor(ada), slot.id))
    decide(diary, a_booking(an_actor(ada), following.id))

    assert len(diary.steps) == 2


def test_a_patient_who_has_another_appointment_then_is_busy() -> None:
    ada, slot, earlier = a_user_id(), a_slot(), a_slot(time=a_time(TOMORROW - HOUR, HOUR + MINUTE))
    diary = a_diary([ada], [slot], appointments=[an_appointment(slot=earlier, patient=a_patient(ada))])

    with pytest.raises(PatientBusy):
        decide(diary, a_booking(an_actor(ada), slot.id))


def test_a_patient_whose_appointment_then_was_cancelled_is_not_busy() -> None:
    ada, slot = a_user_id(), a_slot()
    given_up = an_appointment(patient=a_patient(ada), status=AppointmentStatus.CANCELLED)
    diary = a_diary([ada], [slot], appointments=[given_up])

    assert decide(diary, a_booking(an_actor(ada), slot.id)).slot == slot.id


def test_a_refusal_leaves_the_slot_to_others() -> None:
    ada, bob, slot = a_user_id(), a_user_id(), a_slot()
    diary = a_diary([ada, bob], [slot], appointments=[an_appointment(patient=a_patient(ada))])

    with pytest.raises(PatientBusy):
        decide(diary, a_booking(an_actor(ada), slot.id))

    assert decide(diary, a_booking(an_actor(bob), slot.id)).patient.id == bob


def test_a_key_that_was_answered_before_gives_the_same_answer_and_does_nothing() -> None:
    ada, slot = a_user_id(), a_slot()
    answered, ask = an_appointment(slot=slot), a_booking(an_actor(ada), slot.id)
    receipts = {(ada, ask.key): Receipt(ask.fingerprint, answered)}
    diary = a_diary([ada], [slot], appointments=[answered], receipts=receipts)

    assert decide(diary, ask) is answered
    assert (diary.steps, diary.events, diary.fresh) == ([], [], {})
    assert diary.replayed == {(ada, ask.key): 1}


def test_who_is_answered_again_may_be_the_first_to_hear_of_it_so_searches_are_told_again() -> None:
    ada, slot = a_user_id(), a_slot()
    ask = a_booking(an_actor(ada), slot.id)
    diary = a_diary([ada], receipts={(ada, ask.key): Receipt(ask.fingerprint, an_appointment(slot=slot))})

    decide(diary, ask)

    assert diary.touched == {Touched.by(slot)}


def test_a_key_sent_twice_at_once_gives_the_same_answer_and_one_appointment() -> None:
    ada, slot = a_user_id(), a_slot()
    diary, ask = a_diary([ada], [slot]), a_booking(an_actor(ada), slot.id)

    assert decide(diary, ask) is decide(diary, ask)
    assert len(diary.steps) == len(diary.events) == 1
    assert diary.replayed == {(ada, ask.key): 1}


def test_a_key_that_was_refused_is_decided_anew() -> None:
    ada, slot = a_user_id(), a_slot()
    ask = a_booking(an_actor(ada), slot.id)
    diary = a_diary([ada], [slot], appointments=[an_appointment(slot=slot)])
    with pytest.raises(SlotTaken):
        decide(diary, ask)

    assert diary.fresh == {}
    assert decide(a_diary([ada], [slot]), ask).slot == slot.id


def test_a_key_that_was_used_for_another_slot_is_refused() -> None:
    ada, slot, other = a_user_id(), a_slot(), a_slot()
    diary, ask = a_diary([ada], [slot, other]), a_booking(an_actor(ada), slot.id)
    decide(diary, ask)

    with pytest.raises(KeyReused) as refused:
        decide(diary, a_booking(an_actor(ada), other.id, key=ask.key))

    assert refused.value.faults[0].path == ("Idempotency-Key",)


def test_a_key_belongs_to_its_user() -> None:
    ada, bob, slot, other = a_user_id(), a_user_id(), a_slot(), a_slot()
    diary = a_diary([ada, bob], [slot, other])

    mine = decide(diary, a_booking(an_actor(ada), slot.id, key="same"))
    theirs = decide(diary, a_booking(an_actor(bob), other.id, key="same"))

    assert mine.patient.id != theirs.patient.id


@pytest.mark.parametrize("role", [Role.DOCTOR, Role.ADMIN])
def test_who_is_no_patient_is_turned_away_and_that_is_recorded(role: Role) -> None:
    who, slot = an_actor(), a_slot()
    diary = a_diary(roles={who.known: role}, slots=[slot])

    with pytest.raises(Forbidden) as refused:
        decide(diary, a_booking(who, slot.id))

    (event,) = diary.events
    assert (event.kind, event.outcome) == (EventKind.ACCESS_REFUSED, Outcome.REFUSED)
    assert (event.actor, event.subject, event.request) == (who.user, slot.id, who.request)
    assert (refused.value.actor, refused.value.subject) == (who, slot.id)


@pytest.mark.parametrize("who", [NOBODY, Actor(a_user_id(), "request-of-a-stranger")])
def test_nobody_and_those_we_do_not_know_have_to_sign_in_and_that_is_not_recorded(who: Actor) -> None:
    diary = a_diary(slots=[slot := a_slot()])

    with pytest.raises(Unauthenticated):
        decide(diary, a_booking(who, slot.id))

    assert diary.events == []


def test_a_slot_that_does_not_exist_or_is_not_offered_is_not_found() -> None:
    ada, withdrawn = a_user_id(), a_slot(offered=False)
    diary = a_diary([ada], [withdrawn])

    for slot in (SlotId(uuid4()), withdrawn.id):
        with pytest.raises(NotFound):
            decide(diary, a_booking(an_actor(ada), slot))


def test_refusals_come_in_order() -> None:
    """Role, key, existence, taken, past, busy: whoever fixes one thing meets the next."""
    ada, now = a_user_id(), a_slot()
    past = a_slot(id=now.id, time=a_time(NOW - HOUR))
    ask = a_booking(an_actor(ada), now.id)
    used = {(ada, ask.key): Receipt(b"something else", an_appointment())}
    busy = [an_appointment(slot=a_slot(time=one.time), patient=a_patient(ada)) for one in (past, now)]
    taken = [*busy, an_appointment(slot=past)]

    def refusal(diary: Diary) -> type[Exception]:
        with pytest.raises(Refusal) as refused:
            decide(diary, ask)
        return refused.type

    assert refusal(a_diary([ada], [], roles={ada: Role.DOCTOR}, receipts=used)) is Forbidden
    assert refusal(a_diary([ada], [], appointments=taken, receipts=used)) is KeyReused
    assert refusal(a_diary([ada], [], appointments=taken)) is NotFound
    assert refusal(a_diary([ada], [past], appointments=taken)) is SlotTaken
    assert refusal(a_diary([ada], [past], appointments=busy)) is SlotInThePast
    assert refusal(a_diary([ada], [now], appointments=busy)) is PatientBusy
    assert decide(a_diary([ada], [now]), ask).slot == now.id


@pytest.mark.parametrize("key", ["", " ", "a b", "a\n", "\x7f", "é", "x" * 256])
def test_a_key_is_visible_ascii(key: str) -> None:
    with pytest.raises(Invalid) as refused:
        a_booking(key=key)

    assert refused.value.faults[0].path == ("Idempotency-Key",)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255))
def test_any_visible_ascii_is_a_key(key: str) -> None:
    assert a_booking(key=key).key == key
