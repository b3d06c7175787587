"""How handlers come by use cases."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields
from typing import TypeAlias, TypeVar

from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation

from healthcare.application.use_cases import UseCases

T = TypeVar("T")

Use: TypeAlias = NamedDependency[SkipValidation[T]]
"""A handler names the use case it drives as a parameter, of this type.

One per handler, and nothing else: Litestar starts a group of tasks for every request that takes two dependencies.
"""

Checks: TypeAlias = Mapping[str, Callable[[], Awaitable[None]]]
"""What the system depends on, and how each is asked whether it is there; an answer that is an exception means no."""


def provided(use_cases: UseCases, checks: Checks) -> dict[str, Provide]:
    """Return what handlers can ask for, by name."""
    known: dict[str, object] = {field.name: getattr(use_cases, field.name) for field in fields(use_cases)}
    return {name: _provide(value) for name, value in (known | {"checks": checks}).items()}


def _provide(value: object) -> Provide:
    async def give() -> object:
        return value

    return Provide(give)
