"""What every adapter of `Users` does."""

import pytest

from healthcare.application.deadline import answer_within
from healthcare.application.uow import Busy, UnitOfWork
from healthcare.domain.identity.errors import EmailTaken
from healthcare.domain.identity.ports import Users
from healthcare.domain.kernel import Role
from tests.builders import a_user, a_user_id, an_email
from tests.clinic import Database
from tests.integration.contracts.queues import pass_by, queue

pytestmark = pytest.mark.anyio

PORT = Users


async def test_a_user_is_kept_as_they_are(database: Database) -> None:
    user = a_user(email="Zoë.Öz+x@Example.org", full_name="Zoë Öz 🩺\n'\"\\", role=Role.DOCTOR, time_zone="Asia/Tokyo")

    async with database.begin() as uow:
        await uow.users.add(user, "a hash")

    async with database.begin() as uow:
        assert await uow.users.get(user.id) == user
        assert await uow.users.role(user.id) is Role.DOCTOR


@pytest.mark.parametrize("address", ["ada@example.org", "ADA@EXAMPLE.ORG", "Ada@Example.org"])
async def test_an_account_is_found_by_its_address_whatever_the_case(database: Database, address: str) -> None:
    user = a_user(email="Ada@example.org")
    async with database.begin() as uow:
        await uow.users.add(user, "a hash")

    async with database.begin() as uow:
        account = await uow.users.account(an_email(address))

    assert account
    assert (account.user, account.password_hash) == (user, "a hash")


async def test_whom_nobody_knows_is_nobody(database: Database) -> None:
    async with database.begin() as uow:
        assert await uow.users.get(a_user_id()) is None
        assert await uow.users.role(a_user_id()) is None
        assert await uow.users.role(None) is None
        assert await uow.users.account(an_email()) is None


async def test_an_address_is_taken_whatever_its_case(database: Database) -> None:
    async with database.begin() as uow:
        await uow.users.add(a_user(email="ada@example.org"), "hash")

    with pytest.raises(EmailTaken):
        async with database.begin() as uow:
            await uow.users.add(a_user(email="ADA@example.org"), "hash")


async def test_an_address_is_taken_also_in_the_same_unit_of_work(database: Database) -> None:
    with pytest.raises(EmailTaken):
        async with database.begin() as uow:
            await uow.users.add(a_user(email="ada@example.org"), "hash")
            await uow.users.add(a_user(email="ada@example.org"), "hash")

    async with database.begin() as uow:
        assert await uow.users.account(an_email("ada@example.org")) is None


async def test_whoever_adds_an_address_that_is_being_added_waits_and_is_refused(database: Database) -> None:
    with pytest.raises(EmailTaken):
        await queue(
            database,
            lambda uow: uow.users.add(a_user(email="ada@example.org"), "hash"),
            lambda uow: uow.users.add(a_user(email="ada@example.org"), "hash"),
        )


async def test_a_role_is_changed(database: Database) -> None:
    user, other = a_user(), a_user()
    async with database.begin() as uow:
        await uow.users.add(user, "hash")
        await uow.users.add(other, "hash")

    async with database.begin() as uow:
        await uow.users.set_role(user.id, Role.ADMIN)

    async with database.begin() as uow:
        assert await uow.users.role(user.id) is Role.ADMIN
        assert await uow.users.role(other.id) is other.role


async def test_a_hash_is_replaced_and_nothing_else(database: Database) -> None:
    user = a_user()
    async with database.begin() as uow:
        await uow.users.add(user, "old")

    async with database.begin() as uow:
        await uow.users.set_password_hash(user.id, "new")

    async with database.begin() as uow:
        account = await uow.users.account(user.email)
    assert account
    assert (account.user, account.password_hash) == (user, "new")


async def test_two_who_change_different_things_of_one_user_both_do(database: Database) -> None:
    user = a_user()
    async with database.begin() as uow:
        await uow.users.add(user, "old")

    await queue(
        database,
        lambda uow: uow.users.set_role(user.id, Role.DOCTOR),
        lambda uow: uow.users.set_password_hash(user.id, "new"),
    )

    async with database.begin() as uow:
        account = await uow.users.account(user.email)
    assert account
    assert (account.user.role, account.password_hash) == (Role.DOCTOR, "new")


async def test_admins_are_counted(database: Database) -> None:
    async with database.begin() as uow:
        assert await uow.users.count_admins() == 0
        for role in (Role.ADMIN, Role.PATIENT, Role.ADMIN, Role.DOCTOR):
            await uow.users.add(a_user(role=role), "hash")
        assert await uow.users.count_admins() == 2


async def test_whoever_changes_roles_waits_for_others_who_do_and_sees_what_they_did(database: Database) -> None:
    admin = a_user(role=Role.ADMIN)
    async with database.begin() as uow:
        await uow.users.add(admin, "hash")

    async def demote(uow: UnitOfWork) -> None:
        await uow.users.lock_roles()
        await uow.users.set_role(admin.id, Role.PATIENT)

    async def count(uow: UnitOfWork) -> int:
        await uow.users.lock_roles()
        return await uow.users.count_admins()

    assert await queue(database, demote, count) == 0


async def test_whoever_registers_an_address_waits_for_others_who_do_and_sees_what_they_did(database: Database) -> None:
    async def register(uow: UnitOfWork) -> None:
        await uow.users.lock_email(an_email("ada@example.org"))
        await uow.users.add(a_user(email="ada@example.org"), "hash")

    async def look(uow: UnitOfWork) -> bool:
        await uow.users.lock_email(an_email("ADA@example.org"))
        return await uow.users.account(an_email("ADA@example.org")) is not None

    assert await queue(database, register, look)


async def test_other_addresses_are_registered_meanwhile(database: Database) -> None:
    await pass_by(
        database,
        lambda uow: uow.users.lock_email(an_email("ada@example.org")),
        lambda uow: uow.users.lock_email(an_email("bob@example.org")),
    )


async def test_whoever_holds_a_lock_may_ask_for_it_again(database: Database) -> None:
    async with database.begin() as uow:
        await uow.users.lock_roles()
        await uow.users.lock_roles()


async def test_a_lock_that_is_not_had_in_time_is_a_failure_in_which_nothing_happened(database: Database) -> None:
    with answer_within(5), pytest.raises(Busy):
        await pass_by(database, lambda uow: uow.users.lock_roles(), lambda uow: uow.users.lock_roles())
