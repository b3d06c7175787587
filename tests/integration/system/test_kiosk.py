"""The second driver: a terminal in a clinic's hall, on each database."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from healthcare.adapters.security.passwords import Argon2Passwords
from healthcare.domain.kernel import UserId
from tests.integration.world import World, tomorrow_at

KIOSK = Path(__file__).parents[3] / "examples" / "kiosk.py"
PASSWORD = "correct horse battery staple"


def kiosk(*options: str, environment: dict[str, str]) -> "subprocess.Popen[str]":
    """Start the kiosk."""
    return subprocess.Popen(
        [sys.executable, KIOSK, *options],
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


async def with_password(world: World, user: UserId) -> str:
    """Give somebody a password, and return their e-mail address."""
    passwords = Argon2Passwords()
    await passwords.open()
    hashed = await passwords.hash(PASSWORD)
    await passwords.close()
    with world.connect() as connection:
        connection.execute("UPDATE users SET password_hash = %s WHERE id = %s", (hashed, user))
    return f"{user}@test.example"


def offered(world: World) -> UUID:
    """Offer one slot, at 9:30 UTC."""
    (doctor,) = world.add_doctors(1)
    (slot,) = world.add_slots(doctor, [tomorrow_at(9, 30)])
    return slot


def test_it_has_at_most_80_lines() -> None:
    assert len(KIOSK.read_text(encoding="utf-8").splitlines()) <= 80


def test_a_patient_books_without_any_server() -> None:
    day = (datetime.now(UTC) + timedelta(days=2)).date()

    with kiosk("--memory", environment={}) as process:
        assert process.stdin
        assert process.stdout
        email, password = re.split(" signs in with |;", process.stdout.readline())[:2]
        said, _ = process.communicate(f"{email}\n{password}\n1\n{day}\n1\n", timeout=60)

    assert f"Booked: {day} 09:00 with Dr " in said


@pytest.mark.anyio
async def test_a_patient_books_on_postgresql(world: World) -> None:
    slot = offered(world)
    (patient,) = world.add_users("patient", 1)
    email = await with_password(world, patient)

    with kiosk(environment=world.environment) as process:
        said, _ = process.communicate(f"{email}\n{PASSWORD}\n1\n{tomorrow_at(0).date()}\n1\n", timeout=60)

    assert f"Booked: {tomorrow_at(0).date()} 09:30 with " in said
    assert world.ask("SELECT slot_id, patient_id FROM appointments") == [(slot, patient)]
    assert world.ask("SELECT kind FROM outbox ORDER BY position") == [("sign_in.succeeded",), ("appointment.booked",)]


@pytest.mark.anyio
async def test_whoever_is_no_patient_is_refused_by_the_policy_table(world: World) -> None:
    offered(world)
    (admin,) = world.add_users("admin", 1)
    email = await with_password(world, admin)

    with kiosk(environment=world.environment) as process:
        said, _ = process.communicate(f"{email}\n{PASSWORD}\n1\n{tomorrow_at(0).date()}\n1\n", timeout=60)

    assert said.endswith("Not booked: The caller's role may never do this.\n")
    assert world.ask("SELECT count(*) FROM appointments") == [(0,)]
    assert world.ask("SELECT kind FROM outbox ORDER BY position") == [("sign_in.succeeded",), ("access.refused",)]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(["a wrong password", "1", "2030-01-01", "1"], id="a wrong password"),
        pytest.param([PASSWORD, "0", "2030-01-01", "1"], id="a number that is not offered"),
        pytest.param([PASSWORD, "1", "soon", "1"], id="a day that is none"),
        pytest.param([PASSWORD, "1", "2030-01-01", "1"], id="a day without free slots"),
    ],
)
async def test_what_makes_no_sense_books_nothing(world: World, answers: list[str]) -> None:
    offered(world)
    (patient,) = world.add_users("patient", 1)
    email = await with_password(world, patient)

    with kiosk(environment=world.environment) as process:
        said, _ = process.communicate("\n".join([email, *answers, ""]), timeout=60)

    assert process.returncode == 0
    assert "Not booked: " in said
    assert world.ask("SELECT count(*) FROM appointments") == [(0,)]
