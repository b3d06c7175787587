"""Patients who search, hold, book, move and cancel without a pause, and write down what they ask and are told."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from random import Random
from time import monotonic, sleep
from typing import Self, TypeVar

import httpx

from healthcare.domain.kernel import EventKind, UserId
from healthcare.domain.scheduling.cancellation import ReasonCode
from healthcare.domain.scheduling.model import MOST_HOLDS
from healthcare.entrypoints.worker.patience import occurs
from tests.integration.faults.evidence import Entry, Row, Slot, State
from tests.integration.faults.journal import Kind, Try
from tests.integration.faults.wire import Day, path_of, request_of, understand
from tests.integration.world import World, tomorrow_at

T = TypeVar("T")

PATIENTS = 12
ABSENT = 2
"""Those who hold slots before it begins, and never come back."""
DOCTORS = 2
SLOTS = 24
"""Of each doctor, at the same times: patients meet each other at slots, and themselves in time."""
THINKING = 0.1
"""Seconds, at most."""
PRACTISING = 2.0
"""Seconds, at most, until the first of the doctors cancels the day and publishes it again; the other one never does."""
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
        self.name = f"{random.randrange(2**64)}"
        self.specialty = f"specialty-{self.name}"
        self.patients = world.add_users("patient", PATIENTS)
        self.absent = world.add_users("patient", ABSENT)
        self.doctors = world.add_doctors(DOCTORS, self.specialty)
        self.headers = {who: world.headers(who) for who in (*self.patients, *self.absent, *self.doctors)}
        self.day = Day(tomorrow_at(0), timedelta(minutes=30), SLOTS)
        self.offered = {
            doctor: [str(one) for one in world.add_slots(doctor, self.day.starts)] for doctor in self.doctors
        }
        self.left = list[str]()
        self._over = asyncio.Event()
        self._give_up_at = math.inf

    async def run(self, strike: Callable[[Self], T]) -> T:
        """Let people come and go while a fault strikes and heals, and until somebody has booked after that."""
        async with self._connected(), asyncio.TaskGroup() as people:
            await self._leave_holds()
            for patient in self.patients:
                people.create_task(self._live(patient))
            people.create_task(self._practise(self.doctors[0]))
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
                await asyncio.gather(*[self._send(again(one)) for one in booked[start : start + PATIENTS]])

    def first_booking_after(self, instant: float) -> float:
        """Return when somebody was first told of a booking after an instant, or infinity."""
        ends = (one.ended for one in self.journal if one.kind is Kind.BOOK and one.kept and one.ended)
        return next((end for end in ends if end > instant), math.inf)

    def state(self, stale_for: float) -> State:
        """Wait until all is quiet, and so many seconds for searches that are wrong; return what is there."""
        end = monotonic() + QUIET_WITHIN
        while (waiting := self._waiting()) and monotonic() < end:
            sleep(0.05)
        rows, slots = self._rows(), self._slots()
        entries = self._entries([*(row.id for row in rows), *(slot.id for slot in slots)])
        state = State(
            rows=rows, slots=slots, day=SLOTS, entries=entries, waiting=waiting, left=self.left, shown=self._shown()
        )
        end = monotonic() + stale_for
        while any(shown != state.free for shown in state.shown) and monotonic() < end:
            sleep(0.05)
            state = replace(state, shown=self._shown())
        return state

    def _waiting(self) -> int:
        ((waiting,),) = self.world.ask("SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM dead_letters)")
        assert isinstance(waiting, int)
        return waiting

    def _rows(self) -> list[Row]:
        found = self.world.ask(
            "SELECT id::text, slot_id::text, doctor_id, patient_id, starts_at, ends_at, status, version, extended,"
            " cancellation_code, expires_at IS NOT NULL AND expires_at <= clock_timestamp()"
            " FROM appointments WHERE patient_id = ANY(%s)",
            [[*self.patients, *self.absent]],
        )
        return [Row(*row) for row in found]  # type: ignore[arg-type]

    def _slots(self) -> list[Slot]:
        found = self.world.ask(
            "SELECT id::text, doctor_id, starts_at, ends_at, withdrawn_at IS NOT NULL"
            " FROM slots WHERE doctor_id = ANY(%s)",
            [self.doctors],
        )
        return [Slot(*row) for row in found]  # type: ignore[arg-type]

    def _entries(self, subjects: Sequence[str]) -> list[Entry]:
        found = self.world.ask(
            "SELECT kind, subject_id::text, actor_id, request_id FROM audit_entries"
            " WHERE subject_id = ANY(%s::uuid[]) OR actor_id = ANY(%s) ORDER BY at",
            [list(subjects), list(self.headers)],
        )
        return [Entry(EventKind(kind), *rest) for kind, *rest in found]  # type: ignore[arg-type]

    def _shown(self) -> list[set[str]]:
        search = path_of(Kind.SEARCH, self.specialty, self.day)
        answers = [httpx.get(f"{url}{search}", trust_env=False) for url in self.urls]
        return [{slot["id"] for slot in answer.json()["items"]} for answer in answers]

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            self._clients = [await stack.enter_async_context(client_of(url)) for url in self.urls]
            yield

    async def _leave_holds(self) -> None:
        """Let some hold slots until their time is over: whoever wants one of those comes upon what they have left."""
        slots = self.random.sample(self.offered[self.doctors[1]], MOST_HOLDS * ABSENT)
        for patient, slot in zip(self.absent * MOST_HOLDS, slots, strict=True):
            await self._insist(Try(kind=Kind.HOLD, caller=patient, subject=slot))
        ran_out = self.world.ask(
            "UPDATE appointments SET expires_at = clock_timestamp() WHERE patient_id = ANY(%s) RETURNING id::text",
            [self.absent],
        )
        self.left += [str(id) for (id,) in ran_out]

    async def _live(self, patient: UserId) -> None:
        """Be a patient until it is over."""
        while not self._over.is_set():
            await self._send(Try(kind=Kind.SEARCH, caller=patient, subject=self.specialty))
            held = await self._hold_some(patient) if self.random.random() < 0.5 else []
            slot = held[0].subject if held else self._any_slot()
            booked = await self._insist(Try(kind=Kind.BOOK, caller=patient, subject=slot))
            for hold in held[1:]:
                release = Try(kind=Kind.RELEASE, caller=patient, subject=hold.subject, appointment=hold.appointment)
                await self._insist(release)
            if booked.kept:
                await self._reconsider(patient, booked.appointment)
            await asyncio.sleep(self.random.uniform(0, THINKING))

    async def _hold_some(self, patient: UserId) -> list[Try]:
        """Hold slots, now and then more than one may, and some of them for longer; return what was had."""
        slots = [slot for offered in self.offered.values() for slot in offered]
        wanted = self.random.sample(slots, min(len(slots), self.random.choice([1, 1, 2, MOST_HOLDS + 1])))
        held = []
        for slot in wanted:
            hold = Try(kind=Kind.HOLD, caller=patient, subject=slot)
            if (had := await self._insist(hold)).kept:
                held.append(had)
                if self.random.random() < 0.3:
                    await self._insist(hold)
        return held

    async def _reconsider(self, patient: UserId, appointment: str) -> None:
        """Look at an appointment, perhaps move it, and mostly give it up."""
        seen = await self._send(Try(kind=Kind.READ, caller=patient, subject=appointment))
        if self.random.random() < 0.5:
            match = seen.tag if seen.kept and self.random.random() < 0.7 else "*"
            move = Try(kind=Kind.RESCHEDULE, caller=patient, subject=appointment, target=self._any_slot(), match=match)
            await self._insist(move)
        if self.random.random() < 0.9:
            reason = self.random.choice([None, *ReasonCode])
            await self._insist(Try(kind=Kind.CANCEL, caller=patient, subject=appointment, reason_code=reason))

    async def _practise(self, doctor: UserId) -> None:
        """Be a doctor who cannot come that day, and then can, until it is over."""
        while not await occurs(self._over, within=self.random.uniform(0, PRACTISING)):
            for kind in (Kind.CANCEL_DAY, Kind.PUBLISH, Kind.LIST):
                await self._insist(Try(kind=kind, caller=doctor, subject=str(doctor)))

    def _any_slot(self) -> str:
        return self.random.choice([slot for offered in self.offered.values() for slot in offered])

    async def _insist(self, wanted: Try) -> Try:
        """Ask until it is decided."""
        wanted = replace(wanted, wish=f"{wanted.caller}-{len(self.journal)}")
        while True:
            one = await self._send(wanted)
            if one.settled or monotonic() > self._give_up_at:
                return one
            await asyncio.sleep(IMPATIENCE)

    async def _send(self, wanted: Try) -> Try:
        """Send one request to any of the processes."""
        one = replace(
            wanted,
            request=f"{self.name}-{len(self.journal)}",
            api=self.random.randrange(len(self._clients)),
            began=monotonic(),
        )
        self.journal.append(one)
        client = self._clients[one.api]
        try:
            response = await client.send(request_of(client, one, self.day, self.headers[UserId(one.caller)]))
        except httpx.TransportError as reason:
            one.ended, one.code = monotonic(), repr(reason)
            return one
        one.ended = monotonic()
        understand(one, response)
        if one.kind is Kind.LIST and one.kept:
            self.offered[UserId(one.caller)] = list(one.listed)
        return one


def again(one: Try) -> Try:
    """Return the same wish, not yet asked for again."""
    return Try(kind=one.kind, caller=one.caller, subject=one.subject, wish=one.wish)


def client_of(url: str) -> httpx.AsyncClient:
    """Return a client that never waits for one of its own connections, nor longer than any deadline."""
    return httpx.AsyncClient(base_url=url, timeout=10, limits=httpx.Limits(max_connections=None), trust_env=False)
