"""How handlers come by use cases."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields
from typing import TypeAlias, TypeVar

from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation

from healthcare.application.use_cases import UseCases

T = TypeVar("T")

Use: TypeAlias = NamedDependency[SkipValidation[T]]
"""A handler names the use case it drives as a parameter, of this type.

One per handler, and nothing else: Litestar starts a group of tasks for every request that takes two dependencies.
"""

Check: TypeAlias = Callable[[], Awaitable[None]]
"""Asks something; an answer that is an exception means no."""
Checks: TypeAlias = Mapping[str, Check]
"""What the system depends on, and how each is asked whether it is there."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What operators ask about."""

    checks: Checks
    measure: Check
    """Brings up to date what is measured only when somebody asks."""


def provided(use_cases: UseCases, watched: Watched) -> dict[str, Provide]:
    """Return what handlers can ask for, by name."""
    known: dict[str, object] = {field.name: getattr(use_cases, field.name) for field in fields(use_cases)}
    return {name: _provide(value) for name, value in (known | {"watched": watched}).items()}


def _provide(value: object) -> Provide:
    async def give() -> object:
        return value

    return Provide(give)
