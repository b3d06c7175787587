"""A span for each request."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Tracer

from healthcare.adapters.opentelemetry.spans import during, failed, parent_of

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
BY_MACHINES: Final = ("/health/", "/metrics")
"""Asked every few seconds; among their traces nobody would find another."""
SERVER_FAULT: Final = 500


@dataclass(frozen=True, slots=True)
class TracedRequests:
    """The outermost layer of the API. Spans name the route: the path itself, like its query, is up to the caller."""

    app: ASGIApp
    tracer: Tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and tell of it."""
        if scope["type"] != ScopeType.HTTP or scope["path"].startswith(BY_MACHINES):
            await self.app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        span = self.tracer.start_span(
            method, _caller(scope["headers"]), SpanKind.SERVER, {"http.request.method": method}
        )

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.set_attribute("http.response.status_code", message["status"])
                if message["status"] >= SERVER_FAULT:
                    failed(span, str(message["status"]))
            await send(message)

        with during(span):
            try:
                await self.app(scope, receive, sending)
            finally:
                if route := scope.get("path_template"):
                    span.set_attribute("http.route", route)
                    span.update_name(f"{method} {route}")


def _caller(headers: Iterable[tuple[bytes, bytes]]) -> Context:
    # Their tracestate is left behind: nobody here reads it, and it holds whatever they like.
    given = [value for name, value in headers if name.lower() == b"traceparent"]
    return parent_of(given[0].decode("latin-1")) if len(given) == 1 else Context()
