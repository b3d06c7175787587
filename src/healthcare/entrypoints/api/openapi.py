"""The API, described in OpenAPI 3.1.

Made from the routes' own shapes with msgspec's JSON Schemas. Litestar's generator would say less and other things than
the routes do: it leaves out that unknown fields are refused, and describes errors of its own that are never sent.
"""

from collections.abc import Iterable
from http import HTTPStatus
from importlib.metadata import version
from inspect import cleandoc
from typing import Any, Final, get_args

import msgspec
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.routes import HTTPRoute
from msgspec import Struct

from healthcare.application.uow import Busy, OutcomeUnknown, Unavailable
from healthcare.domain.identity.errors import InvalidToken
from healthcare.domain.kernel import Forbidden, Invalid, Role, Unauthenticated
from healthcare.domain.policy import POLICY
from healthcare.entrypoints.api.problems import PROBLEM_JSON, Problem, code_of, status_of, summary_of
from healthcare.entrypoints.api.refusals import (
    Internal,
    PreconditionRequired,
    RequestTimeout,
    TooLarge,
    Unreadable,
    UnsupportedMediaType,
)
from healthcare.entrypoints.api.request import IF_MATCH, KEY_HEADER
from healthcare.entrypoints.api.shape import SHAPE, Shape

REF: Final = "#/components/schemas/{name}"
BEARER: Final = "bearer"
KEY: Final = {
    "name": KEY_HEADER,
    "in": "header",
    "required": True,
    "description": "The same key again, within 24 hours, gets the same answer again; other requests need other keys.",
    "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
}

VERSION: Final = {
    "name": IF_MATCH,
    "in": "header",
    "required": True,
    "description": "The ETag of the version that is to be changed, or `*` for whichever there is.",
    "schema": {"type": "string", "pattern": '^(\\*|"[0-9]{1,9}")$'},
}

Json = dict[str, Any]


def document(app: Litestar) -> bytes:
    """Describe every route that is not hidden."""
    shown = [
        (route, handler)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.resolve_include_in_schema()
    ]
    schemas = Schemas(kind for _, handler in shown for kind in _kinds(handler))
    paths: dict[str, Json] = {}
    for route, handler in shown:
        for method in handler.http_methods:
            paths.setdefault(route.path_format, {})[method.lower()] = _operation(route, handler, schemas)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "healthcare",
                "version": version("healthcare"),
                "description": "Find free time of a doctor, book it once, consult, prescribe, and prove it later.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "paths": dict(sorted(paths.items())),
            "components": {
                "schemas": schemas.components,
                "securitySchemes": {BEARER: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            },
        }
    )


class Schemas:
    """The JSON Schemas of all shapes: each stands once, and is referred to."""

    def __init__(self, kinds: Iterable[Any]) -> None:
        """Describe them."""
        known = list(dict.fromkeys([*kinds, Problem]))
        references, components = msgspec.json.schema_components(known, ref_template=REF)
        self.components: Json = dict(components)
        self._references: dict[object, Json] = dict(zip(known, references, strict=True))

    def of(self, kind: object) -> Json:
        """Refer to one."""
        return self._references[kind]

    def parameters(self, kind: type[Struct]) -> list[Json]:
        """Describe query parameters."""
        _, components = msgspec.json.schema_components([kind], ref_template=REF)
        whole = components[kind.__name__]
        for name, other in components.items():
            if name != kind.__name__:
                self.components.setdefault(name, other)
        return [
            {"name": name, "in": "query", "required": name in whole.get("required", ()), "schema": _given(value)}
            for name, value in whole.get("properties", {}).items()
        ]


def _given(schema: Json) -> Json:
    # In a query there is no null: a parameter is there or it is not.
    return next((one for one in schema.get("anyOf", ()) if one != {"type": "null"}), schema)


def _kinds(handler: HTTPRouteHandler) -> list[Any]:
    shape: Shape = handler.opt[SHAPE]
    kinds = [spec.data_container for spec in _answers(handler).values()] + [shape.body]
    return [kind for kind in kinds if kind is not None]


def _operation(route: HTTPRoute, handler: HTTPRouteHandler, schemas: Schemas) -> Json:
    shape: Shape = handler.opt[SHAPE]
    operation: Json = {
        "operationId": shape.action or handler.handler_name,
        "tags": sorted(handler.resolve_tags()),
        "summary": handler.summary,
        "description": cleandoc(handler.fn.__doc__ or ""),
        "parameters": [
            *(_path_parameter(name) for name in route.path_parameters),
            *schemas.parameters(shape.query),
            *([KEY] if shape.keyed else []),
            *([VERSION] if shape.conditional else []),
        ],
        "responses": {
            **{str(status): _answer(handler, spec, schemas) for status, spec in _answers(handler).items()},
            **_problems(handler, shape, schemas),
        },
        "security": [] if shape.anyone else [{BEARER: []}],
    }
    if shape.body:
        content = {"application/json": {"schema": schemas.of(shape.body)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _path_parameter(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}


def _answers(handler: HTTPRouteHandler) -> dict[int, ResponseSpec]:
    returned: Any = handler.parsed_fn_signature.return_type.annotation
    if getattr(returned, "__origin__", None) is Response:
        (returned,) = get_args(returned)
    status = HTTPStatus(handler.status_code)
    usual = ResponseSpec(None if returned is type(None) else returned, description=status.description or status.phrase)
    return {status: usual, **(handler.responses or {})}


def _answer(handler: HTTPRouteHandler, spec: ResponseSpec, schemas: Schemas) -> Json:
    answer: Json = {"description": spec.description}
    if spec.data_container is not None:
        answer["content"] = {"application/json": {"schema": schemas.of(spec.data_container)}}
    if headers := handler.resolve_response_headers():
        answer["headers"] = {
            header.name: {"description": header.description, "schema": {"type": "string"}} for header in headers
        }
    return answer


def _problems(handler: HTTPRouteHandler, shape: Shape, schemas: Schemas) -> Json:
    by_status: dict[int, list[type[Exception]]] = {}
    for kind in (*_usual_problems(shape), *handler.opt.get("refuses", ())):
        by_status.setdefault(status_of(kind), []).append(kind)
    return {
        str(status): {
            "description": "\n".join(f"* `{code_of(kind)}`: {summary_of(kind)}" for kind in kinds),
            "content": {PROBLEM_JSON: {"schema": schemas.of(Problem)}},
        }
        for status, kinds in sorted(by_status.items())
    }


def _usual_problems(shape: Shape) -> list[type[Exception]]:
    kinds: list[type[Exception]] = [Unreadable, Invalid, Internal]
    if shape.body:
        kinds += [RequestTimeout, TooLarge, UnsupportedMediaType]
    if shape.conditional:
        kinds += [PreconditionRequired]
    if shape.action:
        kinds += [Unavailable, Busy]
        if shape.keyed:
            kinds += [OutcomeUnknown]
    if not shape.anyone and shape.action:
        kinds += [Unauthenticated, InvalidToken]
        if POLICY[shape.action].roles != frozenset(Role):
            kinds += [Forbidden]
    return kinds
