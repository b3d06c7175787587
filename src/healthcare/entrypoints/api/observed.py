"""Around every request: its id, its deadline, the headers of its answer, one line in the log and one measurement."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from time import perf_counter
from typing import Final

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from prometheus_client import Histogram
from structlog.contextvars import bind_contextvars

from healthcare.application.deadline import answer_within
from healthcare.domain.kernel import Actor, NewId

REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
METHODS: Final = READS | {"POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT"}
SECONDS_TO_READ: Final = 1.0
SECONDS_TO_WRITE: Final = 3.0
ABANDONED: Final = 499
"""What logs commonly say where the client did not wait for the answer; it is never sent."""

DEFAULT_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
"""For answers that do not say otherwise."""

DURATION: Final = Histogram(
    "http_request_duration_seconds",
    "How long requests took.",
    ("method", "route", "status"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0),
)

log = structlog.get_logger()


@dataclass(slots=True)
class Observed:
    """Around all routes, so that it also sees what none of them answers."""

    app: ASGIApp
    new_id: NewId

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and tell of it."""
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        request_id = request_id_of(scope["headers"]) or self.new_id().hex
        # Whoever asks is nobody in particular until the token has been read.
        scope["user"] = Actor(None, request_id)
        status, begun = ABANDONED, perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = complete(message["headers"], request_id)
            elif message["type"] == "http.response.body" and scope["method"] == "HEAD":
                message["body"] = b""
            await send(message)

        bind_contextvars(request_id=request_id)  # for good: every request has a context of its own
        with answer_within(SECONDS_TO_READ if scope["method"] in READS else SECONDS_TO_WRITE):
            try:
                await self.app(scope, receive, sending)
            finally:
                _tell(scope, status, perf_counter() - begun)


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the id that the caller has given to the request, if it is one."""
    given = [value for name, value in headers if name == b"x-request-id"]
    return given[0].decode() if len(given) == 1 and REQUEST_ID.fullmatch(given[0]) else None


def complete(headers: Iterable[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    """Add the headers that every answer has."""
    given = list(headers)
    return [*given, *_missing(tuple([name for name, _ in given])), (b"x-request-id", request_id.encode())]


@lru_cache(maxsize=64)
def _missing(given: tuple[bytes, ...]) -> list[tuple[bytes, bytes]]:
    names = {name.lower() for name in given}
    return [(name, value) for name, value in DEFAULT_HEADERS if name not in names]


def measure(scope: HTTPScope, status: int, seconds: float) -> tuple[str, str]:
    """Count an answer; return the method and the route under which it is counted."""
    # Templates instead of paths and known methods only: what callers make up must not become a series of its own.
    method = scope["method"] if scope["method"] in METHODS else "other"
    route = scope.get("path_template") or "none"
    _duration(method, route, status).observe(seconds)
    return method, route


def _tell(scope: HTTPScope, status: int, seconds: float) -> None:
    method, route = measure(scope, status, seconds)
    log.info("request", method=method, route=route, status=status, duration_ms=round(seconds * 1000, 1))


@cache
def _duration(method: str, route: str, status: int) -> Histogram:
    return DURATION.labels(method, route, str(status))
