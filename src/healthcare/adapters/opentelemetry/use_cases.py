"""A span for each use case."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields, replace
from inspect import iscoroutinefunction
from typing import Any

from opentelemetry.trace import Tracer

from healthcare.adapters.opentelemetry.events import beginning_later
from healthcare.adapters.opentelemetry.spans import during
from healthcare.application.use_cases import UseCases
from healthcare.domain.policy import Action


def traced(use_cases: UseCases, tracer: Tracer) -> UseCases:
    """Return the same use cases, each of which makes a span when it is called."""
    names = [field.name for field in fields(use_cases)]
    shown: dict[str, Any] = {name: TracedUseCase(getattr(use_cases, name), tracer) for name in names}
    return replace(use_cases, **shown)


@dataclass(frozen=True, slots=True)
class TracedUseCase:
    """Stands in for a use case, in whichever way it is called."""

    plain: Any
    tracer: Tracer

    async def __call__(self, *args: object, **options: object) -> object:
        """Do it, and show it."""
        return await self._shown(self.plain, *args, **options)

    def __getattr__(self, name: str) -> object:
        """Return what the use case has besides."""
        found = getattr(self.plain, name)
        if not iscoroutinefunction(found):
            return found

        async def call(*args: object, **options: object) -> object:
            return await self._shown(found, *args, **options)

        return call

    async def _shown(self, do: Callable[..., Awaitable[object]], *args: object, **options: object) -> object:
        action: Action = self.plain.action
        with beginning_later() if action is Action.RECORD_EVENTS else during(self.tracer.start_span(action)):
            return await do(*args, **options)
