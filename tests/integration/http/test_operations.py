"""What operators see: health, measurements, and one line in the log for each request."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from prometheus_client import REGISTRY, Gauge
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from healthcare.application.deadline import remaining
from healthcare.application.uow import Unavailable
from healthcare.domain.kernel import Role
from tests.builders import PASSWORD
from tests.clinic import Clinic
from tests.integration.http.conftest import Api, client_of

pytestmark = pytest.mark.anyio


async def up() -> None:
    pass


async def down() -> None:
    raise Unavailable


async def stuck() -> None:
    """Take long, and take long to be stopped, as a connection to a server that is gone does."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(0.5)


async def slow() -> None:
    await asyncio.sleep(0.4)


Check = Callable[[], Awaitable[None]]


@pytest.mark.parametrize(
    ("postgresql", "cache", "queue", "status", "word"),
    [
        (up, up, up, 200, "ready"),
        (up, down, up, 200, "degraded"),
        (up, up, down, 200, "degraded"),
        (up, down, down, 200, "degraded"),
        (down, up, up, 503, "unready"),
        (down, down, down, 503, "unready"),
    ],
)
async def test_ready_tells_each_dependency_apart(  # noqa: PLR0917 - a row of the table
    clinic: Clinic, postgresql: Check, cache: Check, queue: Check, status: int, word: str
) -> None:
    checks = {"postgresql": postgresql, "cache": cache, "queue": queue}
    async with client_of(clinic, checks=checks) as client:
        ready = await client.get("/health/ready")
        live = await client.get("/health/live")

    assert ready.status_code == status
    assert ready.json() == {
        "status": word,
        "checks": {name: "up" if check is up else "down" for name, check in checks.items()},
    }
    assert (live.status_code, live.json()) == (200, {"status": "live"})


async def test_checks_run_at_once_and_none_is_waited_for_longer_than_a_second(clinic: Clinic) -> None:
    loop = asyncio.get_running_loop()
    async with client_of(clinic, checks={"postgresql": slow, "cache": stuck, "queue": stuck}) as client:
        begun = loop.time()
        response = await client.get("/health/ready")
        seconds = loop.time() - begun

    assert response.json()["checks"] == {"postgresql": "up", "cache": "down", "queue": "down"}
    assert 0.9 < seconds < 1.4
    await asyncio.sleep(0.6)  # until those that were stopped have ended


async def measured(client: httpx.AsyncClient) -> dict[tuple[str, str, str], float]:
    """How many requests were measured, by method, route and status."""
    text = (await client.get("/metrics")).text
    return {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "http_request_duration_seconds_count"
    }


async def test_requests_are_measured_by_template(api: Api) -> None:
    """So that what callers make up never becomes a series of its own."""
    before = await measured(api.client)
    id = "11111111-1111-4111-8111-111111111111"
    signed = await api.as_(Role.PATIENT)
    for path in (f"/booking/appointments/{id}", f"/booking/appointments/{id}?x=1", "/no/where", "/no/where/else"):
        await api.client.get(path, headers=signed)
    await api.client.request("BREW", "/no/coffee")
    after = await measured(api.client)

    assert {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)} == {
        ("GET", "/booking/appointments/{id}", "404"): 1,
        ("GET", "/booking/appointments/{id}", "422"): 1,
        ("GET", "none", "404"): 2,
        ("other", "none", "404"): 1,
        ("GET", "/metrics", "200"): 1,
    }


async def test_measurements_are_served_as_prometheus_reads_them(client: httpx.AsyncClient) -> None:
    response = await client.get("/metrics")

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert response.headers["content-type"].count("charset") == 1


async def told(client: httpx.AsyncClient, name: str, label: str) -> dict[str, float]:
    """What Prometheus is told, by one label."""
    families = text_string_to_metric_families((await client.get("/metrics")).text)
    return {one.labels[label]: one.value for family in families for one in family.samples if one.name == name}


async def test_prometheus_is_told_what_is_there_now(clinic: Clinic) -> None:
    """Also where one of the checks, and what is measured on this occasion, take too long."""
    loop = asyncio.get_running_loop()
    checks = {"postgresql": up, "cache": down, "queue": stuck}
    async with client_of(clinic, checks=checks, measure=stuck) as client:
        begun = loop.time()
        there = await told(client, "dependency_up", "dependency")
        seconds = loop.time() - begun

    assert there == {"postgresql": 1, "cache": 0, "queue": 0}
    assert seconds < 1.4
    await asyncio.sleep(0.6)  # until those that were stopped have ended


async def test_what_is_measured_on_this_occasion_is_in_the_same_answer(clinic: Clinic) -> None:
    gauge = Gauge("test_of_measures", "Nothing.", ["label"], registry=None)

    async def measure() -> None:
        gauge.labels("seen").set(7)

    REGISTRY.register(gauge)
    try:
        async with client_of(clinic, measure=measure) as client:
            assert await told(client, "test_of_measures", "label") == {"seen": 7}
    finally:
        REGISTRY.unregister(gauge)


async def test_problems_are_counted_by_code(clinic: Clinic) -> None:
    """Failures are there from the start, so that the first one of a process is seen as a rise."""
    async with client_of(clinic) as client:
        before = await told(client, "http_problems_total", "code")
        for path in ("/no/where", "/no/where/else", "/auth/me"):
            await client.get(path)
        after = await told(client, "http_problems_total", "code")

    assert before.keys() >= {"unavailable", "busy", "outcome-unknown", "internal"}
    assert {code: count - before.get(code, 0) for code, count in after.items() if count != before.get(code, 0)} == {
        "not-found": 2,
        "unauthenticated": 1,
    }


async def test_a_request_leaves_one_line_without_anything_that_people_wrote(api: Api) -> None:
    signed = await api.as_(Role.PATIENT)
    with capture_logs() as logs:
        await api.client.get("/booking/slots/search?specialty=canary1&date=2030-01-01&tz=canary2", headers=signed)
        await api.client.get("/canary3", headers={"Authorization": "Bearer canary4", "Cookie": "canary5"})
        person = {"email": "canary6@b.c", "password": PASSWORD, "full_name": "canary7", "time_zone": "UTC"}
        await api.client.post("/auth/register", json=person)

    assert [(line["event"], line["method"], line["route"], line["status"]) for line in logs] == [
        ("request", "GET", "/booking/slots/search", 422),
        ("request", "GET", "none", 404),
        ("request", "POST", "/auth/register", 201),
    ]
    assert all(set(line) == {"event", "log_level", "method", "route", "status", "duration_ms"} for line in logs)
    assert "canary" not in str(logs)


async def test_those_who_read_are_given_one_second_and_those_who_write_three(clinic: Clinic) -> None:
    given: list[float] = []

    async def look() -> None:
        given.append(remaining(60))

    async with client_of(clinic, checks={"postgresql": look}) as client:
        await client.get("/health/ready")

    assert 0.9 < given[0] <= 1.0


@pytest.mark.parametrize("path", ["/health/live", "/auth/me", "/nowhere", "/booking/specialties", "/docs"])
async def test_every_answer_is_guarded_against_misuse(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert len(response.headers.get_list("content-security-policy")) == 1


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/auth/me", "no-store"),
        ("/nowhere", "no-store"),
        ("/health/live", "no-store"),
        ("/metrics", "no-store"),
        ("/booking/slots/search", "no-store"),  # refused, as it has no parameters
        ("/booking/slots/search?specialty=a&date=2030-01-01", "public, no-cache"),
        ("/booking/specialties", "public, no-cache"),
        ("/openapi.json", "public, no-cache"),
        ("/docs", "public, no-cache"),
        ("/docs/swagger-ui.css", "public, max-age=3600"),
    ],
)
async def test_only_what_is_public_may_be_kept(client: httpx.AsyncClient, path: str, kept: str) -> None:
    assert (await client.get(path)).headers.get_list("cache-control") == [kept]


async def test_a_head_has_no_body(client: httpx.AsyncClient) -> None:
    response = await client.head("/auth/me")
    assert (response.status_code, response.content) == (405, b"")
