"""What an operator types before the first start, and what they are told when something is missing."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.integration.world import World, free_port

PASSWORD = "correct horse battery staple"


def healthcare(*command: str, environment: dict[str, str], given: str = "") -> "subprocess.CompletedProcess[str]":
    """Run the command."""
    clean = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    return subprocess.run(
        [sys.executable, "-m", "healthcare", *command],
        env=clean | environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


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
    assert missing.lower() in refused.stderr


def test_a_port_is_not_shared(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment = world.environment | {"PORT": str(taken.getsockname()[1])}
        refused = healthcare("api", environment=environment)

    assert refused.returncode == 1
    assert "cannot be had" in refused.stderr
