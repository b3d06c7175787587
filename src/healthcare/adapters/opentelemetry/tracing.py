"""Traces: what takes how long, from a request through its use case to the statements, and on in the worker."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from threading import Thread
from typing import Final

from litestar.types import ASGIApp
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from psycopg import ConnectionInfo

from healthcare.adapters.opentelemetry import events, spans, statements, use_cases
from healthcare.adapters.opentelemetry.requests import TracedRequests
from healthcare.application.use_cases import UseCases

CLOSE_WITHIN: Final = 2.0
"""Seconds to send what is left at the end."""


class Tracing:
    """Sends spans in the background, with OTLP over HTTP. Where that fails they are lost, and nobody waits for them."""

    def __init__(self, *, endpoint: str, service: str, share: float) -> None:
        """Trace this share of what begins here, and of what callers trace."""
        ours = TraceIdRatioBased(share)
        self._provider = TracerProvider(
            ParentBased(ours, remote_parent_sampled=ours),
            Resource.create({"service.name": service}),
            shutdown_on_exit=False,  # that would wait for half a minute
        )
        exporter = OTLPSpanExporter(f"{endpoint.removesuffix('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("healthcare")
        # It would also warn of each attempt at what it tries again.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)

    def requests(self, app: ASGIApp) -> ASGIApp:
        """Return the same API, each request of which makes a span."""
        return TracedRequests(app, self._tracer)

    def use_cases(self, plain: UseCases) -> UseCases:
        """Return the same use cases, each of which makes a span when it is called."""
        return use_cases.traced(plain, self._tracer)

    def parent(self) -> str | None:
        """Return what is being done now; see `healthcare.adapters.postgres.traces`."""
        return spans.traceparent()

    def go_on(self, parents: Iterable[str]) -> None:
        """Count what is done next among what these parents led to."""
        events.go_on(self._tracer, parents)

    def asked(self, texts: Sequence[str], of: ConnectionInfo, done: Callable[[], int]) -> AbstractContextManager[None]:
        """Show what the server is asked in the block; see `healthcare.adapters.postgres.traces`."""
        return statements.asked(self._tracer, texts, of, done)

    async def close(self) -> None:
        """Send what is left, if that can be done in time."""
        sending = Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        await asyncio.to_thread(sending.join, CLOSE_WITHIN)
