"""A span for each use case."""

from collections.abc import Awaitable, Callable
from dataclasses import fields, replace
from typing import Any

from opentelemetry.trace import Tracer

from healthcare.adapters.opentelemetry.events import beginning_later
from healthcare.adapters.opentelemetry.spans import during
from healthcare.application.use_cases import UseCases
from healthcare.domain.policy import Action

UseCase = Callable[..., Awaitable[object]]


def traced(use_cases: UseCases, tracer: Tracer) -> UseCases:
    """Return the same use cases, each of which makes a span when it is called."""
    shown: dict[str, Any] = {}
    for field in fields(use_cases):
        plain = getattr(use_cases, field.name)
        shown[field.name] = _traced(plain, plain.action, tracer)
    return replace(use_cases, **shown)


def _traced(plain: UseCase, action: Action, tracer: Tracer) -> UseCase:
    async def call(*args: object, **options: object) -> object:
        with beginning_later() if action is Action.RECORD_EVENTS else during(tracer.start_span(action)):
            return await plain(*args, **options)

    return call
