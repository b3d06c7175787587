"""Whatever two commands do to each other, it comes out as if one had followed the other: in every order there is.

A command stops before it finds, locks, looks and commits, and the other goes on as far as the order says: of two
commands with four stops there are 70 orders. Where one has to wait for the other, many orders are one, which is played
once.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations_with_replacement, permutations

import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from healthcare.adapters.postgres import database
from healthcare.adapters.postgres.database import LIMITS, PostgresDatabase
from healthcare.adapters.postgres.scheduling import bookings
from healthcare.adapters.postgres.scheduling.bookings import LOCK, PostgresBookings
from healthcare.application import together
from healthcare.domain.scheduling.asks import Ask
from healthcare.domain.scheduling.diary import Diary
from tests.builders import FakeClock
from tests.clinic import Clinic
from tests.figures import Figures
from tests.integration.races.offices import refused_here
from tests.integration.races.orders import LedSession, Watcher, played
from tests.integration.races.scenes import (
    ACROSS,
    ANNA,
    BEN,
    DOCTOR,
    FAILED,
    HERE,
    NOWHERE,
    THERE,
    Claim,
    Command,
    Outcome,
    Scene,
    book,
    book_hold,
    booked,
    cancel,
    check_in,
    checked_in,
    expire,
    held,
    hold,
    publish,
    release,
    reschedule,
    run_out,
    start,
    take_back,
    undo,
)
from tests.integration.races.test_guards import drop_constraints
from tests.integration.world import World, deadlocks

pytestmark = pytest.mark.anyio

KINDS = (
    "publish",
    "take back",
    "book",
    "hold",
    "book a hold",
    "cancel",
    "reschedule",
    "expire",
    "check-in",
    "start",
)


@dataclass(frozen=True, slots=True)
class Case:
    """What stands in the beginning, and what is asked at once."""

    claims: tuple[Claim, ...]
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        return " and ".join(one.kind for one in self.commands)


def case(*parts: Claim | Command) -> Case:
    """Name what stands, and then what is asked."""
    return Case(
        tuple(one for one in parts if isinstance(one, Claim)), tuple(one for one in parts if isinstance(one, Command))
    )


ONE_SLOT_FOR_TWO = case(book(ANNA), book(BEN))
TWO_SLOTS_AT_ONCE_FOR_ONE = case(book(ANNA), book(ANNA, ACROSS))
MOVED_AND_CHECKED_IN = case(booked(ANNA), reschedule(ANNA, HERE, THERE), check_in(ANNA))
TWO_COME_UPON_ONE_HOLD = case(run_out(ANNA), booked(ANNA, THERE), expire(BEN), check_in(ANNA, THERE))

PAIRS = (
    # Of two who offer the same time one does; where it is offered already, it is free for that once it is taken back.
    case(publish(NOWHERE), publish(NOWHERE)),
    case(publish(), take_back()),
    case(publish(), book(BEN)),
    case(publish(), hold(BEN)),
    case(held(ANNA), publish(), book_hold(ANNA)),
    case(booked(ANNA), publish(), cancel(ANNA)),
    case(booked(ANNA, THERE), publish(), reschedule(ANNA, THERE, HERE)),
    case(run_out(ANNA), publish(), expire(BEN)),
    case(booked(ANNA), publish(), check_in(ANNA)),
    case(booked(ANNA), publish(), start()),
    # A slot is taken back while it is free, or claimed while it is offered.
    case(take_back(), take_back()),
    case(take_back(), book(BEN)),
    case(take_back(), hold(BEN)),
    case(held(ANNA), take_back(), book_hold(ANNA)),
    case(booked(ANNA), take_back(), cancel(ANNA)),
    case(booked(ANNA), take_back(), reschedule(ANNA, HERE, THERE)),
    case(booked(ANNA, THERE), take_back(), reschedule(ANNA, THERE, HERE)),
    case(run_out(ANNA), take_back(), expire(BEN)),
    case(booked(ANNA), take_back(), check_in(ANNA)),
    case(booked(ANNA), take_back(), start()),
    # Two want one slot, or one patient wants two at the same time.
    ONE_SLOT_FOR_TWO,
    TWO_SLOTS_AT_ONCE_FOR_ONE,
    case(book(ANNA), book(ANNA)),
    case(book(ANNA), hold(BEN)),
    case(book(ANNA), hold(ANNA)),
    case(book(ANNA), hold(ANNA, ACROSS)),
    case(held(ANNA), book(BEN), book_hold(ANNA)),
    case(held(ANNA), book(ANNA, ACROSS), book_hold(ANNA)),
    case(booked(ANNA), book(BEN), cancel(ANNA)),
    case(booked(ANNA), book(ANNA, ACROSS), cancel(DOCTOR)),
    case(booked(ANNA), book(BEN), reschedule(ANNA, HERE, THERE)),
    case(booked(ANNA, THERE), book(BEN), reschedule(ANNA, THERE, HERE)),
    case(booked(ANNA, THERE), book(ANNA, ACROSS), reschedule(ANNA, THERE, HERE)),
    case(run_out(ANNA), book(ANNA, ACROSS), expire(BEN)),
    case(booked(ANNA), book(BEN), check_in(ANNA)),
    case(booked(ANNA), book(BEN), start()),
    case(hold(ANNA), hold(BEN)),
    case(hold(ANNA), hold(ANNA)),
    case(hold(ANNA), hold(ANNA, ACROSS)),
    case(held(ANNA), hold(ANNA), hold(ANNA)),
    case(held(ANNA), hold(BEN), book_hold(ANNA)),
    case(held(ANNA), hold(ANNA), book_hold(ANNA)),
    case(booked(ANNA), hold(BEN), cancel(ANNA)),
    case(held(ANNA), hold(ANNA), cancel(DOCTOR)),
    case(booked(ANNA), hold(BEN), reschedule(ANNA, HERE, THERE)),
    case(booked(ANNA, THERE), hold(BEN), reschedule(ANNA, THERE, HERE)),
    case(booked(ANNA, THERE), hold(ANNA), reschedule(ANNA, THERE, HERE)),
    case(run_out(ANNA), hold(ANNA), expire(BEN)),
    case(booked(ANNA), hold(BEN), check_in(ANNA)),
    case(booked(ANNA), hold(BEN), start()),
    # A hold becomes the appointment, and what is asked of an appointment is asked of a hold.
    case(held(ANNA), book_hold(ANNA), book_hold(ANNA)),
    case(held(ANNA), book_hold(ANNA), cancel(ANNA)),
    case(held(ANNA), book_hold(ANNA), reschedule(ANNA, HERE, THERE)),
    case(held(ANNA), booked(BEN, THERE), book_hold(ANNA), reschedule(BEN, THERE, HERE)),
    case(run_out(ANNA), book_hold(ANNA), expire(BEN)),
    case(held(ANNA), book_hold(ANNA), check_in(ANNA)),
    case(held(ANNA), book_hold(ANNA), start()),
    # Whatever is asked of one appointment is asked of it as it is by then, wherever it stands.
    case(booked(ANNA), cancel(ANNA), cancel(DOCTOR)),
    case(booked(ANNA), cancel(DOCTOR), reschedule(ANNA, HERE, THERE)),
    case(booked(ANNA), booked(BEN, THERE), cancel(BEN, THERE), reschedule(ANNA, HERE, THERE)),
    case(run_out(ANNA), cancel(DOCTOR), expire(BEN)),
    case(run_out(ANNA), booked(ANNA, THERE), cancel(DOCTOR, THERE), expire(BEN)),
    case(booked(ANNA), cancel(DOCTOR), check_in(ANNA)),
    case(booked(ANNA), cancel(ANNA), start()),
    case(booked(ANNA), reschedule(ANNA, HERE, THERE), reschedule(ANNA, HERE, THERE)),
    case(booked(ANNA), reschedule(ANNA, HERE, THERE), reschedule(ANNA, HERE, ACROSS)),
    case(booked(ANNA), booked(BEN, THERE), reschedule(ANNA, HERE, THERE), reschedule(BEN, THERE, HERE)),
    case(booked(ANNA, THERE), booked(BEN, ACROSS), reschedule(ANNA, THERE, HERE), reschedule(BEN, ACROSS, HERE)),
    case(booked(ANNA), booked(BEN, ACROSS), reschedule(ANNA, HERE, THERE), reschedule(BEN, ACROSS, HERE)),
    case(run_out(ANNA), booked(BEN, THERE), reschedule(BEN, THERE, HERE), expire(ANNA)),
    case(run_out(ANNA), booked(ANNA, THERE), reschedule(ANNA, THERE, ACROSS), expire(BEN)),
    MOVED_AND_CHECKED_IN,
    case(booked(ANNA), reschedule(ANNA, HERE, THERE), start()),
    # Whoever moves to a slot that they hold gives the hold up.
    case(held(ANNA), booked(ANNA, THERE), reschedule(ANNA, THERE, HERE), book_hold(ANNA)),
    case(held(ANNA), booked(ANNA, THERE), reschedule(ANNA, THERE, HERE), release(ANNA)),
    case(held(ANNA), booked(ANNA, THERE), reschedule(ANNA, THERE, HERE), hold(BEN)),
    # Two come upon one hold that has run out, by its slot or as its patient or their doctor.
    case(run_out(ANNA), expire(ANNA), expire(BEN)),
    case(run_out(ANNA), expire(ANNA, THERE), expire(BEN)),
    TWO_COME_UPON_ONE_HOLD,
    case(run_out(ANNA), booked(ANNA, THERE), expire(BEN), start(THERE)),
    case(booked(ANNA), check_in(ANNA), check_in(ANNA)),
    case(booked(ANNA), check_in(ANNA), start()),
    case(booked(ANNA), start(), start()),
    # The others go the same way as these; here they meet those with whom they have most to do.
    case(held(ANNA), release(ANNA), release(ANNA)),
    case(held(ANNA), release(ANNA), book_hold(ANNA)),
    case(held(ANNA), release(ANNA), hold(ANNA)),
    case(held(ANNA), release(ANNA), hold(BEN)),
    case(held(ANNA), release(ANNA), take_back()),
    case(run_out(ANNA), release(ANNA), expire(BEN)),
    case(checked_in(ANNA), undo(), undo()),
    case(checked_in(ANNA), undo(), check_in(ANNA)),
    case(checked_in(ANNA), undo(), cancel(ANNA)),
    case(checked_in(ANNA), undo(), reschedule(ANNA, HERE, THERE)),
    case(checked_in(ANNA), undo(), start()),
)


@pytest.fixture
def led(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands be led, and let them stand for as long as a busy machine may take."""
    patience = {name: "60s" if name.endswith("timeout") else value for name, value in LIMITS.items()}
    monkeypatch.setattr(database, "LIMITS", patience)
    monkeypatch.setattr(database, "LONGEST_TRANSACTION", 60.0)
    monkeypatch.setattr(together, "LONGEST", 60.0)
    monkeypatch.setattr(database, "Session", LedSession)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where cases are played."""

    clinics: Sequence[Clinic]
    """On one database; each stands for a process, so that no two commands travel together unless they are to."""
    watcher: Watcher

    async def one_after_the_other(self, case: Case, places: Sequence[int]) -> Outcome:
        """Give the commands in this order, each when the one before is done."""
        scene = await Scene.set(self.clinics[0], self.watcher, case.claims)
        answers: dict[int, object] = {}
        for place in places:
            try:
                answers[place] = await case.commands[place].ask(scene)
            except Exception as error:  # noqa: BLE001 - as an answer, it is judged like the others
                answers[place] = error
        return await scene.outcome([answers[place] for place in sorted(answers)], self.watcher)

    async def expected(self, case: Case) -> list[Outcome]:
        """Return how a case comes out where nobody meets anybody, whoever comes first."""
        return [await self.one_after_the_other(case, order) for order in permutations(range(len(case.commands)))]

    async def in_one_run(self, case: Case) -> Outcome:
        """Give the commands in one turn of the loop, so that those travel together who can."""
        scene = await Scene.set(self.clinics[0], self.watcher, case.claims)
        answers = await asyncio.gather(*[one.ask(scene) for one in case.commands], return_exceptions=True)
        return await scene.outcome(answers, self.watcher)

    async def harms(self, case: Case) -> AsyncIterator[Sequence[str]]:
        """Play every order of a case, and say of each what is wrong with it."""
        expected = await self.expected(case)
        refused = refused_here()
        left: list[Sequence[int]] = [()]
        while left:
            given = left.pop()
            scene = await Scene.set(self.clinics[0], self.watcher, case.claims)
            asked = [
                partial(one.ask, replace(scene, clinic=clinic))
                for one, clinic in zip(case.commands, self.clinics, strict=True)
            ]
            done = await played(asked, self.watcher, given)
            left += done.others(given)
            outcome = await scene.outcome(done.answers, self.watcher)
            found = [one for one in outcome.answers if one.startswith(FAILED)]
            if outcome not in expected:
                found.append(f"{outcome} is none of {expected}")
            if (now := refused_here()) != refused:
                found.append("a constraint had to refuse")
                refused = now
            if done.unlocked:
                found.append("an appointment was changed whose slot was not locked")
            yield [f"{case}, in the order {done.order}: {one}" for one in found]


@asynccontextmanager
async def stage(world: World) -> AsyncIterator[Stage]:
    """Open a clinic on PostgreSQL."""
    opened = PostgresDatabase(world.postgres, size=3)
    await opened.open()
    conninfo = make_conninfo("", **world.postgres)
    try:
        async with await AsyncConnection.connect(conninfo, autocommit=True, prepare_threshold=0) as watcher:
            clock = FakeClock()
            yield Stage([Clinic(opened, clock=clock) for _ in range(2)], watcher)
    finally:
        await opened.close()


def test_no_pair_of_commands_is_left_out() -> None:
    asked = {frozenset(command.kind for command in one.commands) for one in PAIRS}

    assert asked >= {frozenset(pair) for pair in combinations_with_replacement(KINDS, 2)}


async def test_every_order_of_two_commands_comes_out_as_one_after_the_other(
    world: World, led: None, figures: Figures
) -> None:
    orders = 0

    try:
        async with stage(world) as on:
            for one in PAIRS:
                async for harms in on.harms(one):
                    orders += 1
                    assert harms == []
    finally:
        figures.add("orders of two commands", operations=orders)

    assert deadlocks(world) == 0


async def test_two_commands_that_travel_in_one_run_come_out_as_one_after_the_other(world: World) -> None:
    async with stage(world) as on:
        for one in PAIRS:
            assert await on.in_one_run(one) in await on.expected(one), str(one)


async def look_no_further(self: PostgresBookings, asked: Sequence[Ask]) -> Diary:
    """Lock the slots on which the appointments stood, and go on wherever they stand by now."""
    found = {
        row["id"]: (row["slot_id"], row["patient_id"])
        for row in await self.session.read(bookings.FIND, {"appointments": [one.appointment for one in asked]})
    }
    parameters = bookings.questions(asked, found)
    await self.session.read(bookings.LOCK, parameters)
    rows = await self.session.read(bookings.LOOK, parameters)
    return bookings.SEEN.decode(rows[0]["seen"]).diary


@dataclass(frozen=True, slots=True)
class Sabotage:
    """A guard, and what comes of it where it is not."""

    where: object
    name: str
    instead: object
    case: Case
    harm: str


SABOTAGES = {
    "slots are not locked": Sabotage(
        bookings, "LOCK", LOCK.replace("ORDER BY id FOR UPDATE),", "),"), ONE_SLOT_FOR_TWO, "is none of"
    ),
    "patients do not queue": Sabotage(
        bookings, "LOCK", LOCK.replace("pg_advisory_xact_lock(key)", "key"), TWO_SLOTS_AT_ONCE_FOR_ONE, "is none of"
    ),
    "what may change is not locked": Sabotage(
        bookings, "LOCK", LOCK.rpartition("FOR UPDATE")[0], TWO_COME_UPON_ONE_HOLD, "is none of"
    ),
    "nothing is begun anew": Sabotage(
        PostgresBookings, "lock", look_no_further, MOVED_AND_CHECKED_IN, "whose slot was not locked"
    ),
}


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("what", SABOTAGES)
async def test_each_lock_is_what_makes_one_follow_the_other(
    world: World, led: None, monkeypatch: pytest.MonkeyPatch, what: str, guarded: bool
) -> None:
    """The constraints are away, so that nothing stands behind the locks."""
    drop_constraints(world)
    sabotage = SABOTAGES[what]
    if not guarded:
        monkeypatch.setattr(sabotage.where, sabotage.name, sabotage.instead)

    async with stage(world) as on:
        found = [harm async for harms in on.harms(sabotage.case) for harm in harms]

    if guarded:
        assert found == []
    else:
        assert any(sabotage.harm in one for one in found)
