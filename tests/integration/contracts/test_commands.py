"""What every kind of command leaves behind, whichever adapter of `Bookings` keeps it: also where one list has many."""

from dataclasses import replace

import pytest

from healthcare.domain.kernel import EventKind, Money
from healthcare.domain.scheduling.cancellation import EXPIRED, RELEASED, Cancellation, ReasonCode
from healthcare.domain.scheduling.model import CHECK_IN_OPENS, HELD_FOR, MISSED_AFTER, Appointment, Slot
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.builders import DAY, HOUR, MINUTE, TOMORROW, a_profile
from tests.clinic import Clinic
from tests.integration.contracts.asks import (
    book,
    cancel,
    check_in,
    decide,
    hold,
    look,
    miss,
    move,
    release,
    undo,
    withdraw,
)

pytestmark = pytest.mark.anyio

Kind = EventKind


async def row(clinic: Clinic, number: int) -> list[Slot]:
    """Add slots of one doctor, hour by hour."""
    return await clinic.slots(await clinic.doctor(), *(TOMORROW + n * HOUR for n in range(number)))


async def kept(clinic: Clinic, *appointments: Appointment) -> list[Appointment | None]:
    return [await clinic.appointment(one.id) for one in appointments]


async def kinds(clinic: Clinic) -> list[EventKind]:
    return sorted(event.kind for event in await clinic.events())


# Holds


async def test_a_hold_is_kept_until_it_ends_and_can_be_made_longer(clinic: Clinic) -> None:
    patient, slot = await clinic.user(), await clinic.slot()

    (held,) = await decide(clinic, hold(patient, slot))
    clinic.clock.wait(MINUTE)
    seen = await kept(clinic, held)
    (longer,) = await decide(clinic, hold(patient, slot))
    seen += await kept(clinic, held)

    assert seen == [held, longer]
    assert longer == replace(held, expires_at=clinic.clock.now() - MINUTE + 2 * HELD_FOR, extended=True, version=2)
    assert await kinds(clinic) == [Kind.HOLD_EXTENDED, Kind.SLOT_HELD]


async def test_a_hold_that_is_given_back_is_cancelled_and_its_slot_is_free(clinic: Clinic) -> None:
    patient, slot = await clinic.user(), await clinic.slot()
    await decide(clinic, hold(patient, slot))

    (released,) = await decide(clinic, release(patient, slot))

    assert await kept(clinic, released) == [released]
    assert released.cancellation == RELEASED
    assert await clinic.free() == [slot]


async def test_a_hold_that_is_booked_is_the_appointment(clinic: Clinic) -> None:
    patient, slot = await clinic.user(), await clinic.slot()
    (held,) = await decide(clinic, hold(patient, slot))
    ask = book(patient, slot)

    (booked,) = await decide(clinic, ask)

    assert booked == replace(held, status=AppointmentStatus.BOOKED, expires_at=None, version=2)
    assert await kept(clinic, held) == [booked]
    assert (await look(clinic, ask)).receipts[patient.id, ask.key].appointment == booked
    assert await kinds(clinic) == [Kind.APPOINTMENT_BOOKED, Kind.SLOT_HELD]


async def test_a_hold_that_has_run_out_makes_room_for_another_patient(clinic: Clinic) -> None:
    ada, bob, slot = await clinic.user(), await clinic.user(), await clinic.slot()
    (held,) = await decide(clinic, hold(ada, slot))
    clinic.clock.wait(HELD_FOR)

    (booked,) = await decide(clinic, book(bob, slot))

    assert await kept(clinic, held, booked) == [held.at(clinic.clock.now()), booked]
    assert await kinds(clinic) == [Kind.APPOINTMENT_BOOKED, Kind.HOLD_EXPIRED, Kind.SLOT_HELD]
    (event,) = await clinic.events(Kind.HOLD_EXPIRED)
    assert (event.actor, event.subject, event.at) == (None, held.id, clinic.clock.now())


async def test_all_that_a_patient_no_longer_holds_is_cancelled_when_they_ask_for_anything(clinic: Clinic) -> None:
    patient, slots = await clinic.user(), await row(clinic, 4)
    holds = await decide(clinic, *(hold(patient, slot) for slot in slots[:3]))
    clinic.clock.wait(HELD_FOR)

    (again,) = await decide(clinic, hold(patient, slots[3]))

    assert [one and one.cancellation for one in await kept(clinic, *holds)] == [EXPIRED] * 3
    assert (await look(clinic, hold(patient, slots[3]))).appointments == {again.id: again}


async def test_one_list_holds_extends_books_and_checks_in(clinic: Clinic) -> None:
    """Each status is the next one of the last, though the first and the last do not follow each other."""
    patient, slot = await clinic.user(), await clinic.slot()
    clinic.clock.set(slot.time.start - CHECK_IN_OPENS)
    (held,) = await decide(clinic, hold(patient, slot))

    *_, checked_in = await decide(clinic, hold(patient, slot), book(patient, slot), check_in(held))

    assert (checked_in.status, checked_in.version) == (AppointmentStatus.CHECKED_IN, 4)
    assert await kept(clinic, held) == [checked_in]


async def test_one_list_holds_gives_back_and_lets_another_hold(clinic: Clinic) -> None:
    ada, bob, slot = await clinic.user(), await clinic.user(), await clinic.slot()

    first, released, second = await decide(clinic, hold(ada, slot), release(ada, slot), hold(bob, slot))

    assert first.id == released.id != second.id
    assert await kept(clinic, first, second) == [released, second]


# Moves


async def test_what_is_moved_keeps_its_id_and_takes_over_the_terms_of_another_doctor(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    slot = await clinic.slot(await clinic.doctor("neurology", fee=Money(7500, "CHF"), notice_hours=48))

    (moved,) = await decide(clinic, move(appointment, slot))

    assert await kept(clinic, appointment) == [moved]
    assert (moved.id, moved.version, moved.slot, moved.time) == (appointment.id, 2, slot.id, slot.time)
    assert (moved.doctor, moved.fee, moved.notice_hours) == (slot.doctor, Money(7500, "CHF"), 48)
    assert [slot.id for slot in await clinic.free()] == [appointment.slot]
    assert await clinic.free("neurology") == []


async def test_what_is_moved_at_the_same_doctor_keeps_its_terms(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    (later,) = await clinic.slots(appointment.doctor, TOMORROW + HOUR)
    async with clinic.database.begin() as uow:
        await uow.profiles.put(a_profile(appointment.doctor.id, fee=Money(1, "CHF"), notice_hours=48))

    (moved,) = await decide(clinic, move(appointment, later))

    assert await kept(clinic, appointment) == [moved]
    assert (moved.fee, moved.notice_hours) == (appointment.fee, appointment.notice_hours)


async def test_an_appointment_moves_into_its_own_time(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    slot = await clinic.slot(start=appointment.time.start + MINUTE)

    (moved,) = await decide(clinic, move(appointment, slot))

    assert await kept(clinic, appointment) == [moved]


async def test_where_one_moves_away_another_moves_in_or_books(clinic: Clinic) -> None:
    a, b, c, d = await row(clinic, 4)
    one, other, third = [await clinic.booked(slot) for slot in (a, b, c)]

    answers = await decide(clinic, move(third, d), move(other, c), move(one, b), book(await clinic.user(), a))

    assert await kept(clinic, third, other, one, answers[3]) == answers
    assert [one.slot for one in answers] == [d.id, c.id, b.id, a.id]


async def test_three_go_round_one_free_slot(clinic: Clinic) -> None:
    """The first of them waits there until the others have gone, and so moves twice."""
    *slots, spare = await row(clinic, 4)
    one, other, third = [await clinic.booked(slot) for slot in slots]

    answers = await decide(clinic, move(one, spare), move(third, slots[0]), move(other, slots[2]), move(one, slots[1]))

    assert await kept(clinic, third, other, one) == answers[1:]
    assert [answer.slot for answer in answers[1:]] == [slots[0].id, slots[2].id, slots[1].id]
    assert answers[3].version == 3
    assert await clinic.free() == [spare]


async def test_a_patient_exchanges_the_times_of_two_appointments(clinic: Clinic) -> None:
    patient, here, across = await clinic.user(), await row(clinic, 2), await row(clinic, 3)
    one, other = await clinic.booked(here[0], patient), await clinic.booked(across[1], patient)

    answers = await decide(clinic, move(one, across[2]), move(other, across[0]), move(one, here[1]))

    assert await kept(clinic, other, one) == answers[1:]


async def test_what_moves_there_and_back_is_where_it_was(clinic: Clinic) -> None:
    here, there = await row(clinic, 2)
    appointment = await clinic.booked(here)

    *_, back = await decide(clinic, move(appointment, there), move(appointment, here))

    assert back == replace(appointment, version=3)
    assert await kept(clinic, appointment) == [back]
    assert await clinic.free() == [there]


async def test_one_list_books_a_hold_moves_it_and_lets_another_have_the_slot(clinic: Clinic) -> None:
    ada, bob, (here, there) = await clinic.user(), await clinic.user(), await row(clinic, 2)
    (held,) = await decide(clinic, hold(ada, here))

    _, moved, others = await decide(clinic, book(ada, here), move(held, there), book(bob, here))

    assert await kept(clinic, held, others) == [moved, others]
    assert (moved.id, moved.slot, moved.status) == (held.id, there.id, AppointmentStatus.BOOKED)


async def test_one_list_moves_what_it_has_booked_and_cancels_what_it_has_moved(clinic: Clinic) -> None:
    patient, (here, there, elsewhere) = await clinic.user(), await row(clinic, 3)
    appointment = await clinic.booked(elsewhere)

    _, gone, booked, moved = await decide(
        clinic, move(appointment, there), cancel(appointment), book(patient, elsewhere), hold(patient, there)
    )

    assert await kept(clinic, gone, booked, moved) == [gone, booked, moved]
    assert (gone.slot, gone.status, gone.version) == (there.id, AppointmentStatus.CANCELLED, 3)
    assert await clinic.free() == [here]


# What comes of appointments


async def test_what_is_cancelled_and_booked_again_in_one_list_is_two_appointments(clinic: Clinic) -> None:
    slot = await clinic.slot()
    appointment, bob = await clinic.booked(slot), await clinic.user()

    gone, booked = await decide(clinic, cancel(appointment), book(bob, slot))

    assert gone.id == appointment.id != booked.id
    assert await kept(clinic, gone, booked) == [gone, booked]


@pytest.mark.parametrize("late", [True, False])
async def test_a_cancellation_is_kept_with_its_reason_its_code_and_whether_it_was_late(
    clinic: Clinic, late: bool
) -> None:
    appointment = await clinic.booked(await clinic.slot(await clinic.doctor(notice_hours=24 if late else 23)))
    clinic.clock.wait(MINUTE)
    ask = replace(cancel(appointment), reason="Zahnweh; 'ö\" \\", code=ReasonCode.PAT_LT)

    (cancelled,) = await decide(clinic, ask)

    assert cancelled.cancellation == Cancellation("Zahnweh; 'ö\" \\", ReasonCode.PAT_LT, late=late)
    assert await kept(clinic, appointment) == [cancelled]


async def test_whoever_is_there_is_checked_in_and_that_can_be_undone(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    clinic.clock.set(appointment.time.start - CHECK_IN_OPENS)

    (checked_in,) = await decide(clinic, check_in(appointment))
    before = await kept(clinic, appointment)
    (undone,) = await decide(clinic, undo(appointment))

    assert before == [checked_in]
    assert await kept(clinic, appointment) == [undone] == [replace(appointment, version=3)]
    assert await kinds(clinic) == [Kind.APPOINTMENT_BOOKED, Kind.APPOINTMENT_CHECKED_IN, Kind.APPOINTMENT_UNDONE]


async def test_to_check_in_twice_writes_nothing(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    clinic.clock.set(appointment.time.start)
    (checked_in,) = await decide(clinic, check_in(appointment))

    (again,) = await decide(clinic, check_in(appointment))

    assert again == checked_in
    assert await kept(clinic, appointment) == [checked_in]
    assert len(await clinic.events(Kind.APPOINTMENT_CHECKED_IN)) == 1


async def test_who_was_missed_did_come_after_all(clinic: Clinic) -> None:
    appointment = await clinic.booked()
    clinic.clock.set(appointment.time.end + MISSED_AFTER)

    (missed,) = await decide(clinic, miss(appointment))
    before = await kept(clinic, appointment)
    (undone,) = await decide(clinic, undo(appointment))

    assert before == [missed]
    assert await kept(clinic, appointment) == [undone]
    assert (missed.status, undone.status) == (AppointmentStatus.NOSHOW, AppointmentStatus.CHECKED_IN)


async def test_one_list_undoes_twice_and_misses_again(clinic: Clinic) -> None:
    """A no-show becomes nothing but checked in, and what is checked in is not missed: each status is kept by itself."""
    twice, again = await clinic.booked(), await clinic.booked()
    clinic.clock.set(again.time.end + MISSED_AFTER)
    await decide(clinic, miss(twice), miss(again))
    await decide(clinic, undo(again))

    answers = await decide(clinic, undo(twice), undo(again), undo(twice), miss(again))

    assert await kept(clinic, twice, again) == answers[2:]
    assert [answer.status for answer in answers[2:]] == [AppointmentStatus.BOOKED, AppointmentStatus.NOSHOW]


# Slots that are taken back


async def test_a_slot_is_taken_back_with_a_patient_on_it(clinic: Clinic) -> None:
    slot = await clinic.slot()
    appointment = await clinic.booked(slot)

    await decide(clinic, withdraw(slot, even_taken=True))

    assert await clinic.free() == []
    assert await kept(clinic, appointment) == [appointment]
    (event,) = await clinic.events(Kind.SLOT_WITHDRAWN)
    assert (event.actor, event.subject) == (slot.doctor.id, slot.id)


async def test_a_slot_that_was_taken_back_is_not_free_again_when_its_patient_goes(clinic: Clinic) -> None:
    slot = await clinic.slot()
    appointment = await clinic.booked(slot)
    await decide(clinic, withdraw(slot, even_taken=True))
    elsewhere = await clinic.slot(start=TOMORROW + DAY)

    await decide(clinic, move(appointment, elsewhere))

    assert await clinic.free() == []


async def test_the_time_of_a_slot_that_was_taken_back_with_a_patient_on_it_can_be_offered_again(clinic: Clinic) -> None:
    """And the patient of the first can have it."""
    slot = await clinic.slot()
    appointment = await clinic.booked(slot)

    await decide(clinic, withdraw(slot, even_taken=True))
    (new,) = await clinic.slots(slot.doctor, slot.time.start)
    (moved,) = await decide(clinic, move(appointment, new))

    assert await kept(clinic, appointment) == [moved]


async def test_one_list_takes_back_what_it_has_made_free(clinic: Clinic) -> None:
    slot, (here, there) = await clinic.slot(), await row(clinic, 2)
    appointment, other = await clinic.booked(slot), await clinic.booked(here)

    await decide(clinic, cancel(appointment), withdraw(slot), move(other, there), withdraw(here))

    diary = await look(clinic, withdraw(slot), withdraw(here), withdraw(there))
    assert [diary.slots[one.id].offered for one in (slot, here, there)] == [False, False, True]
    assert await clinic.free() == []
