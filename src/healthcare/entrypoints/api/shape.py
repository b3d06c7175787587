"""What a route takes and which use case it drives, read off its handler's signature once, at the start."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, Self, get_args

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from msgspec import Struct

from healthcare.application.scheduling.decide import Decide
from healthcare.domain.policy import POLICY, Action

SHAPE: Final = "shape"
"""Where a handler keeps its shape, among its options."""


class NoQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing can be said in the query of this route."""


class RouteWithoutUseCase(Exception):
    """A route must drive exactly one use case of the policy table, or be declared open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the request of a route holds, and who may send it."""

    action: Action | None
    """None: the route drives no use case and is open to everybody, as those for operations are."""
    query: type[Struct]
    body: type[Struct] | None
    keyed: bool
    """Whether it takes an idempotency key."""
    conditional: bool
    """Whether it must be told which version the caller has seen."""
    together: bool
    """Whether what it asks for is decided together with what others ask for."""

    @classmethod
    def of(cls, handler: HTTPRouteHandler) -> Self:
        """Read the signature."""
        parameters = handler.parsed_fn_signature.parameters
        driven = {
            action: parameter.annotation
            for parameter in parameters.values()
            if isinstance(action := getattr(parameter.annotation, "action", None), Action)
        }
        return cls(
            action=_only(driven, handler),
            query=_query_of(parameters["request"].raw) if "request" in parameters else NoQuery,
            body=parameters["data"].annotation if "data" in parameters else None,
            keyed=bool(handler.opt.get("keyed")),
            conditional=bool(handler.opt.get("conditional")),
            together=any({field.type for field in fields(one)} == {Decide} for one in driven.values()),
        )

    @property
    def anyone(self) -> bool:
        """Whether callers need not sign in."""
        return self.action is None or POLICY[self.action].anyone


def shape_routes(app: Litestar) -> None:
    """Let every handler know its shape.

    Raises:
        RouteWithoutUseCase: a route can be reached that no line of the policy table guards.
    """
    for handler in handlers(app):
        handler.opt[SHAPE] = Shape.of(handler)


def handlers(app: Litestar) -> list[HTTPRouteHandler]:
    """Return everything that answers HTTP."""
    return [handler for route in app.routes if isinstance(route, HTTPRoute) for handler in route.route_handlers]


def _only(actions: Mapping[Action, type], handler: HTTPRouteHandler) -> Action | None:
    # The framework itself answers OPTIONS, with the methods that a path takes and nothing else.
    is_open = handler.opt.get("open") or handler.http_methods == {"OPTIONS"}
    if len(actions) != (0 if is_open else 1) or not actions.keys() <= POLICY.keys():
        raise RouteWithoutUseCase(f"{handler} drives {sorted(actions) or 'no use case'}")
    return next(iter(actions), None)


def _query_of(annotation: object) -> type[Struct]:
    return next((one for one in get_args(annotation) if isinstance(one, type) and issubclass(one, Struct)), NoQuery)
