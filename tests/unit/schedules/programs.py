"""Programs: who does what at the same time, and what they were answered."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from functools import cache
from itertools import count
from random import Random
from typing import Final, Protocol
from uuid import UUID

from hypothesis import strategies as st

from healthcare.adapters.memory.cache import LONGEST_KEPT
from healthcare.adapters.memory.database import MemoryDatabase
from healthcare.adapters.memory.tables import AppointmentRow, Kept
from healthcare.adapters.memory.transaction import Locks, Transaction
from healthcare.application.consultation.start import Started
from healthcare.application.uow import OutcomeUnknown, Unavailable
from healthcare.domain.consultation.model import Prescription
from healthcare.domain.identity.model import User
from healthcare.domain.kernel import Actor, Clock, Page, Refusal, Role, SlotId, UserId
from healthcare.domain.scheduling.diary import Booking
from healthcare.domain.scheduling.model import Appointment, Search, Slot
from tests.builders import HOUR, MINUTE, SYSTEM, TOMORROW, FakeClock, a_publication, an_actor, an_item
from tests.clinic import Clinic
from tests.unit.schedules.faults import LONGEST, Fault, ShakenCache, ShakenTransaction, Weather
from tests.unit.schedules.loop import run

Transactions = Callable[[Kept, Locks], Transaction]

PATIENTS, DOCTORS, ADMINS = range(3), range(3, 5), range(5, 7)
SLOTS = range(3)
"""The first and the last are the first doctor's, one after the other; the other doctor's overlaps both."""


class SharedDatabase(MemoryDatabase):
    """A memory database whose rows tests can look at."""

    @property
    def kept(self) -> Kept:
        return self._kept


class Outcome(Enum):
    """What the one who asked knows afterwards."""

    DONE = "it happened"
    REFUSED = "it did not happen, for a reason that was given"
    NOTHING = "it did not happen"
    UNKNOWN = "it may have happened"
    BROKEN = "an error that says nothing"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a use case. Its moments are numbers that rise: a call that ended at 4 came before one begun at 5."""

    command: "Command"
    begun: int
    ended: int
    outcome: Outcome
    answer: object


@dataclass(slots=True)
class Scene:
    """A clinic with people and slots, and the record of everything that was asked and answered."""

    clinic: Clinic
    database: SharedDatabase
    people: list[User] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    history: list[Call] = field(default_factory=list)
    moments: "count[int]" = field(default_factory=count)
    free: frozenset[SlotId] = frozenset()
    """What could be booked in the end, as the database knows it."""
    faults: int = 0
    """How many have struck."""

    def begin_as(self, other: "Scene") -> None:
        """Let everything be as it is there."""
        self.people, self.slots, self.history = other.people, other.slots, list(other.history)
        self.moments = count(len(other.history) * 2)
        for table in fields(Kept):
            getattr(self.database.kept, table.name).update(getattr(other.database.kept, table.name))

    def actor(self, who: int) -> Actor:
        """Return one of the people, as they ask."""
        return an_actor(self.people[who].id)

    def on(self, slot: int) -> AppointmentRow | None:
        """Return the appointment that stands on a slot at this moment, or one that did."""
        rows = [row for row in self.database.kept.appointments.values() if row.slot == self.slots[slot].id]
        return max(rows, key=lambda row: row.live, default=None)

    async def call(self, command: "Command") -> Outcome:
        """Ask, and write down what was answered."""
        begun, answer = next(self.moments), None
        try:
            answer, outcome = await command.ask(self), Outcome.DONE
        except Refusal as refusal:
            answer, outcome = refusal, Outcome.REFUSED
        except Unavailable:
            outcome = Outcome.NOTHING
        except OutcomeUnknown:
            outcome = Outcome.UNKNOWN
        except Exception as error:  # noqa: BLE001 - the judge will say it
            answer, outcome = error, Outcome.BROKEN
        self.history.append(Call(command, begun, next(self.moments), outcome, answer))
        return outcome


class Command(Protocol):
    """Something that somebody wants."""

    async def ask(self, scene: Scene) -> object:
        """Ask for it."""
        ...


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody wants a slot, under a key."""

    who: int
    slot: int
    key: str


@dataclass(frozen=True, slots=True)
class Book:
    """Some ask for slots in the same moment, and are decided together."""

    wishes: tuple[Wish, ...]

    async def ask(self, scene: Scene) -> list[Appointment | Refusal]:
        return await scene.clinic.book_together(
            [Booking(actor=scene.actor(one.who), slot=scene.slots[one.slot].id, key=one.key) for one in self.wishes]
        )


class By(Enum):
    """Who does something with what is a patient's and a doctor's."""

    PATIENT = "its patient"
    DOCTOR = "its doctor"
    OTHER_PATIENT = "another patient"
    OTHER_DOCTOR = "another doctor"
    ADMIN = "an admin"

    def of(self, scene: Scene, doctor: UserId, patient: UserId | None = None) -> Actor:
        """Return them as they ask."""
        first, second = scene.people[PATIENTS.start].id, scene.people[PATIENTS.start + 1].id
        one, other = scene.people[DOCTORS.start].id, scene.people[DOCTORS.start + 1].id
        return an_actor(
            {
                By.PATIENT: patient or first,
                By.DOCTOR: doctor,
                By.OTHER_PATIENT: second if patient == first else first,
                By.OTHER_DOCTOR: other if doctor == one else one,
                By.ADMIN: scene.people[ADMINS.start].id,
            }[self]
        )


@dataclass(frozen=True, slots=True)
class Cancel:
    """Somebody cancels what stands on a slot."""

    by: By
    slot: int

    async def ask(self, scene: Scene) -> Appointment | None:
        if (row := scene.on(self.slot)) is None:
            return None
        actor = self.by.of(scene, row.doctor, row.patient)
        return await scene.clinic.can.cancel_appointment(actor=actor, appointment=row.id, reason="ill")


@dataclass(frozen=True, slots=True)
class Start:
    """Somebody starts the consultation of what stands on a slot."""

    by: By
    slot: int

    async def ask(self, scene: Scene) -> Started | None:
        if (row := scene.on(self.slot)) is None:
            return None
        actor = self.by.of(scene, row.doctor, row.patient)
        return await scene.clinic.can.start_consultation(actor=actor, appointment=row.id)


@dataclass(frozen=True, slots=True)
class Prescribe:
    """Somebody ends a consultation with a prescription."""

    by: By

    async def ask(self, scene: Scene) -> Prescription | None:
        if (one := next(iter(scene.database.kept.consultations.values()), None)) is None:
            return None
        actor = self.by.of(scene, one.doctor.id, one.patient.id)
        return await scene.clinic.can.issue_prescription(actor=actor, consultation=one.id, items=(an_item(),))


@dataclass(frozen=True, slots=True)
class Publish:
    """Somebody offers the hour after the slots that are there."""

    who: int

    async def ask(self, scene: Scene) -> Sequence[Slot]:
        publication = a_publication(TOMORROW + HOUR, HOUR)
        return await scene.clinic.can.publish_slots(actor=scene.actor(self.who), publication=publication)


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Somebody takes a slot back."""

    by: By
    slot: int

    async def ask(self, scene: Scene) -> SlotId:
        slot = scene.slots[self.slot]
        await scene.clinic.can.take_slot_back(actor=self.by.of(scene, slot.doctor.id), slot=slot.id)
        return slot.id


@dataclass(frozen=True, slots=True)
class ChangeRole:
    """Somebody gives somebody a role."""

    who: int
    user: int
    role: Role

    async def ask(self, scene: Scene) -> User:
        change = scene.clinic.can.change_role
        return await change(actor=scene.actor(self.who), user=scene.people[self.user].id, role=self.role)


def written(search: Search, page: Page[Slot]) -> bytes:
    """Write an answer down as ids."""
    return b"".join(slot.id.bytes for slot in page.items)


@dataclass(frozen=True, slots=True)
class Look:
    """Somebody searches the day."""

    async def ask(self, scene: Scene) -> frozenset[SlotId]:
        found = await scene.clinic.can.search_slots.written(
            actor=scene.actor(0), search=Search("cardiology", TOMORROW.date()), render=written
        )
        return frozenset(SlotId(UUID(bytes=found[place : place + 16])) for place in range(0, len(found), 16))


@dataclass(frozen=True, slots=True)
class Record:
    """A worker turns some events into audit entries."""

    async def ask(self, scene: Scene) -> int:
        return await scene.clinic.can.record_events(actor=SYSTEM, most=3)


@dataclass(frozen=True, slots=True)
class Ask:
    """A command, asked once more for each time that its outcome was not learnt."""

    command: Command
    tries: int = 1


@dataclass(frozen=True, slots=True)
class Program:
    """Several do something at once, each one thing after the other, while some faults happen."""

    lanes: tuple[tuple[Ask, ...], ...]
    faults: frozenset[Fault] = frozenset()


WHO = st.integers(0, ADMINS.stop - 1)
PATIENT = st.sampled_from(PATIENTS)
BY = st.sampled_from([By.PATIENT, By.DOCTOR, By.DOCTOR]) | st.sampled_from(By)
KEY = st.sampled_from("ab")


def wish(slot: st.SearchStrategy[int]) -> st.SearchStrategy[Wish]:
    """Draw a wish; most are a patient's."""
    return st.builds(Wish, PATIENT | PATIENT | WHO, slot, KEY)


KINDS: Final[Sequence[Callable[[st.SearchStrategy[int]], st.SearchStrategy[Command]]]] = (
    lambda slot: st.builds(Book, st.lists(wish(slot), min_size=1, max_size=3).map(tuple)),
    lambda slot: st.builds(Cancel, BY, slot),
    lambda _: st.builds(Look),
    lambda slot: st.builds(Start, BY, slot),
    lambda _: st.builds(Prescribe, BY),
    lambda _: st.builds(Publish, st.sampled_from(DOCTORS) | WHO),
    lambda slot: st.builds(TakeBack, BY, slot),
    lambda _: st.builds(ChangeRole, st.sampled_from(ADMINS), st.sampled_from(ADMINS) | WHO, st.sampled_from(Role)),
    lambda _: st.builds(Record),
)
FAULTS = st.just(frozenset[Fault]()) | st.frozensets(st.sampled_from(Fault))


@cache
def programs_of(kinds: frozenset[int], slots: frozenset[int]) -> st.SearchStrategy[Program]:
    """Draw a program of these kinds of commands, on these slots."""
    slot = st.sampled_from(sorted(slots))
    command = st.one_of([KINDS[kind](slot) for kind in sorted(kinds)])
    lane = st.lists(st.builds(Ask, command, st.integers(1, 3)), min_size=1, max_size=3).map(tuple)
    return st.builds(Program, st.lists(lane, min_size=2, max_size=4).map(tuple), FAULTS)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Draw a program of few kinds of commands on few slots, so that what meets is often about the same."""
    kinds = draw(st.frozensets(st.integers(0, len(KINDS) - 1), min_size=1, max_size=3))
    slots = draw(st.frozensets(st.sampled_from(SLOTS), min_size=1, max_size=2))
    return draw(programs_of(kinds, slots))


@dataclass(frozen=True, slots=True)
class Guards:
    """What keeps a clinic from harm; a test that leaves one out says what it is for."""

    database: Callable[[Transactions], SharedDatabase] = SharedDatabase
    cache: Callable[[Clock, Weather], ShakenCache] = ShakenCache


def scene_of(random: Random, weather: Weather, clock: FakeClock, guards: Guards) -> Scene:
    """Return a clinic without people."""
    database = guards.database(lambda kept, locks: ShakenTransaction(kept, locks, weather))
    cache = guards.cache(clock, weather)
    return Scene(Clinic(database, cache, new_id=lambda: UUID(int=random.getrandbits(128))), database)


@cache
def beginning() -> Scene:
    """Return the clinic as every program finds it: people and slots are there, one of them booked."""
    random = Random("beginning")  # noqa: S311 - no number of a schedule, so that no id is drawn again
    scene = scene_of(random, Weather(random), FakeClock(), Guards())
    clinic = scene.clinic

    async def fill() -> None:
        patients = [await clinic.user() for _ in PATIENTS]
        doctors = [await clinic.doctor() for _ in DOCTORS]
        admins = [await clinic.user(Role.ADMIN) for _ in ADMINS]
        scene.people = [*patients, *(scene.database.kept.accounts[one.id].user for one in doctors), *admins]
        starts = [TOMORROW, TOMORROW + 15 * MINUTE, TOMORROW + 30 * MINUTE]
        scene.slots = [await clinic.slot(doctors[place % 2], start) for place, start in enumerate(starts)]
        await scene.call(Book((Wish(0, 2, "before"),)))

    run(random, fill())
    return scene


def play(program: Program, schedule: int, guards: Guards = Guards()) -> Scene:
    """Let everybody do at once what they want, in the order that the schedule says, and return what came of it."""
    random = Random(schedule)  # noqa: S311 - it is not a secret
    weather, clock = Weather(random), FakeClock()
    scene = scene_of(random, weather, clock, guards)
    scene.begin_as(beginning())

    async def follow(lane: tuple[Ask, ...]) -> None:
        for ask in lane:
            for _ in range(ask.tries):
                if await scene.call(ask.command) in {Outcome.DONE, Outcome.REFUSED}:
                    break

    async def all_of_it() -> None:
        weather.faults = program.faults
        await asyncio.gather(*(follow(lane) for lane in program.lanes))
        weather.faults = ()
        await asyncio.sleep(2 * LONGEST)  # so that late commits have arrived
        while await scene.clinic.can.record_events(actor=SYSTEM):
            pass
        await scene.call(Look())
        clock.wait(2 * LONGEST_KEPT)
        await scene.call(Look())
        scene.free = frozenset(slot.id for slot in await scene.clinic.free())

    run(random, all_of_it())
    scene.faults = weather.struck
    return scene
