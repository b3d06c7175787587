"""The API's description of itself: complete, true to the routes, and readable without the outside world."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from healthcare.domain.kernel import Role
from tests.builders import NOW
from tests.integration.http.conftest import Api
from tests.integration.http.corpus import Route, routes

pytestmark = pytest.mark.anyio

Json = dict[str, Any]


@pytest.fixture
async def document(client: httpx.AsyncClient) -> Json:
    """The description, as it is served."""
    response = await client.get("/openapi.json")
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    found: Json = response.json()
    return found


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method.upper(), operation


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for part in value.values():
            yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


async def test_every_route_is_described(document: Json) -> None:
    described = {(method, path) for path, method, _ in operations(document)}

    assert document["openapi"].startswith("3.1.")
    assert described == {(route.method, route.template) for route in routes(NOW)} | {
        ("GET", "/health/live"),
        ("GET", "/health/ready"),
    }


async def test_the_document_holds_together(document: Json) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    schemas = document["components"]["schemas"]

    assert len(set(names)) == len(names)
    assert {reference.removeprefix("#/components/schemas/") for reference in references(document)} == set(schemas)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in schemas)
    for path, _, operation in operations(document):
        in_path = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", path))
        assert operation["summary"]
        assert operation["description"]
        assert all(response["description"] for response in operation["responses"].values())


FOR_EVERY_ROLE = {"/auth/me", "/booking/appointments/{id}/cancel"}


async def test_every_route_says_which_problems_it_answers_with(document: Json) -> None:
    for path, method, operation in operations(document):
        responses = operation["responses"]
        expected = {"400", "422", "500"} | ({"413", "415"} if "requestBody" in operation else set())
        if not path.startswith("/health"):
            expected |= {"503"}
        if operation["security"]:
            expected |= {"401"}
            expected |= {"403"} if path not in FOR_EVERY_ROLE else set()
        if "{id}" in path:
            expected |= {"404"}
        assert expected <= set(responses), (method, path)
        for status, response in responses.items():
            if status >= "400" and (path, status) != ("/health/ready", "503"):
                assert set(response["content"]) == {"application/problem+json"}
                assert response["content"]["application/problem+json"]["schema"] == {
                    "$ref": "#/components/schemas/Problem"
                }


async def test_problems_are_named_by_their_codes(document: Json) -> None:
    responses = document["paths"]["/booking/slots/book"]["post"]["responses"]

    for status, code in {
        "404": "not-found",
        "409": "slot-taken",
        "422": "slot-in-the-past",
        "503": "outcome-unknown",
    }.items():
        assert f"`{code}`" in responses[status]["description"]
    assert "`patient-busy`" in responses["409"]["description"]
    assert "`key-reused`" in responses["422"]["description"]


async def test_what_can_be_wrong_with_a_body_is_told_where_there_is_one(document: Json) -> None:
    """Too late, too large, of another type."""
    for path, method, operation in operations(document):
        told = {"408", "413", "415"} & set(operation["responses"])
        assert told == ({"408", "413", "415"} if "requestBody" in operation else set()), (path, method)


RESCHEDULE = "/booking/appointments/{id}/reschedule"
OF_ONE_APPOINTMENT = {
    ("/booking/slots/book", "POST"): {"201"},
    ("/booking/slots/{id}/hold", "POST"): {"200", "201"},
    ("/booking/appointments/{id}", "GET"): {"200"},
    **{
        (f"/booking/appointments/{{id}}/{what}", "POST"): {"200"}
        for what in ("reschedule", "cancel", "check-in", "undo")
    },
}


async def test_whoever_changes_a_version_learns_of_it_and_says_which(document: Json) -> None:
    """Every answer that is about one appointment carries the tag; the one command that needs it says how to use it."""
    tagged = {
        (path, method): set(good)
        for path, method, operation in operations(document)
        if path != "/booking/slots/search"
        and (good := [status for status, one in operation["responses"].items() if "ETag" in one.get("headers", {})])
    }
    moving = document["paths"][RESCHEDULE]["post"]
    (version,) = [one for one in moving["parameters"] if one["in"] == "header"]
    conditional = {path for path, _, operation in operations(document) if {"412", "428"} & set(operation["responses"])}

    assert tagged == OF_ONE_APPOINTMENT
    assert conditional == {RESCHEDULE}
    assert "`version-stale`" in moving["responses"]["412"]["description"]
    assert "`precondition-required`" in moving["responses"]["428"]["description"]
    assert (version["name"], version["required"]) == ("If-Match", True)
    for tag, described in {"*": True, '"12"': True, "12": False, "": False, 'W/"1"': False}.items():
        assert bool(re.search(version["schema"]["pattern"], tag)) is described


@pytest.mark.parametrize(
    ("path", "codes"),
    [
        ("/booking/slots/{id}/hold", {"slot-taken", "patient-busy", "hold-extended", "too-many-holds"}),
        (RESCHEDULE, {"slot-taken", "patient-busy", "appointment-not-booked", "appointment-started"}),
        ("/booking/appointments/{id}/cancel", {"appointment-not-booked", "appointment-started"}),
        ("/booking/appointments/{id}/check-in", {"appointment-not-booked", "check-in-too-early"}),
        ("/booking/appointments/{id}/undo", {"nothing-to-undo"}),
        ("/booking/doctor/day/cancel", {"profile-missing"}),
    ],
)
async def test_conflicts_are_told_apart_by_their_codes(document: Json, path: str, codes: set[str]) -> None:
    description = document["paths"][path]["post"]["responses"]["409"]["description"]
    assert set(re.findall(r"`([a-z-]+)`", description)) == codes


async def test_whoever_comes_too_late_is_told_in_which_form_they_see_what_else_there_is(document: Json) -> None:
    schemas = document["components"]["schemas"]
    alternatives = schemas["Problem"]["properties"]["alternatives"]

    assert (alternatives["type"], alternatives["items"]) == ("array", {"$ref": "#/components/schemas/SlotBody"})
    assert "alternatives" not in schemas["Problem"]["required"]
    assert set(schemas["DayItemBody"]["properties"]["outcome"]["enum"]) == {
        *("cancelled", "appointment-moved", "appointment-not-booked", "appointment-started")
    }


@pytest.mark.parametrize("route", routes(NOW), ids=str)
async def test_an_example_is_what_the_description_asks_for(document: Json, route: Route) -> None:
    """The requests that the hostile ones are made from are good ones by the description, too."""
    operation = document["paths"][route.template][route.method.lower()]
    parameters = {one["name"]: one for one in operation["parameters"] if one["in"] == "query"}

    assert set(route.query) <= set(parameters)
    assert {name for name, one in parameters.items() if one["required"]} <= set(route.query)
    headers = {one["name"]: one["required"] for one in operation["parameters"] if one["in"] == "header"}
    asked = {"Idempotency-Key": route.keyed, "If-Match": route.conditional}
    assert headers == {name: True for name, needed in asked.items() if needed}
    assert operation["security"] == ([] if route.anyone else [{"bearer": []}])
    assert ("requestBody" in operation) is (route.body is not None)
    if route.body is not None:
        (media_type, content), *others = operation["requestBody"]["content"].items()
        schema = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
        assert (media_type, others) == ("application/json", [])
        assert set(route.body) == set(schema["properties"]) == set(schema["required"]) | route.optional
        assert not route.optional & set(schema["required"])
        assert schema["additionalProperties"] is False


async def test_inputs_are_closed_and_bounded(document: Json) -> None:
    schemas = document["components"]["schemas"]
    closed = {name for name, schema in schemas.items() if schema.get("additionalProperties") is False}

    assert {name for name in schemas if name.endswith("Request")} == closed
    assert schemas["RegisterRequest"]["properties"]["password"] == {
        "type": "string",
        "minLength": 15,
        "maxLength": 128,
    }
    assert schemas["PublishRequest"]["properties"]["slot_minutes"] == {
        "type": "integer",
        "minimum": 5,
        "maximum": 240,
    }
    assert schemas["PublishRequest"]["properties"]["start"] == {"type": "string", "format": "date-time"}
    assert schemas["PrescribeRequest"]["properties"]["items"]["maxItems"] == 50
    (limit,) = [
        one
        for one in document["paths"]["/audit"]["get"]["parameters"]
        if one["in"] == "query" and one["name"] == "limit"
    ]
    assert limit["schema"]["default"] == 50
    assert (limit["schema"]["minimum"], limit["schema"]["maximum"]) == (1, 500)


async def test_the_document_is_the_same_whoever_asks_and_whenever(api: Api, document: Json) -> None:
    response = await api.client.get("/openapi.json", headers=await api.as_(Role.ADMIN))
    again = await api.client.get("/openapi.json", headers={"If-None-Match": response.headers["etag"]})

    assert response.json() == document
    assert again.status_code == 304


FOREIGN = re.compile(rb"""(?:src|href|action|@import|url\()\s*=?\s*["'(]?\s*(?:https?:)?//""")


async def test_the_page_loads_nothing_from_anywhere_else(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    links = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page.text)

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert len(links) == 4
    assert not FOREIGN.search(page.content)
    assert "http" not in page.text
    for link in links:
        response = await client.get(link)
        assert (response.status_code, link[0]) == (200, "/"), link
        assert response.headers["x-content-type-options"] == "nosniff"
        if link.endswith(".css"):
            assert not FOREIGN.search(response.content)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "//" not in policy
    assert "*" not in policy
    start = await client.get("/docs/start.js")
    assert "validatorUrl: null" in start.text
    assert "//" not in start.text.replace("// Otherwise", "")


@pytest.mark.parametrize(
    "path",
    [
        *("/schema", "/schema/openapi.json", "/schema/swagger", "/openapi.yaml", "/docs/openapi.json", "/static"),
        *("/docs/swagger-ui-standalone-preset.js", "/docs/..%2fapp.py", "/docs/%2e%2e", "/favicon.ico", "/docs/x/y"),
    ],
)
async def test_nothing_else_is_served_beside_them(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "not-found")
