"""Whether anything is traced: where no endpoint is set, nothing is, and what would do it is not even imported."""

from typing import Protocol

from litestar.types import ASGIApp

from healthcare.adapters.postgres.traces import Traces
from healthcare.application.use_cases import UseCases
from healthcare.entrypoints.settings import Settings


class Tracing(Traces, Protocol):
    """Shows what drivers and use cases do."""

    def requests(self, app: ASGIApp) -> ASGIApp: ...
    def use_cases(self, plain: UseCases) -> UseCases: ...
    async def close(self) -> None: ...


def create_tracing(settings: Settings) -> Tracing | None:
    """Return what traces, or None."""
    if not (endpoint := settings.otel_exporter_otlp_endpoint):
        return None
    from healthcare.adapters.opentelemetry import tracing  # noqa: PLC0415 - its packages need not be installed

    return tracing.Tracing(
        endpoint=endpoint, service=settings.otel_service_name, share=settings.otel_traces_sampler_arg
    )


def traced(plain: UseCases, tracing: Tracing | None) -> UseCases:
    """Return the use cases as drivers are handed them."""
    return tracing.use_cases(plain) if tracing else plain
