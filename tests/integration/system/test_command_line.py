"""What an operator types before the first start, and what they are told when something is missing."""

import json
import socket
import subprocess
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from tests.integration.world import World, free_port, healthcare

PASSWORD = "correct horse battery staple"


def create_admin(world: World, email: str, password: str = PASSWORD) -> "subprocess.CompletedProcess[str]":
    """Make an admin, with the password piped in."""
    command = ("create-admin", "--email", email, "--full-name", "Ada")
    return healthcare(*command, environment=world.environment, given=f"{password}\n")


def test_the_first_admin_can_sign_in(world: World) -> None:
    created = create_admin(world, "ada@test.example")

    assert created.returncode == 0, created.stderr
    with world.apis() as (api,):
        signed_in = httpx.post(f"{api.url}/auth/login", json={"email": "ADA@test.example", "password": PASSWORD})
    assert signed_in.status_code == 200
    assert signed_in.json()["user"]["role"] == "admin"
    assert world.ask("SELECT kind FROM outbox ORDER BY position LIMIT 2") == [("user.registered",), ("role.changed",)]


@pytest.mark.parametrize(
    ("email", "password", "said"),
    [
        ("ada@test.example", "too short", "password"),
        ("nobody", PASSWORD, "e-mail"),
        ("taken@test.example", PASSWORD, "already"),
    ],
)
def test_an_admin_that_cannot_be_made_is_refused_in_words(world: World, email: str, password: str, said: str) -> None:
    assert create_admin(world, "taken@test.example").returncode == 0

    refused = create_admin(world, email, password)

    assert refused.returncode == 1
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert world.ask("SELECT count(*) FROM users") == [(1,)]


def test_migrating_a_migrated_database_does_nothing(world: World) -> None:
    migrated = healthcare("migrate", environment=world.environment)

    assert (migrated.returncode, migrated.stdout) == (0, "nothing to do\n")


def test_a_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"

    assert healthcare("create-key", str(file), environment={}).returncode == 0
    made = file.read_bytes()
    again = healthcare("create-key", str(file), environment={})

    assert again.returncode == 1
    assert "Traceback" not in again.stderr
    assert file.read_bytes() == made
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("command", ["api", "worker"])
def test_without_a_key_nothing_starts(world: World, command: str) -> None:
    environment = world.environment | {"SIGNING_KEY_FILE": "/nowhere/key.pem", "PORT": str(free_port())}

    refused = healthcare(command, environment=environment)

    assert refused.returncode == 1
    assert "signing keys" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("missing", ["POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB", "SIGNING_KEY_FILE"])
def test_a_missing_setting_is_named(world: World, missing: str) -> None:
    environment = {name: value for name, value in world.environment.items() if name != missing}

    refused = healthcare("api", environment=environment)

    assert refused.returncode == 1
    assert missing in refused.stderr


def test_a_port_is_not_shared(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment = world.environment | {"PORT": str(taken.getsockname()[1])}
        refused = healthcare("api", environment=environment)

    assert refused.returncode == 1
    assert "cannot be had" in refused.stderr


def dead_letters(world: World, number: int) -> list[UUID]:
    """Put events where those are that failed five times."""
    ids = [uuid4() for _ in range(number)]
    with world.connect() as connection:
        for place, id in enumerate(ids):
            connection.execute(
                "INSERT INTO dead_letters (id, kind, at, outcome, request_id, reason, died_at)"
                " VALUES (%s, 'no.such.kind', '2026-01-01Z', 'success', 'request', 'builtins.ValueError',"
                " timestamptz '2026-01-02Z' + make_interval(secs => %s))",
                [id, place],
            )
    return ids


def test_dead_letters_are_listed_for_people_and_for_machines(world: World) -> None:
    first, second = dead_letters(world, 2)

    for_people = healthcare("outbox", "list", environment=world.environment)
    for_machines = healthcare("outbox", "list", "--json", environment=world.environment)

    assert for_people.stdout.splitlines() == [
        f"{first}  2026-01-02T00:00:00+00:00  no.such.kind  builtins.ValueError",
        f"{second}  2026-01-02T00:00:01+00:00  no.such.kind  builtins.ValueError",
    ]
    assert [json.loads(line)["id"] for line in for_machines.stdout.splitlines()] == [str(first), str(second)]


def test_dead_letters_are_put_back_by_name_or_all_of_them_however_many(world: World) -> None:
    letters = dead_letters(world, 250)

    one = healthcare("outbox", "requeue", str(letters[0]), environment=world.environment)
    others = healthcare("outbox", "requeue", "--all", environment=world.environment)

    assert (one.stdout, others.stdout) == ("put back: 1\n", "put back: 249\n")
    assert world.ask("SELECT FROM dead_letters") == []
    assert world.ask("SELECT count(*), max(tries) FROM outbox WHERE kind = 'no.such.kind'") == [(250, 0)]
    assert world.ask("SELECT count(DISTINCT subject_id) FROM outbox WHERE kind = 'event.requeued'") == [(250,)]


def test_what_is_no_dead_letter_is_not_put_back_and_named(world: World) -> None:
    (letter,) = dead_letters(world, 1)
    unknown = uuid4()

    refused = healthcare("outbox", "requeue", str(letter), str(unknown), environment=world.environment)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert str(unknown) in refused.stderr
    assert str(letter) not in refused.stderr
    assert world.ask("SELECT id FROM dead_letters") == [(letter,)]
    assert world.ask("SELECT FROM outbox") == []
