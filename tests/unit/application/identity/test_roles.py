"""Reading oneself, and changing roles."""

import asyncio

import pytest

from healthcare.domain.identity.errors import LastAdmin
from healthcare.domain.identity.model import User
from healthcare.domain.kernel import EventKind, Forbidden, NotFound, Refusal, Role
from healthcare.domain.scheduling.search import Touched
from tests.builders import a_user_id, an_actor
from tests.clinic import Clinic
from tests.unit.application.telltale import Telltale

pytestmark = pytest.mark.anyio


async def change(clinic: Clinic, admin: User, user: User, role: Role) -> User:
    return await clinic.can.change_role(actor=an_actor(admin.id), user=user.id, role=role)


@pytest.mark.parametrize("role", Role)
async def test_whoever_is_signed_in_can_see_who_they_are(clinic: Clinic, role: Role) -> None:
    user = await clinic.user(role)

    assert await clinic.can.read_self(actor=an_actor(user.id)) == user


async def test_an_admin_gives_a_role(clinic: Clinic) -> None:
    admin, user = await clinic.user(Role.ADMIN), await clinic.user()

    changed = await change(clinic, admin, user, Role.DOCTOR)

    assert (changed.id, changed.role) == (user.id, Role.DOCTOR)
    assert await clinic.can.read_self(actor=an_actor(user.id)) == changed
    (event,) = await clinic.events()
    assert (event.kind, event.actor, event.subject) == (EventKind.ROLE_CHANGED, admin.id, user.id)


async def test_giving_the_role_they_have_changes_nothing(clinic: Clinic) -> None:
    admin, user = await clinic.user(Role.ADMIN), await clinic.user()

    assert await change(clinic, admin, user, Role.PATIENT) == user
    assert await clinic.events() == []


async def test_somebody_who_does_not_exist_gets_no_role(clinic: Clinic) -> None:
    admin = await clinic.user(Role.ADMIN)

    with pytest.raises(NotFound):
        await clinic.can.change_role(actor=an_actor(admin.id), user=a_user_id(), role=Role.DOCTOR)


async def test_the_last_admin_stays_admin(clinic: Clinic) -> None:
    admin = await clinic.user(Role.ADMIN)

    with pytest.raises(LastAdmin):
        await change(clinic, admin, admin, Role.PATIENT)

    assert await clinic.can.read_self(actor=an_actor(admin.id)) == admin
    assert await clinic.events() == []


async def test_an_admin_who_is_not_the_last_can_step_down(clinic: Clinic) -> None:
    admin, _ = await clinic.user(Role.ADMIN), await clinic.user(Role.ADMIN)

    assert (await change(clinic, admin, admin, Role.PATIENT)).role is Role.PATIENT


async def test_two_admins_who_demote_each_other_at_once_leave_one(clinic: Clinic) -> None:
    ada, bob = await clinic.user(Role.ADMIN), await clinic.user(Role.ADMIN)

    outcomes = await asyncio.gather(
        change(clinic, ada, bob, Role.PATIENT), change(clinic, bob, ada, Role.PATIENT), return_exceptions=True
    )

    assert len([one for one in outcomes if isinstance(one, Forbidden)]) == 1
    async with clinic.database.begin() as uow:
        assert await uow.users.count_admins() == 1


async def test_two_admins_who_step_down_at_once_leave_one(clinic: Clinic) -> None:
    ada, bob = await clinic.user(Role.ADMIN), await clinic.user(Role.ADMIN)

    outcomes = await asyncio.gather(
        *(change(clinic, one, one, Role.PATIENT) for one in (ada, bob)), return_exceptions=True
    )

    assert [type(one) for one in outcomes if isinstance(one, Refusal)] == [LastAdmin]
    async with clinic.database.begin() as uow:
        assert await uow.users.count_admins() == 1


async def test_free_slots_of_somebody_who_is_no_longer_a_doctor_are_not_found_from_then_on() -> None:
    telltale = Telltale()
    clinic = Clinic(cache=telltale)
    admin, doctor = await clinic.user(Role.ADMIN), await clinic.doctor("neurology")
    await clinic.slot(doctor)
    telltale.look = lambda: clinic.free("neurology")

    await clinic.can.change_role(actor=an_actor(admin.id), user=doctor.id, role=Role.PATIENT)

    assert telltale.told == [{Touched("neurology")}]
    assert telltale.seen == [[]]


async def test_no_search_changes_with_the_role_of_somebody_without_a_profile() -> None:
    telltale = Telltale()
    clinic = Clinic(cache=telltale)
    admin, user = await clinic.user(Role.ADMIN), await clinic.user()

    await change(clinic, admin, user, Role.DOCTOR)

    assert telltale.told == []


async def test_appointments_of_somebody_who_is_no_longer_a_doctor_stay(clinic: Clinic) -> None:
    admin, doctor = await clinic.user(Role.ADMIN), await clinic.doctor()
    appointment = await clinic.booked(await clinic.slot(doctor))

    await clinic.can.change_role(actor=an_actor(admin.id), user=doctor.id, role=Role.PATIENT)

    assert await clinic.appointment(appointment.id) == appointment
