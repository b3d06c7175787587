"""Requests, read strictly and in the order in which their faults are answered."""

import asyncio
import re
from collections.abc import Awaitable
from functools import cache
from typing import Any, Final, Generic, TypeVar, get_type_hints
from urllib.parse import parse_qsl

from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import InternalServerException
from litestar.types import HTTPScope
from msgspec import DecodeError, Struct, ValidationError, convert
from msgspec.json import Decoder
from msgspec.structs import fields

from healthcare.application.deadline import remaining
from healthcare.domain.kernel import Actor, Fault, Invalid
from healthcare.domain.scheduling.asks import KEY
from healthcare.entrypoints.api.faults import fault_of
from healthcare.entrypoints.api.refusals import (
    ParameterFault,
    PreconditionRequired,
    RequestTimeout,
    Unreadable,
    UnsupportedMediaType,
)
from healthcare.entrypoints.api.shape import SHAPE, Shape

SECONDS_FOR_BODY: Final = 3.0
KEY_HEADER: Final = "Idempotency-Key"
IF_MATCH: Final = "If-Match"
TAGS: Final = re.compile(r'[ \t,]*(W/)?"[\x21\x23-\x7e]*"([ \t]*,[ \t,]*(W/)?"[\x21\x23-\x7e]*")*[ \t,]*')
"""A list may have empty elements (RFC 9110 §5.6.1.2)."""
VERSION: Final = re.compile(r'(?:^|,[ \t]*)"([0-9]{1,9})"')
"""Tags that are weak match nothing here, nor do those that we have not made."""
JSON: Final = re.compile(r"application/json *(; *charset=(utf-8|\"utf-8\") *)?", re.IGNORECASE)
NUMBER: Final = re.compile(r"-?[0-9]{1,18}")
MOST_PARAMETERS: Final = 32

T = TypeVar("T")
S = TypeVar("S", bound=Struct)
Q = TypeVar("Q", bound=Struct)


class ApiRequest(Request[Actor, Any, State], Generic[Q]):
    """A request. `user` is who asks; `query` is what `Q` names, for a handler that takes `ApiRequest[Q]`."""

    query: Q
    given: Struct
    """The body, as what the handler takes as `data`."""

    @property
    def shape(self) -> Shape:
        """What this route takes."""
        shape: Shape = self.route_handler.opt[SHAPE]
        return shape

    @property
    def key(self) -> str:
        """The idempotency key; see `key_in`."""
        return key_in(self.scope)

    @property
    def versions(self) -> frozenset[int] | None:
        """The versions that the caller may have seen, by If-Match (RFC 9110 §13.1.1); None: whichever there is.

        Raises:
            PreconditionRequired: there is none.
            Unreadable: there is something else.
        """
        given = ",".join(values(self.scope, IF_MATCH)).strip()
        if not given:
            raise PreconditionRequired
        if given == "*":
            return None
        if not TAGS.fullmatch(given):
            raise Unreadable(faults=[ParameterFault((IF_MATCH,), "entity-tag", 'must be like "3", or *')])
        return frozenset(int(version) for version in VERSION.findall(given))

    async def json(self) -> Struct:
        """Return the body, which `read` has read; Litestar's own reading takes "5" for 5."""
        return self.given


def values(scope: HTTPScope, header: str) -> list[str]:
    """Return what the caller says under the name of a header, as often as they do."""
    name = header.lower().encode()  # as ASGI has all names of headers
    return [value.decode("latin-1") for given, value in scope["headers"] if given == name]


def key_in(scope: HTTPScope) -> str:
    """Return the idempotency key; raise Unreadable unless there is exactly one, as it must be."""
    keys = values(scope, KEY_HEADER)
    if len(keys) != 1:
        raise Unreadable(faults=[ParameterFault((KEY_HEADER,), "required", "must be there once")])
    if not KEY.fullmatch(keys[0]):
        raise Unreadable(faults=[ParameterFault((KEY_HEADER,), "key", "must be 1 to 255 visible ASCII characters")])
    return keys[0]


async def read(request: ApiRequest[Any]) -> None:
    """Read everything that the route takes: what makes a request unreadable is told before what is wrong in it.

    Raises:
        RequestTimeout, TooLarge, UnsupportedMediaType, Unreadable, PreconditionRequired, Invalid: in this order.
    """
    shape = request.shape
    body = await _body(request) if shape.body else b""
    if shape.keyed:
        _ = request.key
    if shape.conditional:
        _ = request.versions
    query = parameters(request.scope["query_string"])
    if shape.body:
        request.given = decode(body, shape.body)
    request.query = understand(query, shape.query)


async def in_time(hearing: Awaitable[T]) -> T:
    """Hear what the client sends; raise RequestTimeout where it takes too long."""
    try:
        # The deadline bounds what we wait for; whoever sends a body more slowly has not asked yet.
        async with asyncio.timeout(remaining(SECONDS_FOR_BODY)):
            return await hearing
    except TimeoutError:
        raise RequestTimeout from None


async def _body(request: ApiRequest[Any]) -> bytes:
    try:
        body = await in_time(request.body())
    except InternalServerException:
        # So Litestar calls it when the client hangs up before the end of the body.
        raise Unreadable from None
    types = values(request.scope, "Content-Type")
    if set(values(request.scope, "Content-Encoding")) - {"identity"}:
        raise UnsupportedMediaType
    if (body or types) and not (len(types) == 1 and JSON.fullmatch(types[0].strip())):
        raise UnsupportedMediaType
    if not body:
        raise Unreadable(faults=[Fault((), "required", "a body is missing")])
    return body


def decode(body: bytes, kind: type[S]) -> S:
    """Read a body.

    Raises:
        Unreadable: it is no JSON, or nested too deeply.
        Invalid: it is, but a value in it is wrong.
    """
    try:
        given: S = _decoder(kind).decode(body)
    except ValidationError as error:
        _check_readable(body)
        raise Invalid(faults=[fault_of(error)]) from None
    except (DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable from None
    return given


def _check_readable(body: bytes) -> None:
    # The first wrong value ends the reading; what comes after it may still be no JSON, and that is told first.
    try:
        _decoder(object).decode(body)
    except ValidationError:
        pass  # a number that no computer can hold: readable, but wrong
    except (DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable from None


@cache
def _decoder(kind: type[S]) -> Decoder[S]:
    return Decoder(kind)


def parameters(query: bytes) -> list[tuple[str, str]]:
    """Read the query of a request.

    Raises:
        Unreadable: it is none.
    """
    try:
        return parse_qsl(
            query.decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MOST_PARAMETERS,
        )
    except ValueError:
        raise Unreadable from None


def understand(query: list[tuple[str, str]], kind: type[S]) -> S:
    """Turn query parameters into what the route takes; raise Invalid where one is wrong, unknown or given twice."""
    given: dict[str, str | int] = {}
    for name, value in query:
        if name in given and name in _names(kind):
            raise Invalid(faults=[ParameterFault((name,), "repeated", "must be given once")])
        given[name] = int(value) if name in _numbers(kind) and NUMBER.fullmatch(value) else value
    try:
        return convert(given, kind)
    except ValidationError as error:
        fault = fault_of(error)
        raise Invalid(faults=[ParameterFault(fault.path, fault.rule, fault.detail)]) from None


@cache
def _names(kind: type[Struct]) -> frozenset[str]:
    return frozenset(field.encode_name for field in fields(kind))


@cache
def _numbers(kind: type[Struct]) -> frozenset[str]:
    return frozenset(name for name, hint in get_type_hints(kind).items() if hint is int)
