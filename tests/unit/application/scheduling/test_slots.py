"""Publishing slots, listing them, and taking them back."""

import asyncio
from uuid import uuid4

import pytest

from healthcare.domain.directory.errors import ProfileMissing
from healthcare.domain.kernel import EventKind, Invalid, Money, NotFound, NotYours, Paging, Role, SlotId
from healthcare.domain.scheduling.errors import SlotsOverlap, SlotTaken
from healthcare.domain.scheduling.model import HELD_FOR, Slot
from healthcare.domain.scheduling.search import Touched
from tests.builders import DAY, HOUR, MINUTE, NOW, TOMORROW, a_publication, an_actor
from tests.clinic import Clinic
from tests.unit.application.telltale import Telltale

pytestmark = pytest.mark.anyio


async def test_a_doctor_offers_a_range_in_slots(clinic: Clinic) -> None:
    doctor = await clinic.doctor("neurology", fee=Money(7500, "CHF"), notice_hours=24)

    slots = await clinic.can.publish_slots(
        actor=an_actor(doctor.id), publication=a_publication(TOMORROW, HOUR + 10 * MINUTE, slot_minutes=30)
    )

    assert [slot.time.start for slot in slots] == [TOMORROW, TOMORROW + 30 * MINUTE]
    assert {(slot.doctor, slot.fee, slot.notice_hours) for slot in slots} == {(doctor, Money(7500, "CHF"), 24)}
    assert await clinic.free("neurology") == list(slots)


async def test_a_publication_is_one_event_of_the_doctor(clinic: Clinic) -> None:
    doctor = await clinic.doctor()

    await clinic.can.publish_slots(actor=an_actor(doctor.id), publication=a_publication())

    (event,) = await clinic.events()
    assert (event.kind, event.actor, event.subject) == (EventKind.SLOTS_PUBLISHED, doctor.id, doctor.id)


async def test_a_doctor_without_a_profile_cannot_be_found_and_offers_nothing(clinic: Clinic) -> None:
    user = await clinic.user(Role.DOCTOR)

    with pytest.raises(ProfileMissing):
        await clinic.can.publish_slots(actor=an_actor(user.id), publication=a_publication())


async def test_all_slots_or_none(clinic: Clinic) -> None:
    doctor = await clinic.doctor()
    await clinic.slots(doctor, TOMORROW + HOUR)

    with pytest.raises(SlotsOverlap):
        await clinic.can.publish_slots(actor=an_actor(doctor.id), publication=a_publication(TOMORROW, 2 * HOUR))

    assert len(await clinic.free()) == 1
    assert await clinic.events() == []


async def test_a_publication_in_the_past_is_refused(clinic: Clinic) -> None:
    doctor = await clinic.doctor()

    with pytest.raises(Invalid):
        await clinic.can.publish_slots(actor=an_actor(doctor.id), publication=a_publication(NOW))


async def test_a_profile_that_is_missing_comes_before_an_overlap(clinic: Clinic) -> None:
    user = await clinic.user(Role.DOCTOR)

    with pytest.raises(ProfileMissing):
        await clinic.can.publish_slots(actor=an_actor(user.id), publication=a_publication())


async def test_of_two_overlapping_publications_at_once_one_is_kept(clinic: Clinic) -> None:
    doctor = await clinic.doctor()

    outcomes = await asyncio.gather(
        *(
            clinic.can.publish_slots(actor=an_actor(doctor.id), publication=a_publication(TOMORROW + n * MINUTE))
            for n in range(5)
        ),
        return_exceptions=True,
    )

    assert len([one for one in outcomes if isinstance(one, SlotsOverlap)]) == 4
    assert len(await clinic.free()) == 4


async def test_two_doctors_offer_the_same_time(clinic: Clinic) -> None:
    for _ in range(2):
        doctor = await clinic.doctor()
        await clinic.can.publish_slots(actor=an_actor(doctor.id), publication=a_publication())

    assert len(await clinic.free()) == 8


async def test_searches_of_all_days_of_a_publication_are_told_once_it_can_be_seen() -> None:
    telltale = Telltale()
    clinic = Clinic(cache=telltale)
    doctor = await clinic.doctor("neurology")
    telltale.look = lambda: clinic.free("neurology")

    slots = await clinic.can.publish_slots(
        actor=an_actor(doctor.id), publication=a_publication(TOMORROW, DAY, slot_minutes=240)
    )

    assert telltale.told == [{Touched("neurology", TOMORROW.date()), Touched("neurology", (TOMORROW + DAY).date())}]
    assert telltale.seen == [[slot for slot in slots if slot.time.start.date() == TOMORROW.date()]]


async def test_a_doctor_sees_their_own_slots_past_and_taken_ones_too(clinic: Clinic) -> None:
    doctor, other = await clinic.doctor(), await clinic.doctor()
    past, taken, free = await clinic.slots(doctor, NOW - HOUR, TOMORROW, TOMORROW + HOUR)
    await clinic.slot(other)
    await clinic.booked(taken)

    page = await clinic.can.list_slots(actor=an_actor(doctor.id), paging=Paging())

    assert [(slot.id, slot.taken) for slot in page.items] == [(past.id, False), (taken.id, True), (free.id, False)]


async def test_slots_are_listed_page_by_page(clinic: Clinic) -> None:
    doctor = await clinic.doctor()
    slots = await clinic.slots(doctor, *(TOMORROW + n * HOUR for n in range(5)))

    first = await clinic.can.list_slots(actor=an_actor(doctor.id), paging=Paging(3))
    second = await clinic.can.list_slots(actor=an_actor(doctor.id), paging=Paging(3, first.next))

    assert [*first.items, *second.items] == slots
    assert second.next is None


async def take_back(clinic: Clinic, slot: Slot) -> None:
    await clinic.can.take_slot_back(actor=an_actor(slot.doctor.id), slot=slot.id)


async def test_a_slot_that_was_taken_back_is_neither_found_nor_listed(clinic: Clinic) -> None:
    slot = await clinic.slot()

    await take_back(clinic, slot)

    assert await clinic.free() == []
    assert (await clinic.can.list_slots(actor=an_actor(slot.doctor.id), paging=Paging())).items == ()


async def test_a_slot_that_was_taken_back_is_one_event_of_the_doctor(clinic: Clinic) -> None:
    slot = await clinic.slot()

    await take_back(clinic, slot)

    (event,) = await clinic.events()
    assert (event.kind, event.actor, event.subject) == (EventKind.SLOT_WITHDRAWN, slot.doctor.id, slot.id)


async def test_a_slot_that_was_taken_back_cannot_be_booked(clinic: Clinic) -> None:
    slot = await clinic.slot()

    await take_back(clinic, slot)

    with pytest.raises(NotFound):
        await clinic.booked(slot)


async def test_a_slot_that_was_taken_back_makes_room(clinic: Clinic) -> None:
    doctor = await clinic.doctor()
    await take_back(clinic, await clinic.slot(doctor))

    slots = await clinic.can.publish_slots(
        actor=an_actor(doctor.id), publication=a_publication(TOMORROW, HOUR, slot_minutes=60)
    )

    assert await clinic.free() == list(slots)


async def test_a_slot_that_a_patient_has_or_holds_cannot_be_taken_back(clinic: Clinic) -> None:
    booked, held = await clinic.slots(await clinic.doctor(), TOMORROW, TOMORROW + HOUR)
    await clinic.booked(booked)
    await clinic.held(held)

    for slot in (booked, held):
        with pytest.raises(SlotTaken):
            await take_back(clinic, slot)

    assert await clinic.events(EventKind.SLOT_WITHDRAWN) == []


async def test_a_slot_that_nobody_holds_any_more_can_be_taken_back(clinic: Clinic) -> None:
    slot = await clinic.slot()
    await clinic.held(slot)
    clinic.clock.wait(HELD_FOR)

    await take_back(clinic, slot)

    assert await clinic.free() == []


async def test_a_slot_is_taken_back_once(clinic: Clinic) -> None:
    slot = await clinic.slot()

    outcomes = await asyncio.gather(*(take_back(clinic, slot) for _ in range(3)), return_exceptions=True)

    assert [type(one) for one in outcomes if one] == [NotFound, NotFound]
    assert len(await clinic.events(EventKind.SLOT_WITHDRAWN)) == 1


async def test_a_slot_that_does_not_exist_is_not_found(clinic: Clinic) -> None:
    doctor = await clinic.doctor()

    with pytest.raises(NotFound):
        await clinic.can.take_slot_back(actor=an_actor(doctor.id), slot=SlotId(uuid4()))

    assert await clinic.events() == []


async def test_the_slot_of_another_doctor_does_not_exist_either_and_that_is_recorded(clinic: Clinic) -> None:
    slot, other = await clinic.slot(), await clinic.doctor()
    await clinic.booked(slot)

    with pytest.raises(NotYours):
        await clinic.can.take_slot_back(actor=an_actor(other.id), slot=slot.id)

    (event,) = await clinic.events(EventKind.ACCESS_REFUSED)
    assert (event.actor, event.subject) == (other.id, slot.id)


async def test_searches_are_told_once_the_slot_is_gone() -> None:
    telltale = Telltale()
    clinic = Clinic(cache=telltale)
    slot = await clinic.slot()
    telltale.look = clinic.free

    await take_back(clinic, slot)

    assert telltale.told == [{Touched("cardiology", TOMORROW.date())}]
    assert telltale.seen == [[]]
