"""What may import what, and what the core and the drivers never do."""

import ast
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from importlinter.api import read_configuration
from importlinter.cli import lint_imports

import healthcare
from healthcare import entrypoints

SOURCE = Path(healthcare.__file__).parent
CHECKOUT = Path(__file__).parents[2]

CONTRACTS = [
    "Dependencies point inward",
    "The core is plain Python",
    "In a context, ports rest on what is decided, that on the model, and the model on its errors",
    "Contexts share identifiers, not models",
    "A use case never calls another context's use case",
    "Adapters do not know each other",
    "Drivers do not know each other",
    "Handlers see use cases, never adapters",
    "No import cycles",
]

# Time and ids come in as arguments; the adapters are where they come from.
SOURCES_OF_SURPRISE = (
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "os.urandom",
    "random",
    "secrets",
    "time.time",
    "time.time_ns",
    "uuid.uuid1",
    "uuid.uuid4",
)


def modules_of(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((SOURCE / folder).rglob("*.py"))]


def names_used(tree: ast.Module) -> Iterator[str]:
    """Every dotted name in a module, with its imports' own names undone."""
    meaning: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            meaning |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            meaning |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            first, *rest = ast.unparse(node).split(".")
            if first in meaning:
                yield ".".join([meaning[first], *rest])


def surprises(source: str) -> set[str]:
    """The clocks and dice that a module uses, whether it calls them or hands them on."""
    return {
        name
        for name in names_used(ast.parse(source))
        if any(name == each or name.startswith(f"{each}.") for each in SOURCES_OF_SURPRISE)
    }


def packages_imported(source: str) -> set[str]:
    """The top-level packages that a module imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(source)))
    whole = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    parts = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.partition(".")[0] for name in whole | parts}


def inputs() -> list[type[msgspec.Struct]]:
    """The shapes of what clients send, in all drivers."""
    for module in pkgutil.walk_packages(entrypoints.__path__, f"{entrypoints.__name__}."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
    return [each for each in structs(msgspec.Struct) if is_input(each)]


def structs(parent: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for child in parent.__subclasses__():
        yield child
        yield from structs(child)


def is_input(struct: type[msgspec.Struct]) -> bool:
    return struct.__module__.startswith(f"{entrypoints.__name__}.") and struct.__name__.endswith(
        ("Request", "Query", "In")
    )


def test_the_contracts_are_the_nine_that_were_agreed() -> None:
    configuration = read_configuration(str(CHECKOUT / "pyproject.toml"))

    assert [contract["name"] for contract in configuration["contracts_options"]] == CONTRACTS


def test_every_import_contract_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    status = lint_imports(config_filename=str(CHECKOUT / "pyproject.toml"), no_cache=True, no_logo=True)

    assert status == 0, capsys.readouterr().out


@pytest.mark.parametrize("path", modules_of("domain", "application"), ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_core_imports_the_standard_library_and_itself(path: Path) -> None:
    imported = packages_imported(path.read_text(encoding="utf-8"))

    assert imported <= {*sys.stdlib_module_names, "healthcare"}


@pytest.mark.parametrize(
    "path",
    modules_of("domain", "application", "entrypoints"),
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_only_adapters_read_clocks_and_throw_dice(path: Path) -> None:
    assert surprises(path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from datetime import datetime as dt; dt.now()", {"datetime.datetime.now"}),
        ("import datetime; later = datetime.datetime.utcnow", {"datetime.datetime.utcnow"}),
        ("from uuid import uuid4; field(default_factory=uuid4)", {"uuid.uuid4"}),
        ("def later():\n    import random as r\n    return r.random()", {"random", "random.random"}),
        ("import time; time.time(); time.monotonic()", {"time.time"}),
        ("from secrets import token_hex; token_hex()", {"secrets.token_hex"}),
        ("from datetime import UTC, datetime; datetime.now_and_then; clock.now()", set()),
    ],
)
def test_clocks_and_dice_are_found_under_any_name(source: str, found: set[str]) -> None:
    assert surprises(source) == found


def test_no_input_accepts_unknown_fields() -> None:
    found = inputs()

    assert found
    assert [each.__name__ for each in found if not each.__struct_config__.forbid_unknown_fields] == []
