"""Refusals and failures as problem details (RFC 9457). This is the one place that knows status codes for them."""

from typing import Any, Final

import msgspec
import structlog
from litestar import Response
from litestar.exceptions import (
    ClientException,
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
)
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.utils import normalize_path
from msgspec import UNSET, Struct, UnsetType
from prometheus_client import Counter

from healthcare.application.scheduling.decide import TakenForNow
from healthcare.application.uow import Busy, OutcomeUnknown, Unavailable
from healthcare.domain.identity.errors import InvalidToken
from healthcare.domain.kernel import (
    Conflict,
    Fault,
    Forbidden,
    Invalid,
    NotFound,
    Overloaded,
    Refusal,
    Unauthenticated,
)
from healthcare.domain.scheduling.errors import VersionStale
from healthcare.entrypoints.api.bodies import SlotBody
from healthcare.entrypoints.api.faults import pointer
from healthcare.entrypoints.api.headers import raw
from healthcare.entrypoints.api.refusals import (
    Internal,
    MethodNotAllowed,
    ParameterFault,
    PreconditionRequired,
    RequestTimeout,
    TooLarge,
    Unreadable,
    UnsupportedMediaType,
)
from healthcare.entrypoints.api.request import KEY_HEADER, ApiRequest

STATUS: Final[dict[type[Exception], int]] = {
    Unreadable: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    RequestTimeout: 408,
    VersionStale: 412,
    Conflict: 409,
    TooLarge: 413,
    UnsupportedMediaType: 415,
    Invalid: 422,
    PreconditionRequired: 428,
    Overloaded: 429,
    Internal: 500,
    Unavailable: 503,
    OutcomeUnknown: 503,
}

PROBLEM_JSON: Final = "application/problem+json"
RETRY_AFTER: Final = "1"
"""Seconds."""

PROBLEMS: Final = Counter(
    "http_problems_total", "Requests that were refused or failed, by the code they got.", ["code"]
)
for failure in (Unavailable, Busy, OutcomeUnknown, Internal):
    PROBLEMS.labels(failure.code)  # from 0, so that the first one counts as a rise

log = structlog.get_logger()


class ProblemError(Struct, frozen=True):
    """One thing that is wrong with one value."""

    field: str
    """A JSON pointer into the body, or the name of a query parameter or a header."""
    rule: str
    detail: str


class Problem(Struct, frozen=True):
    """Why a request was not done."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[ProblemError]
    alternatives: list[SlotBody] | UnsetType = UNSET
    """With `slot-taken`: the doctor's next free slots, if any."""


def answer(request: ApiRequest[Any], error: Exception) -> Response[Problem]:
    """Say why the request was not done, and nothing that the caller need not know."""
    cause = _understood(request, error)
    if isinstance(cause, Internal):
        log.error("request failed", exc_info=error)
    errors = [_error(request, fault) for fault in getattr(cause, "faults", ())]
    problem = _problem(cause, request.user.request, errors)
    return Response(problem, status_code=problem.status, media_type=PROBLEM_JSON, headers=_headers(cause))


def written(cause: Exception, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, headers and body of an answer to a request of which nothing has been read."""
    problem = _problem(cause, request_id, [])
    body = msgspec.json.encode(problem)
    headers = _headers(cause) | {"Content-Type": PROBLEM_JSON, "Content-Length": str(len(body))}
    return problem.status, raw(headers), body


def _problem(cause: Exception, request_id: str, errors: list[ProblemError]) -> Problem:
    status, code = status_of(type(cause)), code_of(type(cause))
    PROBLEMS.labels(code).inc()
    return Problem(
        type=f"urn:healthcare:{code}",
        title=code.replace("-", " ").capitalize(),
        status=status,
        detail=str(cause) if isinstance(cause, Refusal) else summary_of(type(cause)),
        code=code,
        request_id=request_id,
        errors=errors,
        alternatives=[SlotBody.of(one) for one in cause.alternatives] if isinstance(cause, TakenForNow) else UNSET,
    )


def status_of(kind: type[Exception]) -> int:
    """Return the status for a kind of refusal or failure."""
    return next(status for base, status in STATUS.items() if issubclass(kind, base))


def code_of(kind: type[Exception]) -> str:
    """Return what programs tell a kind of refusal or failure by."""
    code: str = getattr(kind, "code", Internal.code)
    return code


def summary_of(kind: type[Exception]) -> str:
    """Return what people tell a kind of refusal or failure by."""
    return (kind.__doc__ or "").splitlines()[0]


def _understood(request: ApiRequest[Any], error: Exception) -> Exception:
    match error:
        case Refusal() | Unavailable() | OutcomeUnknown():
            return error
        case MethodNotAllowedException():
            return _method_not_allowed(request, error)
        case NotFoundException():
            return NotFound()
        case RequestEntityTooLarge():
            return TooLarge()
        case ClientException():
            return Unreadable()
    return Internal()


def _method_not_allowed(request: ApiRequest[Any], error: HTTPException) -> Exception:
    # Litestar looks at the method first and at the ids in the path later; where one is no UUID there is no route.
    methods = sorted((error.headers or {})["allow"].split(", "))
    try:
        request.app.asgi_router.handle_routing(normalize_path(request.scope["path"]), methods[0])
    except NotFoundException:
        return NotFound()
    return MethodNotAllowed(", ".join(methods))


def _headers(cause: Exception) -> dict[str, str]:
    match cause:
        case InvalidToken():
            return {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        case Unauthenticated():
            return {"WWW-Authenticate": "Bearer"}
        case MethodNotAllowed():
            return {"Allow": cause.allowed}
        case Overloaded() | Unavailable() | OutcomeUnknown():
            return {"Retry-After": RETRY_AFTER}
    return {}


def _error(request: ApiRequest[Any], fault: Fault) -> ProblemError:
    if request.shape.body and not isinstance(fault, ParameterFault) and fault.path[:1] != (KEY_HEADER,):
        return ProblemError(pointer(fault.path), fault.rule, fault.detail)
    return ProblemError(".".join(map(str, fault.path)), fault.rule, fault.detail)
