"""A clinic while a program is played in it: what was asked and answered, and everything that was ever kept."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from enum import Enum
from itertools import count
from typing import Any, Final, TypeVar

from healthcare.adapters.memory.database import MemoryDatabase
from healthcare.adapters.memory.tables import AppointmentRow, Kept, SlotRow
from healthcare.application.together import Run, Together
from healthcare.application.uow import OutcomeUnknown, Unavailable, UnitOfWork
from healthcare.domain.identity.model import Account, User
from healthcare.domain.kernel import Actor, AppointmentId, Refusal, Role, SlotId, UserId
from healthcare.domain.scheduling.asks import Ask
from healthcare.domain.scheduling.errors import PatientBusy, SlotTaken
from healthcare.domain.scheduling.model import Appointment, Slot
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.builders import NOW, FakeClock, an_actor
from tests.clinic import Clinic

K = TypeVar("K")
V = TypeVar("V")


class SharedDatabase(MemoryDatabase):
    """A memory database whose rows tests can look at."""

    constraints_refused = 0
    """How often. Whoever decides in a diary refuses there, and not by ending the transaction."""

    @property
    def kept(self) -> Kept:
        return self._kept

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[UnitOfWork]:
        try:
            async with super().begin() as uow:
                yield uow
        except (SlotTaken, PatientBusy):
            self.constraints_refused += 1
            raise


class Outcome(Enum):
    """What the one who asked knows afterwards."""

    DONE = "it happened"
    REFUSED = "it did not happen, for a reason that was given"
    NOTHING = "it did not happen"
    UNKNOWN = "it may have happened"
    BROKEN = "an error that says nothing"


MAYBE: Final = frozenset({Outcome.DONE, Outcome.UNKNOWN})


class Command(ABC):
    """Something that somebody wants."""

    def asked(self, scene: "Scene") -> Sequence[Ask]:
        """Return what the diary shall decide, as things stand when it is asked for."""
        return ()

    @abstractmethod
    async def ask(self, scene: "Scene", asked: Sequence[Ask]) -> object:
        """Ask for it."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a use case. Its moments are numbers that rise: a call that ended at 4 came before one begun at 5."""

    command: Command
    asked: Sequence[Ask]
    begun: int
    ended: int
    first: int
    """The place, in the list of states, of the one in which it began."""
    last: int
    """The place of the one in which it ended."""
    outcome: Outcome
    answer: object


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What was kept from some moment on. The next one begins with the next commit, or when time passes."""

    now: datetime
    """By the clock that all share."""
    by: Sequence[int]
    """When the calls began that brought it about: all that travelled in one run."""
    appointments: Mapping[AppointmentId, AppointmentRow]
    slots: Mapping[SlotId, SlotRow]
    accounts: Mapping[UserId, Account]

    @property
    def tables(self) -> Sequence[Mapping[Any, object]]:
        """Everything that was kept."""
        return self.appointments, self.slots, self.accounts

    def claims(self) -> Iterator[AppointmentRow]:
        """Go through the appointments that are live; a hold that has run out is none of them."""
        return (row for row in self.appointments.values() if row.live and not self.over(row))

    def holds(self) -> Iterator[AppointmentRow]:
        """Go through the holds among them."""
        return (row for row in self.claims() if row.status is AppointmentStatus.PENDING)

    def named(self, appointment: AppointmentId | None) -> AppointmentRow | None:
        """Return an appointment, live or not."""
        return self.appointments.get(appointment) if appointment else None

    def over(self, row: AppointmentRow) -> bool:
        """Say whether it is a hold that has run out."""
        return row.status is AppointmentStatus.PENDING and row.expires_at is not None and row.expires_at <= self.now

    def role(self, user: UserId | None) -> Role | None:
        """Return somebody's role."""
        return self.accounts[user].user.role if user else None

    def offers(self, slot: SlotId) -> bool:
        """Say whether the slot stands, whoever has claimed it."""
        row = self.slots.get(slot)
        return row is not None and not row.withdrawn and self.role(row.doctor) is Role.DOCTOR

    def free(self, slot: SlotId, *, ahead: timedelta = timedelta()) -> bool:
        """Say whether somebody can book the slot, whose clock is so far ahead."""
        return self.unclaimed(slot) and self.slots[slot].time.start > self.now + ahead

    def unclaimed(self, slot: SlotId) -> bool:
        """Say whether the slot stands, and nobody has claimed it."""
        return self.offers(slot) and not any(row.slot == slot for row in self.claims())


EMPTY: Final = State(now=NOW, by=(), appointments={}, slots={}, accounts={})


def latest(before: Mapping[K, V], kept: Mapping[K, V]) -> Mapping[K, V]:
    """Return a copy of what is kept, or the one that there is."""
    return before if before == kept else dict(kept)


CALLING: ContextVar[Sequence[int]] = ContextVar("CALLING", default=())
"""When the calls began for which something is done, also where a commit arrives late."""


class RecordedRuns(Together[Ask, Appointment | Slot]):
    """Lets the record know for which calls each run travels, also where one is repeated one by one."""

    async def _travel(self, run: Run[Ask, Appointment | Slot]) -> None:
        CALLING.set([begun for one in run.people for begun in one.context[CALLING]])
        await super()._travel(run)


@dataclass(slots=True)
class Scene:
    """A clinic with people and slots, and the record of everything that was asked, answered and kept."""

    clinic: Clinic
    database: SharedDatabase
    clock: FakeClock
    """The database's; the clinic has its own, which may be ahead of it."""
    people: list[User] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    history: list[Call] = field(default_factory=list)
    states: list[State] = field(default_factory=lambda: [EMPTY])
    moments: "count[int]" = field(default_factory=count)
    free: frozenset[SlotId] = frozenset()
    """What could be booked in the end, as the database knows it."""
    faults: int = 0
    """How many have struck."""

    @property
    def ahead(self) -> timedelta:
        """By how much the clinic's clock is ahead of the one that all share."""
        return self.clinic.clock.now() - self.clock.now()

    def begin_as(self, other: "Scene") -> None:
        """Let everything be as it is there."""
        self.people, self.slots = other.people, other.slots
        self.history = [replace(call, first=0, last=0) for call in other.history]
        self.moments = count(len(other.history) * 2)
        for table in fields(Kept):
            getattr(self.database.kept, table.name).update(getattr(other.database.kept, table.name))
        self.states = [self.state()]

    def actor(self, who: int) -> Actor:
        """Return one of the people, as they ask."""
        return an_actor(self.people[who].id)

    def on(self, slot: int) -> AppointmentRow | None:
        """Return the appointment that stands on a slot at this moment, or one that did."""
        rows = [row for row in self.database.kept.appointments.values() if row.slot == self.slots[slot].id]
        return max(rows, key=lambda row: row.live, default=None)

    def during(self, call: Call) -> Sequence[State]:
        """Return what was kept while a call was going on."""
        return self.states[call.first : call.last + 1]

    def wait(self, duration: timedelta) -> None:
        """Let time pass everywhere."""
        for clock in (self.clock, self.clinic.clock):
            clock.wait(duration)
        self.note()

    def note(self) -> None:
        """Write down what is kept, if it is not what was."""
        state, before = self.state(), self.states[-1]
        if state.now != before.now or state.tables != before.tables:
            self.states.append(state)

    def state(self) -> State:
        """Return what is kept. Tables that are as they were are not copied."""
        kept, before = self.database.kept, self.states[-1]
        return State(
            now=self.clock.now(),
            by=CALLING.get(),
            appointments=latest(before.appointments, kept.appointments),
            slots=latest(before.slots, kept.slots),
            accounts=latest(before.accounts, kept.accounts),
        )

    async def call(self, command: Command) -> Outcome:
        """Ask, and write down what was answered."""
        begun, first, answer = next(self.moments), len(self.states) - 1, None
        CALLING.set([begun])
        asked = command.asked(self)
        try:
            answer, outcome = await command.ask(self, asked), Outcome.DONE
        except Refusal as refusal:
            answer, outcome = refusal, Outcome.REFUSED
        except Unavailable:
            outcome = Outcome.NOTHING
        except OutcomeUnknown:
            outcome = Outcome.UNKNOWN
        except Exception as error:  # noqa: BLE001 - the judge will say it
            answer, outcome = error, Outcome.BROKEN
        last = len(self.states) - 1
        self.history.append(Call(command, asked, begun, next(self.moments), first, last, outcome, answer))
        return outcome
