"""What those are told who come too late for a slot."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from healthcare.adapters.memory.database import MemoryUnitOfWork
from healthcare.adapters.memory.scheduling import MemoryBookings
from healthcare.adapters.memory.tables import AppointmentRow
from healthcare.application.scheduling.decide import DecideOne, DecideTogether, LookForOthers, TakenForNow
from healthcare.application.together import Together
from healthcare.application.uow import OutcomeUnknown, Unavailable, UnitOfWork
from healthcare.domain.identity.model import User
from healthcare.domain.kernel import Doctor, Refusal, Role, SlotId, UserId
from healthcare.domain.scheduling.asks import Ask, Holding, Withdrawal
from healthcare.domain.scheduling.diary import Diary
from healthcare.domain.scheduling.errors import SlotTaken
from healthcare.domain.scheduling.model import HELD_FOR, Slot
from tests.builders import DAY, HOUR, NOW, TOMORROW, a_booking, an_actor
from tests.clinic import Clinic

pytestmark = pytest.mark.anyio

Want = Callable[[Clinic, Slot, User], Awaitable[object]]


async def book(clinic: Clinic, slot: Slot, who: User) -> object:
    return await clinic.can.book_appointment(a_booking(an_actor(who.id), slot.id))


async def hold(clinic: Clinic, slot: Slot, who: User) -> object:
    return await clinic.can.hold_slot(actor=an_actor(who.id), slot=slot.id)


async def move(clinic: Clinic, slot: Slot, who: User) -> object:
    appointment = await clinic.booked(await clinic.slot(await clinic.doctor("neurology"), NOW + 30 * DAY), who)
    return await clinic.can.reschedule_appointment(actor=an_actor(who.id), appointment=appointment.id, slot=slot.id)


async def offered_instead(clinic: Clinic, slot: Slot, want: Want = book) -> list[Slot]:
    """Want a slot that somebody has, and return what one is told to take instead."""
    with pytest.raises(TakenForNow) as refused:
        await want(clinic, slot, await clinic.user())
    return list(refused.value.alternatives)


async def a_taken_slot(clinic: Clinic, doctor: Doctor | None = None) -> Slot:
    slot = await clinic.slot(doctor, TOMORROW)
    await clinic.booked(slot)
    return slot


@pytest.mark.parametrize("want", [book, hold, move])
async def test_whoever_comes_too_late_is_told_of_the_doctors_next_three_free_slots(clinic: Clinic, want: Want) -> None:
    taken = await a_taken_slot(clinic)
    slots = await clinic.slots(taken.doctor, *(TOMORROW + n * HOUR for n in (4, 1, 3, 2)))

    assert await offered_instead(clinic, taken, want) == sorted(slots, key=lambda slot: slot.time.start)[:3]


async def test_the_refusal_is_the_same_as_any_other_of_a_taken_slot(clinic: Clinic) -> None:
    taken = await a_taken_slot(clinic)

    with pytest.raises(SlotTaken) as refused:
        await clinic.booked(taken)

    assert (refused.value.code, str(refused.value)) == (SlotTaken.code, str(SlotTaken()))


async def test_they_begin_now_not_with_the_slot_that_was_wanted(clinic: Clinic) -> None:
    taken = await a_taken_slot(clinic)
    _, _, sooner = await clinic.slots(taken.doctor, NOW - HOUR, NOW, NOW + HOUR)

    assert await offered_instead(clinic, taken) == [sooner]


async def test_none_is_taken_held_taken_back_or_another_doctors(clinic: Clinic) -> None:
    taken = await a_taken_slot(clinic)
    booked, held, withdrawn, free = await clinic.slots(taken.doctor, *(TOMORROW + n * HOUR for n in range(1, 5)))
    await clinic.booked(booked)
    await clinic.held(held)
    await clinic.can.take_slot_back(actor=an_actor(taken.doctor.id), slot=withdrawn.id)
    await clinic.slot(await clinic.doctor(), TOMORROW + HOUR)

    assert await offered_instead(clinic, taken) == [free]


async def test_a_slot_whose_hold_has_run_out_is_among_them(clinic: Clinic) -> None:
    taken = await a_taken_slot(clinic)
    (held,) = await clinic.slots(taken.doctor, TOMORROW + HOUR)
    await clinic.held(held)
    clinic.clock.wait(HELD_FOR)

    assert await offered_instead(clinic, taken) == [held]


async def test_there_may_be_none(clinic: Clinic) -> None:
    assert await offered_instead(clinic, await a_taken_slot(clinic)) == []


@pytest.mark.parametrize("failure", [Unavailable, OutcomeUnknown])
async def test_the_refusal_stands_where_nobody_can_look_for_them(
    clinic: Clinic, failure: type[Unavailable | OutcomeUnknown]
) -> None:
    taken = await a_taken_slot(clinic)
    await clinic.slots(taken.doctor, TOMORROW + HOUR)
    patient = await clinic.user()

    @asynccontextmanager
    async def failing() -> AsyncIterator[UnitOfWork]:
        async with clinic.begin() as uow:
            yield uow
            raise failure

    with pytest.raises(TakenForNow) as refused:
        decide = DecideOne(Together(clinic.together), Together(LookForOthers(failing)))
        await decide(Holding(actor=an_actor(patient.id), slot=taken.id))

    assert refused.value.alternatives == ()


class Blind(MemoryBookings):
    """Looks, and sees no claim of anybody."""

    def look(
        self, asked: Sequence[Ask], slots: set[SlotId], patients: set[UserId], named: Sequence[AppointmentRow]
    ) -> Diary:
        return replace(super().look(asked, slots, patients, named), appointments={})


async def test_who_is_turned_away_by_a_constraint_is_told_of_them_too(clinic: Clinic) -> None:
    taken = await a_taken_slot(clinic)
    (free,) = await clinic.slots(taken.doctor, TOMORROW + HOUR)
    patient = await clinic.user()

    @asynccontextmanager
    async def begin() -> AsyncIterator[UnitOfWork]:
        async with clinic.begin() as uow:
            assert isinstance(uow, MemoryUnitOfWork)
            yield replace(uow, bookings=Blind(uow.bookings.tx, uow.bookings.clock))

    together = DecideTogether(begin, clinic.cache, clinic.happened)
    blind = DecideOne(Together(together), Together(LookForOthers(clinic.begin)))
    with pytest.raises(TakenForNow) as refused:
        await blind(a_booking(an_actor(patient.id), taken.id))

    assert refused.value.alternatives == [free]
    assert len(await clinic.events()) == 1


async def test_a_doctor_who_cannot_take_a_slot_back_is_not_told_of_any(clinic: Clinic) -> None:
    taken = await a_taken_slot(clinic)

    with pytest.raises(SlotTaken) as refused:
        await clinic.can.take_slot_back(actor=an_actor(taken.doctor.id), slot=taken.id)

    assert not isinstance(refused.value, TakenForNow)


async def test_a_slot_of_somebody_who_is_no_doctor_any_more_does_not_exist_and_nothing_stands_in_for_it(
    clinic: Clinic,
) -> None:
    taken = await a_taken_slot(clinic)
    async with clinic.database.begin() as uow:
        await uow.users.set_role(taken.doctor.id, Role.PATIENT)

    with pytest.raises(Refusal) as refused:
        await book(clinic, taken, await clinic.user())

    assert refused.value.code == "not-found"


async def test_to_decide_one_is_to_say_what_became_of_an_appointment(clinic: Clinic) -> None:
    """What is asked of a slot alone is decided by those who expect a slot."""
    slot = await clinic.slot()

    with pytest.raises(TypeError):
        await clinic.decide(Withdrawal(actor=an_actor(slot.doctor.id), slot=slot.id))
