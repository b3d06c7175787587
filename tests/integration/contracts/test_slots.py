"""What every adapter of `Slots` does."""

from dataclasses import replace
from datetime import timedelta

import pytest

from healthcare.domain.kernel import Doctor, Money, Page, Paging, Patient, Role
from healthcare.domain.scheduling.errors import SlotsOverlap
from healthcare.domain.scheduling.model import HELD_FOR, Slot
from healthcare.domain.scheduling.ports import Slots
from healthcare.domain.scheduling.search import Search
from healthcare.domain.scheduling.status import NOT_LIVE, AppointmentStatus
from tests.builders import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    TOMORROW,
    a_profile,
    a_slot,
    a_time,
    a_user_id,
    an_actor,
    an_appointment,
)
from tests.clinic import Clinic
from tests.integration.contracts.asks import book, cancel, decide, decided, in_status, look, put, withdraw
from tests.integration.contracts.pages import all_pages
from tests.integration.contracts.queues import pass_by, queue

pytestmark = pytest.mark.anyio

PORT = Slots

TODAY = NOW.date()
MICROSECOND = timedelta(microseconds=1)


async def of(clinic: Clinic, doctor: Doctor, paging: Paging | None = None) -> Page[Slot]:
    async with clinic.database.begin() as uow:
        return await uow.slots.of(doctor.id, paging or Paging())


async def free(clinic: Clinic, search: Search) -> list[Slot]:
    async with clinic.database.read() as uow:
        return list((await uow.slots.free(search, now=clinic.clock.now())).items)


async def alternatives(clinic: Clinic, slot: Slot, most: int = 3) -> list[Slot]:
    async with clinic.database.read() as uow:
        found = await uow.slots.alternatives([slot.id], most)
    assert set(found) <= {slot.id}
    return list(found.get(slot.id, ()))


async def seen(clinic: Clinic, slot: Slot) -> Slot:
    """Return the slot as those see it who ask for it, withdrawn or not."""
    return (await look(clinic, withdraw(slot))).slots[slot.id]


async def test_slots_are_kept_as_they_are(clinic: Clinic) -> None:
    doctor = await clinic.doctor("neurology", fee=Money(7500, "CHF"))

    slots = await clinic.slots(doctor, TOMORROW, TOMORROW + HOUR, fee=Money(7500, "CHF"))

    assert (await of(clinic, doctor)).items == tuple(slots)
    assert await seen(clinic, slots[0]) == slots[0]


async def test_a_slot_has_the_terms_that_the_profile_says_now(clinic: Clinic) -> None:
    slot = await clinic.slot()

    async with clinic.database.begin() as uow:
        await uow.profiles.put(a_profile(slot.doctor.id, fee=Money(1, "CHF"), notice_hours=48))

    changed = replace(slot, fee=Money(1, "CHF"), notice_hours=48)
    assert await seen(clinic, slot) == changed
    assert (await of(clinic, slot.doctor)).items == (changed,)
    assert await clinic.free() == await alternatives(clinic, slot) == [changed]


async def test_a_slot_is_taken_while_a_live_appointment_stands_on_it(clinic: Clinic) -> None:
    slot = await clinic.slot()
    appointment = await clinic.booked(slot)
    assert (await of(clinic, slot.doctor)).items == (replace(slot, taken=True),)
    assert await free(clinic, Search("cardiology", TOMORROW.date())) == []

    await decide(clinic, cancel(appointment))

    assert (await of(clinic, slot.doctor)).items == (slot,)
    assert await free(clinic, Search("cardiology", TOMORROW.date())) == [slot]


async def test_a_slot_is_taken_by_an_appointment_in_any_status_that_the_domain_calls_live(clinic: Clinic) -> None:
    doctor, patient = await clinic.doctor(), await clinic.user()
    slots = await clinic.slots(doctor, *(TOMORROW + n * HOUR for n, _ in enumerate(AppointmentStatus)))
    claims = [an_appointment(slot=slot, patient=Patient(patient.id, patient.full_name)) for slot in slots]
    await put(clinic, *map(in_status, claims, AppointmentStatus))

    taken = {
        status: slot.taken for status, slot in zip(AppointmentStatus, (await of(clinic, doctor)).items, strict=True)
    }

    assert taken == {status: status not in NOT_LIVE for status in AppointmentStatus}
    assert await clinic.free() == [
        slot for slot, status in zip(slots, AppointmentStatus, strict=True) if not taken[status]
    ]


async def test_a_slot_is_taken_by_a_hold_until_that_runs_out(clinic: Clinic) -> None:
    slot = await clinic.slot()
    await clinic.held(slot)

    clinic.clock.wait(HELD_FOR - MICROSECOND)
    before = ((await of(clinic, slot.doctor)).items, await clinic.free(), await alternatives(clinic, slot))
    clinic.clock.wait(MICROSECOND)
    after = ((await of(clinic, slot.doctor)).items, await clinic.free(), await alternatives(clinic, slot))

    assert before == ((replace(slot, taken=True),), [], [])
    assert after == ((slot,), [slot], [slot])


async def test_a_slot_is_offered_until_it_is_withdrawn(clinic: Clinic) -> None:
    slot, other = await clinic.slots(await clinic.doctor(), TOMORROW, TOMORROW + HOUR)

    await decide(clinic, withdraw(slot))

    assert await seen(clinic, slot) == replace(slot, offered=False)
    assert (await of(clinic, slot.doctor)).items == (other,)
    assert await clinic.free() == [other]


async def test_a_slot_is_offered_while_its_doctor_is_a_doctor(clinic: Clinic) -> None:
    slot = await clinic.slot()

    async with clinic.database.begin() as uow:
        await uow.users.set_role(slot.doctor.id, Role.PATIENT)

    assert await seen(clinic, slot) == replace(slot, offered=False)
    assert (await of(clinic, slot.doctor)).items == (replace(slot, offered=False),)
    assert await clinic.free() == []


async def test_the_times_of_a_doctor_are_those_that_overlap(clinic: Clinic) -> None:
    doctor = await clinic.doctor()
    before, early, within, late, after, withdrawn = await clinic.slots(
        doctor, *(TOMORROW + n * 30 * MINUTE for n in (0, 1, 2, 3, 4)), TOMORROW + 5 * HOUR
    )
    await clinic.slots(await clinic.doctor(), TOMORROW + HOUR)
    await decide(clinic, withdraw(withdrawn))

    async with clinic.database.begin() as uow:
        times = await uow.slots.times(doctor.id, a_time(early.time.start + MINUTE, 88 * MINUTE))
        withdrawn_times = await uow.slots.times(doctor.id, withdrawn.time)
        nobodys = await uow.slots.times(a_user_id(), within.time)

    assert sorted(times, key=lambda time: time.start) == [early.time, within.time, late.time]
    assert before.time not in times
    assert after.time not in times
    assert withdrawn_times == nobodys == []


async def test_a_withdrawn_slot_that_has_a_patient_is_a_time_of_the_doctor(clinic: Clinic) -> None:
    """Otherwise the doctor could publish it anew, and would have two patients at a time."""
    doctor = await clinic.doctor()
    booked, cancelled, held = await clinic.slots(doctor, *(TOMORROW + n * HOUR for n in range(3)))
    await clinic.booked(booked)
    gone = await clinic.booked(cancelled)
    await clinic.held(held)
    await clinic.can.cancel_appointment(actor=an_actor(doctor.id), appointment=gone.id, reason="ill")
    await decide(clinic, *(withdraw(slot, even_taken=True) for slot in (booked, cancelled, held)))

    async with clinic.database.begin() as uow:
        day = a_time(TOMORROW, 12 * HOUR)
        times = await uow.slots.times(doctor.id, day)
        touching = await uow.slots.times(doctor.id, a_time(booked.time.end, HOUR - 30 * MINUTE))

    assert sorted(times, key=lambda time: time.start) == [booked.time, held.time]
    assert touching == []


async def test_a_range_that_touches_a_slot_does_not_overlap_it(clinic: Clinic) -> None:
    slot = await clinic.slot()

    async with clinic.database.begin() as uow:
        assert await uow.slots.times(slot.doctor.id, a_time(slot.time.end, HOUR)) == []
        assert await uow.slots.times(slot.doctor.id, a_time(slot.time.start - HOUR, HOUR)) == []


async def test_a_doctor_has_one_slot_at_a_time(clinic: Clinic) -> None:
    slot = await clinic.slot()

    with pytest.raises(SlotsOverlap):
        await clinic.slots(slot.doctor, slot.time.end, slot.time.end - MINUTE, length=MINUTE)

    assert (await of(clinic, slot.doctor)).items == (slot,)


async def test_new_slots_do_not_overlap_each_other(clinic: Clinic) -> None:
    doctor = await clinic.doctor()

    with pytest.raises(SlotsOverlap):
        await clinic.slots(doctor, TOMORROW, TOMORROW + MINUTE)

    assert (await of(clinic, doctor)).items == ()


async def test_slots_may_follow_each_other(clinic: Clinic) -> None:
    slot = await clinic.slot()

    await clinic.slots(slot.doctor, slot.time.start - 30 * MINUTE, slot.time.end)

    assert len((await of(clinic, slot.doctor)).items) == 3


async def test_a_withdrawn_slot_makes_room(clinic: Clinic) -> None:
    slot = await clinic.slot()
    await decide(clinic, withdraw(slot))

    new = await clinic.slots(slot.doctor, slot.time.start)

    assert (await of(clinic, slot.doctor)).items == tuple(new)


async def test_whoever_adds_slots_to_a_doctor_waits_for_others_who_do_and_is_refused(clinic: Clinic) -> None:
    doctor = await clinic.doctor()

    with pytest.raises(SlotsOverlap):
        await queue(
            clinic.database,
            lambda uow: uow.slots.add([a_slot(doctor=doctor)]),
            lambda uow: uow.slots.add([a_slot(doctor=doctor)]),
        )


async def test_slots_that_have_not_started_move_to_another_specialty(clinic: Clinic) -> None:
    doctor, other = await clinic.doctor("cardiology"), await clinic.doctor("cardiology")
    past, now, future = await clinic.slots(doctor, NOW - HOUR, NOW, NOW + HOUR)
    others = await clinic.slot(other)

    async with clinic.database.begin() as uow:
        await uow.slots.move(doctor.id, "neurology", now=NOW)

    specialties = [(await seen(clinic, slot)).doctor.specialty for slot in (past, now, future, others)]
    assert specialties == ["cardiology", "cardiology", "neurology", "cardiology"]


async def test_a_withdrawn_slot_does_not_move(clinic: Clinic) -> None:
    slot = await clinic.slot()
    await decide(clinic, withdraw(slot))

    async with clinic.database.begin() as uow:
        await uow.slots.move(slot.doctor.id, "neurology", now=NOW)

    assert (await seen(clinic, slot)).doctor.specialty == "cardiology"


async def test_whoever_asks_for_a_slot_waits_for_those_who_move_or_withdraw_it(clinic: Clinic) -> None:
    slot, patient = await clinic.slot(), await clinic.user()

    moved = await queue(
        clinic.database,
        lambda uow: uow.slots.move(slot.doctor.id, "neurology", now=NOW),
        lambda uow: uow.bookings.lock([book(patient, slot)]),
    )
    withdrawn = await queue(
        clinic.database,
        lambda uow: decided(clinic, uow, withdraw(slot)),
        lambda uow: uow.bookings.lock([book(patient, slot)]),
    )

    assert moved.slots[slot.id].doctor.specialty == "neurology"
    assert not withdrawn.slots[slot.id].offered


async def test_whoever_moves_a_doctors_slots_waits_for_those_who_ask_for_one(clinic: Clinic) -> None:
    slot, patient = await clinic.slot(), await clinic.user()

    await queue(
        clinic.database,
        lambda uow: uow.bookings.lock([book(patient, slot)]),
        lambda uow: uow.slots.move(slot.doctor.id, "neurology", now=NOW),
    )


async def test_a_slot_that_somebody_asks_for_is_found_meanwhile(clinic: Clinic) -> None:
    slot, patient = await clinic.slot(), await clinic.user()

    found = await pass_by(
        clinic.database,
        lambda uow: uow.bookings.lock([book(patient, slot)]),
        lambda uow: uow.slots.free(Search("cardiology", TOMORROW.date()), now=NOW),
    )

    assert found.items == (slot,)


async def test_the_slots_of_a_time_are_those_that_start_in_it_first_instant_included_and_last_not(
    clinic: Clinic,
) -> None:
    doctor = await clinic.doctor()
    _, first, last, _ = await clinic.slots(
        doctor, TOMORROW - MINUTE, TOMORROW, TOMORROW + HOUR - MINUTE, TOMORROW + HOUR, length=MINUTE
    )
    await clinic.slot()

    async with clinic.database.begin() as uow:
        on = await uow.slots.on(doctor.id, TOMORROW, TOMORROW + HOUR)

    assert on == sorted([first.id, last.id])


async def test_the_slots_of_a_time_are_those_that_stand_and_those_that_have_a_patient_all_the_same(
    clinic: Clinic,
) -> None:
    """So that whoever cancels a day a second time finds those whom the first time has left."""
    doctor = await clinic.doctor()
    free, taken, withdrawn, abandoned, cancelled = await clinic.slots(doctor, *(TOMORROW + n * HOUR for n in range(5)))
    for slot in (taken, abandoned):
        await clinic.booked(slot)
    given_up = await clinic.booked(cancelled)
    await decide(clinic, *(withdraw(slot, even_taken=True) for slot in (withdrawn, abandoned, cancelled)))
    await decide(clinic, cancel(given_up))

    async with clinic.database.begin() as uow:
        on = await uow.slots.on(doctor.id, TOMORROW, TOMORROW + DAY)

    assert on == sorted([free.id, taken.id, abandoned.id])


async def test_the_alternatives_to_a_slot_are_its_doctors_next_free_ones(clinic: Clinic) -> None:
    doctor = await clinic.doctor()
    times = (NOW - HOUR, NOW, *(NOW + n * HOUR for n in (1, 2, 3, 4, 5, 6)))
    wanted, _, booked, held, withdrawn, *free = await clinic.slots(doctor, *times)
    await clinic.slot(start=NOW + MINUTE)
    await clinic.booked(booked)
    await clinic.held(held)
    await decide(clinic, withdraw(withdrawn))

    assert await alternatives(clinic, wanted) == free
    assert await alternatives(clinic, wanted, most=2) == free[:2]


async def test_alternatives_to_several_slots_are_told_apart(clinic: Clinic) -> None:
    one, other = await clinic.slot(), await clinic.slot(start=TOMORROW + HOUR)

    async with clinic.database.begin() as uow:
        assert await uow.slots.alternatives([one.id, other.id, one.id], 3) == {one.id: [one], other.id: [other]}


async def test_a_slot_that_is_free_again_is_its_own_alternative(clinic: Clinic) -> None:
    slot = await clinic.slot()

    assert await alternatives(clinic, slot) == [slot]


async def test_there_are_no_alternatives_to_what_does_not_exist_nor_at_one_who_is_no_doctor(clinic: Clinic) -> None:
    slot = await clinic.slot()
    async with clinic.database.begin() as uow:
        await uow.users.set_role(slot.doctor.id, Role.PATIENT)

    assert await alternatives(clinic, slot) == []
    assert await alternatives(clinic, a_slot()) == []


async def test_a_doctors_slots_come_by_start_past_ones_too(clinic: Clinic) -> None:
    doctor = await clinic.doctor()
    late, past, early = await clinic.slots(doctor, TOMORROW + HOUR, NOW - DAY, TOMORROW)
    await clinic.slot()

    assert (await of(clinic, doctor)).items == (past, early, late)


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 6])
async def test_a_doctors_slots_come_page_by_page(clinic: Clinic, limit: int) -> None:
    doctor = await clinic.doctor()
    slots = await clinic.slots(doctor, *(TOMORROW + n * HOUR for n in range(5)))

    pages = await all_pages(lambda paging: of(clinic, doctor, paging), limit=limit)

    assert pages == slots


async def test_a_search_finds_what_can_be_booked_by_start(clinic: Clinic) -> None:
    doctor, other, elsewhere = await clinic.doctor(), await clinic.doctor(), await clinic.doctor("neurology")
    late, taken, withdrawn = await clinic.slots(doctor, NOW + 3 * HOUR, NOW + HOUR, NOW + 2 * HOUR)
    early, *_ = await clinic.slots(other, NOW + HOUR, NOW, NOW - HOUR)
    await clinic.slots(elsewhere, NOW + HOUR)
    await clinic.booked(taken)
    await decide(clinic, withdraw(withdrawn))

    assert await free(clinic, Search("cardiology", TODAY)) == [early, late]
    assert await free(clinic, Search("phrenology", TODAY)) == []


async def test_a_search_finds_the_day_of_its_zone_first_instant_included_and_last_not(clinic: Clinic) -> None:
    midnight = TOMORROW.replace(hour=0) - HOUR
    before, first, last, after = await clinic.slots(
        await clinic.doctor(),
        midnight - 5 * MINUTE,
        midnight,
        midnight + DAY - 5 * MINUTE,
        midnight + DAY,
        length=5 * MINUTE,
    )

    assert await free(clinic, Search("cardiology", TODAY, "Europe/Berlin")) == [before]
    assert await free(clinic, Search("cardiology", TODAY + DAY, "Europe/Berlin")) == [first, last]
    assert await free(clinic, Search("cardiology", TODAY + 2 * DAY, "Europe/Berlin")) == [after]


@pytest.mark.parametrize("limit", [1, 3, 6, 7])
async def test_a_search_finds_page_after_page_also_where_slots_start_at_once(clinic: Clinic, limit: int) -> None:
    slots = [slot for _ in range(3) for slot in await clinic.slots(await clinic.doctor(), TOMORROW, TOMORROW + HOUR)]
    day = TOMORROW.date()

    async def fetch(paging: Paging) -> Page[Slot]:
        async with clinic.database.begin() as uow:
            return await uow.slots.free(Search("cardiology", day, paging=paging), now=NOW)

    pages = await all_pages(fetch, limit=limit)

    assert pages == sorted(slots, key=lambda slot: (slot.time.start, slot.id))
