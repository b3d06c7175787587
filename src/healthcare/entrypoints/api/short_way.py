"""The short way of the one request that comes far more often than all others: a search that is good as it is.

Litestar takes a hundred microseconds for every request, which is more than all the rest of a search whose answer is at
hand. So this looks at searches first, and answers those in which nothing is wrong and that find free slots; every other
request goes on to Litestar as if this were not here. What a search takes, and how it is answered, stands once
(`SearchRequest`, `render`, `revalidation`), for both ways.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from healthcare.application.scheduling.search import SearchSlots
from healthcare.application.uow import OutcomeUnknown, Unavailable
from healthcare.domain.kernel import Refusal
from healthcare.domain.scheduling.search import Search
from healthcare.entrypoints.api.headers import known, revalidation
from healthcare.entrypoints.api.request import parameters, understand
from healthcare.entrypoints.api.scheduling import SEARCH_PATH, SearchRequest, render

LEFT_TO_LITESTAR: Final = frozenset({b"content-length", b"transfer-encoding", b"expect"})
"""A search with a body."""
IF_NONE_MATCH: Final = b"if-none-match"
FAILURE: Final = "failure"
"""Under which the rest of the way finds why a search was not answered."""


@dataclass(frozen=True, slots=True)
class ShortWay:
    """In front of everything that Litestar does."""

    app: ASGIApp
    search_slots: SearchSlots
    enter: Callable[[Scope], None]
    """Count a request among those that are worked on."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a search, or hand the request on."""
        if (
            scope["type"] != ScopeType.HTTP
            or scope["path"] != SEARCH_PATH
            or scope["method"] != "GET"
            or (search := wanted(scope["query_string"])) is None
            or (tags := asked_for(scope)) is None
        ):
            await self.app(scope, receive, send)
            return
        self.enter(scope)
        try:
            body = await self.search_slots.written(actor=scope["user"], search=search, render=render)
        except (Refusal, Unavailable, OutcomeUnknown) as failure:
            scope[FAILURE] = failure  # type: ignore[typeddict-unknown-key]  # Litestar knows how that is told
            await self.app(scope, receive, send)
            return
        scope["path_template"] = SEARCH_PATH
        headers, tag = revalidation(body)
        if tags and known(tag, tags):
            await send({"type": "http.response.start", "status": 304, "headers": headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [*headers, JSON, length]})
        await send({"type": "http.response.body", "body": body, "more_body": False})


JSON: Final = (b"content-type", b"application/json")


@lru_cache(maxsize=4096)
def wanted(query: bytes) -> Search | None:
    """Return what is searched for; None where something is wrong with it."""
    try:
        return understand(parameters(query), SearchRequest).search
    except Refusal:
        return None


def asked_for(scope: HTTPScope) -> str | None:
    """Return what If-None-Match says; None where the request has a body, which it should not."""
    tags = ""
    for name, value in scope["headers"]:
        if name in LEFT_TO_LITESTAR:
            return None
        if name == IF_NONE_MATCH:
            tags = f"{tags},{value.decode('latin-1')}" if tags else value.decode("latin-1")
    return tags
