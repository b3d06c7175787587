"""Searching for free slots."""

from datetime import date
from uuid import uuid4

import pytest

from healthcare.domain.kernel import Page, Paging, Role
from healthcare.domain.scheduling.model import Slot
from healthcare.domain.scheduling.search import Search
from tests.builders import DAY, HOUR, MINUTE, NOBODY, NOW, TOMORROW
from tests.clinic import Clinic

pytestmark = pytest.mark.anyio

TODAY = NOW.date()


async def found(clinic: Clinic, search: Search) -> list[Slot]:
    return list((await clinic.can.search_slots(actor=NOBODY, search=search)).items)


def render(search: Search, page: Page[Slot]) -> bytes:
    """Write an answer down, and where it came from."""
    return f"{search.specialty} {[str(slot.id) for slot in page.items]} {uuid4()}".encode()


async def written(clinic: Clinic, search: Search) -> bytes:
    return await clinic.can.search_slots.written(actor=NOBODY, search=search, render=render)


async def test_a_search_finds_free_slots_of_the_specialty_by_start(clinic: Clinic) -> None:
    doctor, other, elsewhere = await clinic.doctor(), await clinic.doctor(), await clinic.doctor("neurology")
    (late,) = await clinic.slots(doctor, NOW + 3 * HOUR)
    (early,) = await clinic.slots(other, NOW + HOUR)
    await clinic.slots(elsewhere, NOW + HOUR)

    assert await found(clinic, Search("cardiology", TODAY)) == [early, late]


async def test_a_search_finds_the_calendar_day_of_its_zone(clinic: Clinic) -> None:
    doctor = await clinic.doctor()
    midnight = TOMORROW.replace(hour=0)
    before, after = await clinic.slots(doctor, midnight - 30 * MINUTE, midnight)

    assert await found(clinic, Search("cardiology", TODAY)) == [before]
    assert await found(clinic, Search("cardiology", TODAY + DAY, "Europe/Berlin")) == [before, after]
    assert await found(clinic, Search("cardiology", TODAY, "America/New_York")) == [before, after]


async def test_a_search_does_not_find_what_has_started_or_is_taken(clinic: Clinic) -> None:
    doctor = await clinic.doctor()
    _, _, taken, free = await clinic.slots(doctor, NOW - HOUR, NOW, NOW + HOUR, NOW + 2 * HOUR)
    await clinic.booked(taken)

    assert await found(clinic, Search("cardiology", TODAY)) == [free]


async def test_a_search_does_not_find_slots_of_somebody_who_is_no_doctor_any_more(clinic: Clinic) -> None:
    doctor = await clinic.doctor()
    await clinic.slots(doctor, NOW + HOUR)
    async with clinic.database.begin() as uow:
        await uow.users.set_role(doctor.id, Role.ADMIN)

    assert await found(clinic, Search("cardiology", TODAY)) == []


async def test_an_unknown_specialty_finds_nothing(clinic: Clinic) -> None:
    await clinic.slot()

    assert await found(clinic, Search("phrenology", TODAY)) == []


async def test_a_search_finds_page_after_page(clinic: Clinic) -> None:
    slots = [*await clinic.slots(await clinic.doctor(), *(NOW + n * HOUR for n in range(1, 4)))]
    slots += await clinic.slots(await clinic.doctor(), *(NOW + n * HOUR for n in range(1, 4)))

    seen: list[Slot] = []
    paging = Paging(2)
    for _ in range(3):
        page = await clinic.can.search_slots(actor=NOBODY, search=Search("cardiology", TODAY, paging=paging))
        seen += page.items
        paging = Paging(2, page.next)

    assert sorted(slots, key=lambda slot: (slot.time.start, slot.id)) == seen
    assert page.next is None


async def test_what_is_written_down_is_what_is_found(clinic: Clinic) -> None:
    slot = await clinic.slot()

    body = await written(clinic, Search("cardiology", TOMORROW.date()))

    assert str(slot.id).encode() in body


async def test_the_same_question_gets_the_same_answer_until_something_changes(clinic: Clinic) -> None:
    slot, search = await clinic.slot(), Search("cardiology", TOMORROW.date())

    before = await written(clinic, search)
    assert await written(clinic, search) == before

    await clinic.booked(slot)
    assert str(slot.id).encode() not in await written(clinic, search)


async def test_an_answer_in_which_a_slot_has_started_is_not_given_again(clinic: Clinic) -> None:
    search = Search("cardiology", TODAY)
    (slot,) = await clinic.slots(await clinic.doctor(), NOW + MINUTE)
    assert str(slot.id).encode() in await written(clinic, search)

    clinic.clock.wait(MINUTE)

    assert str(slot.id).encode() not in await written(clinic, search)


async def test_that_nothing_was_found_is_an_answer_too(clinic: Clinic) -> None:
    search = Search("cardiology", date(2030, 6, 1))

    assert await written(clinic, search) == await written(clinic, search)
