"""Booking."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from healthcare.application.scheduling.decide import DecideTogether, TakenForNow
from healthcare.application.scheduling.forget_keys import KEPT
from healthcare.application.uow import OutcomeUnknown, UnitOfWork
from healthcare.domain.kernel import EventKind, Forbidden, NotFound, Refusal, Role, SlotId, Unauthenticated
from healthcare.domain.scheduling.asks import Booking
from healthcare.domain.scheduling.errors import KeyReused, PatientBusy, SlotInThePast, SlotTaken
from healthcare.domain.scheduling.model import Appointment
from healthcare.domain.scheduling.search import Touched
from tests.builders import HOUR, MINUTE, NOBODY, NOW, SYSTEM, TOMORROW, a_booking, an_actor
from tests.clinic import Clinic
from tests.unit.application.telltale import Telltale

pytestmark = pytest.mark.anyio


async def all_at_once(clinic: Clinic, asked: Sequence[Booking]) -> list[Appointment | BaseException]:
    """Book, each in a transaction of its own."""
    return await asyncio.gather(*(clinic.can.book_appointment(one) for one in asked), return_exceptions=True)


def won(outcomes: Sequence[object]) -> list[Appointment]:
    return [one for one in outcomes if isinstance(one, Appointment)]


async def test_a_patient_books_a_free_slot(clinic: Clinic) -> None:
    slot, patient = await clinic.slot(), await clinic.user(full_name="Ada Lovelace")

    appointment = await clinic.can.book_appointment(a_booking(an_actor(patient.id), slot.id))

    assert (appointment.slot, appointment.doctor, appointment.time) == (slot.id, slot.doctor, slot.time)
    assert (appointment.patient.id, appointment.patient.full_name) == (patient.id, "Ada Lovelace")
    assert await clinic.appointment(appointment.id) == appointment


async def test_a_booking_is_one_event_of_the_patient(clinic: Clinic) -> None:
    patient = await clinic.user()

    appointment = await clinic.booked(patient=patient)

    (event,) = await clinic.events()
    assert (event.kind, event.actor, event.subject) == (EventKind.APPOINTMENT_BOOKED, patient.id, appointment.id)
    assert clinic.bell.rung == 1


async def test_a_booked_slot_is_taken(clinic: Clinic) -> None:
    slot = await clinic.slot()
    await clinic.booked(slot)

    with pytest.raises(SlotTaken):
        await clinic.booked(slot)

    assert await clinic.free() == []
    assert len(await clinic.events()) == 1


async def test_a_slot_that_does_not_exist_is_not_found_and_that_is_not_recorded(clinic: Clinic) -> None:
    patient = await clinic.user()

    with pytest.raises(NotFound):
        await clinic.can.book_appointment(a_booking(an_actor(patient.id)))

    assert await clinic.events() == []


async def test_a_slot_of_somebody_who_is_no_doctor_any_more_is_not_found(clinic: Clinic) -> None:
    slot = await clinic.slot()
    async with clinic.database.begin() as uow:
        await uow.users.set_role(slot.doctor.id, Role.PATIENT)

    with pytest.raises(NotFound):
        await clinic.booked(slot)


async def test_a_slot_that_has_started_cannot_be_booked(clinic: Clinic) -> None:
    slot = await clinic.slot(start=NOW)

    with pytest.raises(SlotInThePast):
        await clinic.booked(slot)


async def test_a_patient_is_in_one_place(clinic: Clinic) -> None:
    patient = await clinic.user()
    await clinic.booked(await clinic.slot(start=TOMORROW), patient)

    with pytest.raises(PatientBusy):
        await clinic.booked(await clinic.slot(start=TOMORROW + 29 * MINUTE), patient)

    await clinic.booked(await clinic.slot(start=TOMORROW + 30 * MINUTE), patient)


async def test_refusals_come_in_order(clinic: Clinic) -> None:
    """Role, key, existence, taken, past, busy."""
    doctor, patient = await clinic.doctor(), await clinic.user()
    me, past = an_actor(patient.id), NOW + MINUTE
    (taken_and_past,) = await clinic.slots(await clinic.doctor(), past)
    (only_past,) = await clinic.slots(await clinic.doctor(), past)
    (busy,) = await clinic.slots(await clinic.doctor(), TOMORROW)
    await clinic.booked(taken_and_past)
    used = a_booking(me, (await clinic.slot(doctor, TOMORROW)).id)
    await clinic.can.book_appointment(used)
    clinic.clock.wait(2 * MINUTE)

    for expected, ask in [
        (Forbidden, a_booking(an_actor(doctor.id), SlotId(uuid4()), key=used.key)),
        (KeyReused, a_booking(me, SlotId(uuid4()), key=used.key)),
        (NotFound, a_booking(me, SlotId(uuid4()))),
        (SlotTaken, a_booking(me, taken_and_past.id)),
        (SlotInThePast, a_booking(me, only_past.id)),
        (PatientBusy, a_booking(me, busy.id)),
    ]:
        with pytest.raises(expected):
            await clinic.can.book_appointment(ask)


async def test_the_same_key_again_gets_the_same_answer_and_changes_nothing(clinic: Clinic) -> None:
    slot, patient = await clinic.slot(), await clinic.user()
    ask = a_booking(an_actor(patient.id), slot.id)

    first = await clinic.can.book_appointment(ask)
    again = await clinic.can.book_appointment(ask)

    assert first == again
    assert len(await clinic.events()) == 1
    assert clinic.bell.rung == 1


async def test_the_same_key_gets_the_answer_of_then_also_after_a_change(clinic: Clinic) -> None:
    slot, patient = await clinic.slot(), await clinic.user()
    ask = a_booking(an_actor(patient.id), slot.id)
    first = await clinic.can.book_appointment(ask)
    await clinic.can.cancel_appointment(actor=an_actor(patient.id), appointment=first.id, reason="ill")

    assert await clinic.can.book_appointment(ask) == first
    assert [one.slot for one in await clinic.appointments(patient)] == [slot.id]


async def test_the_key_of_another_patient_is_another_key(clinic: Clinic) -> None:
    one, other = await clinic.slots(await clinic.doctor(), TOMORROW, TOMORROW + HOUR)
    ada, bob = await clinic.user(), await clinic.user()

    mine = await clinic.can.book_appointment(a_booking(an_actor(ada.id), one.id, key="same"))
    theirs = await clinic.can.book_appointment(a_booking(an_actor(bob.id), other.id, key="same"))

    assert (mine.patient.id, theirs.patient.id) == (ada.id, bob.id)


async def test_a_key_that_was_refused_can_succeed_later(clinic: Clinic) -> None:
    slot, ada, bob = await clinic.slot(), await clinic.user(), await clinic.user()
    theirs = await clinic.booked(slot, bob)
    ask = a_booking(an_actor(ada.id), slot.id)
    with pytest.raises(SlotTaken):
        await clinic.can.book_appointment(ask)

    await clinic.can.cancel_appointment(actor=an_actor(bob.id), appointment=theirs.id, reason="ill")

    assert (await clinic.can.book_appointment(ask)).patient.id == ada.id


async def test_a_key_answers_for_a_day(clinic: Clinic) -> None:
    one, other = await clinic.slots(await clinic.doctor(), TOMORROW + HOUR, TOMORROW + 2 * HOUR)
    patient = await clinic.user()
    await clinic.can.book_appointment(a_booking(an_actor(patient.id), one.id, key="same"))

    clinic.clock.wait(KEPT)
    assert await clinic.can.forget_keys(actor=SYSTEM) == 0
    clinic.clock.wait(MINUTE)
    assert await clinic.can.forget_keys(actor=SYSTEM) == 1
    assert await clinic.can.forget_keys(actor=SYSTEM) == 0

    booked = await clinic.can.book_appointment(a_booking(an_actor(patient.id), other.id, key="same"))
    assert booked.slot == other.id


async def test_each_of_a_list_gets_an_answer_of_its_own(clinic: Clinic) -> None:
    slot, ada, bob, doctor = await clinic.slot(), await clinic.user(), await clinic.user(), await clinic.doctor()

    first, second, third, fourth, fifth = await clinic.together(
        [
            a_booking(an_actor(ada.id), slot.id),
            a_booking(an_actor(bob.id), slot.id),
            a_booking(an_actor(doctor.id), slot.id),
            a_booking(NOBODY, slot.id),
            a_booking(an_actor(bob.id)),
        ]
    )

    assert isinstance(first, Appointment)
    assert [type(one) for one in (second, third, fourth, fifth)] == [SlotTaken, Forbidden, Unauthenticated, NotFound]
    kinds = [event.kind for event in await clinic.events()]
    assert sorted(kinds) == [EventKind.ACCESS_REFUSED, EventKind.APPOINTMENT_BOOKED]


async def test_an_empty_list_gets_no_answers(clinic: Clinic) -> None:
    assert await clinic.together([]) == []


async def test_searches_are_told_once_the_slot_is_gone() -> None:
    telltale = Telltale()
    clinic = Clinic(cache=telltale)
    slot = await clinic.slot()
    telltale.look = clinic.free

    await clinic.booked(slot)

    assert telltale.told == [{Touched("cardiology", TOMORROW.date())}]
    assert telltale.seen == [[]]


async def test_searches_are_told_also_by_an_answer_that_is_repeated() -> None:
    telltale = Telltale()
    clinic = Clinic(cache=telltale)
    ask = a_booking(an_actor((await clinic.user()).id), (await clinic.slot()).id)

    await clinic.can.book_appointment(ask)
    await clinic.can.book_appointment(ask)

    assert telltale.told == [{Touched("cardiology", TOMORROW.date())}] * 2


async def test_searches_are_told_where_nobody_knows_whether_the_booking_was_kept() -> None:
    telltale = Telltale()
    clinic = Clinic(cache=telltale)
    ask = a_booking(an_actor((await clinic.user()).id), (await clinic.slot()).id)

    @asynccontextmanager
    async def losing_the_answer() -> AsyncIterator[UnitOfWork]:
        async with clinic.begin() as uow:
            yield uow
        raise OutcomeUnknown

    with pytest.raises(OutcomeUnknown):
        await DecideTogether(losing_the_answer, telltale, clinic.happened)([ask])

    assert telltale.told == [{Touched("cardiology", TOMORROW.date())}]


async def test_of_many_who_want_one_slot_at_once_one_gets_it(clinic: Clinic) -> None:
    slot = await clinic.slot()
    patients = [await clinic.user() for _ in range(8)]

    outcomes = await all_at_once(clinic, [a_booking(an_actor(patient.id), slot.id) for patient in patients])

    assert len(won(outcomes)) == 1
    assert Counter(type(one) for one in outcomes)[TakenForNow] == 7
    assert len(await clinic.events()) == 1


async def test_of_overlapping_slots_that_one_patient_wants_at_once_they_get_one(clinic: Clinic) -> None:
    slots = [await clinic.slot(start=TOMORROW + n * MINUTE) for n in range(6)]
    patient = await clinic.user()

    outcomes = await all_at_once(clinic, [a_booking(an_actor(patient.id), slot.id) for slot in slots])

    assert len(won(outcomes)) == 1
    assert Counter(type(one) for one in outcomes)[PatientBusy] == 5


async def test_a_key_sent_many_times_at_once_has_one_effect_and_equal_answers(clinic: Clinic) -> None:
    slot, patient = await clinic.slot(), await clinic.user()
    ask = a_booking(an_actor(patient.id), slot.id)

    outcomes = await all_at_once(clinic, [ask] * 10)

    assert len(won(outcomes)) == 10
    assert len(set(won(outcomes))) == 1
    assert len(await clinic.events()) == 1


async def test_a_key_sent_at_once_for_two_slots_books_one(clinic: Clinic) -> None:
    slots = await clinic.slots(await clinic.doctor(), TOMORROW, TOMORROW + HOUR)
    patient = await clinic.user()

    outcomes = await all_at_once(clinic, [a_booking(an_actor(patient.id), slot.id, key="same") for slot in slots])

    assert len(won(outcomes)) == 1
    assert [type(one) for one in outcomes if isinstance(one, Refusal)] == [KeyReused]
