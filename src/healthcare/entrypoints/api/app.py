"""The API as a whole."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from litestar import Litestar, Response
from litestar.routes import HTTPRoute

from healthcare.application.use_cases import UseCases
from healthcare.domain.identity.ports import Tokens
from healthcare.domain.kernel import Clock, NewId
from healthcare.entrypoints.api.audit import AuditController
from healthcare.entrypoints.api.auth import authenticate, identified
from healthcare.entrypoints.api.consultation import ConsultationController
from healthcare.entrypoints.api.directory import DirectoryController
from healthcare.entrypoints.api.docs import DocsController
from healthcare.entrypoints.api.door import BY_ITSELF, TOGETHER, Crowd, Door
from healthcare.entrypoints.api.drained import Drained
from healthcare.entrypoints.api.identity import LOG_IN_PATH, IdentityController
from healthcare.entrypoints.api.observed import Observed
from healthcare.entrypoints.api.openapi import document
from healthcare.entrypoints.api.operations import OperationsController
from healthcare.entrypoints.api.problems import answer
from healthcare.entrypoints.api.refusals import MOST_BYTES
from healthcare.entrypoints.api.request import ApiRequest, read
from healthcare.entrypoints.api.scheduling import SlotController
from healthcare.entrypoints.api.scheduling_appointments import BOOK_PATH, AppointmentController
from healthcare.entrypoints.api.shape import shape_routes
from healthcare.entrypoints.api.short_ways import FAILURE, Book, ShortPosts, ShortSearch, SignIn, Way
from healthcare.entrypoints.api.wiring import Check, Checks, Watched, provided


async def nothing() -> None:
    """Measure nothing."""


def create_app(
    *,
    use_cases: UseCases,
    tokens: Tokens,
    clock: Clock,
    new_id: NewId,
    checks: Checks,
    measure: Check = nothing,
    lifespan: Sequence[Callable[[Litestar], AbstractAsyncContextManager[object]]] = (),
) -> Litestar:
    """Put the API in front of the use cases; `lifespan` opens and closes what they need."""
    identify, crowd = identified(tokens, clock), Crowd()

    async def receive(request: ApiRequest[Any]) -> None:
        failure = request.scope.get(FAILURE)
        if isinstance(failure, Exception):
            raise failure
        # No guard of Litestar's: for each request and guard it copies the route's handler.
        authenticate(request, identify)
        await read(request)
        crowd.enter(request.scope, TOGETHER if request.shape.together else BY_ITSELF)

    app = Litestar(
        [
            IdentityController,
            DirectoryController,
            SlotController,
            AppointmentController,
            ConsultationController,
            AuditController,
            OperationsController,
            DocsController,
        ],
        before_request=receive,  # type: ignore[arg-type]  # every request is an ApiRequest, see below
        dependencies=provided(use_cases, Watched(checks, measure)),
        exception_handlers={Exception: answer},  # type: ignore[dict-item]  # likewise
        lifespan=list(lifespan),
        request_class=ApiRequest,
        request_max_body_size=MOST_BYTES,
        # Ours: Litestar's would be served at paths of its own, and would log in a form of its own.
        openapi_config=None,
        logging_config=None,
        # Otherwise an environment variable could turn tracebacks into answers.
        debug=False,
        pdb_on_exception=False,
    )
    shape_routes(app)
    _tell_all_methods(app)
    app.state.openapi = document(app)
    ways: dict[str, Way[Any]] = {
        LOG_IN_PATH: SignIn(use_cases.log_in),
        BOOK_PATH: Book(use_cases.book_appointment, identify),
    }
    posts = ShortPosts(app.asgi_handler, ways, crowd)
    searches = ShortSearch(Drained(posts), use_cases.search_slots, crowd)
    needs = {("POST", LOG_IN_PATH): use_cases.log_in.passwords.require_place}
    app.asgi_handler = Door(Observed(searches, new_id), crowd, new_id, needs)
    return app


def _tell_all_methods(app: Litestar) -> None:
    # Where a path takes several methods, Litestar 2 answers OPTIONS with the one that was registered first
    # (github.com/litestar-org/litestar/issues/4169).
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            options, _ = route.route_handler_map["OPTIONS"]
            options.after_request = partial(_allow, ", ".join(sorted(route.methods)))


async def _allow(methods: str, response: Response[None]) -> Response[None]:
    response.headers["Allow"] = methods
    return response
