"""Short ways: for the requests that come far more often than others, and for the one that may cost next to nothing.

Litestar takes a hundred microseconds for every request, which is more than all the rest of a search whose answer is at
hand, and as much as all the rest of a booking that is decided together with others; and of a sign-in, whatever is not
the hash of the password is to be a twentieth. So these look at searches, bookings and sign-ins first, and answer those
in which nothing is wrong; every other request goes on to Litestar as if they were not here. What each takes, and how it
is answered, stands once, for both ways.
"""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Final, Generic, TypeVar

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, ReceiveMessage, Scope, Send
from msgspec import Struct
from msgspec.json import Encoder

from healthcare.application.identity.log_in import LogIn
from healthcare.application.scheduling.book import BookAppointment
from healthcare.application.scheduling.search import SearchSlots
from healthcare.domain.identity.model import Email
from healthcare.domain.kernel import Refusal, SlotId
from healthcare.domain.scheduling.asks import Booking
from healthcare.domain.scheduling.search import Search
from healthcare.entrypoints.api.auth import Identify
from healthcare.entrypoints.api.door import BY_ITSELF, TOGETHER, Crowd
from healthcare.entrypoints.api.headers import known, raw, revalidation
from healthcare.entrypoints.api.identity import LogInRequest, SignedInBody
from healthcare.entrypoints.api.refusals import MOST_BYTES, RequestTimeout
from healthcare.entrypoints.api.request import decode, in_time, key_in, parameters, understand
from healthcare.entrypoints.api.scheduling import SEARCH_PATH, SearchRequest, render
from healthcare.entrypoints.api.scheduling_appointments import AppointmentBody, BookRequest, headers_of_new

S = TypeVar("S", bound=Struct)

Header = tuple[bytes, bytes]
Reply = tuple[int, list[Header], bytes]
"""Status, headers apart from those of the body, and the body."""

LEFT_TO_LITESTAR: Final = frozenset({b"content-length", b"transfer-encoding", b"expect"})
"""A search with a body."""
IF_NONE_MATCH: Final = b"if-none-match"
CONTENT_TYPE: Final = b"content-type"
ABOUT_THE_BODY: Final = frozenset({CONTENT_TYPE, b"content-encoding", b"expect"})
JSON: Final = (CONTENT_TYPE, b"application/json")
ENCODER: Final = Encoder()
FAILURE: Final = "failure"
"""Under which the rest of the way finds why a request was not answered."""

LONGEST_QUERY: Final = 4096
"""Bytes. Longer ones are not remembered: nobody who searches needs as many."""
LATELY: Final = 512
"""Searches that are remembered."""


@dataclass(frozen=True, slots=True)
class Lately:
    """The searches of late. Whoever asks the same mostly finds the answer at hand, or waits for it with others."""

    queries: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    """Strings, the last one last."""

    def again(self, query: bytes) -> bool:
        """Say whether it has been asked before, and remember that it is now."""
        before = query in self.queries
        self.queries[query] = None
        self.queries.move_to_end(query)
        if len(self.queries) > LATELY:
            self.queries.popitem(last=False)
        return before


@dataclass(frozen=True, slots=True)
class ShortSearch:
    """In front of everything that Litestar does with a search."""

    app: ASGIApp
    search_slots: SearchSlots
    crowd: Crowd
    lately: Lately = field(default_factory=Lately)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a search, or hand the request on."""
        if (
            scope["type"] != ScopeType.HTTP
            or scope["path"] != SEARCH_PATH
            or scope["method"] != "GET"
            or len(scope["query_string"]) > LONGEST_QUERY
            or (search := wanted(scope["query_string"])) is None
            or (tags := asked_for(scope)) is None
        ):
            await self.app(scope, receive, send)
            return
        self.crowd.enter(scope, TOGETHER if self.lately.again(scope["query_string"]) else BY_ITSELF)
        try:
            body = await self.search_slots.written(actor=scope["user"], search=search, render=render)
        except Exception as failure:  # noqa: BLE001 - Litestar knows how each is told
            await self.app(failed(scope, failure), receive, send)
            return
        scope["path_template"] = SEARCH_PATH
        headers, tag = revalidation(body)
        if tags and known(tag, tags):
            await answer(send, 304, headers, b"")
        else:
            await answer(send, 200, [*headers, *described(body)], body)


class Way(ABC, Generic[S]):
    """What stands behind one path that takes a JSON body by POST."""

    kind: ClassVar[type[Struct]]
    """Of the body."""
    places: ClassVar[int]
    """In the crowd."""

    @abstractmethod
    def accepts(self, scope: HTTPScope) -> bool:
        """Say whether the caller may be heard, and remember who it is."""

    @abstractmethod
    async def reply(self, scope: HTTPScope, given: S) -> Reply:
        """Do what is asked for; raise whatever Litestar is to tell."""


@dataclass(frozen=True, slots=True)
class SignIn(Way[LogInRequest]):
    """A user signs in."""

    kind: ClassVar = LogInRequest
    places: ClassVar = BY_ITSELF
    log_in: LogIn

    def accepts(self, scope: HTTPScope) -> bool:  # noqa: ARG002 - of the base class
        """Let everybody try."""
        return True

    async def reply(self, scope: HTTPScope, given: LogInRequest) -> Reply:
        """Sign them in."""
        signed_in = await self.log_in(actor=scope["user"], email=Email(given.email), password=given.password)
        return 200, [], ENCODER.encode(SignedInBody.of(signed_in))


@dataclass(frozen=True, slots=True)
class Book(Way[BookRequest]):
    """A patient books a slot."""

    kind: ClassVar = BookRequest
    places: ClassVar = TOGETHER
    book_appointment: BookAppointment
    identify: Identify

    def accepts(self, scope: HTTPScope) -> bool:
        """Ask who they are."""
        try:
            self.identify(scope)
        except Refusal:
            return False
        return True

    async def reply(self, scope: HTTPScope, given: BookRequest) -> Reply:
        """Book."""
        booked = await self.book_appointment(
            Booking(actor=scope["user"], slot=SlotId(given.slot_id), key=key_in(scope))
        )
        return 201, raw(headers_of_new(booked)), ENCODER.encode(AppointmentBody.of(booked))


@dataclass(frozen=True, slots=True)
class ShortPosts:
    """In front of everything that Litestar does with a POST, by paths."""

    app: ASGIApp
    ways: Mapping[str, Way[Any]]
    crowd: Crowd

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on with whatever has been heard of it."""
        if (
            scope["type"] != ScopeType.HTTP
            or (way := self.ways.get(scope["path"])) is None
            or scope["method"] != "POST"
            or scope["query_string"]
            or [header for header in scope["headers"] if header[0] in ABOUT_THE_BODY] != [JSON]
            or not way.accepts(scope)
        ):
            await self.app(scope, receive, send)
            return
        try:
            heard = await in_time(receive())
        except RequestTimeout as failure:
            await self.app(failed(scope, failure), receive, send)
            return
        if (given := whole(heard, way.kind)) is None:
            await self.app(scope, Again(heard, receive), send)
            return
        self.crowd.enter(scope, way.places)
        try:
            status, headers, body = await way.reply(scope, given)
        except Exception as failure:  # noqa: BLE001 - likewise
            await self.app(failed(scope, failure), receive, send)
            return
        scope["path_template"] = scope["path"]
        await answer(send, status, [*headers, *described(body)], body)


@dataclass(slots=True)
class Again:
    """What the client sends, of which a part was heard already."""

    heard: ReceiveMessage | None
    receive: Receive

    async def __call__(self) -> ReceiveMessage:
        """Return what comes next."""
        if heard := self.heard:
            self.heard = None
            return heard
        return await self.receive()


def failed(scope: HTTPScope, failure: Exception) -> HTTPScope:
    """Let the rest of the way tell why there is no answer."""
    scope[FAILURE] = failure  # type: ignore[typeddict-unknown-key]  # it is for us alone
    return scope


def described(body: bytes) -> list[Header]:
    """Return the headers of a body."""
    return [JSON, (b"content-length", str(len(body)).encode())]


async def answer(send: Send, status: int, headers: list[Header], body: bytes) -> None:
    """Send an answer, whole."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


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


def whole(heard: ReceiveMessage, kind: type[Struct]) -> Struct | None:
    """Return what is asked for; None where that is not all, or something is wrong with it."""
    if heard["type"] != "http.request" or heard.get("more_body") or len(body := heard.get("body", b"")) > MOST_BYTES:
        return None
    try:
        return decode(body, kind)
    except Refusal:
        return None
