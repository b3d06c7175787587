"""Programs: who does what at the same time, drawn by Hypothesis and played in a clinic."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from random import Random
from typing import Final
from uuid import UUID

from hypothesis import strategies as st

from healthcare.adapters.memory.cache import LONGEST_KEPT
from healthcare.adapters.memory.tables import Kept
from healthcare.adapters.memory.transaction import Locks, Transaction
from healthcare.domain.kernel import Clock, Role
from healthcare.domain.scheduling.cancellation import ReasonCode
from healthcare.domain.scheduling.model import HELD_FOR
from tests.builders import DAY, HOUR, MINUTE, NOW, SYSTEM, TOMORROW, FakeClock
from tests.clinic import Clinic
from tests.unit.schedules.commands import (
    ADMINS,
    DOCTORS,
    PATIENTS,
    SLOTS,
    Arrive,
    Book,
    By,
    Cancel,
    CancelDay,
    ChangeRole,
    Hold,
    LetGo,
    Look,
    MarkNoShows,
    Move,
    Prescribe,
    Publish,
    Record,
    Start,
    TakeBack,
    Together,
    Undo,
    Wait,
    Wish,
)
from tests.unit.schedules.faults import LONGEST, Fault, ShakenCache, ShakenTransaction, Weather
from tests.unit.schedules.loop import run
from tests.unit.schedules.scene import Command, Outcome, RecordedRuns, Scene, SharedDatabase

Transactions = Callable[[Kept, Locks], Transaction]
Slots = st.SearchStrategy[int]


@dataclass(frozen=True, slots=True)
class Errand:
    """A command, asked once more for each time that its outcome was not learnt."""

    command: Command
    tries: int = 1


@dataclass(frozen=True, slots=True)
class Program:
    """Several do something at once, each one thing after the other, while some faults happen."""

    lanes: tuple[tuple[Errand, ...], ...]
    faults: frozenset[Fault] = frozenset()
    before: tuple[Command, ...] = ()
    """What is done before that, one thing after the other, while nothing goes wrong."""
    early: timedelta = DAY
    """How long before the first slot starts all this begins."""
    ahead: timedelta = timedelta()
    """By how much the clock of those who ask is ahead of the one that they share."""


EVERYBODY = range(ADMINS.stop)
PERSON = st.sampled_from([1] * 6 + [*PATIENTS] * 3 + [*EVERYBODY])
"""Most who want a slot are patients, and often it is the same one."""
DOCTOR = st.sampled_from([*DOCTORS] * 6 + [*EVERYBODY])
BY = st.sampled_from([By.PATIENT, By.DOCTOR, By.DOCTOR]) | st.sampled_from(By)
BY_PATIENT = st.just(By.PATIENT) | st.just(By.PATIENT) | st.sampled_from(By)
BY_DOCTOR = st.just(By.DOCTOR) | st.just(By.DOCTOR) | st.sampled_from(By)
KEY = st.sampled_from("ab")
SLOT = st.sampled_from(SLOTS)
CODE = st.none() | st.sampled_from([ReasonCode.PAT_LT, ReasonCode.MAINT])
LATER = st.sampled_from([0, 0, 1])
DURATION = st.sampled_from([timedelta(seconds=4), HELD_FOR, HELD_FOR, 15 * MINUTE, HOUR])
EARLY = st.sampled_from([DAY, DAY, 10 * MINUTE, 10 * MINUTE, -20 * MINUTE, -70 * MINUTE])
"""Early enough for everything; when check-in has opened; when some slots have started; when some were missed."""
AHEAD = st.sampled_from([timedelta(), timedelta(), 7 * MINUTE])
FAULTS = st.just(frozenset[Fault]()) | st.frozensets(st.sampled_from(Fault))

WISHES: Final[Mapping[type[Command], Callable[[Slots], st.SearchStrategy[Wish]]]] = {
    Book: lambda slot: st.builds(Book, PERSON, slot, KEY),
    Hold: lambda slot: st.builds(Hold, PERSON, slot),
    Cancel: lambda slot: st.builds(Cancel, BY, slot, CODE),
    Move: lambda slot: st.builds(Move, BY_PATIENT, slot, slot | SLOT, st.sampled_from([None, 0, 0, 1])),
    LetGo: lambda slot: st.builds(LetGo, BY_PATIENT, slot),
    Arrive: lambda slot: st.builds(Arrive, BY_PATIENT, slot),
    Undo: lambda slot: st.builds(Undo, BY_DOCTOR, slot),
    TakeBack: lambda slot: st.builds(TakeBack, BY_DOCTOR, slot),
}


@cache
def wish(slot: Slots) -> st.SearchStrategy[Wish]:
    """Draw a wish of any kind."""
    return st.one_of([draw(slot) for draw in WISHES.values()])


KINDS: Final[Mapping[type[Command], Callable[[Slots], st.SearchStrategy[Command]]]] = {
    **WISHES,
    Together: lambda slot: st.builds(Together, st.lists(wish(slot), min_size=2, max_size=3).map(tuple)),
    Wait: lambda _: st.builds(Wait, DURATION),
    Look: lambda _: st.builds(Look, LATER),
    Start: lambda slot: st.builds(Start, BY_DOCTOR, slot),
    CancelDay: lambda _: st.builds(CancelDay, DOCTOR, LATER),
    MarkNoShows: lambda _: st.builds(MarkNoShows),
    Prescribe: lambda _: st.builds(Prescribe, BY),
    Publish: lambda _: st.builds(Publish, DOCTOR),
    ChangeRole: lambda _: st.builds(
        ChangeRole, st.sampled_from(ADMINS), st.sampled_from([*ADMINS] * 4 + [*EVERYBODY]), st.sampled_from(Role)
    ),
    Record: lambda _: st.builds(Record),
}
SITUATIONS: Final[Sequence[Sequence[Command]]] = (
    (),
    (),
    (Hold(1, 0),),
    (Hold(1, 0), Wait(HELD_FOR)),
    (Hold(1, 3), Hold(1, 4), Hold(1, 5)),
    (Book(2, 0, "before"), Arrive(By.PATIENT, 0)),
)
"""In which there is something to race for: a hold, one that has run out, three of a patient, somebody who waits."""
BEFORE: Final = (Hold, Wait, Arrive)
"""What also happens before, whatever the program is about."""
THEMES: Final[Sequence[Sequence[type[Command]]]] = (
    (Hold, Wait, Book, LetGo),
    (Hold, Book, Together, Look),
    (Arrive, Undo, Start, MarkNoShows, Move),
    (Move, Look, Cancel),
    (Move, CancelDay),
    tuple(KINDS),
    tuple(KINDS),
)
PLACES: Final = [*({0}, {2}), *({0, 1}, {0, 2}, {1, 2}, {2, 3}, {2, 5}, {3, 4}), {*SLOTS}]
"""The third is booked in the beginning."""


@cache
def command(kind: type[Command], place: int) -> st.SearchStrategy[Command]:
    """Draw a command of this kind, on the slots of this place."""
    return KINDS[kind](st.sampled_from(sorted(PLACES[place])))


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Draw a program of few kinds of commands on few slots, so that what meets is often about the same."""
    place = draw(st.integers(0, len(PLACES) - 1))
    theme = draw(st.sampled_from(THEMES))
    kinds = draw(st.lists(st.sampled_from(theme), min_size=2, max_size=4, unique=True))
    errand = st.builds(Errand, st.one_of([command(kind, place) for kind in kinds]), st.integers(1, 3))
    lane = st.lists(errand, min_size=1, max_size=3).map(tuple)
    before = st.lists(st.one_of([command(kind, place) for kind in (*BEFORE, *kinds)]), max_size=2).map(tuple)
    return Program(
        lanes=draw(st.lists(lane, min_size=2, max_size=4).map(tuple)),
        faults=draw(FAULTS),
        before=(*draw(st.sampled_from(SITUATIONS)), *draw(before)),
        early=draw(EARLY),
        ahead=draw(AHEAD),
    )


@dataclass(frozen=True, slots=True)
class Guards:
    """What keeps a clinic from harm; a test that leaves one out says what it is for."""

    database: Callable[[Clock, Transactions], SharedDatabase] = SharedDatabase
    cache: Callable[[Clock, Weather], ShakenCache] = ShakenCache
    runs: type[RecordedRuns] = RecordedRuns


def scene_of(
    random: Random, weather: Weather, now: datetime, *, ahead: timedelta = timedelta(), guards: Guards = Guards()
) -> Scene:
    """Return a clinic without people."""
    shared, own = FakeClock(now), FakeClock(now + ahead)
    database = guards.database(shared, lambda kept, locks: ShakenTransaction(kept, locks, weather, scene.note))
    cache = guards.cache(own, weather)
    clinic = Clinic(database, cache, clock=own, new_id=lambda: UUID(int=random.getrandbits(128)), runs=guards.runs)
    scene = Scene(clinic, database, shared)
    return scene


@cache
def beginning() -> Scene:
    """Return the clinic as every program finds it: people and slots are there, one of them booked."""
    random = Random("beginning")  # noqa: S311 - no number of a schedule, so that no id is drawn again
    scene = scene_of(random, Weather(random), NOW)
    clinic = scene.clinic

    async def fill() -> None:
        patients = [await clinic.user() for _ in PATIENTS]
        doctors = [await clinic.doctor() for _ in DOCTORS]
        admins = [await clinic.user(Role.ADMIN) for _ in ADMINS]
        scene.people = [*patients, *(scene.database.kept.accounts[one.id].user for one in doctors), *admins]
        after = (0 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, DAY, DAY + 30 * MINUTE)
        scene.slots = [await clinic.slot(doctors[place == 1], TOMORROW + later) for place, later in enumerate(after)]
        await scene.call(Book(0, 2, "before"))

    run(random, fill())
    return scene


def play(program: Program, schedule: int, guards: Guards = Guards()) -> Scene:
    """Let everybody do at once what they want, in the order that the schedule says, and return what came of it."""
    random = Random(schedule)  # noqa: S311 - it is not a secret
    weather = Weather(random)
    scene = scene_of(random, weather, TOMORROW - program.early, ahead=program.ahead, guards=guards)
    scene.begin_as(beginning())

    async def follow(lane: tuple[Errand, ...]) -> None:
        for errand in lane:
            for _ in range(errand.tries):
                if await scene.call(errand.command) in {Outcome.DONE, Outcome.REFUSED}:
                    break

    async def all_of_it() -> None:
        for command in program.before:
            await scene.call(command)
        weather.faults = program.faults
        await asyncio.gather(*(follow(lane) for lane in program.lanes))
        weather.faults = ()
        await asyncio.sleep(2 * LONGEST)  # so that late commits have arrived
        while await scene.clinic.can.record_events(actor=SYSTEM):
            pass
        await scene.call(Look())
        scene.wait(2 * LONGEST_KEPT)
        await scene.call(Look())
        scene.free = frozenset(slot.id for slot in await scene.clinic.free())

    run(random, all_of_it())
    scene.faults = weather.struck
    return scene
