"""What every adapter of `Bookings` does."""

from uuid import uuid4

import pytest

from healthcare.application.uow import UnitOfWork
from healthcare.domain.identity.model import User
from healthcare.domain.kernel import AppointmentId, EventKind, Patient, Refusal, Role
from healthcare.domain.scheduling.diary import Booking, Diary, Receipt
from healthcare.domain.scheduling.errors import PatientBusy, SlotTaken
from healthcare.domain.scheduling.model import Appointment, Slot
from healthcare.domain.scheduling.ports import Bookings
from tests.builders import HOUR, MINUTE, NOBODY, TOMORROW, a_booking, a_diary, a_user_id, an_actor
from tests.clinic import Clinic
from tests.integration.contracts.queues import pass_by, queue

pytestmark = pytest.mark.anyio

PORT = Bookings


def wish(patient: User, slot: Slot, *, key: str | None = None) -> Booking:
    return a_booking(an_actor(patient.id), slot.id, key=key)


async def look(clinic: Clinic, *asked: Booking) -> Diary:
    async with clinic.database.begin() as uow:
        return await uow.bookings.lock(asked)


async def book(clinic: Clinic, *asked: Booking) -> list[Appointment]:
    async with clinic.database.begin() as uow:
        return await decided(clinic, uow, *asked)


async def decided(clinic: Clinic, uow: UnitOfWork, *asked: Booking) -> list[Appointment]:
    """Look, decide and keep, as the use case does."""
    diary = await uow.bookings.lock(asked)
    answers = [diary.book(one, id=AppointmentId(uuid4()), happened=clinic.happened) for one in asked]
    await uow.bookings.keep(diary)
    return answers


async def test_the_look_shows_who_asks_and_for_what(clinic: Clinic) -> None:
    patient, doctor, slot = await clinic.user(full_name="Zoë Öz"), await clinic.doctor(), await clinic.slot()

    diary = await look(clinic, wish(patient, slot), a_booking(an_actor(doctor.id), slot.id))

    assert diary.roles == {patient.id: Role.PATIENT, doctor.id: Role.DOCTOR}
    assert diary.patients[patient.id] == Patient(patient.id, "Zoë Öz")
    assert diary.slots == {slot.id: slot}
    assert diary.busy[patient.id] == []
    assert diary.receipts == {}
    assert (diary.booked, diary.replayed, diary.refused) == ([], [], [])


async def test_the_look_shows_neither_strangers_nor_slots_that_do_not_exist(clinic: Clinic) -> None:
    stranger = an_actor(a_user_id())

    diary = await look(clinic, a_booking(stranger))

    assert (diary.roles, diary.patients, diary.slots, diary.receipts) == ({}, {}, {}, {})


async def test_nobody_may_ask_beside_others(clinic: Clinic) -> None:
    patient, slot = await clinic.user(), await clinic.slot()

    diary = await look(clinic, a_booking(NOBODY, slot.id), wish(patient, slot))

    assert diary.roles == {patient.id: Role.PATIENT}
    assert diary.slots == {slot.id: slot}


async def test_an_empty_list_is_looked_at_and_kept(clinic: Clinic) -> None:
    async with clinic.database.begin() as uow:
        await uow.bookings.keep(await uow.bookings.lock([]))
        assert not uow.outbox.filled


async def test_the_look_shows_which_slots_are_taken_or_no_longer_offered(clinic: Clinic) -> None:
    doctor, patient = await clinic.doctor(), await clinic.user()
    free, taken, withdrawn = await clinic.slots(doctor, *(TOMORROW + n * HOUR for n in range(3)))
    await clinic.booked(taken)
    async with clinic.database.begin() as uow:
        await uow.slots.withdraw(withdrawn.id)

    slots = (await look(clinic, *(wish(patient, slot) for slot in (free, taken, withdrawn)))).slots

    assert [slots[one.id].taken for one in (free, taken, withdrawn)] == [False, True, False]
    assert [slots[one.id].offered for one in (free, taken, withdrawn)] == [True, True, False]


async def test_the_look_shows_when_the_patient_is_busy_at_the_time_of_what_they_ask(clinic: Clinic) -> None:
    patient = await clinic.user()
    before, busy, after = await clinic.slots(await clinic.doctor(), *(TOMORROW + n * 30 * MINUTE for n in range(3)))
    for slot in (before, busy, after):
        await clinic.booked(slot, patient)
    (wanted,) = await clinic.slots(await clinic.doctor(), busy.time.start + MINUTE, length=28 * MINUTE)

    times = (await look(clinic, wish(patient, wanted))).busy[patient.id]

    assert [time for time in times if time.overlaps(wanted.time)] == [busy.time]


async def test_a_cancelled_appointment_keeps_neither_the_slot_nor_the_patient_busy(clinic: Clinic) -> None:
    patient, slot = await clinic.user(), await clinic.slot()
    appointment = await clinic.booked(slot, patient)
    await clinic.can.cancel_appointment(actor=an_actor(patient.id), appointment=appointment.id, reason="ill")

    diary = await look(clinic, wish(patient, slot))

    assert not diary.slots[slot.id].taken
    assert diary.busy[patient.id] == []


async def test_what_was_decided_is_kept_with_its_receipt_and_its_event(clinic: Clinic) -> None:
    patient, slot = await clinic.user(full_name="Zoë Öz"), await clinic.slot()
    ask = wish(patient, slot)

    (appointment,) = await book(clinic, ask)

    assert await clinic.appointment(appointment.id) == appointment
    assert (await look(clinic, ask)).receipts == {(patient.id, ask.key): Receipt(ask.fingerprint, appointment)}
    (event,) = await clinic.events()
    assert (event.kind, event.actor) == (EventKind.APPOINTMENT_BOOKED, patient.id)
    assert (event.subject, event.at, event.request) == (appointment.id, clinic.clock.now(), ask.actor.request)


async def test_many_are_kept_at_once(clinic: Clinic) -> None:
    slots = await clinic.slots(await clinic.doctor(), *(TOMORROW + n * HOUR for n in range(5)))
    patients = [await clinic.user() for _ in slots]

    appointments = await book(clinic, *map(wish, patients, slots))

    assert [await clinic.appointment(one.id) for one in appointments] == appointments
    assert {event.subject for event in await clinic.events()} == {one.id for one in appointments}


async def test_a_receipt_belongs_to_its_user_and_its_key(clinic: Clinic) -> None:
    ada, bob, slot = await clinic.user(), await clinic.user(), await clinic.slot()
    await book(clinic, wish(ada, slot, key="a-key"))

    asked = [wish(bob, slot, key="a-key"), wish(ada, slot, key="another"), wish(ada, slot, key="A-KEY")]
    diary = await look(clinic, *asked)

    assert diary.receipts == {}


async def test_a_receipt_shows_the_answer_of_then_also_after_a_change(clinic: Clinic) -> None:
    patient, slot = await clinic.user(), await clinic.slot()
    ask = wish(patient, slot)
    (appointment,) = await book(clinic, ask)
    await clinic.can.cancel_appointment(actor=an_actor(patient.id), appointment=appointment.id, reason="ill")

    receipts = (await look(clinic, ask)).receipts

    assert receipts[patient.id, ask.key].appointment == appointment


async def test_a_replay_changes_nothing(clinic: Clinic) -> None:
    patient, slot = await clinic.user(), await clinic.slot()
    ask = wish(patient, slot)
    first = await book(clinic, ask)

    async with clinic.database.begin() as uow:
        again = await decided(clinic, uow, ask)
        assert not uow.outbox.filled

    assert again == first
    assert len(await clinic.events()) == 1


async def test_keeping_what_happened_fills_the_outbox(clinic: Clinic) -> None:
    patient, slot = await clinic.user(), await clinic.slot()

    async with clinic.database.begin() as uow:
        await decided(clinic, uow, wish(patient, slot))
        assert uow.outbox.filled


async def test_keeping_whom_the_policy_refused_fills_the_outbox(clinic: Clinic) -> None:
    doctor, slot = await clinic.doctor(), await clinic.slot()
    ask = a_booking(an_actor(doctor.id), slot.id)

    async with clinic.database.begin() as uow:
        diary = await uow.bookings.lock([ask])
        with pytest.raises(Refusal):
            diary.book(ask, id=AppointmentId(uuid4()), happened=clinic.happened)
        await uow.bookings.keep(diary)
        assert uow.outbox.filled

    (event,) = await clinic.events()
    assert event == diary.refused[0]


async def test_raising_keeps_nothing(clinic: Clinic) -> None:
    patient, slot = await clinic.user(), await clinic.slot()
    ask = wish(patient, slot)

    with pytest.raises(ZeroDivisionError):
        async with clinic.database.begin() as uow:
            await decided(clinic, uow, ask)
            raise ZeroDivisionError

    diary = await look(clinic, ask)
    assert (diary.slots[slot.id].taken, diary.busy[patient.id], diary.receipts) == (False, [], {})
    assert await clinic.events() == []


async def test_whoever_wants_the_same_slot_waits_and_sees_that_it_is_taken(clinic: Clinic) -> None:
    ada, bob, slot = await clinic.user(), await clinic.user(), await clinic.slot()

    diary = await queue(
        clinic.database,
        lambda uow: decided(clinic, uow, wish(ada, slot)),
        lambda uow: uow.bookings.lock([wish(bob, slot)]),
    )

    assert diary.slots[slot.id].taken


async def test_a_patient_who_wants_two_slots_at_once_waits_and_is_seen_to_be_busy(clinic: Clinic) -> None:
    ada, slot, other = await clinic.user(), await clinic.slot(), await clinic.slot()

    diary = await queue(
        clinic.database,
        lambda uow: decided(clinic, uow, wish(ada, slot)),
        lambda uow: uow.bookings.lock([wish(ada, other)]),
    )

    assert diary.busy[ada.id] == [slot.time]


async def test_whoever_repeats_a_key_at_once_waits_and_finds_the_receipt(clinic: Clinic) -> None:
    ada, slot = await clinic.user(), await clinic.slot()
    ask = wish(ada, slot)

    diary = await queue(clinic.database, lambda uow: decided(clinic, uow, ask), lambda uow: uow.bookings.lock([ask]))

    assert (ada.id, ask.key) in diary.receipts


async def test_whoever_books_waits_for_those_who_hold_the_slot_or_its_appointment(clinic: Clinic) -> None:
    ada, slot = await clinic.user(), await clinic.slot()
    appointment = await clinic.booked(slot)

    for hold in (lambda uow: uow.slots.lock(slot.id), lambda uow: uow.appointments.lock(appointment.id)):
        await queue(clinic.database, hold, lambda uow: uow.bookings.lock([wish(ada, slot)]))


async def test_others_book_other_slots_meanwhile(clinic: Clinic) -> None:
    ada, bob, slot, other = await clinic.user(), await clinic.user(), await clinic.slot(), await clinic.slot()

    await pass_by(
        clinic.database,
        lambda uow: decided(clinic, uow, wish(ada, slot)),
        lambda uow: decided(clinic, uow, wish(bob, other)),
    )

    assert len(await clinic.events()) == 2


async def test_two_who_want_the_same_slots_in_another_order_do_not_wait_for_ever(clinic: Clinic) -> None:
    ada, bob = await clinic.user(), await clinic.user()
    one, other = await clinic.slots(await clinic.doctor(), TOMORROW, TOMORROW + HOUR)

    diary = await queue(
        clinic.database,
        lambda uow: decided(clinic, uow, wish(ada, one), wish(ada, other)),
        lambda uow: uow.bookings.lock([wish(bob, other), wish(bob, one)]),
    )

    assert all(slot.taken for slot in diary.slots.values())


async def test_a_slot_that_the_look_did_not_see_to_be_taken_cannot_be_taken_again(clinic: Clinic) -> None:
    slot, patient = await clinic.slot(), await clinic.user()
    await clinic.booked(slot)

    with pytest.raises(SlotTaken):
        await keep_blindly(clinic, patient, slot)

    assert len(await clinic.events()) == 1


async def test_a_patient_whom_the_look_did_not_see_to_be_busy_cannot_be_in_two_places(clinic: Clinic) -> None:
    slot, other, patient = await clinic.slot(), await clinic.slot(), await clinic.user()
    await clinic.booked(other, patient)

    with pytest.raises(PatientBusy):
        await keep_blindly(clinic, patient, slot)

    assert len(await clinic.events()) == 1


async def keep_blindly(clinic: Clinic, patient: User, slot: Slot) -> None:
    """Decide on a diary in which everybody and everything is free."""
    ask, diary = wish(patient, slot), a_diary([patient.id], [slot])
    diary.book(ask, id=AppointmentId(uuid4()), happened=clinic.happened)
    async with clinic.database.begin() as uow:
        await uow.bookings.keep(diary)


async def test_receipts_are_forgotten_by_age(clinic: Clinic) -> None:
    patient, slot = await clinic.user(), await clinic.slot()
    ask = wish(patient, slot)
    await book(clinic, ask)
    now = clinic.clock.now()

    async with clinic.database.begin() as uow:
        assert await uow.bookings.forget(9, before=now) == 0
    assert (await look(clinic, ask)).receipts

    async with clinic.database.begin() as uow:
        assert await uow.bookings.forget(9, before=now + MINUTE) == 1
        assert await uow.bookings.forget(9, before=now + MINUTE) == 0
    assert not (await look(clinic, ask)).receipts
