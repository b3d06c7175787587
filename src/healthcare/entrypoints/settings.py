"""The environment, read once into one frozen object."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, ValidationError, convert
from msgspec.structs import fields

LAST_PORT: Final = 65535
Port = Annotated[int, Meta(ge=1, le=LAST_PORT)]


class SettingsInvalid(Exception):
    """A setting is missing or makes no sense."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator decides. There is no default for a secret."""

    postgres_host: str = "127.0.0.1"
    postgres_port: Port = 5432
    postgres_user: str
    postgres_password: str
    postgres_db: str
    postgres_pool_size: Annotated[int, Meta(ge=1, le=100)] = 8
    """Connections of one process."""
    redis_host: str = "127.0.0.1"
    redis_port: Port = 6379
    """The cache: it may forget anything at any time."""
    queue_redis_host: str = "127.0.0.1"
    queue_redis_port: Port = 6379
    """Wakes the workers; the record of what there is to do is in PostgreSQL."""
    signing_key_file: Path
    """Ed25519 private keys in PEM: the first signs access tokens, all of them verify."""
    host: str = "127.0.0.1"
    port: Port = 3000
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    otel_exporter_otlp_endpoint: Annotated[str, Meta(pattern="^(https?://.+)?$")] = ""
    """Where traces go, by OTLP over HTTP; where it is empty, nothing is traced."""
    otel_service_name: str = "healthcare"
    otel_traces_sampler_arg: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """Which share of the traces is kept."""

    @property
    def postgres(self) -> dict[str, str | int]:
        """What libpq needs to connect."""
        return {
            "host": self.postgres_host,
            "port": self.postgres_port,
            "user": self.postgres_user,
            "password": self.postgres_password,
            "dbname": self.postgres_db,
        }


def names() -> frozenset[str]:
    """Return the names of the environment variables that are read."""
    return frozenset(field.name.upper() for field in fields(Settings))


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; `NAME_FILE` names a file that holds the value of `NAME`, as containers keep secrets.

    Raises:
        SettingsInvalid: says of each setting that is missing, unreadable or out of range what is wrong with it.
    """
    found, faults = dict[str, Any](), list[str]()
    for field in fields(Settings):
        name = field.name.upper()
        try:
            if (value := _value(name, environment)) is not None:
                found[field.name] = convert(value, field.type, strict=False, dec_hook=lambda kind, text: kind(text))
            elif field.required:
                faults.append(f"{name} is missing")
        except (OSError, UnicodeError) as error:
            faults.append(f"{name}_FILE cannot be read ({type(error).__name__})")
        except ValidationError as error:
            faults.append(f"{name}: {error}")
    if found.get("otel_exporter_otlp_endpoint") and not find_spec("opentelemetry"):
        faults.append("traces need more packages: pip install 'healthcare[traces]'")
    if faults:
        raise SettingsInvalid(f"the environment does not hold what is needed: {'; '.join(faults)}")
    return Settings(**found)


def _value(name: str, environment: Mapping[str, str]) -> str | None:
    if value := environment.get(name):
        return value
    if (file := environment.get(f"{name}_FILE")) and f"{name}_FILE" not in names():
        return Path(file).read_text(encoding="utf-8").strip()
    return None
