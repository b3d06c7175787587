"""How holds are made, extended, released, booked, and how they run out."""

from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import pytest

from healthcare.domain.kernel import Actor, Event, EventKind, Forbidden, NotFound, Refusal, Role, SlotId, UserId
from healthcare.domain.scheduling.asks import Ask, Booking, Cancelling, Holding, Release
from healthcare.domain.scheduling.cancellation import EXPIRED, RELEASED
from healthcare.domain.scheduling.diary import Diary, Receipt
from healthcare.domain.scheduling.errors import HoldExtended, PatientBusy, SlotInThePast, SlotTaken, TooManyHolds
from healthcare.domain.scheduling.model import HELD_FOR, MOST_HOLDS, Appointment, Slot
from healthcare.domain.scheduling.search import Touched
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.builders import (
    HOUR,
    MINUTE,
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

Claim = Callable[[Diary, UserId, Slot], Appointment]


def hold(diary: Diary, who: UserId, slot: Slot) -> Appointment:
    return diary.hold(Holding(actor=an_actor(who), slot=slot.id), HAPPENED)


def release(diary: Diary, who: UserId, slot: Slot) -> Appointment:
    return diary.release(Release(actor=an_actor(who), slot=slot.id), HAPPENED)


def book(diary: Diary, who: UserId, slot: Slot) -> Appointment:
    return diary.book(a_booking(an_actor(who), slot.id), HAPPENED)


def sweep(diary: Diary) -> None:
    diary.sweep(HAPPENED, request="request-7")


def kinds(events: list[Event]) -> list[EventKind]:
    return [event.kind for event in events]


def holds_of(who: UserId, number: int) -> list[Appointment]:
    """Return holds at different times, each on a slot of its own."""
    slots = [a_slot(time=a_time(TOMORROW + (place + 1) * HOUR)) for place in range(number)]
    return [a_hold(slot=slot, patient=a_patient(who)) for slot in slots]


def test_a_patient_holds_a_free_slot_for_five_minutes_from_the_moment_of_the_diary() -> None:
    ada, slot = a_user_id(), a_slot()
    diary = a_diary([ada], [slot], now=NOW + MINUTE)

    held = hold(diary, ada, slot)

    assert (held.slot, held.patient.id, held.status) == (slot.id, ada, AppointmentStatus.PENDING)
    assert held.expires_at == NOW + MINUTE + HELD_FOR


def test_a_hold_is_there_to_be_kept_with_its_event_and_searches_are_told() -> None:
    ada, slot = a_user_id(), a_slot()
    diary = a_diary([ada], [slot])

    held = hold(diary, ada, slot)

    assert (diary.steps, diary.new) == ([held], {held.id})
    (event,) = diary.events
    assert (event.kind, event.actor, event.subject) == (EventKind.SLOT_HELD, ada, held.id)
    assert diary.touched == {Touched.by(slot)}


def test_for_everybody_else_a_held_slot_is_taken() -> None:
    ada, bob, slot = a_user_id(), a_user_id(), a_slot()
    diary = a_diary([ada, bob], [slot])
    hold(diary, ada, slot)

    with pytest.raises(SlotTaken):
        hold(diary, bob, slot)
    with pytest.raises(SlotTaken):
        book(diary, bob, slot)


def test_who_has_booked_a_slot_cannot_hold_it() -> None:
    ada, slot = a_user_id(), a_slot()
    diary = a_diary([ada], [slot], appointments=[an_appointment(slot=slot, patient=a_patient(ada))])

    with pytest.raises(SlotTaken):
        hold(diary, ada, slot)


def test_a_hold_claims_its_patients_time() -> None:
    ada, slot, overlapping = a_user_id(), a_slot(), a_slot(time=a_time(TOMORROW + 29 * MINUTE))
    diary = a_diary([ada], [slot, overlapping])
    hold(diary, ada, slot)

    with pytest.raises(PatientBusy):
        hold(diary, ada, overlapping)
    with pytest.raises(PatientBusy):
        book(diary, ada, overlapping)


def test_whoever_holds_a_slot_again_holds_it_for_five_minutes_more() -> None:
    ada, slot = a_user_id(), a_slot()
    first = a_hold(slot=slot, patient=a_patient(ada), expires_at=NOW + MINUTE)
    diary = a_diary([ada], [slot], appointments=[first])

    longer = hold(diary, ada, slot)

    assert (longer.id, longer.expires_at, longer.version) == (first.id, NOW + 6 * MINUTE, 2)
    assert (diary.steps, diary.new, kinds(diary.events)) == ([longer], set(), [EventKind.HOLD_EXTENDED])


def test_a_hold_is_extended_once() -> None:
    ada, slot = a_user_id(), a_slot()
    diary = a_diary([ada], [slot])
    hold(diary, ada, slot)
    longer = hold(diary, ada, slot)

    with pytest.raises(HoldExtended):
        hold(diary, ada, slot)

    assert diary.appointments[longer.id] is longer


def test_a_patient_holds_three_slots_at_most() -> None:
    ada, slot = a_user_id(), a_slot()
    diary = a_diary([ada], [slot], appointments=holds_of(ada, MOST_HOLDS))

    with pytest.raises(TooManyHolds):
        hold(diary, ada, slot)

    assert MOST_HOLDS == 3
    assert (diary.steps, diary.events) == ([], [])


def test_a_third_hold_is_not_too_many_whatever_others_hold() -> None:
    ada, slot = a_user_id(), a_slot()
    diary = a_diary([ada], [slot], appointments=[*holds_of(ada, 2), *holds_of(a_user_id(), 3)])

    assert hold(diary, ada, slot).status is AppointmentStatus.PENDING


def test_who_holds_three_slots_may_extend_each_and_book_another() -> None:
    ada, slot = a_user_id(), a_slot()
    held = holds_of(ada, 3)
    slots = [a_slot(id=one.slot, doctor=one.doctor, time=one.time) for one in held]
    diary = a_diary([ada], [slot, *slots], appointments=held)

    assert [hold(diary, ada, one).extended for one in slots] == [True, True, True]
    assert book(diary, ada, slot).status is AppointmentStatus.BOOKED


def test_who_books_or_releases_a_hold_or_lets_it_run_out_may_hold_another() -> None:
    ada, slot = a_user_id(), a_slot()
    held = holds_of(ada, 3)
    first = a_slot(id=held[0].slot, time=held[0].time)

    for let_go in (book, release):
        diary = a_diary([ada], [slot, first], appointments=held)
        let_go(diary, ada, first)
        assert hold(diary, ada, slot).slot == slot.id

    diary = a_diary([ada], [slot], appointments=[*held[1:], a_hold(patient=a_patient(ada), expires_at=NOW)])
    sweep(diary)
    assert hold(diary, ada, slot).slot == slot.id


def test_who_books_the_slot_they_hold_gets_an_appointment_with_the_holds_id() -> None:
    ada, slot = a_user_id(), a_slot()
    held = a_hold(slot=slot, patient=a_patient(ada), version=2)
    diary, ask = a_diary([ada], [slot], appointments=[held]), a_booking(an_actor(ada), slot.id)

    booked = diary.book(ask, HAPPENED)

    assert (booked.id, booked.status, booked.version) == (held.id, AppointmentStatus.BOOKED, 3)
    assert (diary.steps, diary.new, kinds(diary.events)) == ([booked], set(), [EventKind.APPOINTMENT_BOOKED])
    assert diary.fresh == {(ada, ask.key): Receipt(ask.fingerprint, booked)}


def test_who_holds_and_books_in_one_list_gets_one_appointment() -> None:
    ada, slot = a_user_id(), a_slot()
    diary = a_diary([ada], [slot])

    held, booked = hold(diary, ada, slot), book(diary, ada, slot)

    assert held.id == booked.id
    assert diary.new == {held.id}
    assert [one.version for one in diary.steps] == [1, 2]


@pytest.mark.parametrize("claim", [hold, book])
def test_the_holder_too_finds_no_slot_that_was_taken_back_or_has_started(claim: Claim) -> None:
    ada = a_user_id()
    for slot, refusal in [(a_slot(offered=False), NotFound), (a_slot(time=a_time(NOW)), SlotInThePast)]:
        diary = a_diary([ada], [slot], appointments=[a_hold(slot=slot, patient=a_patient(ada))])

        with pytest.raises(refusal):
            claim(diary, ada, slot)


def test_a_released_slot_is_free_for_others_at_once() -> None:
    ada, bob, slot = a_user_id(), a_user_id(), a_slot()
    held = a_hold(slot=slot, patient=a_patient(ada))
    diary = a_diary([ada, bob], [slot], appointments=[held])

    released = release(diary, ada, slot)

    assert (released.id, released.status, released.cancellation) == (held.id, AppointmentStatus.CANCELLED, RELEASED)
    assert kinds(diary.events) == [EventKind.HOLD_RELEASED]
    assert diary.touched == {Touched.by(slot)}
    assert hold(diary, bob, slot).patient.id == bob


def test_who_holds_nothing_has_nothing_to_release() -> None:
    ada, bob, slot, other = a_user_id(), a_user_id(), a_slot(), a_slot()
    booked = an_appointment(slot=other, patient=a_patient(ada))
    diary = a_diary([ada], [slot, other], appointments=[a_hold(slot=slot, patient=a_patient(bob)), booked])

    for one in (slot, other, a_slot()):
        with pytest.raises(NotFound):
            release(diary, ada, one)

    assert (diary.steps, diary.events) == ([], [])


def test_a_hold_is_released_once() -> None:
    ada, slot = a_user_id(), a_slot()
    diary = a_diary([ada], [slot], appointments=[a_hold(slot=slot, patient=a_patient(ada))])
    release(diary, ada, slot)

    with pytest.raises(NotFound):
        release(diary, ada, slot)


def test_what_has_run_out_is_swept_and_nobody_did_it() -> None:
    hold = a_hold(expires_at=NOW, version=2)
    diary = a_diary(appointments=[hold], now=NOW)

    sweep(diary)

    (swept,) = diary.steps
    assert (swept.id, swept.status, swept.version) == (hold.id, AppointmentStatus.CANCELLED, 3)
    assert swept.cancellation == EXPIRED
    (event,) = diary.events
    assert (event.kind, event.actor, event.subject) == (EventKind.HOLD_EXPIRED, None, hold.id)
    assert event.request == "request-7"
    assert diary.touched == {Touched.by(hold)}


def test_a_hold_that_has_run_out_ends_in_the_request_of_the_first_who_comes_upon_it() -> None:
    """By its slot, by its patient, or by an appointment of theirs, whoever else asks before."""
    ada, bob, carol = a_user_id(), a_user_id(), a_user_id()
    hold, own = a_hold(patient=a_patient(ada), expires_at=NOW), an_appointment(patient=a_patient(ada))
    diary = a_diary([ada, bob, carol], appointments=[hold, own])
    stranger = a_booking(Actor(carol, "not this one"), a_slot().id)
    asked: list[Ask] = [
        a_booking(Actor(bob, "by slot"), hold.slot),
        a_booking(Actor(ada, "by patient"), a_slot().id),
        Cancelling(actor=Actor(bob, "by appointment"), appointment=own.id, reason="no"),
    ]

    for one in asked:
        again = replace(diary, appointments=dict(diary.appointments), steps=[], events=[])
        again.sweep(HAPPENED, request="nobody's", asked=[stranger, one, *asked])

        assert [event.request for event in again.events] == [one.actor.request]


def test_what_has_not_run_out_is_left_alone() -> None:
    diary = a_diary(appointments=[a_hold(), an_appointment()], now=NOW + HELD_FOR - MINUTE)

    sweep(diary)

    assert (diary.steps, diary.events, diary.touched) == ([], [], set())


def test_what_has_run_out_is_swept_once() -> None:
    diary = a_diary(appointments=[a_hold(expires_at=NOW)])

    sweep(diary)
    sweep(diary)

    assert len(diary.steps) == len(diary.events) == 1


def test_a_slot_whose_hold_has_run_out_is_free_for_others() -> None:
    bob, slot = a_user_id(), a_slot()
    diary = a_diary([bob], [slot], appointments=[a_hold(slot=slot, expires_at=NOW)])
    sweep(diary)

    assert book(diary, bob, slot).patient.id == bob


def test_the_time_of_a_hold_that_has_run_out_is_the_patients_again() -> None:
    ada, slot = a_user_id(), a_slot()
    diary = a_diary([ada], [slot], appointments=[a_hold(patient=a_patient(ada), expires_at=NOW)])
    sweep(diary)

    assert book(diary, ada, slot).slot == slot.id


@pytest.mark.parametrize("claim", [hold, book])
def test_who_comes_back_after_their_hold_has_run_out_begins_anew(claim: Claim) -> None:
    ada, slot = a_user_id(), a_slot()
    old = a_hold(slot=slot, patient=a_patient(ada), expires_at=NOW, extended=True)
    diary = a_diary([ada], [slot], appointments=[old])
    sweep(diary)

    anew = claim(diary, ada, slot)

    assert anew.id != old.id
    assert (anew.version, anew.extended) == (1, False)
    assert diary.new == {anew.id}


def test_a_hold_that_has_run_out_cannot_be_released() -> None:
    ada, slot = a_user_id(), a_slot()
    diary = a_diary([ada], [slot], appointments=[a_hold(slot=slot, patient=a_patient(ada), expires_at=NOW)])
    sweep(diary)

    with pytest.raises(NotFound):
        release(diary, ada, slot)


@pytest.mark.parametrize("kind", [Holding, Release])
@pytest.mark.parametrize("role", [Role.DOCTOR, Role.ADMIN])
def test_only_patients_hold_and_that_others_tried_is_recorded(kind: type[Holding | Release], role: Role) -> None:
    who, slot = an_actor(), a_slot()
    diary = a_diary(roles={who.known: role}, slots=[slot])

    with pytest.raises(Forbidden):
        diary.decide(kind(actor=who, slot=slot.id), HAPPENED)

    (event,) = diary.events
    assert (event.kind, event.actor, event.subject) == (EventKind.ACCESS_REFUSED, who.user, slot.id)


def test_refusals_come_in_order() -> None:
    """Existence, taken, past, busy, too many: whoever fixes one thing meets the next."""
    ada, now = a_user_id(), a_slot()
    past = a_slot(id=now.id, time=a_time(NOW - HOUR))
    three = holds_of(ada, 3)
    busy = [*three, *(an_appointment(slot=a_slot(time=one.time), patient=a_patient(ada)) for one in (past, now))]
    taken = [*busy, an_appointment(slot=past)]

    def refusal(diary: Diary) -> type[Exception]:
        with pytest.raises(Refusal) as refused:
            hold(diary, ada, now)
        return refused.type

    assert refusal(a_diary([ada], appointments=taken)) is NotFound
    assert refusal(a_diary([ada], [past], appointments=taken)) is SlotTaken
    assert refusal(a_diary([ada], [past], appointments=busy)) is SlotInThePast
    assert refusal(a_diary([ada], [now], appointments=busy)) is PatientBusy
    assert refusal(a_diary([ada], [now], appointments=three)) is TooManyHolds
    assert hold(a_diary([ada], [now]), ada, now).slot == now.id


def test_a_slot_that_does_not_exist_cannot_be_held() -> None:
    ada = a_user_id()

    with pytest.raises(NotFound):
        a_diary([ada]).hold(Holding(actor=an_actor(ada), slot=SlotId(uuid4())), HAPPENED)


def test_a_key_gets_the_answer_of_the_booking_also_while_the_slot_is_held_anew() -> None:
    ada, slot = a_user_id(), a_slot()
    held, ask = a_hold(slot=slot, patient=a_patient(ada)), Booking(actor=an_actor(ada), slot=slot.id, key="same")
    answered = an_appointment(slot=slot, patient=a_patient(ada))
    receipts = {(ada, "same"): Receipt(ask.fingerprint, answered)}
    diary = a_diary([ada], [slot], appointments=[held], receipts=receipts)

    assert diary.book(ask, HAPPENED) is answered
    assert diary.steps == []
