"""One trace from a request through its use case to its statements and on into the worker, without personal data."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import uuid4

import httpx
import pytest
from litestar.types import ASGIApp, Receive, Scope, Send
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from psycopg import DataError

from healthcare.adapters.opentelemetry.tracing import Tracing
from healthcare.adapters.postgres.database import PostgresDatabase, PostgresUnitOfWork
from tests.integration.world import Api, World, tomorrow_at

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE}-b7ad6b7169203331-01"
NOT_TRACED = "00-11111111111111111111111111111111-b7ad6b7169203331-00"
CANARY = b"canary"
"""In all that people write here, and nowhere in a trace."""
PERSON = {
    "email": "canary@test.example",
    "password": "canary and its password",
    "full_name": "Ada Canary",
    "time_zone": "UTC",
}
ITEM = dict.fromkeys(("medicine", "dose", "route", "frequency", "duration", "instructions"), "canary")

PROGRAM = """
import asyncio, os, sys, time
import httpx
from healthcare.entrypoints import asgi, main

TRACES = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "google.protobuf", "healthcare.adapters.opentelemetry")

def imported():
    return sum(name.startswith(TRACES) for name in sys.modules)

async def slowest_of_50():
    app, slowest = asgi.create(), 0.0
    transport = httpx.ASGITransport(app)
    async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for _ in range(50):
            begun = time.monotonic()
            assert (await client.get("/booking/specialties")).status_code == 200
            slowest = max(slowest, time.monotonic() - begun)
        print(slowest, time.time())

asgi.create()
print(imported())
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = sys.argv[1]
asyncio.run(slowest_of_50())
print(imported())
"""


@dataclass
class Receiver:
    """What a collector was sent."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)

    @property
    def spans(self) -> list[Span]:
        """All spans, by their start."""
        found = [
            span
            for body in self.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return sorted(found, key=lambda span: span.start_time_unix_nano)

    def named(self, name: str) -> list[Span]:
        """Return the spans of this name."""
        return [span for span in self.spans if span.name == name]

    def below(self, parent: Span) -> list[Span]:
        """Return the children of a span."""
        return [span for span in self.spans if span.parent_span_id == parent.span_id]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A collector that speaks OTLP over HTTP."""
    received = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            received.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received.url = f"http://127.0.0.1:{server.server_port}"
        serving = Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield received
        server.shutdown()
        serving.join()


def said(span: Span) -> dict[str, Any]:
    """Return the attributes of a span."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def book(world: World, api: Api, slot: object, patient: dict[str, str], traceparent: str) -> httpx.Response:
    """Book a slot."""
    return httpx.post(
        f"{api.url}/booking/slots/book",
        json={"slot_id": str(slot)},
        headers=patient
        | {"Idempotency-Key": f"canary-{uuid4()}", "traceparent": traceparent, "tracestate": "c=canary"},
    )


def visit(world: World, api: Api) -> None:
    """Search, book three slots, one of them in the trace of a caller; write personal data wherever that can be done."""
    (doctor,) = world.add_doctors(1)
    starts = [tomorrow_at(8) + place * timedelta(minutes=30) for place in range(3)]
    first, second, third = world.add_slots(doctor, starts)
    for _ in range(2):
        found = httpx.get(
            f"{api.url}/booking/slots/search", params={"specialty": "cardiology", "date": f"{starts[0]:%Y-%m-%d}"}
        )
        assert len(found.json()["items"]) == 3
    assert httpx.post(f"{api.url}/auth/register", json=PERSON).status_code == 201
    answer = httpx.post(f"{api.url}/auth/login", json={name: PERSON[name] for name in ("email", "password")})
    patient = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    booked = book(world, api, first, patient, CALLER)
    assert booked.status_code == 201
    assert book(world, api, first, patient, "canary").status_code == 409
    assert book(world, api, second, patient, NOT_TRACED).status_code == 201
    assert book(world, api, third, patient, "").status_code == 201
    started = httpx.post(
        f"{api.url}/consultation/start",
        json={"appointment_id": booked.json()["id"]},
        headers=world.headers(doctor),
    )
    assert started.status_code == 201
    prescribed = httpx.post(
        f"{api.url}/consultation/{started.json()['id']}/prescription",
        json={"items": [ITEM]},
        headers=world.headers(doctor),
    )
    assert prescribed.status_code == 201
    assert httpx.get(f"{api.url}/booking/slots/search", params={"canary": "canary"}).status_code == 422
    assert httpx.get(f"{api.url}/patients/canary@test.example").status_code == 404
    assert httpx.request("CANARY", f"{api.url}/auth/me").status_code == 405


def work(world: World) -> None:
    """Record all that has happened, and an event from before there were traces."""
    with world.connect() as connection:
        connection.execute(
            "INSERT INTO outbox (id, kind, at, outcome, request_id)"
            " VALUES (gen_random_uuid(), 'user.registered', now(), 'success', 'old')"
        )
    end = time.monotonic() + 20
    with world.worker():
        while world.ask("SELECT FROM outbox LIMIT 1"):
            assert time.monotonic() < end
            time.sleep(0.02)


def test_a_trace_leads_from_the_request_to_the_audit_entry_and_holds_no_personal_data(
    world: World, receiver: Receiver
) -> None:
    world.overrides["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.url
    with world.apis() as (api,):
        visit(world, api)
    work(world)

    requests = receiver.named("POST /booking/slots/book")
    (request,) = [span for span in requests if span.trace_id.hex() == TRACE]
    assert (request.parent_span_id.hex(), request.kind) == ("b7ad6b7169203331", Span.SPAN_KIND_SERVER)
    assert said(request) == {
        "http.request.method": "POST",
        "http.response.status_code": 201,
        "http.route": "/booking/slots/book",
    }
    (use_case,) = receiver.below(request)
    assert use_case.name == "book-appointment"
    *statements, recording = receiver.below(use_case)
    assert [span.name for span in statements] == [
        "BEGIN",
        "WITH slots",
        "SELECT users",
        "INSERT appointments",
        "INSERT outbox",
        "INSERT idempotency_keys",
        "COMMIT",
    ]
    assert {span.kind for span in statements} == {Span.SPAN_KIND_CLIENT}
    assert said(statements[-1]) == {
        "db.system.name": "postgresql",
        "db.namespace": world.postgres["dbname"],
        "db.query.summary": "COMMIT",
        "db.query.text": "COMMIT",
        "server.address": world.postgres["host"],
        "server.port": world.postgres["port"],
    }
    assert "json_to_recordset(%(new)s)" in said(statements[3])["db.query.text"]
    assert (recording.name, recording.kind) == ("record-events", Span.SPAN_KIND_CONSUMER)
    assert {span.trace_id.hex() for span in (use_case, *statements, recording)} == {TRACE}

    # The second search is answered from the cache.
    asked, answered = ([span.name for span in receiver.below(search)] for search in receiver.named("search-slots"))
    assert (asked, answered) == (["WITH slots"], [])

    # Whoever says no has not failed.
    (refused,) = [span for span in requests if said(span)["http.response.status_code"] == 409]
    (refusal,) = receiver.below(refused)
    assert said(refusal) == {"healthcare.refused": "slot-taken"}
    assert {span.status.code for span in receiver.spans} == {Status.STATUS_CODE_UNSET}

    # The worker found all events at once, and shows under the first what it did for all.
    first, *others = receiver.named("record-events")
    names = {span.span_id: span.name for span in receiver.spans}
    assert [names[span.parent_span_id] for span in (first, *others)] == [
        "register",
        "log-in",
        "book-appointment",
        "book-appointment",
        "start-consultation",
        "issue-prescription",
    ]
    assert [span.name for span in receiver.below(first)] == ["DELETE outbox", "INSERT audit_entries", "COMMIT"]
    assert [link.span_id for span in others for link in span.links] == [first.span_id] * len(others)

    # Who holds back a trace has none here; machines that ask about health, and looks at an empty outbox, have none.
    assert not [span for span in receiver.spans if span.trace_id.hex() in NOT_TRACED]
    assert {span.name for span in receiver.spans if not span.parent_span_id} == {
        "POST /auth/register",
        "POST /auth/login",
        "POST /booking/slots/book",
        "POST /consultation/start",
        "POST /consultation/{id}/prescription",
        "GET /booking/slots/search",
        "GET",
        "_OTHER",
        "forget-keys",
        "mark-no-shows",
    }
    assert [body for body in receiver.bodies if CANARY in body.lower()] == []

    logged = [json.loads(line) for line in world.log("api-0").splitlines()]
    (line,) = [line for line in logged if line.get("trace_id") == TRACE]
    assert (line["event"], line["status"], line["span_id"]) == ("request", 201, request.span_id.hex())


@pytest.mark.anyio
async def test_a_failure_is_told_by_its_kind_alone(world: World, receiver: Receiver) -> None:
    """Messages of exceptions quote values, those of PostgreSQL too."""
    tracing = Tracing(endpoint=receiver.url, service="test", share=1.0)
    database = PostgresDatabase(world.postgres, size=1, traces=tracing)
    await database.open()

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        async with database.begin() as uow:
            assert isinstance(uow, PostgresUnitOfWork)
            await uow.users.session.read("SELECT %s::int", ["canary"])

    with pytest.raises(DataError, match="canary"):
        await ask(tracing.requests(fail))
    await database.close()
    await tracing.close()

    request, begin, statement, rollback = receiver.spans
    assert said(request)["error.type"] == said(statement)["error.type"] == "psycopg.errors.InvalidTextRepresentation"
    assert said(statement)["db.response.status_code"] == "22P02"
    assert [span.status.code for span in receiver.spans] == [2, 0, 2, 0]
    assert [span.status.message for span in receiver.spans] == ["", "", "", ""]
    assert (begin.name, rollback.name) == ("BEGIN", "ROLLBACK")
    assert [body for body in receiver.bodies if CANARY in body.lower()] == []


@pytest.mark.anyio
@pytest.mark.parametrize(("share", "spans"), [(0.0, 0), (1.0, 3)])
async def test_the_share_that_is_kept_holds_for_the_traces_of_callers_too(
    receiver: Receiver, share: float, spans: int
) -> None:
    tracing = Tracing(endpoint=receiver.url, service="test", share=share)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    await ask(tracing.requests(app))
    await ask(tracing.requests(app), CALLER)
    await ask(tracing.requests(app), CALLER, CALLER)
    await ask(tracing.requests(app), NOT_TRACED)
    await tracing.close()

    assert len(receiver.spans) == spans
    assert [span.trace_id.hex() for span in receiver.spans].count(TRACE) == min(spans, 1)


async def ask(app: ASGIApp, *traceparents: str) -> None:
    """Send a request of a caller who says so often where it belongs."""
    headers = [(b"traceparent", one.encode()) for one in traceparents]
    scope: Any = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    await app(scope, None, None)  # type: ignore[arg-type]  # nobody reads or answers


def test_what_traces_is_imported_only_when_it_is_wanted_and_nobody_waits_for_it(world: World) -> None:
    """The collector takes connections and never answers: requests are answered, and the process ends in time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM, f"http://127.0.0.1:{silent.getsockname()[1]}"],
            env=os.environ | world.environment | {"OTEL_BSP_SCHEDULE_DELAY": "10"},
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
            check=True,
        )
        ended = time.time()
        silent.settimeout(1)
        silent.accept()[0].close()
    off, slowest, told_to_end, on = (
        float(word) for line in ran.stdout.splitlines() if line[0] != "{" for word in line.split()
    )

    assert (off, on > 0) == (0, True)
    assert slowest < 1
    assert ended - told_to_end < 5
