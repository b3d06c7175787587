"""No route without a use case, no use case without a line in the policy table."""

from uuid import uuid4

import pytest
from litestar import Litestar, get
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from healthcare.application.identity.read_self import ReadSelf
from healthcare.application.scheduling.search import SearchSlots
from healthcare.domain.policy import POLICY, Action
from healthcare.entrypoints.api.app import create_app, nothing
from healthcare.entrypoints.api.shape import SHAPE, RouteWithoutUseCase, Shape, shape_routes
from healthcare.entrypoints.api.wiring import Use, Watched, provided
from tests.clinic import Clinic

OPEN = {"/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs", "/docs/{name}"}
NOT_OVER_HTTP = {
    Action.CREATE_ADMIN,
    Action.MARK_NO_SHOWS,
    Action.FORGET_KEYS,
    Action.RECORD_EVENTS,
    Action.LIST_DEAD_LETTERS,
    Action.REQUEUE_EVENTS,
}


@pytest.fixture
def app() -> Litestar:
    clinic = Clinic()
    return create_app(use_cases=clinic.can, tokens=clinic.tokens, clock=clinic.clock, new_id=uuid4, checks={})


def routes(app: Litestar) -> list[tuple[str, HTTPRouteHandler, Shape]]:
    """Every route but what the framework says of a path's methods."""
    return [
        (route.path_format, handler, handler.opt[SHAPE])
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.http_methods != {"OPTIONS"}
    ]


def test_every_route_drives_a_use_case_of_the_policy_table_or_is_listed_as_open(app: Litestar) -> None:
    assert all(isinstance(route, HTTPRoute) for route in app.routes)
    assert {path for path, _, shape in routes(app) if shape.action is None} == OPEN
    assert {shape.action for _, _, shape in routes(app)} - {None} <= POLICY.keys()


def test_every_use_case_has_one_route_unless_it_is_driven_otherwise(app: Litestar) -> None:
    driven = [shape.action for _, _, shape in routes(app) if shape.action]

    assert len(driven) == len(set(driven))
    assert set(Action) - set(driven) == NOT_OVER_HTTP
    assert all(POLICY[action].system for action in NOT_OVER_HTTP)


def test_on_every_route_the_same_comes_first(app: Litestar) -> None:
    assert {handler.resolve_before_request() for _, handler, _ in routes(app)} == {app.before_request}
    assert app.before_request is not None


@get("/", sync_to_thread=False)
def without() -> None: ...


@get("/")
async def two(read_self: Use[ReadSelf], search_slots: Use[SearchSlots]) -> None: ...


@get("/", open=True)
async def both(read_self: Use[ReadSelf]) -> None: ...


@pytest.mark.parametrize("handler", [without, two, both], ids=["none", "two", "one that is said to be open"])
def test_any_other_route_stops_the_start(handler: HTTPRouteHandler) -> None:
    app = Litestar([handler], dependencies=provided(Clinic().can, Watched({}, nothing)), openapi_config=None)

    with pytest.raises(RouteWithoutUseCase):
        shape_routes(app)
