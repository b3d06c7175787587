"""Moving appointments."""

import asyncio
from uuid import uuid4

import pytest

from healthcare.application.scheduling.decide import TakenForNow
from healthcare.domain.identity.model import User
from healthcare.domain.kernel import AppointmentId, EventKind, Forbidden, Money, NotFound, NotYours, Role
from healthcare.domain.scheduling.errors import (
    AppointmentNotBooked,
    AppointmentStarted,
    PatientBusy,
    SlotInThePast,
    SlotTaken,
    VersionStale,
)
from healthcare.domain.scheduling.model import HELD_FOR, Appointment, Slot
from healthcare.domain.scheduling.search import Touched
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.builders import DAY, HOUR, MINUTE, NOW, TOMORROW, a_profile, a_slot, an_actor
from tests.clinic import Clinic
from tests.unit.application.telltale import Telltale

pytestmark = pytest.mark.anyio


async def move(
    clinic: Clinic, appointment: Appointment, slot: Slot, *, versions: list[int] | None = None
) -> Appointment:
    """Move an appointment, as its patient."""
    return await clinic.can.reschedule_appointment(
        actor=an_actor(appointment.patient.id),
        appointment=appointment.id,
        slot=slot.id,
        versions=versions,
    )


async def booked_and_free(clinic: Clinic, patient: User | None = None) -> tuple[Appointment, Slot, Slot]:
    """Return an appointment, the slot on which it stands, and a free one an hour later of the same doctor."""
    old, new = await clinic.slots(await clinic.doctor(), TOMORROW, TOMORROW + HOUR)
    return await clinic.booked(old, patient), old, new


async def test_a_patient_moves_an_appointment_to_a_free_slot(clinic: Clinic) -> None:
    appointment, old, new = await booked_and_free(clinic)

    moved = await move(clinic, appointment, new)

    assert (moved.id, moved.slot, moved.time, moved.version) == (appointment.id, new.id, new.time, 2)
    assert await clinic.appointment(appointment.id) == moved
    assert await clinic.free() == [old]
    (event,) = await clinic.events(EventKind.APPOINTMENT_RESCHEDULED)
    assert (event.actor, event.subject) == (appointment.patient.id, appointment.id)


async def test_whoever_left_a_slot_leaves_it_to_others(clinic: Clinic) -> None:
    appointment, old, new = await booked_and_free(clinic)
    await move(clinic, appointment, new)

    assert (await clinic.booked(old)).slot == old.id
    with pytest.raises(SlotTaken):
        await clinic.booked(new)


async def test_ones_own_time_is_free_for_another_doctors_overlapping_slot(clinic: Clinic) -> None:
    appointment = await clinic.booked(await clinic.slot(start=TOMORROW))
    overlapping = await clinic.slot(start=TOMORROW + 29 * MINUTE)

    assert (await move(clinic, appointment, overlapping)).slot == overlapping.id


async def test_an_appointment_can_be_moved_on_and_back(clinic: Clinic) -> None:
    appointment, old, new = await booked_and_free(clinic)

    for place in (new, old, old, new):
        moved = await move(clinic, appointment, place)

    assert (moved.slot, moved.version) == (new.id, 5)
    assert await clinic.free() == [old]


async def test_with_another_doctor_it_is_theirs_and_no_longer_the_firsts(clinic: Clinic) -> None:
    appointment, other = await clinic.booked(), await clinic.doctor("neurology", fee=Money(9900, "CHF"))
    (slot,) = await clinic.slots(other, TOMORROW)

    moved = await move(clinic, appointment, slot)

    assert (moved.doctor, moved.fee) == (other, Money(9900, "CHF"))
    assert await clinic.can.read_appointment(actor=an_actor(other.id), appointment=moved.id) == moved
    with pytest.raises(NotYours):
        await clinic.can.read_appointment(actor=an_actor(appointment.doctor.id), appointment=moved.id)


async def test_with_the_same_doctor_the_terms_are_those_of_the_booking(clinic: Clinic) -> None:
    appointment, _, new = await booked_and_free(clinic)
    later = a_profile(appointment.doctor.id, fee=Money(9900, "CHF"), notice_hours=48)
    await clinic.can.keep_profile(actor=an_actor(appointment.doctor.id), profile=later)

    moved = await move(clinic, appointment, new)

    assert (moved.fee, moved.notice_hours) == (appointment.fee, appointment.notice_hours)


async def test_whoever_saw_an_earlier_version_moves_nothing(clinic: Clinic) -> None:
    appointment, _, new = await booked_and_free(clinic)
    await move(clinic, appointment, new, versions=[1])

    with pytest.raises(VersionStale):
        await move(clinic, appointment, new, versions=[1])

    assert (await move(clinic, appointment, new, versions=[1, 2])).version == 3


async def test_of_two_who_saw_the_same_version_at_once_one_moves(clinic: Clinic) -> None:
    old, new, other = await clinic.slots(await clinic.doctor(), *(TOMORROW + n * HOUR for n in range(3)))
    appointment = await clinic.booked(old)

    outcomes = await asyncio.gather(
        *(move(clinic, appointment, slot, versions=[1]) for slot in (new, other)), return_exceptions=True
    )

    assert [type(one) for one in outcomes if isinstance(one, Exception)] == [VersionStale]
    assert len(await clinic.free()) == 2


async def test_what_fails_leaves_the_appointment_where_it_was(clinic: Clinic) -> None:
    patient = await clinic.user()
    appointment, _, _ = await booked_and_free(clinic, patient)
    taken, held, busy = await clinic.slots(await clinic.doctor(), *(TOMORROW + n * HOUR for n in (2, 3, 4)))
    await clinic.booked(taken)
    await clinic.held(held)
    await clinic.booked(await clinic.slot(start=TOMORROW + 4 * HOUR), patient)
    started, withdrawn = await clinic.slot(start=NOW), await clinic.slot(start=TOMORROW + DAY)
    await clinic.can.take_slot_back(actor=an_actor(withdrawn.doctor.id), slot=withdrawn.id)
    before = await clinic.events()

    for slot, refusal in [
        (taken, SlotTaken),
        (held, SlotTaken),
        (busy, PatientBusy),
        (started, SlotInThePast),
        (withdrawn, NotFound),
        (a_slot(), NotFound),
    ]:
        with pytest.raises(refusal):
            await move(clinic, appointment, slot)

    assert await clinic.appointment(appointment.id) == appointment
    assert await clinic.events() == before


async def test_a_slot_whose_hold_has_run_out_can_be_moved_to(clinic: Clinic) -> None:
    appointment, _, new = await booked_and_free(clinic)
    held = await clinic.held(new)
    clinic.clock.wait(HELD_FOR)

    assert (await move(clinic, appointment, new)).slot == new.id

    assert [event.subject for event in await clinic.events(EventKind.HOLD_EXPIRED)] == [held.id]


async def test_only_what_is_booked_and_has_not_started_is_moved(clinic: Clinic) -> None:
    patient = await clinic.user()
    appointment, _, new = await booked_and_free(clinic, patient)
    hold = await clinic.held(await clinic.slot(start=TOMORROW + 5 * HOUR), patient)
    cancelled = await clinic.booked(await clinic.slot(start=TOMORROW + 6 * HOUR), patient)
    await clinic.can.cancel_appointment(actor=an_actor(patient.id), appointment=cancelled.id, reason="ill")

    for one in (hold, cancelled):
        with pytest.raises(AppointmentNotBooked):
            await move(clinic, one, new)
    clinic.clock.set(TOMORROW)
    with pytest.raises(AppointmentStarted):
        await move(clinic, appointment, new)


async def test_who_has_checked_in_does_not_move(clinic: Clinic) -> None:
    appointment, _, new = await booked_and_free(clinic)
    clinic.clock.set(TOMORROW - MINUTE)
    await clinic.can.check_in(actor=an_actor(appointment.patient.id), appointment=appointment.id)

    with pytest.raises(AppointmentNotBooked):
        await move(clinic, appointment, new)


async def test_nobody_else_moves_it_and_that_they_tried_is_recorded(clinic: Clinic) -> None:
    appointment, _, new = await booked_and_free(clinic)
    stranger, admin = await clinic.user(), await clinic.user(Role.ADMIN)

    for who, refusal in [(stranger.id, NotYours), (appointment.doctor.id, Forbidden), (admin.id, Forbidden)]:
        with pytest.raises(refusal):
            await clinic.can.reschedule_appointment(actor=an_actor(who), appointment=appointment.id, slot=new.id)

    events = await clinic.events(EventKind.ACCESS_REFUSED)
    assert [event.subject for event in events] == [appointment.id] * 3
    assert await clinic.appointment(appointment.id) == appointment


async def test_what_does_not_exist_is_not_found(clinic: Clinic) -> None:
    patient, slot = await clinic.user(), await clinic.slot()

    with pytest.raises(NotFound):
        await clinic.can.reschedule_appointment(
            actor=an_actor(patient.id), appointment=AppointmentId(uuid4()), slot=slot.id
        )

    assert await clinic.events() == []


async def test_of_many_who_move_to_or_book_one_slot_at_once_one_gets_it(clinic: Clinic) -> None:
    moving = [await clinic.booked() for _ in range(3)]
    wanted = await clinic.slot(start=TOMORROW + HOUR)

    outcomes = await asyncio.gather(
        *(move(clinic, one, wanted) for one in moving),
        *(clinic.booked(wanted) for _ in range(3)),
        return_exceptions=True,
    )

    assert [type(one) for one in outcomes if isinstance(one, Exception)] == [TakenForNow] * 5
    where = [await clinic.appointment(one.id) for one in moving]
    assert sum(one is not None and one.slot == wanted.id for one in where) <= 1


async def test_of_two_who_want_each_others_slot_at_once_neither_gets_it_nor_loses_their_own(clinic: Clinic) -> None:
    one, other = await clinic.slots(await clinic.doctor(), TOMORROW, TOMORROW + HOUR)
    mine, theirs = await clinic.booked(one), await clinic.booked(other)

    outcomes = await asyncio.gather(move(clinic, mine, other), move(clinic, theirs, one), return_exceptions=True)

    assert [type(one) for one in outcomes] == [TakenForNow] * 2
    assert [await clinic.appointment(one.id) for one in (mine, theirs)] == [mine, theirs]


async def test_of_a_move_and_a_cancellation_at_once_each_sees_the_other_or_comes_first(clinic: Clinic) -> None:
    appointment, old, new = await booked_and_free(clinic)

    moved, cancelled = await asyncio.gather(
        move(clinic, appointment, new),
        clinic.can.cancel_appointment(actor=an_actor(appointment.patient.id), appointment=appointment.id, reason="ill"),
        return_exceptions=True,
    )

    assert isinstance(cancelled, Appointment)
    assert cancelled.status is AppointmentStatus.CANCELLED
    if isinstance(moved, Appointment):
        assert (cancelled.slot, cancelled.version) == (new.id, 3)
    else:
        assert (type(moved), cancelled.slot, cancelled.version) == (AppointmentNotBooked, old.id, 2)
    assert await clinic.free() == [old, new]


async def test_searches_of_both_places_are_told_once_the_move_can_be_seen() -> None:
    telltale = Telltale()
    clinic = Clinic(cache=telltale)
    appointment = await clinic.booked()
    slot = await clinic.slot(await clinic.doctor("neurology"), TOMORROW + DAY)
    telltale.look = lambda: clinic.free("neurology", TOMORROW + DAY)

    await move(clinic, appointment, slot)

    assert telltale.told[1:] == [
        {Touched("cardiology", TOMORROW.date()), Touched("neurology", (TOMORROW + DAY).date())}
    ]
    assert telltale.seen == [[]]
