"""What every adapter of `UnitOfWork` does."""

import asyncio

import pytest

from healthcare.application.uow import UnitOfWork
from healthcare.domain.kernel import Role
from tests.builders import a_profile, a_user, an_event
from tests.clinic import Clinic, Database

pytestmark = pytest.mark.anyio

PORT = UnitOfWork


async def test_it_reaches_everything(database: Database) -> None:
    async with database.begin() as uow:
        reached = (uow.users, uow.profiles, uow.slots, uow.bookings, uow.appointments)
        care = (uow.consultations, uow.prescriptions, uow.entries, uow.outbox)

    assert None not in (*reached, *care)


async def test_leaving_keeps_everything(database: Database) -> None:
    user, event = a_user(role=Role.DOCTOR), an_event()

    async with database.begin() as uow:
        await uow.users.add(user, "hash")
        await uow.profiles.put(a_profile(user.id))
        await uow.outbox.add(event)

    async with database.begin() as uow:
        assert await uow.users.get(user.id) == user
        assert await uow.profiles.get(user.id)
        assert await uow.outbox.lock(9) == [event.id]


@pytest.mark.parametrize("reason", [ZeroDivisionError, asyncio.CancelledError])
async def test_raising_keeps_nothing(database: Database, reason: type[BaseException]) -> None:
    user = a_user()

    with pytest.raises(reason):
        async with database.begin() as uow:
            await uow.users.add(user, "hash")
            await uow.outbox.add(an_event())
            raise reason

    async with database.begin() as uow:
        assert await uow.users.get(user.id) is None
        assert await uow.outbox.lock(9) == []


async def test_whoever_is_cancelled_keeps_nothing_and_holds_nothing(database: Database) -> None:
    user, begun = a_user(), asyncio.Event()

    async def work() -> None:
        async with database.begin() as uow:
            await uow.users.lock_roles()
            await uow.users.add(user, "hash")
            begun.set()
            await asyncio.Event().wait()

    working = asyncio.create_task(work())
    await begun.wait()
    working.cancel()
    await asyncio.wait({working})

    async with database.begin() as uow:
        await uow.users.lock_roles()
        assert await uow.users.get(user.id) is None


async def test_it_sees_what_it_wrote_and_others_do_not_until_it_is_left(database: Database) -> None:
    user = a_user()

    async with database.begin() as uow:
        await uow.users.add(user, "hash")
        assert await uow.users.get(user.id) == user
        async with database.begin() as other:
            assert await other.users.get(user.id) is None

    async with database.begin() as other:
        assert await other.users.get(user.id) == user


async def test_each_look_sees_what_others_have_kept_by_then(clinic: Clinic) -> None:
    user = await clinic.user()

    async with clinic.database.begin() as uow:
        assert await uow.users.role(user.id) is Role.PATIENT
        async with clinic.database.begin() as other:
            await other.users.set_role(user.id, Role.DOCTOR)
        assert await uow.users.role(user.id) is Role.DOCTOR


async def test_a_database_that_is_there_says_so(database: Database) -> None:
    await database.check()


async def test_many_units_of_work_follow_each_other(clinic: Clinic) -> None:
    async def one() -> None:
        async with clinic.database.begin() as uow:
            await uow.users.lock_roles()
            await uow.users.add(a_user(role=Role.ADMIN), "hash")

    await asyncio.gather(*(one() for _ in range(12)))

    async with clinic.database.begin() as uow:
        assert await uow.users.count_admins() == 12
