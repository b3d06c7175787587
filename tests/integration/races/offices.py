"""Three ways to claim slots, in which races must end alike.

By the use cases here, wired once for each of several processes, so that those who want one slot meet in PostgreSQL;
wired once, so that they travel together; and over HTTP at two API processes, where they do both.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import cycle
from typing import Final, Protocol, TypeVar
from uuid import UUID, uuid4

import httpx

from healthcare.adapters.postgres.refusals import constraint_refusals
from healthcare.application.scheduling.cancel_day import DayItem
from healthcare.application.together import LANES
from healthcare.application.uow import OutcomeUnknown, Unavailable
from healthcare.application.use_cases import UseCases
from healthcare.domain.kernel import Actor, AppointmentId, Refusal, SlotId, UserId
from healthcare.domain.scheduling.asks import Booking
from healthcare.domain.scheduling.model import Appointment
from healthcare.entrypoints import settings
from healthcare.entrypoints.container import Container, opened
from tests.integration.clients import client_of
from tests.integration.world import Api, World, deadlocks

T = TypeVar("T")

MOST_TIMES: Final = 20

SEVERAL: Final = 8
"""How often the use cases are wired where they stand for several processes."""
WAYS: Final = ("in several processes", "in one process", "over HTTP")


@dataclass(frozen=True)
class Told:
    """An appointment, as whoever asked was told of it."""

    id: UUID
    patient: UserId
    slot: UUID
    status: str
    version: int


Outcome = Told | str
"""What came of a command: an appointment, or the code of the refusal. Anything else is raised."""


class Office(Protocol):
    """Where patients hold, book, move and cancel, and doctors cancel days."""

    @property
    def lanes(self) -> int:
        """How many transactions can be under way at once; who asks while they are travels in one of the next."""
        ...

    async def hold(self, patient: UserId, slot: UUID) -> Outcome:
        """Let the patient hold the slot."""
        ...

    async def book(self, patient: UserId, slot: UUID) -> Outcome:
        """Let the patient book the slot with a new key."""
        ...

    async def reschedule(self, told: Told, slot: UUID, *, as_told: bool = False) -> Outcome:
        """Let the patient move the appointment: as it is, or only if it is still as they were told."""
        ...

    async def cancel(self, told: Told) -> Outcome:
        """Let the patient give it up."""
        ...

    async def cancel_day(self, doctor: UserId, day: date) -> dict[UUID, str]:
        """Let the doctor cancel a day; return what came of each of its appointments."""
        ...


Opened = Callable[[], AbstractAsyncContextManager[Office]]


class OfficeInProcess:
    """The use cases, wired as every driver gets them, each command at the next of those who share the work."""

    def __init__(self, wired: Sequence[UseCases]) -> None:
        self._next, self.lanes = cycle(wired), LANES * len(wired)

    @property
    def can(self) -> UseCases:
        """Everything the system can do."""
        return next(self._next)

    async def hold(self, patient: UserId, slot: UUID) -> Outcome:
        """Hold."""
        return await self._ask(lambda: self.can.hold_slot(actor=Actor(patient, "race"), slot=SlotId(slot)))

    async def book(self, patient: UserId, slot: UUID) -> Outcome:
        """Book."""
        booking = Booking(actor=Actor(patient, "race"), slot=SlotId(slot), key=str(uuid4()))
        return await self._ask(lambda: self.can.book_appointment(booking))

    async def reschedule(self, told: Told, slot: UUID, *, as_told: bool = False) -> Outcome:
        """Move."""
        return await self._ask(
            lambda: self.can.reschedule_appointment(
                actor=Actor(told.patient, "race"),
                appointment=AppointmentId(told.id),
                slot=SlotId(slot),
                versions=[told.version] if as_told else None,
            )
        )

    async def cancel(self, told: Told) -> Outcome:
        """Cancel."""
        return await self._ask(
            lambda: self.can.cancel_appointment(
                actor=Actor(told.patient, "race"), appointment=AppointmentId(told.id), reason="race"
            )
        )

    async def cancel_day(self, doctor: UserId, day: date) -> dict[UUID, str]:
        """Cancel a day."""

        async def cancel() -> Sequence[DayItem]:
            try:
                return await self.can.cancel_day(actor=Actor(doctor, "race"), day=day, reason="race")
            except OutcomeUnknown:
                raise Unavailable from None  # for whoever cancels a day it is the same: a repeat finishes it

        return {one.appointment.id: one.outcome for one in await patiently(cancel)}

    async def _ask(self, ask: Callable[[], Awaitable[Appointment]]) -> Outcome:
        try:
            told = await patiently(ask)
        except Refusal as refusal:
            return refusal.code
        return Told(told.id, told.patient.id, told.slot, told.status, told.version)


class OfficeOverHttp:
    """The routes, each request at the next of the API processes."""

    def __init__(self, clients: list[httpx.AsyncClient], headers: Callable[[UserId], dict[str, str]]) -> None:
        self._clients, self._headers, self.lanes = cycle(clients), headers, LANES * len(clients)

    async def hold(self, patient: UserId, slot: UUID) -> Outcome:
        """Hold."""
        return await self._ask(patient, slot, f"/booking/slots/{slot}/hold")

    async def book(self, patient: UserId, slot: UUID) -> Outcome:
        """Book."""
        return await self._ask(
            patient, slot, "/booking/slots/book", {"slot_id": str(slot)}, {"Idempotency-Key": str(uuid4())}
        )

    async def reschedule(self, told: Told, slot: UUID, *, as_told: bool = False) -> Outcome:
        """Move."""
        headers = {"If-Match": f'"{told.version}"' if as_told else "*"}
        path = f"/booking/appointments/{told.id}/reschedule"
        return await self._ask(told.patient, slot, path, {"slot_id": str(slot)}, headers)

    async def cancel(self, told: Told) -> Outcome:
        """Cancel."""
        path = f"/booking/appointments/{told.id}/cancel"
        return await self._ask(told.patient, told.slot, path, {"reason": "race"})

    async def cancel_day(self, doctor: UserId, day: date) -> dict[UUID, str]:
        """Cancel a day."""
        asked = {"date": str(day), "reason": "race"}
        response = await self._post(doctor, "/booking/doctor/day/cancel", asked, again_if_unknown=True)
        assert response.is_success, response.text
        return {UUID(item["appointment_id"]): item["outcome"] for item in response.json()["items"]}

    async def _ask(
        self,
        patient: UserId,
        slot: UUID,
        path: str,
        asked: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Outcome:
        response = await self._post(patient, path, asked, headers)
        body = response.json()
        if response.is_success:
            version = int(response.headers["ETag"].strip('"'))
            return Told(UUID(body["id"]), patient, slot, body.get("status", "pending"), version)
        assert response.status_code < 500, body
        code: str = body["code"]
        return code

    async def _post(
        self,
        user: UserId,
        path: str,
        asked: dict[str, str] | None,
        headers: dict[str, str] | None = None,
        *,
        again_if_unknown: bool = False,
    ) -> httpx.Response:
        async def post() -> httpx.Response:
            response = await next(self._clients).post(path, json=asked, headers=self._headers(user) | (headers or {}))
            if response.status_code == 503 and (again_if_unknown or response.json()["code"] != OutcomeUnknown.code):
                raise Unavailable
            return response

        return await patiently(post)


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
    """Prepare one of the ways; afterwards show that nothing but the locks was needed.

    No deadlock may have happened, and no constraint may have had to refuse.
    """
    before = deadlocks(world)
    if way != "over HTTP":
        refused = refused_here()
        yield lambda: in_process(world, 1 if way == "in one process" else SEVERAL)
        assert refused_here() == refused
    else:
        with world.apis(2) as apis:
            yield lambda: _over_http(world, apis)
            assert [api.metric("constraint_refusals_total") for api in apis] == [0, 0]
    assert deadlocks(world) == before


@contextmanager
def entered(context: AbstractAsyncContextManager[T], runner: asyncio.Runner) -> Iterator[T]:
    """Enter it once for all examples that Hypothesis draws, which come from outside of the loop."""
    stack = AsyncExitStack()
    try:
        yield runner.run(stack.enter_async_context(context))
    finally:
        runner.run(stack.aclose())


@asynccontextmanager
async def in_process(world: World, processes: int = SEVERAL) -> AsyncIterator[Office]:
    """Open the use cases in this process, as many times as if it were so many."""
    async with wired(world, processes) as use_cases:
        yield OfficeInProcess(use_cases)


@asynccontextmanager
async def wired(world: World, processes: int = SEVERAL) -> AsyncIterator[list[UseCases]]:
    """Open what each of several processes would have of its own."""
    # As many connections as lanes: nobody waits for a lock while somebody waits for a connection.
    environment = world.environment | {"POSTGRES_POOL_SIZE": str(max(LANES, 8 // processes))}
    async with AsyncExitStack() as stack:
        containers = [Container(settings=settings.read(environment)) for _ in range(processes)]
        yield [await stack.enter_async_context(opened(one)) for one in containers]


@asynccontextmanager
async def _over_http(world: World, apis: list[Api]) -> AsyncIterator[Office]:
    known: dict[UserId, dict[str, str]] = {}

    def headers(user: UserId) -> dict[str, str]:
        if user not in known:
            known[user] = world.headers(user)
        return known[user]

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client_of(api)) for api in apis]
        yield OfficeOverHttp(clients, headers)


def refused_here() -> float:
    """Return how often a constraint made a refusal in this process."""
    samples = [sample for family in constraint_refusals.collect() for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))
