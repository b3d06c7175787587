"""Two ways to book: by the use cases in this process, and over HTTP at two API processes. Races must end alike."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Final, Protocol, TypeVar
from uuid import UUID, uuid4

import httpx

from healthcare.adapters.postgres.refusals import constraint_refusals
from healthcare.application.uow import OutcomeUnknown, Unavailable
from healthcare.domain.kernel import Actor, AppointmentId, Refusal, SlotId, UserId
from healthcare.domain.scheduling.diary import Booking
from healthcare.entrypoints import settings
from healthcare.entrypoints.container import Container, opened
from tests.integration.world import Api, World, deadlocks

T = TypeVar("T")

MOST_TIMES: Final = 20


@dataclass(frozen=True)
class Held:
    """An appointment, as whoever asked was told of it."""

    id: UUID
    patient: UserId
    status: str


Outcome = Held | str
"""What came of a command: an appointment, or the code of the refusal. Anything else is raised."""


class Office(Protocol):
    """Where patients book and cancel."""

    async def book(self, patient: UserId, slot: UUID) -> Outcome:
        """Let the patient book the slot with a new key."""
        ...

    async def cancel(self, held: Held) -> Outcome:
        """Let the patient give it up."""
        ...


Opened = Callable[[], AbstractAsyncContextManager[Office]]


@dataclass(frozen=True)
class OfficeInProcess:
    """The use cases, wired as every driver gets them."""

    container: Container

    async def book(self, patient: UserId, slot: UUID) -> Outcome:
        """Book."""
        booking = Booking(actor=Actor(patient, "race"), slot=SlotId(slot), key=str(uuid4()))
        book = self.container.use_cases().book_appointment
        try:
            booked = await patiently(lambda: book(booking))
        except Refusal as refusal:
            return refusal.code
        return Held(booked.id, patient, booked.status)

    async def cancel(self, held: Held) -> Outcome:
        """Cancel."""
        cancel, actor = self.container.use_cases().cancel_appointment, Actor(held.patient, "race")
        try:
            cancelled = await patiently(lambda: cancel(actor=actor, appointment=AppointmentId(held.id), reason="race"))
        except Refusal as refusal:
            return refusal.code
        return Held(cancelled.id, held.patient, cancelled.status)


class OfficeOverHttp:
    """The routes, each request at the next of the API processes."""

    def __init__(self, clients: list[httpx.AsyncClient], headers: Callable[[UserId], dict[str, str]]) -> None:
        self._clients, self._headers = cycle(clients), headers

    async def book(self, patient: UserId, slot: UUID) -> Outcome:
        """Book."""
        headers = self._headers(patient) | {"Idempotency-Key": str(uuid4())}
        return await self._ask(patient, "/booking/slots/book", {"slot_id": str(slot)}, headers)

    async def cancel(self, held: Held) -> Outcome:
        """Cancel."""
        path = f"/booking/appointments/{held.id}/cancel"
        return await self._ask(held.patient, path, {"reason": "race"}, self._headers(held.patient))

    async def _ask(self, patient: UserId, path: str, asked: dict[str, str], headers: dict[str, str]) -> Outcome:
        async def post() -> httpx.Response:
            response = await next(self._clients).post(path, json=asked, headers=headers)
            if response.status_code == 503 and response.json()["code"] != OutcomeUnknown.code:
                raise Unavailable
            return response

        response = await patiently(post)
        body = response.json()
        if response.is_success:
            return Held(UUID(body["id"]), patient, body["status"])
        assert response.status_code < 500, body
        code: str = body["code"]
        return code


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again, as one is told to, while nothing happens because the machine has too much else to do."""
    for _ in range(MOST_TIMES - 1):
        try:
            return await ask()
        except Unavailable:
            await asyncio.sleep(0.2)
    return await ask()


@contextmanager
def offices(world: World, way: str) -> Iterator[Opened]:
    """Prepare one of the two ways; afterwards show that nothing but the locks was needed.

    No deadlock may have happened, and no constraint may have had to refuse.
    """
    before = deadlocks(world)
    if way == "in process":
        refused = refused_here()
        yield lambda: in_process(world)
        assert refused_here() == refused
    else:
        with world.apis(2) as apis:
            yield lambda: _over_http(world, apis)
            assert [api.metric("constraint_refusals_total") for api in apis] == [0, 0]
    assert deadlocks(world) == before


@asynccontextmanager
async def in_process(world: World) -> AsyncIterator[Office]:
    """Open the use cases in this process."""
    container = Container(settings=settings.read(world.environment))
    async with opened(container):
        yield OfficeInProcess(container)


@asynccontextmanager
async def _over_http(world: World, apis: list[Api]) -> AsyncIterator[Office]:
    known: dict[UserId, dict[str, str]] = {}

    def headers(user: UserId) -> dict[str, str]:
        if user not in known:
            known[user] = world.headers(user)
        return known[user]

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(httpx.AsyncClient(base_url=api.url, timeout=10)) for api in apis]
        yield OfficeOverHttp(clients, headers)


def refused_here() -> float:
    """Return how often a constraint made a refusal in this process."""
    samples = [sample for family in constraint_refusals.collect() for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))
