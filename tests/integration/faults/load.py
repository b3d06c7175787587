"""Patients who search, book, read and cancel without a pause, and write down what they ask and what they are told."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from random import Random
from time import monotonic, sleep
from typing import Self, TypeVar
from uuid import UUID

import httpx

from healthcare.domain.kernel import UserId
from tests.integration.faults.check import Kind, Row, State, Try
from tests.integration.world import World, tomorrow_at

T = TypeVar("T")

PATIENTS = 12
DOCTORS = 2
SLOTS = 24
"""Of each doctor, at the same times: patients meet each other at slots, and themselves in time."""
THINKING = 0.1
"""Seconds, at most."""
IMPATIENCE = 0.1
"""Seconds until somebody who was told to ask again does so: sooner than they were told to."""
PATIENCE = 20
"""Seconds for which they go on asking when all is well again."""
QUIET_WITHIN = 30
"""Seconds until every event is recorded."""


class Load:
    """Patients, doctors and slots of their own, in a specialty of their own."""

    def __init__(self, world: World, urls: Sequence[str], random: Random) -> None:
        self.world = world
        self.urls = urls
        self.random = random
        self.journal: list[Try] = []
        self.patients = {patient: world.headers(patient) for patient in world.add_users("patient", PATIENTS)}
        self.specialty = f"specialty {random.randrange(2**64)}"
        starts = [tomorrow_at(0) + place * timedelta(minutes=30) for place in range(SLOTS)]
        self.slots = [
            str(slot)
            for doctor in world.add_doctors(DOCTORS, self.specialty)
            for slot in world.add_slots(doctor, starts)
        ]
        self._over = asyncio.Event()
        self._give_up_at = math.inf

    async def run(self, strike: Callable[[Self], T]) -> T:
        """Let patients come and go while a fault strikes and heals, and until somebody has booked after that."""
        async with self._connected(), asyncio.TaskGroup() as patients:
            for patient in self.patients:
                patients.create_task(self._live(patient))
            try:
                await asyncio.sleep(self.random.uniform(0.2, 0.6))
                struck = await asyncio.to_thread(strike, self)
                healed = monotonic()
                while self.first_booking_after(healed) == math.inf and monotonic() < healed + PATIENCE:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                await asyncio.sleep(self.random.uniform(0.1, 0.3))
            finally:
                self._give_up_at = monotonic() + PATIENCE
                self._over.set()
        return struck

    async def ask_again(self) -> None:
        """Send every booking that was acknowledged once more, with its key."""
        booked = [one for one in self.journal if one.kind is Kind.BOOK and one.kept]
        async with self._connected():
            for start in range(0, len(booked), PATIENTS):
                some = booked[start : start + PATIENTS]
                await asyncio.gather(*[self._send(one.kind, one.patient, one.subject, one.key) for one in some])

    def first_booking_after(self, instant: float) -> float:
        """Return when somebody was first told of a booking after an instant, or infinity."""
        ends = (one.ended for one in self.journal if one.kind is Kind.BOOK and one.kept and one.ended)
        return next((end for end in ends if end > instant), math.inf)

    def state(self, stale_for: float) -> State:
        """Wait until all is quiet, and so many seconds for searches that are wrong; return what is there."""
        patients = list(self.patients)
        end = monotonic() + QUIET_WITHIN
        while (waiting := self._waiting()) and monotonic() < end:
            sleep(0.05)
        rows = self.world.ask(
            "SELECT id::text, slot_id::text, doctor_id, patient_id, starts_at, ends_at, status FROM appointments"
            " WHERE patient_id = ANY(%s)",
            [patients],
        )
        entries = self.world.ask(
            "SELECT kind, subject_id::text FROM audit_entries WHERE actor_id = ANY(%s)", [patients]
        )
        kept = [Row(*row) for row in rows]  # type: ignore[arg-type]
        free = set(self.slots) - {row.slot for row in kept if row.live}
        end = monotonic() + stale_for
        while (shown := [self._shown(url) for url in self.urls]) != [free] * len(self.urls) and monotonic() < end:
            sleep(0.05)
        return State(
            rows=kept,
            entries=[(str(kind), str(subject)) for kind, subject in entries],
            waiting=waiting,
            free=free,
            shown=shown,
        )

    def _waiting(self) -> int:
        ((waiting,),) = self.world.ask("SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM dead_letters)")
        assert isinstance(waiting, int)
        return waiting

    def _shown(self, url: str) -> set[str]:
        answer = httpx.get(f"{url}/booking/slots/search", params=self._search, trust_env=False)
        return {slot["id"] for slot in answer.json()["items"]}

    @property
    def _search(self) -> dict[str, str | int]:
        return {"specialty": self.specialty, "date": tomorrow_at(0).date().isoformat(), "limit": 500}

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            self._clients = [await stack.enter_async_context(client_of(url)) for url in self.urls]
            yield

    async def _live(self, patient: UserId) -> None:
        """Be a patient until it is over."""
        while not self._over.is_set():
            await self._send(Kind.SEARCH, patient, self.specialty)
            slot = self.random.choice(self.slots)
            booked = await self._insist(Kind.BOOK, patient, slot, key=f"{patient}-{len(self.journal)}")
            if booked.kept:
                await self._send(Kind.READ, patient, booked.appointment)
                if self.random.random() < 0.9:
                    await self._insist(Kind.CANCEL, patient, booked.appointment)
            await asyncio.sleep(self.random.uniform(0, THINKING))

    async def _insist(self, kind: Kind, patient: UUID, subject: str, key: str = "") -> Try:
        """Ask until it is decided."""
        while True:
            one = await self._send(kind, patient, subject, key)
            if one.settled or monotonic() > self._give_up_at:
                return one
            await asyncio.sleep(IMPATIENCE)

    async def _send(self, kind: Kind, patient: UUID, subject: str, key: str = "") -> Try:
        """Send one request to any of the processes."""
        client = self.random.choice(self._clients)
        match kind:
            case Kind.SEARCH:
                request = client.build_request("GET", "/booking/slots/search", params=self._search)
            case Kind.READ:
                request = client.build_request("GET", f"/booking/appointments/{subject}")
            case Kind.BOOK:
                request = client.build_request("POST", "/booking/slots/book", json={"slot_id": subject})
                request.headers["Idempotency-Key"] = key
            case Kind.CANCEL:
                request = client.build_request("POST", f"/booking/appointments/{subject}/cancel", json={"reason": "no"})
        request.headers.update(self.patients[UserId(patient)])
        one = Try(
            kind=kind,
            patient=patient,
            subject=subject,
            key=key,
            api=self._clients.index(client),
            began=monotonic(),
        )
        self.journal.append(one)
        try:
            response = await client.send(request)
        except httpx.TransportError as reason:
            one.ended, one.code = monotonic(), repr(reason)
            return one
        one.ended, one.status, one.retry_after = monotonic(), response.status_code, response.headers.get("retry-after")
        if not response.is_success:
            one.code = response.json()["code"]
        elif kind is Kind.BOOK:
            one.answer, one.appointment = response.content, response.json()["id"]
        return one


def client_of(url: str) -> httpx.AsyncClient:
    """Return a client that never waits for one of its own connections, nor longer than any deadline."""
    return httpx.AsyncClient(base_url=url, timeout=10, limits=httpx.Limits(max_connections=None), trust_env=False)
