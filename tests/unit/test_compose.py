"""docker-compose.yml and .env.example say what the program understands, and publish no secret."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.stage import BUFFERS
from healthcare.adapters.embedded.postgres import SETTINGS as EMBEDDED
from healthcare.entrypoints import main, settings

CHECKOUT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
EXAMPLE = dict(
    line.split("=", 1)
    for line in (CHECKOUT / ".env.example").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
)

ours = pytest.mark.parametrize("name", OURS)


def values_in(part: object) -> list[str]:
    """Every text in a part of the file, however deep."""
    match part:
        case dict():
            return [text for each in part.values() for text in values_in(each)]
        case list():
            return [text for each in part for text in values_in(each)]
    return [str(part)]


def test_the_program_runs_as_api_worker_and_migration() -> None:
    assert set(OURS) == {"api", "worker", "migrate"}


@ours
def test_a_service_sets_exactly_the_settings_there_are(name: str) -> None:
    assert set(OURS[name]["environment"]) == settings.names()


@ours
def test_a_service_runs_a_command_there_is(name: str) -> None:
    program, *arguments = OURS[name]["command"]

    assert program == "healthcare"
    assert main.parser().parse_args(arguments).command == name


@ours
def test_a_service_starts_after_the_database_is_ready_and_migrated(name: str) -> None:
    waits = {each: how["condition"] for each, how in OURS[name]["depends_on"].items()}

    if name == "migrate":
        assert waits == {"postgres": "service_healthy"}
    else:
        assert waits["migrate"] == "service_completed_successfully"


def test_postgresql_keeps_what_people_write_out_of_its_log_as_in_the_tests() -> None:
    options = dict(option.split("=") for option in SERVICES["postgres"]["command"] if "=" in option)

    assert options["log_error_verbosity"] == EMBEDDED["log_error_verbosity"] == "terse"


def test_figures_are_measured_with_the_buffers_of_the_deployment() -> None:
    options = dict(option.split("=") for option in SERVICES["postgres"]["command"] if "=" in option)

    assert options["shared_buffers"] == BUFFERS


@ours
def test_a_service_of_ours_can_write_nowhere_and_gain_nothing(name: str) -> None:
    service = OURS[name]

    assert (service["read_only"], service["tmpfs"], service["cap_drop"]) == (True, ["/tmp"], ["ALL"])  # noqa: S108
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.keys() & {"privileged", "cap_add", "user", "volumes", "devices", "network_mode", "pid"}


def test_only_the_api_publishes_a_port_and_only_on_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if service.get("ports")}

    assert list(published) == ["api"]
    assert all(port.startswith("127.0.0.1:") for port in published["api"])


def test_every_variable_of_the_compose_file_is_a_setting() -> None:
    variables = {name for text in values_in(COMPOSE) for name in re.findall(r"(?<!\$)\$\{(\w+)", text)}

    assert variables <= settings.names()


@pytest.mark.parametrize("name", SERVICES)
def test_a_secret_comes_from_outside_or_not_at_all(name: str) -> None:
    secrets = {
        setting: value
        for setting, value in SERVICES[name].get("environment", {}).items()
        if re.search("PASSWORD|SECRET|TOKEN|KEY", setting)
    }

    assert all(re.fullmatch(r"\$\{\w+:\?[^}]+\}|/run/secrets/\w+", value) for value in secrets.values())


def test_the_signing_key_reaches_the_services_as_a_secret_file() -> None:
    assert COMPOSE["secrets"] == {"signing_key": {"file": "${SIGNING_KEY_FILE:?set it in .env}"}}
    assert all(service["secrets"] == ["signing_key"] for service in OURS.values())


def test_the_cache_may_evict_and_the_queue_may_not() -> None:
    cache, queue = (" ".join(SERVICES[name]["command"]) for name in ("cache", "queue"))

    assert "--maxmemory-policy allkeys-lru" in cache
    assert "--appendonly no" in cache
    assert "--maxmemory-policy noeviction" in queue
    assert "--appendonly no" in queue


def test_everything_that_listens_has_a_health_check() -> None:
    """The API's comes with its image, and is no measure of what else the image runs."""
    checks = {name: service["healthcheck"] for name, service in SERVICES.items() if "healthcheck" in service}

    assert {name for name, check in checks.items() if "test" in check} == {"postgres", "cache", "queue"}
    assert [name for name, check in checks.items() if check == {"disable": True}] == ["migrate", "worker"]


def test_the_example_names_every_setting_and_holds_no_password() -> None:
    assert set(EXAMPLE) == settings.names()
    assert EXAMPLE["POSTGRES_PASSWORD"] == ""


def test_the_example_is_complete_but_for_the_password() -> None:
    with pytest.raises(settings.SettingsInvalid, match="POSTGRES_PASSWORD"):
        settings.read(EXAMPLE)

    assert settings.read(EXAMPLE | {"POSTGRES_PASSWORD": "anything"}).port == 3000
