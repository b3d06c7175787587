"""Cancelling a whole day: what belongs to it, what becomes of each appointment, and what a cut leaves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from healthcare.application.scheduling.cancel_day import CancelDay, DayItem
from healthcare.application.uow import OutcomeUnknown, Unavailable, UnitOfWork
from healthcare.domain.directory.errors import ProfileMissing
from healthcare.domain.identity.model import User
from healthcare.domain.kernel import Doctor, EventKind, Invalid, NotFound, Paging, Role
from healthcare.domain.scheduling.asks import Ask
from healthcare.domain.scheduling.cancellation import Cancellation, ReasonCode
from healthcare.domain.scheduling.errors import SlotsOverlap
from healthcare.domain.scheduling.model import HELD_FOR, Appointment, Slot
from healthcare.domain.scheduling.search import Touched
from healthcare.domain.scheduling.status import AppointmentStatus
from healthcare.domain.zones import day_bounds
from tests.builders import DAY, HOUR, MINUTE, NOW, TOMORROW, a_booking, a_publication, a_slot, a_time, an_actor
from tests.clinic import Clinic
from tests.unit.application.telltale import Telltale

pytestmark = pytest.mark.anyio

DATE = TOMORROW.date()

Meanwhile = Callable[[Ask], Awaitable[object]]


async def cancel_day(clinic: Clinic, doctor: Doctor, day: date = DATE) -> Sequence[DayItem]:
    return await clinic.can.cancel_day(actor=an_actor(doctor.id), day=day, reason="ill")


async def cancel_day_while(clinic: Clinic, doctor: Doctor, meanwhile: Meanwhile) -> Sequence[DayItem]:
    """Cancel the day; before each of its appointments is cancelled, something else happens."""

    async def decide(ask: Ask) -> Appointment:
        await meanwhile(ask)
        return await clinic.decide(ask)

    cancel = CancelDay(clinic.begin, clinic.cache, clinic.happened, decide)
    return await cancel(actor=an_actor(doctor.id), day=DATE, reason="ill")


def outcomes(items: Sequence[DayItem]) -> list[str]:
    return [item.outcome for item in items]


async def statuses(clinic: Clinic, *appointments: Appointment) -> list[AppointmentStatus]:
    kept = [await clinic.appointment(one.id) for one in appointments]
    return [one.status for one in kept if one]


async def standing(clinic: Clinic, doctor: Doctor) -> list[Slot]:
    """Return the doctor's slots that were not taken back."""
    return list((await clinic.can.list_slots(actor=an_actor(doctor.id), paging=Paging(500))).items)


async def a_doctor_with(clinic: Clinic, number: int) -> tuple[Doctor, list[Slot]]:
    """Return a doctor, and slots of tomorrow, one each hour."""
    doctor = await clinic.doctor()
    return doctor, await clinic.slots(doctor, *(TOMORROW + place * HOUR for place in range(number)))


async def test_every_slot_of_the_day_is_taken_back_and_every_appointment_cancelled(clinic: Clinic) -> None:
    doctor, (late, early, free) = await a_doctor_with(clinic, 3)
    second, first = await clinic.booked(early), await clinic.booked(late)

    items = await cancel_day(clinic, doctor)

    assert [(item.appointment, item.outcome) for item in items] == [(first, "cancelled"), (second, "cancelled")]
    assert await statuses(clinic, first, second) == [AppointmentStatus.CANCELLED] * 2
    assert await standing(clinic, doctor) == await clinic.free() == []
    with pytest.raises(NotFound):
        await clinic.booked(free)


async def test_each_slot_and_each_appointment_has_its_event_of_the_doctor(clinic: Clinic) -> None:
    doctor, slots = await a_doctor_with(clinic, 2)
    appointment = await clinic.booked(slots[0])

    await cancel_day(clinic, doctor)

    withdrawn = await clinic.events(EventKind.SLOT_WITHDRAWN)
    assert {(event.actor, event.subject) for event in withdrawn} == {(doctor.id, slot.id) for slot in slots}
    (event,) = await clinic.events(EventKind.APPOINTMENT_CANCELLED)
    assert (event.actor, event.subject) == (doctor.id, appointment.id)


async def test_the_reason_is_the_doctors_and_nobody_is_late(clinic: Clinic) -> None:
    doctor = await clinic.doctor(notice_hours=168)
    appointment = await clinic.booked(await clinic.slot(doctor))

    await cancel_day(clinic, doctor)

    kept = await clinic.appointment(appointment.id)
    assert kept
    assert kept.cancellation == Cancellation("ill", ReasonCode.PROV, late=False)


async def test_holds_and_who_has_checked_in_are_cancelled_too(clinic: Clinic) -> None:
    doctor, (near, held, gone) = await a_doctor_with(clinic, 3)
    booked = await clinic.booked(near)
    clinic.clock.set(TOMORROW - 10 * MINUTE)
    await clinic.held(gone)
    clinic.clock.wait(HELD_FOR)
    hold = await clinic.held(held)
    checked_in = await clinic.can.check_in(actor=an_actor(booked.patient.id), appointment=booked.id)

    items = await cancel_day(clinic, doctor)

    assert [(item.appointment, item.outcome) for item in items] == [(checked_in, "cancelled"), (hold, "cancelled")]
    assert len(await clinic.events(EventKind.HOLD_EXPIRED)) == 1


async def test_what_came_to_nothing_or_was_fulfilled_is_left_alone(clinic: Clinic) -> None:
    doctor, slots = await a_doctor_with(clinic, 2)
    cancelled, fulfilled = [await clinic.booked(slot) for slot in slots]
    await clinic.can.cancel_appointment(actor=an_actor(doctor.id), appointment=cancelled.id, reason="ill")
    await clinic.can.start_consultation(actor=an_actor(doctor.id), appointment=fulfilled.id)

    assert await cancel_day(clinic, doctor) == []

    assert await statuses(clinic, cancelled, fulfilled) == [AppointmentStatus.CANCELLED, AppointmentStatus.FULFILLED]


async def test_other_days_and_other_doctors_are_left_alone(clinic: Clinic) -> None:
    doctor, _ = await a_doctor_with(clinic, 1)
    (later,) = await clinic.slots(doctor, TOMORROW + DAY)
    theirs = await clinic.slot()
    appointments = [await clinic.booked(later), await clinic.booked(theirs)]

    assert await cancel_day(clinic, doctor) == []

    assert await statuses(clinic, *appointments) == [AppointmentStatus.BOOKED] * 2
    assert [slot.id for slot in await standing(clinic, doctor)] == [later.id]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("UTC", date(2030, 1, 8), 24),
        ("Pacific/Auckland", date(2030, 1, 8), 24),
        ("America/New_York", date(2030, 1, 8), 24),
        ("Asia/Kathmandu", date(2030, 1, 8), 24),
        ("Europe/Berlin", date(2030, 3, 31), 23),
        ("Europe/Berlin", date(2030, 10, 27), 25),
        ("America/Santiago", date(2030, 9, 8), 23),
    ],
)
async def test_the_day_is_that_of_the_doctors_time_zone_whenever_clocks_are_changed(
    clinic: Clinic, zone: str, day: date, hours: int
) -> None:
    """In Santiago the clocks jump over midnight."""
    doctor = await clinic.doctor(time_zone=zone)
    begin, end = day_bounds(day, zone)
    of_the_day = await clinic.slots(doctor, *(begin + place * HOUR for place in range(hours)))
    before, after = await clinic.slots(doctor, begin - 30 * MINUTE, end)
    appointments = [await clinic.booked(slot) for slot in (before, of_the_day[0], of_the_day[-1], after)]

    items = await cancel_day(clinic, doctor, day)

    assert end - begin == hours * HOUR
    assert [item.appointment for item in items] == appointments[1:3]
    assert [slot.id for slot in await standing(clinic, doctor)] == [before.id, after.id]
    assert {slot.time.start.astimezone(ZoneInfo(zone)).date() for slot in of_the_day} == {day}


async def test_a_day_that_a_zone_skipped_has_nothing_in_it(clinic: Clinic) -> None:
    doctor = await clinic.doctor(time_zone="Pacific/Apia")
    slots = await clinic.slots(doctor, *(datetime(2011, 12, 30, 9 + n, tzinfo=NOW.tzinfo) for n in range(3)))

    assert await cancel_day(clinic, doctor, date(2011, 12, 30)) == []

    assert len(await standing(clinic, doctor)) == len(slots)


async def test_a_day_on_which_nothing_is_offered_has_nothing_in_it(clinic: Clinic) -> None:
    assert await cancel_day(clinic, await clinic.doctor()) == []

    assert await clinic.events() == []


async def test_what_has_started_is_not_cancelled_and_the_rest_is(clinic: Clinic) -> None:
    doctor, slots = await a_doctor_with(clinic, 3)
    appointments = [await clinic.booked(slot) for slot in slots]
    clinic.clock.set(TOMORROW + HOUR)

    items = await cancel_day(clinic, doctor)

    assert outcomes(items) == ["appointment-started", "appointment-started", "cancelled"]
    assert await statuses(clinic, *appointments) == [
        *[AppointmentStatus.BOOKED] * 2,
        AppointmentStatus.CANCELLED,
    ]


@pytest.mark.parametrize("same", [True, False], ids=["the same doctor", "another doctor"])
async def test_what_was_moved_meanwhile_is_not_cancelled_and_nobody_was_turned_away(clinic: Clinic, same: bool) -> None:
    doctor, slots = await a_doctor_with(clinic, 2)
    stays, moves = [await clinic.booked(slot) for slot in slots]
    elsewhere = await clinic.slot(doctor if same else None, TOMORROW + DAY)

    async def move(ask: Ask) -> None:
        if ask.appointment == moves.id:
            await clinic.can.reschedule_appointment(
                actor=an_actor(moves.patient.id), appointment=moves.id, slot=elsewhere.id
            )

    items = await cancel_day_while(clinic, doctor, move)

    assert [(item.appointment, item.outcome) for item in items] == [
        (stays, "cancelled"),
        (moves, "appointment-moved"),
    ]
    assert await statuses(clinic, moves) == [AppointmentStatus.BOOKED]
    assert await clinic.events(EventKind.ACCESS_REFUSED) == []


async def test_what_somebody_cancels_or_fulfils_meanwhile_is_not_booked_any_more(clinic: Clinic) -> None:
    doctor, slots = await a_doctor_with(clinic, 2)
    cancels, starts = [await clinic.booked(slot) for slot in slots]

    async def be_faster(ask: Ask) -> None:
        if ask.appointment == cancels.id:
            patient = an_actor(cancels.patient.id)
            await clinic.can.cancel_appointment(actor=patient, appointment=cancels.id, reason="flu")
        else:
            await clinic.can.start_consultation(actor=an_actor(doctor.id), appointment=starts.id)

    items = await cancel_day_while(clinic, doctor, be_faster)

    assert outcomes(items) == ["appointment-not-booked"] * 2
    kept = await clinic.appointment(cancels.id)
    assert kept
    assert kept.cancellation == Cancellation("flu", ReasonCode.PAT)


async def test_what_starts_meanwhile_is_not_cancelled(clinic: Clinic) -> None:
    doctor, slots = await a_doctor_with(clinic, 1)
    await clinic.booked(slots[0])

    async def wait(_: Ask) -> None:
        clinic.clock.set(TOMORROW)

    assert outcomes(await cancel_day_while(clinic, doctor, wait)) == ["appointment-started"]


async def test_nothing_of_the_day_is_claimed_while_its_appointments_are_cancelled(clinic: Clinic) -> None:
    doctor, (booked, held, free) = await a_doctor_with(clinic, 3)
    holder, mover = await clinic.user(), await clinic.booked()
    await clinic.booked(booked)
    await clinic.held(held, holder)
    tried = list[type[BaseException]]()

    async def claim(_: Ask) -> None:
        move = clinic.can.reschedule_appointment(actor=an_actor(mover.patient.id), appointment=mover.id, slot=free.id)
        for attempt in (clinic.held(free), clinic.booked(free), clinic.booked(held, holder), move):
            with pytest.raises(NotFound) as refused:
                await attempt
            tried.append(refused.type)

    assert outcomes(await cancel_day_while(clinic, doctor, claim)) == ["cancelled"] * 2
    assert len(tried) == 8


async def test_what_is_just_being_published_is_taken_back_as_well(clinic: Clinic) -> None:
    """Whoever publishes holds the doctor's lock: until they are done, nobody looks at the day."""
    doctor = await clinic.doctor()
    async with clinic.database.begin() as uow:
        await uow.profiles.lock(doctor.id)
        cancelling = asyncio.create_task(cancel_day(clinic, doctor))
        for _ in range(20):
            await asyncio.sleep(0)
        await uow.slots.add([a_slot(doctor=doctor, time=a_time(TOMORROW))])

    await cancelling

    assert await standing(clinic, doctor) == []


async def test_of_a_publication_and_a_cancelled_day_at_once_all_slots_stand_or_none(clinic: Clinic) -> None:
    doctor = await clinic.doctor()
    publication = a_publication(TOMORROW, 2 * HOUR)

    slots, _ = await asyncio.gather(
        clinic.can.publish_slots(actor=an_actor(doctor.id), publication=publication), cancel_day(clinic, doctor)
    )

    assert len(await standing(clinic, doctor)) in {0, len(slots)}


async def test_of_many_who_book_while_the_day_is_cancelled_none_has_an_appointment_afterwards(clinic: Clinic) -> None:
    doctor, slots = await a_doctor_with(clinic, 4)
    patients = [await clinic.user() for _ in slots]

    async def book(slot: Slot, patient: User) -> None:
        for _ in range(slots.index(slot) * 7):
            await asyncio.sleep(0)
        await clinic.can.book_appointment(a_booking(an_actor(patient.id), slot.id))

    booked = [book(slot, patient) for slot, patient in zip(slots, patients, strict=True)]
    items, *others = await asyncio.gather(cancel_day(clinic, doctor), *booked, return_exceptions=True)

    assert not isinstance(items, BaseException | None)
    assert outcomes(items) == ["cancelled"] * others.count(None)
    assert {type(one) for one in others} <= {type(None), NotFound}
    assert {one.status for one in await clinic.appointments(doctor)} <= {AppointmentStatus.CANCELLED}


async def test_whatever_a_cut_leaves_undone_a_repeat_finishes(clinic: Clinic) -> None:
    doctor, slots = await a_doctor_with(clinic, 3)
    first, second, third = [await clinic.booked(slot) for slot in slots]

    async def cut(ask: Ask) -> None:
        if ask.appointment == second.id:
            raise Unavailable

    with pytest.raises(OutcomeUnknown):
        await cancel_day_while(clinic, doctor, cut)
    assert await statuses(clinic, first, second, third) == [
        AppointmentStatus.CANCELLED,
        AppointmentStatus.BOOKED,
        AppointmentStatus.CANCELLED,
    ]
    again = await cancel_day(clinic, doctor)

    assert [(item.appointment, item.outcome) for item in again] == [(second, "cancelled")]
    assert await cancel_day(clinic, doctor) == []
    assert len(await clinic.events(EventKind.SLOT_WITHDRAWN)) == 3
    assert len(await clinic.events(EventKind.APPOINTMENT_CANCELLED)) == 3


async def test_a_day_takes_no_longer_than_the_slowest_of_its_appointments(clinic: Clinic) -> None:
    doctor, slots = await a_doctor_with(clinic, 3)
    for slot in slots:
        await clinic.booked(slot)
    everybody = asyncio.Barrier(len(slots))

    async def wait_for_the_others(_: Ask) -> None:
        await everybody.wait()

    async with asyncio.timeout(5):
        assert outcomes(await cancel_day_while(clinic, doctor, wait_for_the_others)) == ["cancelled"] * 3


async def test_what_is_cut_before_the_slots_are_taken_back_has_not_happened(clinic: Clinic) -> None:
    doctor, slots = await a_doctor_with(clinic, 1)
    appointment = await clinic.booked(slots[0])

    @asynccontextmanager
    async def cut() -> AsyncIterator[UnitOfWork]:
        async with clinic.begin() as uow:
            yield uow
            raise Unavailable

    with pytest.raises(Unavailable):
        await CancelDay(cut, clinic.cache, clinic.happened, clinic.decide)(
            actor=an_actor(doctor.id), day=DATE, reason="ill"
        )

    assert await statuses(clinic, appointment) == [AppointmentStatus.BOOKED]
    assert len(await standing(clinic, doctor)) == 1


async def test_a_day_that_was_cancelled_can_be_offered_anew(clinic: Clinic) -> None:
    doctor, slots = await a_doctor_with(clinic, 1)
    await clinic.booked(slots[0])
    await cancel_day(clinic, doctor)

    anew = await clinic.can.publish_slots(
        actor=an_actor(doctor.id), publication=a_publication(TOMORROW, HOUR, slot_minutes=60)
    )

    assert await clinic.free() == list(anew)


async def test_a_doctor_without_a_profile_has_no_day(clinic: Clinic) -> None:
    user = await clinic.user(Role.DOCTOR)

    with pytest.raises(ProfileMissing):
        await clinic.can.cancel_day(actor=an_actor(user.id), day=DATE, reason="ill")


@pytest.mark.parametrize(
    ("day", "reason", "field"), [(date(1, 1, 1), "ill", "date"), (DATE, " ", "reason"), (DATE, "x" * 201, "reason")]
)
async def test_a_day_that_is_none_and_a_reason_that_says_nothing_are_refused(
    clinic: Clinic, day: date, reason: str, field: str
) -> None:
    doctor, slots = await a_doctor_with(clinic, 1)

    with pytest.raises(Invalid) as refused:
        await clinic.can.cancel_day(actor=an_actor(doctor.id), day=day, reason=reason)

    assert refused.value.faults[0].path == (field,)
    assert await standing(clinic, doctor) == slots


async def test_searches_are_told_before_the_first_appointment_is_cancelled_and_not_again_for_each() -> None:
    """They show nothing that was taken back; and where nobody can be told, each attempt costs the day half a second."""
    telltale = Telltale()
    clinic = Clinic(cache=telltale)
    doctor, slots = await a_doctor_with(clinic, 2)
    await clinic.booked(slots[0])
    telltale.look = clinic.free
    told = len(telltale.told)

    async def look(_: Ask) -> None:
        assert telltale.told[told:] == [{Touched("cardiology", DATE)}]

    await cancel_day_while(clinic, doctor, look)

    assert telltale.seen == [[]]


async def test_searches_are_told_again_by_a_repeat_that_may_be_the_first_to_be_answered() -> None:
    telltale = Telltale()
    clinic = Clinic(cache=telltale)
    doctor, slots = await a_doctor_with(clinic, 1)
    await clinic.booked(slots[0])

    async def cut(_: Ask) -> None:
        raise Unavailable

    with pytest.raises(OutcomeUnknown):
        await cancel_day_while(clinic, doctor, cut)
    told = len(telltale.told)

    await cancel_day(clinic, doctor)

    assert telltale.told[told:] == [{Touched("cardiology", DATE)}]


async def test_the_time_of_an_appointment_that_stayed_cannot_be_published_anew(clinic: Clinic) -> None:
    """The doctor would have two patients at a time."""
    doctor, (slot,) = await a_doctor_with(clinic, 1)
    await clinic.booked(slot)
    clinic.clock.set(slot.time.start + 5 * MINUTE)
    assert outcomes(await cancel_day(clinic, doctor)) == ["appointment-started"]

    overlapping = a_publication(slot.time.start + 10 * MINUTE)
    with pytest.raises(SlotsOverlap):
        await clinic.can.publish_slots(actor=an_actor(doctor.id), publication=overlapping)
    await clinic.can.publish_slots(actor=an_actor(doctor.id), publication=a_publication(slot.time.end))
