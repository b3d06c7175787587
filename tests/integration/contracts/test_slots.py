"""What every adapter of `Slots` does."""

from dataclasses import replace
from uuid import uuid4

import pytest

from healthcare.application.uow import UnitOfWork
from healthcare.domain.kernel import Doctor, Money, Page, Paging, Role, SlotId
from healthcare.domain.scheduling.errors import SlotsOverlap
from healthcare.domain.scheduling.model import Search, Slot
from healthcare.domain.scheduling.ports import Slots
from tests.builders import DAY, HOUR, MINUTE, NOW, TOMORROW, a_profile, a_slot, a_time, a_user_id, an_actor
from tests.clinic import Clinic
from tests.integration.contracts.pages import all_pages
from tests.integration.contracts.queues import pass_by, queue

pytestmark = pytest.mark.anyio

PORT = Slots

TODAY = NOW.date()


async def of(clinic: Clinic, doctor: Doctor, paging: Paging | None = None) -> Page[Slot]:
    async with clinic.database.begin() as uow:
        return await uow.slots.of(doctor.id, paging or Paging())


async def free(clinic: Clinic, search: Search) -> list[Slot]:
    async with clinic.database.begin() as uow:
        return list((await uow.slots.free(search, now=clinic.clock.now())).items)


async def locked(clinic: Clinic, slot: Slot) -> Slot:
    async with clinic.database.begin() as uow:
        found = await uow.slots.lock(slot.id)
    assert found
    return found


async def withdraw(clinic: Clinic, slot: Slot) -> None:
    async with clinic.database.begin() as uow:
        await uow.slots.withdraw(slot.id)


async def test_slots_are_kept_as_they_are(clinic: Clinic) -> None:
    doctor = await clinic.doctor("neurology", fee=Money(7500, "CHF"))

    slots = await clinic.slots(doctor, TOMORROW, TOMORROW + HOUR, fee=Money(7500, "CHF"))

    assert (await of(clinic, doctor)).items == tuple(slots)
    assert await locked(clinic, slots[0]) == slots[0]


async def test_a_slot_costs_what_the_profile_says_now(clinic: Clinic) -> None:
    slot = await clinic.slot()

    async with clinic.database.begin() as uow:
        await uow.profiles.put(a_profile(slot.doctor.id, fee=Money(1, "CHF")))

    assert (await locked(clinic, slot)).fee == Money(1, "CHF")


async def test_a_slot_that_does_not_exist_cannot_be_locked(clinic: Clinic) -> None:
    async with clinic.database.begin() as uow:
        assert await uow.slots.lock(SlotId(uuid4())) is None


async def test_a_slot_is_taken_while_a_live_appointment_stands_on_it(clinic: Clinic) -> None:
    slot = await clinic.slot()
    appointment = await clinic.booked(slot)
    assert (await locked(clinic, slot)).taken
    assert (await of(clinic, slot.doctor)).items[0].taken

    await clinic.can.cancel_appointment(
        actor=an_actor(appointment.patient.id), appointment=appointment.id, reason="ill"
    )

    assert not (await locked(clinic, slot)).taken
    assert not (await of(clinic, slot.doctor)).items[0].taken


async def test_a_slot_is_offered_until_it_is_withdrawn(clinic: Clinic) -> None:
    slot, other = await clinic.slots(await clinic.doctor(), TOMORROW, TOMORROW + HOUR)

    await withdraw(clinic, slot)

    assert await locked(clinic, slot) == replace(slot, offered=False)
    assert (await of(clinic, slot.doctor)).items == (other,)
    assert await clinic.free() == [other]


async def test_a_slot_is_offered_while_its_doctor_is_a_doctor(clinic: Clinic) -> None:
    slot = await clinic.slot()

    async with clinic.database.begin() as uow:
        await uow.users.set_role(slot.doctor.id, Role.PATIENT)

    assert await locked(clinic, slot) == replace(slot, offered=False)
    assert (await of(clinic, slot.doctor)).items == (replace(slot, offered=False),)
    assert await clinic.free() == []


async def test_the_times_of_a_doctor_are_those_that_overlap(clinic: Clinic) -> None:
    doctor = await clinic.doctor()
    before, early, within, late, after, withdrawn = await clinic.slots(
        doctor, *(TOMORROW + n * 30 * MINUTE for n in (0, 1, 2, 3, 4)), TOMORROW + 5 * HOUR
    )
    await clinic.slots(await clinic.doctor(), TOMORROW + HOUR)
    await withdraw(clinic, withdrawn)

    async with clinic.database.begin() as uow:
        times = await uow.slots.times(doctor.id, a_time(early.time.start + MINUTE, 88 * MINUTE))
        withdrawn_times = await uow.slots.times(doctor.id, withdrawn.time)
        nobodys = await uow.slots.times(a_user_id(), within.time)

    assert sorted(times, key=lambda time: time.start) == [early.time, within.time, late.time]
    assert before.time not in times
    assert after.time not in times
    assert withdrawn_times == nobodys == []


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
    await withdraw(clinic, slot)

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

    specialties = [(await locked(clinic, slot)).doctor.specialty for slot in (past, now, future, others)]
    assert specialties == ["cardiology", "cardiology", "neurology", "cardiology"]


async def test_a_withdrawn_slot_does_not_move(clinic: Clinic) -> None:
    slot = await clinic.slot()
    await withdraw(clinic, slot)

    async with clinic.database.begin() as uow:
        await uow.slots.move(slot.doctor.id, "neurology", now=NOW)

    assert (await locked(clinic, slot)).doctor.specialty == "cardiology"


async def test_whoever_locks_a_slot_waits_for_others_who_did_and_sees_what_they_did(clinic: Clinic) -> None:
    slot = await clinic.slot()

    async def take_back(uow: UnitOfWork) -> None:
        await uow.slots.lock(slot.id)
        await uow.slots.withdraw(slot.id)

    seen = await queue(clinic.database, take_back, lambda uow: uow.slots.lock(slot.id))

    assert seen == replace(slot, offered=False)


async def test_whoever_locks_a_slot_waits_for_those_who_move_or_withdraw_it(clinic: Clinic) -> None:
    slot = await clinic.slot()

    moved = await queue(
        clinic.database,
        lambda uow: uow.slots.move(slot.doctor.id, "neurology", now=NOW),
        lambda uow: uow.slots.lock(slot.id),
    )
    withdrawn = await queue(
        clinic.database, lambda uow: uow.slots.withdraw(slot.id), lambda uow: uow.slots.lock(slot.id)
    )

    assert moved
    assert moved.doctor.specialty == "neurology"
    assert withdrawn
    assert not withdrawn.offered


async def test_other_slots_are_locked_meanwhile_and_a_locked_slot_is_found(clinic: Clinic) -> None:
    slot, other = await clinic.slots(await clinic.doctor(), TOMORROW, TOMORROW + HOUR)

    await pass_by(clinic.database, lambda uow: uow.slots.lock(slot.id), lambda uow: uow.slots.lock(other.id))
    found = await pass_by(
        clinic.database,
        lambda uow: uow.slots.lock(slot.id),
        lambda uow: uow.slots.free(Search("cardiology", TOMORROW.date()), now=NOW),
    )

    assert found.items == (slot, other)


async def test_a_doctors_slots_come_by_start_past_ones_too(clinic: Clinic) -> None:
    doctor = await clinic.doctor()
    late, past, early = await clinic.slots(doctor, TOMORROW + HOUR, NOW - DAY, TOMORROW)
    await clinic.slot()

    assert (await of(clinic, doctor)).items == (past, early, late)


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 6])
async def test_a_doctors_slots_come_page_by_page(clinic: Clinic, limit: int) -> None:
    doctor = await clinic.doctor()
    slots = await clinic.slots(doctor, *(TOMORROW + n * HOUR for n in range(5)))

    seen = await all_pages(lambda paging: of(clinic, doctor, paging), limit=limit)

    assert seen == slots


async def test_a_search_finds_what_can_be_booked_by_start(clinic: Clinic) -> None:
    doctor, other, elsewhere = await clinic.doctor(), await clinic.doctor(), await clinic.doctor("neurology")
    late, taken, withdrawn = await clinic.slots(doctor, NOW + 3 * HOUR, NOW + HOUR, NOW + 2 * HOUR)
    early, *_ = await clinic.slots(other, NOW + HOUR, NOW, NOW - HOUR)
    await clinic.slots(elsewhere, NOW + HOUR)
    await clinic.booked(taken)
    await withdraw(clinic, withdrawn)

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

    seen = await all_pages(fetch, limit=limit)

    assert seen == sorted(slots, key=lambda slot: (slot.time.start, slot.id))
