"""E-mail addresses, passwords, and who may take which role."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthcare.domain.identity.errors import LastAdmin
from healthcare.domain.identity.model import (
    LONGEST_EMAIL,
    LONGEST_PASSWORD,
    SHORTEST_PASSWORD,
    Email,
    check_password,
)
from healthcare.domain.kernel import Invalid, Role
from tests.builders import a_user


@given(st.emails())
def test_real_addresses_are_taken_as_they_are(address: str) -> None:
    if len(address) <= LONGEST_EMAIL:
        assert Email(address).value == address


@given(st.emails())
def test_addresses_that_differ_only_in_case_are_the_same(address: str) -> None:
    assert Email(address.upper()).key == Email(address.lower()).key == Email(address.swapcase()).key


@pytest.mark.parametrize(
    "address", ["ada@example.org", "a@b", "a+b'c@sub.example.org", "grüße@exämple.org", "用@例.中"]
)
def test_an_address_need_not_be_plain(address: str) -> None:
    assert Email(address).value == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        " ",
        "ada",
        "@example.org",
        "ada@",
        "ada@@example.org",
        "ada@example@org",
        "ada lovelace@example.org",
        "ada@example .org",
        "ada@.org",
        "ada@example.",
        "ada@example..org",
        "ada@example.org\n",
        "ada\x00@example.org",
        "ada\ud800@example.org",
        "a" * 65 + "@example.org",
        "a@" + "b" * (LONGEST_EMAIL - 1),
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(Invalid) as refused:
        Email(address)

    assert refused.value.faults[0].path == ("email",)


@pytest.mark.parametrize("length", [SHORTEST_PASSWORD, LONGEST_PASSWORD])
def test_a_password_has_fifteen_to_128_characters(length: int) -> None:
    check_password("é" * length)


@pytest.mark.parametrize(
    "password",
    ["", "x" * (SHORTEST_PASSWORD - 1), "x" * (LONGEST_PASSWORD + 1), " " * 20, "x" * 20 + "\x00", "x" * 20 + "\udfff"],
)
def test_other_passwords_are_refused(password: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_password(password)

    assert refused.value.faults[0].path == ("password",)


def test_a_refused_password_is_not_repeated() -> None:
    with pytest.raises(Invalid) as refused:
        check_password("my secret")

    assert "my secret" not in f"{refused.value} {refused.value.faults}"


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "Ada\x00"])
def test_a_name_says_something(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        a_user(full_name=name)

    assert refused.value.faults[0].path == ("full_name",)


def test_a_user_lives_in_a_time_zone() -> None:
    with pytest.raises(Invalid) as refused:
        a_user(time_zone="Europe/Atlantis")

    assert refused.value.faults[0].path == ("time_zone",)


@pytest.mark.parametrize("before", Role)
@pytest.mark.parametrize("after", Role)
def test_where_there_are_other_admins_everybody_can_take_any_role(before: Role, after: Role) -> None:
    user = a_user(role=before)

    changed = user.become(after, admins=2)

    assert changed.role is after
    assert (changed.id, changed.email, changed.full_name) == (user.id, user.email, user.full_name)


@pytest.mark.parametrize("role", [Role.PATIENT, Role.DOCTOR])
def test_the_last_admin_stays_admin(role: Role) -> None:
    with pytest.raises(LastAdmin):
        a_user(role=Role.ADMIN).become(role, admins=1)


def test_the_last_admin_may_become_what_they_are() -> None:
    admin = a_user(role=Role.ADMIN)

    assert admin.become(Role.ADMIN, admins=1) == admin
