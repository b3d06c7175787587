"""A port without a contract test does not exist."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from inspect import isclass
from pathlib import Path
from types import ModuleType

import pytest

import healthcare.domain
from healthcare.application import uow
from healthcare.domain import kernel

MODULES = sorted(Path(__file__).parent.glob("test_*.py"))


def ports() -> Iterator[type]:
    """Find the protocols of the core."""
    names = [module.name for module in pkgutil.walk_packages(healthcare.domain.__path__, "healthcare.domain.")]
    modules: list[ModuleType] = [import_module(name) for name in names if name.endswith(".ports")]
    for module in (*modules, uow, kernel):
        for one in vars(module).values():
            if isclass(one) and one.__module__ == module.__name__ and getattr(one, "_is_protocol", False):
                yield one


def contracts() -> dict[str, Path]:
    """Return the contract of each port: the module that says `PORT = Name`."""
    texts = {module: module.read_text(encoding="utf-8").splitlines() for module in MODULES}
    return {line.removeprefix("PORT = "): module for module in texts for line in texts[module] if "PORT = " in line[:7]}


def test_there_are_ports() -> None:
    names = {port.__name__ for port in ports()}

    assert {"Users", "Slots", "Bookings", "Outbox", "UnitOfWork", "SearchCache", "Clock"} <= names


@pytest.mark.parametrize("port", list(ports()), ids=lambda port: port.__name__)
def test_every_port_has_a_contract_that_calls_each_of_its_methods(port: type) -> None:
    assert port.__name__ in contracts(), f"no contract test says PORT = {port.__name__}"

    text = contracts()[port.__name__].read_text(encoding="utf-8")
    methods = [name for name in vars(port) if not name.startswith("_")]
    assert [name for name in methods if f".{name}" not in text] == []
