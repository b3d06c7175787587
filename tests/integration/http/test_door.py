"""Whoever comes when too many are being served is told so at once, and nobody else notices them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from healthcare.adapters.postgres import database
from healthcare.application.identity.read_self import ReadSelf
from healthcare.application.scheduling.book import BookAppointment
from healthcare.application.scheduling.hold import HoldSlot
from healthcare.application.scheduling.search import SearchSlots
from healthcare.application.uow import UnitOfWork
from healthcare.domain.identity.errors import HashingQueueFull
from healthcare.domain.kernel import NotFound
from healthcare.domain.scheduling.asks import Ask
from healthcare.domain.scheduling.model import Appointment
from healthcare.entrypoints.api import door, short_ways
from healthcare.entrypoints.api.request import KEY_HEADER
from healthcare.entrypoints.api.short_ways import Lately
from tests.builders import TOMORROW, FakePasswords
from tests.clinic import Clinic
from tests.integration.http.conftest import Api, client_of

pytestmark = pytest.mark.anyio

SEARCH = f"/booking/slots/search?specialty=cardiology&date={TOMORROW.date()}"
BOOK = "/booking/slots/book"
LOG_IN = "/auth/login"
HOLD = f"/booking/slots/{uuid4()}/hold"


def answered() -> float:
    """Return how many GET requests were answered 503 at the door."""
    labels = {"method": "GET", "route": "none", "status": "503"}
    return REGISTRY.get_sample_value("http_request_duration_seconds_count", labels) or 0.0


class Standstill:
    """Keeps whoever wants something of the database there until it is over."""

    def __init__(self, clinic: Clinic) -> None:
        self.over = asyncio.Event()
        self._read = clinic.database.read
        self.can = replace(
            clinic.can,
            search_slots=SearchSlots(self.read, clinic.cache, clinic.clock),
            log_in=replace(clinic.can.log_in, read=self.read),
            read_self=ReadSelf(self.read),
            hold_slot=HoldSlot(self.decide),
            book_appointment=BookAppointment(self.decide),
        )

    async def decide(self, _ask: Ask) -> Appointment:
        await self.over.wait()
        raise NotFound

    async def check(self) -> None:
        await self.over.wait()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[UnitOfWork]:
        await self.over.wait()
        async with self._read() as uow:
            yield uow


@pytest.fixture
def clinic(monkeypatch: pytest.MonkeyPatch) -> Clinic:
    """A clinic that serves one at a time."""
    monkeypatch.setattr(door, "PLACES", 1)
    return Clinic()


async def test_too_many_are_turned_away_and_those_inside_are_served(clinic: Clinic) -> None:
    still, before = Standstill(clinic), answered()
    async with client_of(clinic, use_cases=still.can) as client:
        inside = asyncio.create_task(client.get(SEARCH))
        await asyncio.sleep(0.05)
        with capture_logs() as lines:
            away = [await client.get(SEARCH, headers={"X-Request-Id": "mine"}) for _ in range(3)]
            head = await client.head(SEARCH)
        alive = [await client.get(path) for path in ("/health/live", "/metrics")]
        still.over.set()
        served, after = await inside, await client.get(SEARCH)

    assert [one.status_code for one in away] == [503] * 3
    assert {(one.headers["retry-after"], one.headers["x-request-id"]) for one in away} == {("1", "mine")}
    assert (away[0].json()["code"], away[0].json()["request_id"]) == ("busy", "mine")
    assert away[0].headers["content-type"] == "application/problem+json"
    assert (head.status_code, head.content) == (503, b"")
    assert [line["event"] for line in lines] == ["crowded"]
    assert answered() - before == 3  # what patients could not do is counted against the availability
    assert [one.status_code for one in (*alive, served, after)] == [200] * 4


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        (("POST", BOOK, {"slot_id": str(uuid4())}), 1),
        (("POST", HOLD, None), 1),
        (("GET", SEARCH, None), 8),
        (("POST", LOG_IN, {"email": "them@test.example", "password": "their password"}), 8),
        (("GET", "/auth/me", None), 8),
        (("GET", "/health/ready", None), 0),
    ],
    ids=["booking", "hold", "search", "sign-in", "reading", "health"],
)
@pytest.mark.parametrize("more", [0, 1])
async def test_who_travels_together_with_others_takes_one_place_and_anybody_else_eight(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, wanted: tuple[str, str, object], places: int, more: int
) -> None:
    monkeypatch.setattr(door, "PLACES", places + more)
    (method, path, body), still = wanted, Standstill(clinic)
    patient = await clinic.user()
    async with client_of(clinic, use_cases=still.can, checks={"postgresql": still.check}) as client:
        headers = Api(clinic, client).signed(patient.id) | {KEY_HEADER: "mine"}
        inside = asyncio.create_task(client.request(method, path, json=body, headers=headers))
        await asyncio.sleep(0.05)
        other = await client.get("/nowhere")
        still.over.set()
        await inside

    assert other.status_code == (404 if more else 503)


async def test_whoever_has_left_is_no_longer_inside(clinic: Clinic) -> None:
    still, patient = Standstill(clinic), await clinic.user()
    async with client_of(clinic, use_cases=still.can) as client:
        for path in (SEARCH, "/auth/me"):
            inside = asyncio.create_task(client.get(path, headers=Api(clinic, client).signed(patient.id)))
            await asyncio.sleep(0.05)
            inside.cancel()
            await asyncio.wait([inside])
        other = await client.get("/nowhere")

    assert other.status_code == 404


@pytest.mark.parametrize("more", [0, 1])
async def test_whoever_searches_what_was_searched_lately_takes_one_place(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    monkeypatch.setattr(door, "PLACES", 8 + 1 + more)
    still = Standstill(clinic)
    async with client_of(clinic, use_cases=still.can) as client:
        inside = [asyncio.create_task(client.get(SEARCH)) for _ in range(2)]
        await asyncio.sleep(0.05)
        other = await client.get("/nowhere")
        still.over.set()
        served = await asyncio.gather(*inside)

    assert [one.status_code for one in served] == [200, 200]
    assert other.status_code == (404 if more else 503)


def test_only_so_many_questions_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short_ways, "LATELY", 2)
    lately = Lately()

    assert [lately.again(one) for one in (b"a", b"b", b"a", b"c", b"a", b"b")] == [
        *(False, False, True, False, True),
        False,  # c came, and a had been asked again
    ]


def test_whoever_is_let_in_may_wait_for_a_connection() -> None:
    assert door.PLACES / door.BY_ITSELF <= database.MOST_WAITING


class Full(FakePasswords):
    """Passwords for which no more can wait."""

    def require_place(self) -> None:
        raise HashingQueueFull


async def test_whose_password_cannot_wait_is_turned_away_before_anything_is_read() -> None:
    clinic = Clinic()
    log_in = replace(clinic.can.log_in, passwords=Full())
    counted = "http_request_duration_seconds_count", {"method": "POST", "route": LOG_IN, "status": "429"}
    before = REGISTRY.get_sample_value(*counted) or 0
    async with client_of(clinic, use_cases=replace(clinic.can, log_in=log_in)) as client:
        with capture_logs() as lines:
            away = await client.post(LOG_IN, content="no JSON")
        others = [await client.get(SEARCH), await client.options(LOG_IN), await client.get(LOG_IN)]

    assert (away.status_code, away.json()["code"], away.headers["retry-after"]) == (429, "hashing-queue-full", "1")
    assert [line["event"] for line in lines] == ["crowded"]
    assert REGISTRY.get_sample_value(*counted) == before + 1
    assert [one.status_code for one in others] == [200, 204, 405]


async def test_who_has_not_said_everything_keeps_nobody_out(clinic: Clinic) -> None:
    said = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await said.wait()
        yield b"}"

    async with client_of(clinic) as client:
        slow = asyncio.create_task(client.post(LOG_IN, content=slowly(), headers={"Content-Type": "application/json"}))
        await asyncio.sleep(0.05)
        meanwhile = await client.get(SEARCH)
        said.set()
        answer = await slow

    assert (meanwhile.status_code, answer.status_code) == (200, 422)


@pytest.mark.parametrize("path", [SEARCH, "/nowhere", "/auth/me"])
async def test_whoever_has_been_answered_is_no_longer_inside(clinic: Clinic, path: str) -> None:
    async with client_of(clinic) as client:
        answers = [await client.get(path) for _ in range(3)]

    assert len({one.status_code for one in answers}) == 1
    assert answers[0].status_code != 503
