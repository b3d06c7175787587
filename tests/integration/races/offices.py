"""Two ways to book: by the use cases in this process, and over HTTP at two API processes. Races must end alike."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Protocol
from uuid import UUID, uuid4

import httpx

from healthcare.adapters.postgres.refusals import constraint_refusals
from healthcare.domain.kernel import Actor, AppointmentId, Refusal, SlotId, UserId
from healthcare.domain.scheduling.model import Booking
from healthcare.entrypoints import settings
from healthcare.entrypoints.container import Container, opened
from tests.integration.world import Api, World, deadlocks


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
        try:
            booked = await self.container.use_cases().book_appointment(booking)
        except Refusal as refusal:
            return refusal.code
        return Held(booked.id, patient, booked.status)

    async def cancel(self, held: Held) -> Outcome:
        """Cancel."""
        try:
            cancelled = await self.container.use_cases().cancel_appointment(
                actor=Actor(held.patient, "race"), appointment=AppointmentId(held.id), reason="race"
            )
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
        return self._outcome(
            patient,
            await next(self._clients).post("/booking/slots/book", json={"slot_id": str(slot)}, headers=headers),
        )

    async def cancel(self, held: Held) -> Outcome:
        """Cancel."""
        path = f"/booking/appointments/{held.id}/cancel"
        headers = self._headers(held.patient)
        return self._outcome(
            held.patient, await next(self._clients).post(path, json={"reason": "race"}, headers=headers)
        )

    def _outcome(self, patient: UserId, response: httpx.Response) -> Outcome:
        body = response.json()
        if response.is_success:
            return Held(UUID(body["id"]), patient, body["status"])
        assert response.status_code < 500, body
        code: str = body["code"]
        return code


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
