"""Searches, bookings and sign-ins are answered in front of Litestar where nothing is wrong: with its own words."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from healthcare.application.scheduling.search import SearchSlots
from healthcare.application.uow import Unavailable, UnitOfWork
from healthcare.domain.kernel import Outcome, Role
from healthcare.domain.scheduling.asks import Booking
from healthcare.entrypoints.api.request import KEY_HEADER
from healthcare.entrypoints.api.short_ways import LONGEST_QUERY, wanted
from tests.builders import HOUR, TOMORROW, an_actor
from tests.clinic import Clinic
from tests.integration.http.conftest import client_of

pytestmark = pytest.mark.anyio

PATH = "/booking/slots/search"
THE_LONG_WAY = {"Content-Length": "0"}
"""A search that announces a body, even an empty one, is left to Litestar."""
QUERIES = [
    f"specialty=cardiology&date={TOMORROW.date()}",
    f"specialty=cardiology&date={TOMORROW.date()}&tz=Asia/Kolkata&limit=2",
    f"date={TOMORROW.date()}&limit=500&specialty=cardiology&tz=America/Sao_Paulo",
    f"specialty=nobody&date={TOMORROW.date()}",
    f"specialty=%63ardiology&date={TOMORROW.date()}&tz=Europe%2FBerlin",
    "",
    "specialty=cardiology",
    f"specialty=cardiology&date={TOMORROW.date()}&limit=0",
    f"specialty=cardiology&date={TOMORROW.date()}&limit=5&limit=5",
    f"specialty=cardiology&date={TOMORROW.date()}&tz=Mars/Olympus",
    f"specialty=cardiology&date={TOMORROW.date()}&who=me",
    f"specialty=%ff&date={TOMORROW.date()}",
]


async def both_ways(clinic: Clinic, query: str, headers: Mapping[str, str]) -> list[httpx.Response]:
    """Ask by both ways, in one request each."""
    async with client_of(clinic) as client:
        given = {"X-Request-Id": "search", **headers}
        return [await client.get(f"{PATH}?{query}", headers=given | more) for more in ({}, THE_LONG_WAY)]


async def seen(clinic: Clinic, query: str, headers: Mapping[str, str]) -> list[tuple[int, object, bytes]]:
    """Return what both say: status, headers in no order, and body."""
    return [(one.status_code, one.headers, one.content) for one in await both_ways(clinic, query, headers)]


async def a_clinic_with_slots() -> Clinic:
    """Return a clinic that has something to find."""
    clinic = Clinic()
    await clinic.slots(await clinic.doctor(), *[TOMORROW + number * HOUR for number in range(5)])
    return clinic


@pytest.mark.parametrize("query", QUERIES)
async def test_both_ways_say_the_same(query: str) -> None:
    clinic = await a_clinic_with_slots()

    short, long = await seen(clinic, query, {})

    assert short == long


@pytest.mark.parametrize("tags", ["{}", "W/{}", '"other", {}', '"other"', "*", "", "nonsense"])
async def test_both_ways_know_what_the_caller_has_already(tags: str) -> None:
    clinic = await a_clinic_with_slots()
    (first, _) = await both_ways(clinic, QUERIES[0], {})

    short, long = await seen(clinic, QUERIES[0], {"If-None-Match": tags.format(first.headers["etag"])})

    assert short == long
    assert short[0] == (304 if "{}" in tags or tags == "*" else 200)


@pytest.fixture
def without_litestar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the tests of both ways might compare Litestar with itself."""
    monkeypatch.setattr("litestar.routes.HTTPRoute.handle", lambda *_: pytest.fail("Litestar was asked"))


@pytest.mark.usefixtures("without_litestar")
async def test_a_search_takes_the_short_way() -> None:
    clinic = await a_clinic_with_slots()

    async with client_of(clinic) as client:
        answer = await client.get(f"{PATH}?{QUERIES[0]}")

    assert answer.status_code == 200
    assert len(answer.json()["items"]) == 5


async def test_a_search_that_has_been_read_once_is_decided_anew() -> None:
    """What is kept of a query is what it asks for, and nothing of what was found."""
    clinic = await a_clinic_with_slots()
    (before, _) = await both_ways(clinic, QUERIES[0], {})
    clinic.clock.wait(timedelta(days=1, hours=2))

    (after, _) = await both_ways(clinic, QUERIES[0], {})

    assert len(before.json()["items"]) == 5
    assert len(after.json()["items"]) == 2


async def test_queries_that_are_too_long_are_not_remembered() -> None:
    """Anybody can ask thousands of them."""
    query = f"{QUERIES[0]}&who={'x' * LONGEST_QUERY}"
    before = wanted.cache_info().misses
    short, long = await both_ways(await a_clinic_with_slots(), query, {})

    assert wanted.cache_info().misses == before
    assert short.status_code == long.status_code == 422


async def test_a_search_that_fails_is_not_repeated_on_the_long_way() -> None:
    """Where there is no answer, asking twice makes it worse."""
    clinic, asked = Clinic(), list[object]()

    def away() -> AbstractAsyncContextManager[UnitOfWork]:
        asked.append(clinic)
        raise Unavailable

    search = SearchSlots(away, clinic.cache, clinic.clock)
    async with client_of(clinic, use_cases=replace(clinic.can, search_slots=search)) as client:
        answer = await client.get(f"{PATH}?{QUERIES[0]}")

    assert (answer.status_code, answer.json()["code"], len(asked)) == (503, "unavailable", 1)


LOG_IN = "/auth/login"
BY_LITESTAR = "application/json; charset=utf-8"
"""Bodies that say so are left to Litestar."""
RIGHT = b'{"email": "them@test.example", "password": "their password"}'
SIGN_INS = [
    (RIGHT, 200),
    (b'{"email": "THEM@test.example", "password": "their password"}', 200),
    (b'{"email": "them@test.example", "password": "another password"}', 401),
    (b'{"email": "nobody@test.example", "password": "their password"}', 401),
    (b'{"email": "no address", "password": "their password"}', 422),
    (b'{"email": "them@test.example", "password": "their password", "more": 1}', 422),
    (b'{"email": "them@test.example", "password": 1}', 422),
    (b'{"email": "them@test.example"}', 422),
    (b'{"email": "them@test.example", "password": "their password"', 400),
    (b'{"email": "\xff", "password": "their password"}', 400),
    (b"[" * 10_000, 400),
    (b"null", 422),
    (b"", 400),
    (b'{"email": "them@test.example", "password": "' + b"x" * 65_536 + b'"}', 413),
]


@pytest.mark.parametrize(("body", "status"), SIGN_INS)
async def test_both_ways_sign_in_with_the_same_words(body: bytes, status: int) -> None:
    clinic = Clinic()
    await clinic.user(Role.PATIENT, email="them@test.example")
    said = []
    async with client_of(clinic) as client:
        for kind in ("application/json", BY_LITESTAR):
            headers = {"Content-Type": kind, "X-Request-Id": "sign-in"}
            answer = await client.post(LOG_IN, content=body, headers=headers)
            said.append((answer.status_code, answer.headers, answer.json() | {"access_token": "another each time"}))

    assert said[0] == said[1]
    assert said[0][0] == status
    assert [event.outcome for event in await clinic.events()] == OUTCOMES.get(status, [])


OUTCOMES = {200: 2 * [Outcome.SUCCESS], 401: 2 * [Outcome.REFUSED]}
"""Of what is recorded."""


@pytest.mark.usefixtures("without_litestar")
async def test_a_sign_in_takes_the_short_way() -> None:
    clinic = Clinic()
    user = await clinic.user(Role.PATIENT, email="them@test.example")

    async with client_of(clinic) as client:
        answer = await client.post(LOG_IN, content=RIGHT, headers={"Content-Type": "application/json"})

    assert answer.status_code == 200
    assert answer.json()["user"]["id"] == str(user.id)


@pytest.mark.parametrize(
    ("parts", "status"), [([bytes([byte]) for byte in RIGHT], 200), ([RIGHT, b"}"], 400), ([RIGHT, b" "], 200)]
)
async def test_a_sign_in_that_comes_in_parts_is_read_whole(parts: list[bytes], status: int) -> None:
    async def sent() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    clinic = Clinic()
    await clinic.user(Role.PATIENT, email="them@test.example")
    async with client_of(clinic) as client:
        answer = await client.post(LOG_IN, content=sent(), headers={"Content-Type": "application/json"})

    assert answer.status_code == status


async def test_a_sign_in_takes_no_query() -> None:
    clinic = Clinic()
    await clinic.user(Role.PATIENT, email="them@test.example")
    async with client_of(clinic) as client:
        answer = await client.post(f"{LOG_IN}?who=me", content=RIGHT, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


BOOK = "/booking/slots/book"
Headers = list[tuple[str, str]]
USED = "used-for-another-slot"
TOKEN, KEY = ("Authorization", "Bearer {p}"), (KEY_HEADER, "mine")
ASKED = [
    ("free", [TOKEN, KEY], 201),
    ("taken", [TOKEN, KEY], 409),
    ("unknown", [TOKEN, KEY], 404),
    ("free", [TOKEN, (KEY_HEADER, USED)], 422),
    ("free", [("Authorization", "bearer  {p} "), KEY], 201),
    ("free", [("Authorization", "Bearer {d}"), KEY], 403),
    ("free", [("Authorization", "Bearer nobody's"), KEY], 401),
    ("free", [("Authorization", "Basic {p}"), KEY], 401),
    ("free", [TOKEN, TOKEN, KEY], 401),
    ("free", [KEY], 401),
    ("free", [TOKEN], 400),
    ("free", [TOKEN, KEY, KEY], 400),
    ("free", [TOKEN, (KEY_HEADER, "two words")], 400),
    ("free", [TOKEN, (KEY_HEADER, "")], 400),
    ("free", [TOKEN, KEY, ("Content-Encoding", "gzip")], 415),
    ("none", [TOKEN, KEY], 422),
    ("none", [TOKEN], 400),
    ("none", [KEY], 401),
]


@pytest.mark.parametrize(("slot", "headers", "status"), ASKED)
@pytest.mark.parametrize("kinds", [("application/json", BY_LITESTAR), (BY_LITESTAR, "application/json")])
async def test_both_ways_book_with_the_same_words(
    kinds: tuple[str, str], slot: str, headers: Headers, status: int
) -> None:
    """With the same key, whoever comes second hears what the first was told."""
    clinic = Clinic()
    doctor, patient = await clinic.doctor(), await clinic.user()
    free, used, taken = await clinic.slots(doctor, *[TOMORROW + number * HOUR for number in range(3)])
    await clinic.can.book_appointment(Booking(actor=an_actor(patient.id), slot=used.id, key=USED))
    await clinic.booked(taken)
    slots = {"free": str(free.id), "taken": str(taken.id), "unknown": str(uuid4()), "none": "none"}
    tokens = {who: clinic.tokens.issue(id, now=clinic.clock.now()) for who, id in (("p", patient.id), ("d", doctor.id))}
    given = [("X-Request-Id", "booking"), *((name, value.format_map(tokens)) for name, value in headers)]
    before, said = len(await clinic.events()), []
    async with client_of(clinic) as client:
        for kind in kinds:
            answer = await client.post(BOOK, json={"slot_id": slots[slot]}, headers=[("Content-Type", kind), *given])
            said.append((answer.status_code, answer.headers, answer.content))

    assert said[0] == said[1]
    assert said[0][0] == status
    assert len(await clinic.events()) - before == {201: 1, 403: 2}.get(status, 0)


@pytest.mark.usefixtures("without_litestar")
async def test_a_booking_takes_the_short_way() -> None:
    clinic = Clinic()
    slot, patient = await clinic.slot(), await clinic.user()
    headers = {"Authorization": f"Bearer {clinic.tokens.issue(patient.id, now=clinic.clock.now())}", KEY_HEADER: "mine"}

    async with client_of(clinic) as client:
        answer = await client.post(BOOK, json={"slot_id": str(slot.id)}, headers=headers)

    assert answer.status_code == 201
    assert [one.slot for one in await clinic.appointments(patient)] == [slot.id]


@pytest.mark.parametrize(("path", "asked"), [(f"{PATH}?{QUERIES[0]}", None), (LOG_IN, RIGHT)])
async def test_what_goes_wrong_on_our_side_is_told_as_everywhere(path: str, asked: bytes | None) -> None:
    def broken() -> AbstractAsyncContextManager[UnitOfWork]:
        raise ZeroDivisionError

    clinic = Clinic()
    can = replace(
        clinic.can,
        search_slots=SearchSlots(broken, clinic.cache, clinic.clock),
        log_in=replace(clinic.can.log_in, read=broken),
    )
    async with client_of(clinic, use_cases=can) as client:
        headers = {"Content-Type": "application/json"} if asked else {}
        answer = await client.request("POST" if asked else "GET", path, content=asked, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
