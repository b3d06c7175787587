"""Searches are answered in front of Litestar where nothing is wrong with them: with the same words as by Litestar."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from healthcare.application.scheduling.search import SearchSlots
from healthcare.application.uow import Unavailable, UnitOfWork
from tests.builders import HOUR, TOMORROW
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


async def test_the_short_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the tests above would compare Litestar with itself."""
    clinic = await a_clinic_with_slots()
    litestar = "litestar.routes.HTTPRoute.handle"
    monkeypatch.setattr(litestar, lambda *_: pytest.fail("Litestar was asked"))

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
