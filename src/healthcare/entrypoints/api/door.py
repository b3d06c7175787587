"""How many requests are worked on at a time. Whoever comes when there are too many is told so at once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Final

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from healthcare.application.uow import Busy
from healthcare.domain.kernel import NewId, Refusal
from healthcare.entrypoints.api.drained import Drained
from healthcare.entrypoints.api.observed import complete, measure, request_id_of
from healthcare.entrypoints.api.problems import code_of, written

PLACES: Final = 1024
"""As many requests as the HTTP server lets in at a time."""
BY_ITSELF: Final = 8
"""Places of a request that may want a connection to PostgreSQL: no more of them fit in than may wait for one, and the
slowest reads are still answered within their second."""
TOGETHER: Final = 1
"""Places of one that travels together with others."""
SILENCE: Final = 1.0
"""Seconds between two lines in the log about those who are turned away."""
ALWAYS_OPEN: Final = ("/health/", "/metrics")
"""For those who want to know how bad it is. They take no place of others."""

TAKEN: Final = "places"
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Crowd:
    """The requests that are worked on, by the places that they take.

    One counts from the moment in which all of it is there: clients that take their time to send something keep nobody
    out.
    """

    taken: int = 0
    """Places."""

    def enter(self, scope: Scope, places: int = BY_ITSELF) -> None:
        """Count a request, once."""
        if TAKEN not in scope and not scope["path"].startswith(ALWAYS_OPEN):
            scope[TAKEN] = places  # type: ignore[typeddict-unknown-key]  # it is for us alone
            self.taken += places

    def leave(self, scope: Scope) -> None:
        """Count it no longer."""
        self.taken -= scope.get(TAKEN, 0)  # type: ignore[operator]  # likewise


@dataclass(slots=True)
class Door:
    """In front of everything else: a refusal must cost next to nothing, so it is counted and not logged."""

    app: ASGIApp
    crowd: Crowd
    new_id: NewId
    needs: Mapping[tuple[str, str], Callable[[], None]]
    """By method and path, what raises a refusal where no such request can be served, whatever it says."""
    turned_away: int = 0
    told_at: float = -SILENCE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, or turn it away."""
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
        elif reason := self._reason(scope["method"], scope["path"]):
            await Drained(partial(self._turn_away, reason))(scope, receive, send)
        else:
            try:
                await self.app(scope, receive, send)
            finally:
                self.crowd.leave(scope)

    def _reason(self, method: str, path: str) -> Exception | None:
        if self.crowd.taken >= PLACES and not path.startswith(ALWAYS_OPEN):
            return Busy()
        if need := self.needs.get((method, path)):
            try:
                need()
            except Refusal as refusal:
                return refusal
        return None

    async def _turn_away(self, reason: Exception, scope: Scope, _receive: Receive, send: Send) -> None:
        self._tell(reason)
        request_id = request_id_of(scope["headers"]) or self.new_id().hex
        status, headers, body = written(reason, request_id)
        if scope["type"] == ScopeType.HTTP:
            if (scope["method"], scope["path"]) in self.needs:
                scope["path_template"] = scope["path"]
            measure(scope, status, 0.0)
            body = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.start", "status": status, "headers": complete(headers, request_id)})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def _tell(self, reason: Exception) -> None:
        self.turned_away += 1
        if monotonic() - self.told_at >= SILENCE:
            log.warning(
                "crowded", code=code_of(type(reason)), turned_away=self.turned_away, places_taken=self.crowd.taken
            )
            self.turned_away, self.told_at = 0, monotonic()
