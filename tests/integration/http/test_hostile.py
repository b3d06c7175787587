"""Whatever is sent to whichever route by whoever: a problem that says why, and nothing has changed."""

from collections.abc import Mapping
from dataclasses import fields

import httpx
import pytest

from healthcare.adapters.memory.database import MemoryDatabase
from healthcare.domain.kernel import Role
from tests.builders import NOW
from tests.clinic import Clinic
from tests.integration.http.conftest import Api
from tests.integration.http.corpus import Hostile, Route, hostile, routes

pytestmark = pytest.mark.anyio

MEMBERS = {"type", "title", "status", "detail", "code", "request_id", "errors"}


def kept(clinic: Clinic) -> dict[str, object]:
    """Everything in the tables but what records that something was tried."""
    database = clinic.database
    assert isinstance(database, MemoryDatabase)
    tables = database._kept  # noqa: SLF001 - what is kept is the point
    return {
        field.name: dict(getattr(tables, field.name))
        for field in fields(tables)
        if field.name not in {"outbox", "entries", "dead_letters"}
    }


def faults(attack: Hostile, status: int, response: httpx.Response) -> list[str]:
    """Say what is wrong with the answer."""
    found = []
    if response.status_code != status:
        found.append(f"{response.status_code} instead of {status}: {response.text[:300]}")
    if response.headers["content-type"] != "application/problem+json":
        found.append(f"is {response.headers['content-type']}")
    elif attack.route.method != "HEAD":
        problem = response.json()
        if set(problem) != MEMBERS or problem["status"] != response.status_code:
            found.append(f"is no problem: {problem}")
        if problem["type"] != f"urn:healthcare:{problem['code']}":
            found.append(f"is of type {problem['type']}")
        if problem["request_id"] != response.headers["x-request-id"]:
            found.append("has two request ids")
        if status == 422 and not problem["errors"]:
            found.append("does not say what is wrong")
    return [f"{attack.route} {attack.name}: {fault}" for fault in found]


def expected(attack: Hostile, route: Route, *, signed: bool) -> int:
    """Who is not signed in learns that first, if there is such a route at all."""
    return attack.status if signed or route.anyone or attack.status in {404, 405} else 401


@pytest.mark.parametrize("route", routes(NOW), ids=str)
async def test_a_hostile_request_gets_a_problem_and_changes_nothing(api: Api, route: Route) -> None:
    callers: dict[str, Mapping[str, str]] = {role: await api.as_(role) for role in Role}
    callers |= {"nobody": {}, "a forger": {"Authorization": "Bearer a.b.c"}}
    before = kept(api.clinic)
    found = []
    for attack in hostile(route):
        for caller, credentials in callers.items():
            response = await attack.send(api.client, credentials)
            status = expected(attack, route, signed=caller in list(Role))
            found += [f"{caller}: {fault}" for fault in faults(attack, status, response)]

    assert found == []
    assert kept(api.clinic) == before
