"""A doctor's own profile, and the specialties that have a doctor."""

from collections.abc import Sequence

import pytest

from healthcare.domain.kernel import Doctor, EventKind, Money, NotYours, Paging, Role
from healthcare.domain.scheduling.model import Slot
from healthcare.domain.scheduling.search import Touched
from tests.builders import HOUR, NOBODY, NOW, TOMORROW, a_profile, a_user_id, an_actor
from tests.clinic import Clinic
from tests.unit.application.telltale import Telltale

pytestmark = pytest.mark.anyio


async def listed(clinic: Clinic, doctor: Doctor) -> Sequence[Slot]:
    return (await clinic.can.list_slots(actor=an_actor(doctor.id), paging=Paging())).items


async def test_a_doctor_says_what_they_do(clinic: Clinic) -> None:
    doctor = await clinic.user(Role.DOCTOR)
    profile = a_profile(doctor.id)

    assert await clinic.can.keep_profile(actor=an_actor(doctor.id), profile=profile) == profile

    async with clinic.database.begin() as uow:
        assert await uow.profiles.get(doctor.id) == profile


async def test_a_later_profile_replaces_an_earlier_one(clinic: Clinic) -> None:
    doctor = await clinic.doctor("cardiology")
    later = a_profile(doctor.id, specialty="neurology", languages=("fr",), fee=Money(1, "CHF"))

    await clinic.can.keep_profile(actor=an_actor(doctor.id), profile=later)

    async with clinic.database.begin() as uow:
        assert await uow.profiles.get(doctor.id) == later


async def test_nobody_keeps_the_profile_of_somebody_else(clinic: Clinic) -> None:
    doctor, other = await clinic.doctor(), await clinic.doctor()

    with pytest.raises(NotYours):
        await clinic.can.keep_profile(actor=an_actor(doctor.id), profile=a_profile(other.id, specialty="neurology"))

    async with clinic.database.begin() as uow:
        kept = await uow.profiles.get(other.id)
    assert kept
    assert kept.specialty == "cardiology"
    (event,) = await clinic.events(EventKind.ACCESS_REFUSED)
    assert (event.actor, event.subject) == (doctor.id, other.id)


async def test_slots_that_have_not_started_follow_to_a_new_specialty(clinic: Clinic) -> None:
    doctor = await clinic.doctor("cardiology")
    past, future = await clinic.slots(doctor, NOW - HOUR, TOMORROW)

    await clinic.can.keep_profile(actor=an_actor(doctor.id), profile=a_profile(doctor.id, specialty="neurology"))

    assert await clinic.free("cardiology") == []
    assert [slot.id for slot in await clinic.free("neurology")] == [future.id]
    assert {slot.id: slot.doctor.specialty for slot in await listed(clinic, doctor)} == {
        past.id: "cardiology",
        future.id: "neurology",
    }


async def test_slots_cost_what_the_profile_says_and_appointments_what_it_said(clinic: Clinic) -> None:
    doctor = await clinic.doctor(fee=Money(100, "EUR"))
    booked, _ = await clinic.slots(doctor, TOMORROW, TOMORROW + HOUR)
    appointment = await clinic.booked(booked)

    await clinic.can.keep_profile(actor=an_actor(doctor.id), profile=a_profile(doctor.id, fee=Money(200, "EUR")))

    assert [slot.fee for slot in await clinic.free()] == [Money(200, "EUR")]
    kept = await clinic.appointment(appointment.id)
    assert kept
    assert kept.fee == Money(100, "EUR")


async def test_slots_ask_for_the_notice_that_the_profile_says_and_appointments_for_what_it_said(
    clinic: Clinic,
) -> None:
    doctor = await clinic.doctor(notice_hours=24)
    booked, held, free = await clinic.slots(doctor, *(TOMORROW + n * HOUR for n in range(3)))
    claims = [await clinic.booked(booked), await clinic.held(held)]

    await clinic.can.keep_profile(actor=an_actor(doctor.id), profile=a_profile(doctor.id, notice_hours=48))

    assert [(slot.id, slot.notice_hours) for slot in await clinic.free()] == [(free.id, 48)]
    assert [one.notice_hours for one in await clinic.appointments(doctor)] == [24, 24]
    assert [one.notice_hours for one in claims] == [24, 24]


async def test_searches_of_both_specialties_are_told_once_the_change_can_be_seen() -> None:
    telltale = Telltale()
    clinic = Clinic(cache=telltale)
    doctor = await clinic.doctor("cardiology")
    await clinic.slot(doctor)
    telltale.look = lambda: clinic.free("cardiology")

    await clinic.can.keep_profile(actor=an_actor(doctor.id), profile=a_profile(doctor.id, specialty="neurology"))

    assert telltale.told == [{Touched("cardiology"), Touched("neurology")}]
    assert telltale.seen == [[]]


async def test_a_first_profile_and_one_of_the_same_specialty_concern_that_specialty() -> None:
    telltale = Telltale()
    clinic = Clinic(cache=telltale)
    doctor = await clinic.user(Role.DOCTOR)

    for _ in range(2):
        await clinic.can.keep_profile(actor=an_actor(doctor.id), profile=a_profile(doctor.id, specialty="neurology"))

    assert telltale.told == [{Touched("neurology")}, {Touched("neurology")}]


async def test_specialties_that_have_a_doctor_are_listed_once_and_in_order(clinic: Clinic) -> None:
    for specialty in ("neurology", "cardiology", "neurology"):
        await clinic.doctor(specialty)

    assert await clinic.can.list_specialties(actor=NOBODY) == ["cardiology", "neurology"]


async def test_a_specialty_whose_only_doctor_is_none_any_more_is_not_listed(clinic: Clinic) -> None:
    doctor = await clinic.doctor("neurology")
    async with clinic.database.begin() as uow:
        await uow.users.set_role(doctor.id, Role.PATIENT)

    assert await clinic.can.list_specialties(actor=an_actor(a_user_id())) == []
