"""What every adapter of `Bookings` does."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from itertools import product

import pytest
from psycopg.errors import RaiseException

from healthcare.adapters.memory.transaction import Constraint
from healthcare.application.uow import UnitOfWork
from healthcare.domain.kernel import EventKind, Patient, Refusal, Role
from healthcare.domain.scheduling.asks import Ask
from healthcare.domain.scheduling.diary import Diary, Receipt
from healthcare.domain.scheduling.errors import PatientBusy, SlotTaken
from healthcare.domain.scheduling.model import HELD_FOR, Appointment, Slot
from healthcare.domain.scheduling.ports import Bookings
from healthcare.domain.scheduling.status import TRANSITIONS, AppointmentStatus
from tests.builders import (
    HOUR,
    MINUTE,
    NOBODY,
    TOMORROW,
    a_booking,
    a_diary,
    a_user_id,
    an_actor,
    an_appointment,
)
from tests.clinic import Clinic
from tests.integration.contracts.asks import (
    book,
    cancel,
    check_in,
    claimed,
    correct,
    decide,
    decided,
    hold,
    in_status,
    look,
    move,
    put,
    undo,
    withdraw,
)
from tests.integration.contracts.queues import NOT_YET, alone, pass_by, queue

pytestmark = pytest.mark.anyio

PORT = Bookings


async def test_the_look_shows_who_asks_and_for_what(clinic: Clinic) -> None:
    patient, doctor, slot = await clinic.user(full_name="Zoë Öz"), await clinic.doctor(), await clinic.slot()

    diary = await look(clinic, book(patient, slot), a_booking(an_actor(doctor.id), slot.id))

    assert diary.roles == {patient.id: Role.PATIENT, doctor.id: Role.DOCTOR}
    assert diary.patients[patient.id] == Patient(patient.id, "Zoë Öz")
    assert diary.slots == {slot.id: slot}
    assert (diary.appointments, diary.receipts) == ({}, {})
    assert (diary.new, diary.steps, diary.withdrawn, diary.fresh, diary.replayed) == (set(), [], [], {}, {})
    assert (diary.events, diary.touched) == ([], set())


async def test_the_look_shows_neither_strangers_nor_what_does_not_exist(clinic: Clinic) -> None:
    stranger = an_actor(a_user_id())

    diary = await look(clinic, a_booking(stranger), cancel(an_appointment()))

    assert (diary.roles, diary.patients, diary.slots) == ({}, {}, {})
    assert (diary.appointments, diary.receipts) == ({}, {})


async def test_the_look_tells_the_time_of_the_database(clinic: Clinic) -> None:
    before = await look(clinic)
    clinic.clock.wait(MINUTE)
    after = await look(clinic)

    assert after.now == before.now + MINUTE == clinic.clock.now()


async def test_nobody_may_ask_beside_others(clinic: Clinic) -> None:
    patient, slot = await clinic.user(), await clinic.slot()

    diary = await look(clinic, a_booking(NOBODY, slot.id), book(patient, slot))

    assert diary.roles == {patient.id: Role.PATIENT}
    assert diary.slots == {slot.id: slot}


async def test_an_empty_list_is_looked_at_and_kept(clinic: Clinic) -> None:
    async with clinic.database.begin() as uow:
        await uow.bookings.keep(await uow.bookings.lock([]))
        assert not uow.outbox.filled


async def test_the_look_shows_which_slots_are_taken_or_no_longer_offered(clinic: Clinic) -> None:
    doctor, patient = await clinic.doctor(), await clinic.user()
    slots = await clinic.slots(doctor, *(TOMORROW + n * HOUR for n in range(4)))
    _, booked, held, withdrawn = slots
    await clinic.booked(booked)
    await clinic.held(held)
    await decide(clinic, withdraw(withdrawn))

    diary = await look(clinic, *(book(patient, slot) for slot in slots))

    assert [claimed(diary, slot) for slot in slots] == [False, True, True, False]
    assert [diary.slots[slot.id].offered for slot in slots] == [True, True, True, False]


async def test_the_look_shows_the_appointments_that_are_asked_for_whatever_has_become_of_them(clinic: Clinic) -> None:
    booked, cancelled = await clinic.booked(), await clinic.booked()
    (cancelled,) = await decide(clinic, cancel(cancelled))

    diary = await look(clinic, cancel(booked), cancel(cancelled))

    assert diary.appointments == {booked.id: booked, cancelled.id: cancelled}


async def test_the_look_shows_when_the_patient_is_busy_at_the_time_of_what_they_ask(clinic: Clinic) -> None:
    patient = await clinic.user()
    before, busy, after = await clinic.slots(await clinic.doctor(), *(TOMORROW + n * 30 * MINUTE for n in range(3)))
    for slot in (before, busy, after):
        await clinic.booked(slot, patient)
    (wanted,) = await clinic.slots(await clinic.doctor(), busy.time.start + MINUTE, length=28 * MINUTE)

    seen = (await look(clinic, book(patient, wanted))).appointments.values()

    assert [one.time for one in seen if one.time.overlaps(wanted.time)] == [busy.time]


async def test_the_look_shows_when_the_patient_is_busy_where_their_appointment_is_to_go(clinic: Clinic) -> None:
    """Whoever asks: only afterwards is it known whether they may."""
    patient, stranger, colleague = await clinic.user(), await clinic.user(), await clinic.doctor()
    here, there = await clinic.slots(await clinic.doctor(), TOMORROW, TOMORROW + HOUR)
    appointment, other = await clinic.booked(here, patient), await clinic.booked(there, patient)
    (wanted,) = await clinic.slots(colleague, there.time.start + MINUTE)

    for asked in (move(appointment, wanted), replace(move(appointment, wanted), actor=an_actor(stranger.id))):
        diary = await look(clinic, asked)
        assert diary.appointments == {appointment.id: appointment, other.id: other}


async def test_the_look_shows_all_that_a_patient_holds(clinic: Clinic) -> None:
    patient = await clinic.user()
    slots = await clinic.slots(await clinic.doctor(), *(TOMORROW + n * HOUR for n in range(4)))
    holds = [await clinic.held(slot, patient) for slot in slots[:3]]

    diary = await look(clinic, hold(patient, slots[3]))

    assert diary.appointments == {one.id: one for one in holds}


async def test_a_cancelled_appointment_keeps_neither_the_slot_nor_the_patient_busy(clinic: Clinic) -> None:
    patient, slot = await clinic.user(), await clinic.slot()
    appointment = await clinic.booked(slot, patient)
    await decide(clinic, cancel(appointment))

    diary = await look(clinic, book(patient, slot))

    assert diary.appointments == {}


async def test_a_hold_that_has_run_out_is_seen_until_somebody_has_cancelled_it(clinic: Clinic) -> None:
    slot = await clinic.slot()
    held = await clinic.held(slot)
    clinic.clock.wait(HELD_FOR)

    seen = [await look(clinic, book(await clinic.user(), slot))]
    await decide(clinic, withdraw(slot))
    seen += [await look(clinic, book(await clinic.user(), slot))]

    assert [diary.appointments for diary in seen] == [{held.id: held}, {}]
    assert not claimed(seen[0], slot)


async def test_what_was_decided_is_kept_with_its_receipt_and_its_event(clinic: Clinic) -> None:
    patient, slot = await clinic.user(full_name="Zoë Öz"), await clinic.slot()
    ask = book(patient, slot)

    (appointment,) = await decide(clinic, ask)

    assert await clinic.appointment(appointment.id) == appointment
    assert (await look(clinic, ask)).receipts == {(patient.id, ask.key): Receipt(ask.fingerprint, appointment)}
    (event,) = await clinic.events()
    assert (event.kind, event.actor) == (EventKind.APPOINTMENT_BOOKED, patient.id)
    assert (event.subject, event.at, event.request) == (appointment.id, clinic.clock.now(), ask.actor.request)


async def test_many_are_kept_at_once(clinic: Clinic) -> None:
    slots = await clinic.slots(await clinic.doctor(), *(TOMORROW + n * HOUR for n in range(5)))
    patients = [await clinic.user() for _ in slots]

    appointments = await decide(clinic, *map(book, patients, slots))

    assert [await clinic.appointment(one.id) for one in appointments] == appointments
    assert {event.subject for event in await clinic.events()} == {one.id for one in appointments}


async def test_a_receipt_belongs_to_its_user_and_its_key(clinic: Clinic) -> None:
    ada, bob, slot = await clinic.user(), await clinic.user(), await clinic.slot()
    await decide(clinic, book(ada, slot, key="a-key"))

    asked = [book(bob, slot, key="a-key"), book(ada, slot, key="another"), book(ada, slot, key="A-KEY")]
    diary = await look(clinic, *asked)

    assert diary.receipts == {}


async def test_a_key_may_be_made_of_any_sign(clinic: Clinic) -> None:
    signs = "".join(map(chr, range(0x21, 0x7F)))
    keys = [signs, signs[::-1], "NULL", "{}", '"', "\\", '\\"', "a,b", "''"]
    patient = await clinic.user()
    slots = await clinic.slots(await clinic.doctor(), *(TOMORROW + n * HOUR for n, _ in enumerate(keys)))
    asked = [book(patient, slot, key=key) for slot, key in zip(slots, keys, strict=True)]
    appointments = await decide(clinic, *asked)

    receipts = (await look(clinic, *asked)).receipts

    assert {key: receipts[patient.id, key].appointment for key in keys} == dict(zip(keys, appointments, strict=True))


async def test_a_receipt_shows_the_answer_of_then_also_after_a_change(clinic: Clinic) -> None:
    patient, slot = await clinic.user(), await clinic.slot()
    ask = book(patient, slot)
    (appointment,) = await decide(clinic, ask)
    await decide(clinic, cancel(appointment))

    receipts = (await look(clinic, ask)).receipts

    assert receipts[patient.id, ask.key].appointment == appointment


async def test_a_replay_changes_nothing(clinic: Clinic) -> None:
    patient, slot = await clinic.user(), await clinic.slot()
    ask = book(patient, slot)
    first = await decide(clinic, ask)

    async with clinic.database.begin() as uow:
        again = await decided(clinic, uow, ask)
        assert not uow.outbox.filled

    assert again == first
    assert len(await clinic.events()) == 1


async def test_keeping_what_happened_fills_the_outbox(clinic: Clinic) -> None:
    patient, slot = await clinic.user(), await clinic.slot()

    async with clinic.database.begin() as uow:
        await decided(clinic, uow, book(patient, slot))
        assert uow.outbox.filled


async def test_keeping_whom_the_policy_refused_fills_the_outbox(clinic: Clinic) -> None:
    doctor, slot = await clinic.doctor(), await clinic.slot()
    ask = a_booking(an_actor(doctor.id), slot.id)

    async with clinic.database.begin() as uow:
        diary = await uow.bookings.lock([ask])
        with pytest.raises(Refusal):
            diary.decide(ask, clinic.happened)
        await uow.bookings.keep(diary)
        assert uow.outbox.filled

    (event,) = await clinic.events()
    assert [event] == diary.events


async def test_raising_keeps_nothing(clinic: Clinic) -> None:
    patient, slot = await clinic.user(), await clinic.slot()
    ask = book(patient, slot)

    with pytest.raises(ZeroDivisionError):
        async with clinic.database.begin() as uow:
            await decided(clinic, uow, ask)
            raise ZeroDivisionError

    diary = await look(clinic, ask)
    assert (diary.appointments, diary.receipts) == ({}, {})
    assert await clinic.events() == []


async def test_whoever_wants_the_same_slot_waits_and_sees_that_it_is_taken(clinic: Clinic) -> None:
    ada, bob, slot = await clinic.user(), await clinic.user(), await clinic.slot()

    diary = await queue(
        clinic.database,
        lambda uow: decided(clinic, uow, book(ada, slot)),
        lambda uow: uow.bookings.lock([book(bob, slot)]),
    )

    assert claimed(diary, slot)


async def test_a_patient_who_wants_two_slots_at_once_waits_and_is_seen_to_be_busy(clinic: Clinic) -> None:
    ada, slot = await clinic.user(), await clinic.slot()
    other = await clinic.slot(start=slot.time.start + MINUTE)

    diary = await queue(
        clinic.database,
        lambda uow: decided(clinic, uow, book(ada, slot)),
        lambda uow: uow.bookings.lock([book(ada, other)]),
    )

    assert [one.time for one in diary.appointments.values()] == [slot.time]


async def test_whoever_repeats_a_key_at_once_waits_and_finds_the_receipt(clinic: Clinic) -> None:
    ada, slot = await clinic.user(), await clinic.slot()
    ask = book(ada, slot)

    diary = await queue(clinic.database, lambda uow: decided(clinic, uow, ask), lambda uow: uow.bookings.lock([ask]))

    assert (ada.id, ask.key) in diary.receipts


async def test_whoever_wants_a_slot_waits_for_those_who_asked_for_it_or_for_its_appointment(clinic: Clinic) -> None:
    ada, slot = await clinic.user(), await clinic.slot()
    appointment = await clinic.booked(slot)

    for asked in (withdraw(slot), cancel(appointment), move(appointment, await clinic.slot())):
        await lock_one_by_one(clinic, asked, book(ada, slot))


async def test_whoever_asks_for_an_appointment_waits_for_those_who_want_its_slot_or_its_patients_time(
    clinic: Clinic,
) -> None:
    ada, bob, slot, other = await clinic.user(), await clinic.user(), await clinic.slot(), await clinic.slot()
    appointment = await clinic.booked(slot, ada)

    for asked in (book(bob, slot), book(ada, other), cancel(appointment), undo(appointment)):
        await lock_one_by_one(clinic, asked, check_in(appointment))


async def test_whoever_moves_an_appointment_waits_for_those_who_want_the_slot_it_is_to_have(clinic: Clinic) -> None:
    bob, slot, appointment = await clinic.user(), await clinic.slot(), await clinic.booked()

    await lock_one_by_one(clinic, book(bob, slot), move(appointment, slot))
    await lock_one_by_one(clinic, move(appointment, slot), book(bob, slot))


async def test_those_who_come_upon_the_same_hold_by_its_slot_and_by_its_patient_wait_for_one_another(
    clinic: Clinic,
) -> None:
    """Otherwise each of them would say that it has run out."""
    ada, bob, slot, other = await clinic.user(), await clinic.user(), await clinic.slot(), await clinic.slot()
    held = await clinic.held(slot, ada)
    clinic.clock.wait(HELD_FOR)

    diary = await queue(
        clinic.database,
        lambda uow: decided(clinic, uow, book(ada, other)),
        lambda uow: uow.bookings.lock([book(bob, slot)]),
    )

    assert diary.appointments == {}
    (event,) = await clinic.events(EventKind.HOLD_EXPIRED)
    assert event.subject == held.id


async def lock_one_by_one(clinic: Clinic, first: Ask, second: Ask) -> None:
    """Fail unless whoever asks the second waits for whoever asks the first."""
    await queue(clinic.database, lambda uow: uow.bookings.lock([first]), lambda uow: uow.bookings.lock([second]))


async def test_whoever_finds_an_appointment_moved_begins_anew_at_the_slot_where_it_is_now(clinic: Clinic) -> None:
    ada, appointment, slot = await clinic.user(), await clinic.booked(), await clinic.slot()
    (before,) = await clinic.slots(appointment.doctor, appointment.time.end)
    (appointment,) = await decide(clinic, move(appointment, before))

    async def come_too_late(uow: UnitOfWork) -> Diary:
        diary = await uow.bookings.lock([cancel(appointment)])
        await pass_by_within(clinic, book(ada, before))
        await wait_within(clinic, book(ada, slot))
        return diary

    diary = await queue(clinic.database, lambda uow: decided(clinic, uow, move(appointment, slot)), come_too_late)

    assert diary.appointments[appointment.id].slot == slot.id
    assert slot.id in diary.slots


async def pass_by_within(clinic: Clinic, ask: Ask) -> None:
    """Fail unless somebody else can ask this meanwhile."""
    await alone(clinic.database, lambda uow: uow.bookings.lock([ask]))


async def wait_within(clinic: Clinic, ask: Ask) -> None:
    """Fail unless somebody else would have to wait for this."""
    waiting = asyncio.create_task(alone(clinic.database, lambda uow: uow.bookings.lock([ask])))
    await asyncio.wait({waiting}, timeout=NOT_YET)
    assert not waiting.done(), "it did not wait"
    waiting.cancel()
    await asyncio.wait({waiting})


async def test_others_book_other_slots_meanwhile(clinic: Clinic) -> None:
    ada, bob, slot, other = await clinic.user(), await clinic.user(), await clinic.slot(), await clinic.slot()

    await pass_by(
        clinic.database,
        lambda uow: decided(clinic, uow, book(ada, slot)),
        lambda uow: decided(clinic, uow, book(bob, other)),
    )

    assert len(await clinic.events()) == 2


async def test_two_who_want_the_same_slots_in_another_order_do_not_wait_for_ever(clinic: Clinic) -> None:
    ada, bob = await clinic.user(), await clinic.user()
    one, other = await clinic.slots(await clinic.doctor(), TOMORROW, TOMORROW + HOUR)

    diary = await queue(
        clinic.database,
        lambda uow: decided(clinic, uow, book(ada, one), book(ada, other)),
        lambda uow: uow.bookings.lock([book(bob, other), book(bob, one)]),
    )

    assert claimed(diary, one)
    assert claimed(diary, other)


async def test_a_slot_that_the_look_did_not_see_to_be_taken_cannot_be_taken_again(clinic: Clinic) -> None:
    slot, patient = await clinic.slot(), await clinic.user()
    appointment = await clinic.booked(await clinic.slot(start=TOMORROW + HOUR), patient)
    await clinic.booked(slot)

    for asked in (book(patient, slot), hold(patient, slot), move(appointment, slot)):
        with pytest.raises(SlotTaken):
            await decide_blindly(clinic, asked, slot, appointment)

    assert len(await clinic.events()) == 2


async def test_a_patient_whom_the_look_did_not_see_to_be_busy_cannot_be_in_two_places(clinic: Clinic) -> None:
    slot, patient = await clinic.slot(), await clinic.user()
    appointment = await clinic.booked(await clinic.slot(start=TOMORROW + HOUR), patient)
    await clinic.booked(await clinic.slot(start=slot.time.start + MINUTE), patient)

    for asked in (book(patient, slot), hold(patient, slot), move(appointment, slot)):
        with pytest.raises(PatientBusy):
            await decide_blindly(clinic, asked, slot, appointment)

    assert len(await clinic.events()) == 2


async def decide_blindly(clinic: Clinic, asked: Ask, slot: Slot, appointment: Appointment) -> None:
    """Decide on a diary that knows of one slot, which is free, and of one appointment."""
    diary = a_diary([asked.actor.known], [slot], appointments=[appointment] if asked.appointment else [])
    diary.decide(asked, clinic.happened)
    async with clinic.database.begin() as uow:
        await uow.bookings.keep(diary)


async def test_a_status_is_followed_by_what_the_domain_says_and_by_nothing_else(clinic: Clinic) -> None:
    """Whoever decides by the domain alone never meets it, so there is no refusal for it."""
    pairs = list(product(AppointmentStatus, repeat=2))
    slots = await clinic.slots(await clinic.doctor(), *(TOMORROW + n * HOUR for n in range(len(pairs))))
    user = await clinic.user()
    there = [
        in_status(an_appointment(slot=slot, patient=Patient(user.id, user.full_name)), before)
        for slot, (before, _) in zip(slots, pairs, strict=True)
    ]
    await put(clinic, *there)

    followed = set()
    for one, (before, after) in zip(there, pairs, strict=True):
        with suppress(Constraint, RaiseException):
            await correct(clinic, one, in_status(one, after))
            followed.add((before, after))

    assert followed == {(one, other) for one, other in pairs if other in {one, *TRANSITIONS[one]}}
    kept = [await clinic.appointment(one.id) for one in there]
    assert [one and one.status for one in kept] == [
        after if (before, after) in followed else before for before, after in pairs
    ]


async def test_receipts_are_forgotten_by_age(clinic: Clinic) -> None:
    patient, slot = await clinic.user(), await clinic.slot()
    ask = book(patient, slot)
    await decide(clinic, ask)
    now = clinic.clock.now()

    async with clinic.database.begin() as uow:
        assert await uow.bookings.forget(9, before=now) == 0
    assert (await look(clinic, ask)).receipts

    async with clinic.database.begin() as uow:
        assert await uow.bookings.forget(9, before=now + MINUTE) == 1
        assert await uow.bookings.forget(9, before=now + MINUTE) == 0
    assert not (await look(clinic, ask)).receipts
