"""Calls that travel together, and the same with one of their guards taken away."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthcare.application import together as module
from healthcare.application.deadline import answer_within
from healthcare.application.scheduling.decide import DecideTogether
from healthcare.application.together import LANES, MOST_IN_RUN, MOST_WAITING, SLOW, TOO_LATE, Run, Together
from healthcare.application.uow import Busy, OutcomeUnknown, Unavailable
from healthcare.domain.kernel import Conflict, Refusal
from healthcare.domain.scheduling.asks import Ask, Booking
from healthcare.domain.scheduling.diary import Diary
from healthcare.domain.scheduling.errors import SlotTaken
from healthcare.domain.scheduling.model import Appointment, Slot
from tests.builders import an_actor
from tests.clinic import Clinic

T = TypeVar("T")

pytestmark = pytest.mark.anyio


class Runs:
    """A call for many that says of each who asked, refuses odd numbers, and fails when it is told to."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.failure: Callable[[Sequence[int]], BaseException | None] = lambda _: None

    async def __call__(self, asked: Sequence[int]) -> list[str | Refusal]:
        self.seen.append(list(asked))
        await self.go_on.wait()
        if failure := self.failure(asked):
            raise failure
        return [Conflict(str(one)) if one % 2 else f"for {one}" for one in asked]


async def outcome(together: "Together[int, str]", ask: int) -> str:
    """Return the answer, or what was raised in its place."""
    try:
        return await together(ask)
    except Refusal as refusal:
        return f"no to {refusal}"
    except (Unavailable, OutcomeUnknown) as failure:
        return type(failure).__name__


async def settle() -> None:
    """Let everybody go on who can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_asks_alone_waits_for_nobody() -> None:
    runs = Runs()

    assert await outcome(Together(runs), 2) == "for 2"
    assert runs.seen == [[2]]


async def test_those_who_ask_in_one_turn_of_the_loop_travel_in_one_run() -> None:
    runs = Runs()
    together = Together(runs)

    answers = await asyncio.gather(*(outcome(together, one) for one in range(4)))

    assert runs.seen == [[0, 1, 2, 3]]
    assert answers == ["for 0", "no to 1", "for 2", "no to 3"]


async def test_who_asks_while_every_lane_is_busy_travels_in_the_next_run() -> None:
    runs = Runs()
    together = Together(runs)
    runs.go_on.clear()
    asking = []
    for one in range(LANES + 3):
        asking.append(asyncio.create_task(outcome(together, 2 * one)))
        await settle()

    runs.go_on.set()
    answers = await asyncio.gather(*asking)

    assert [len(run) for run in runs.seen] == [1] * LANES + [3]
    assert answers == [f"for {2 * one}" for one in range(LANES + 3)]


async def test_a_second_run_sets_off_beside_the_first_when_as_many_want_to_travel() -> None:
    runs = Runs()
    together = Together(runs)
    runs.go_on.clear()
    asking = [asyncio.create_task(outcome(together, 0)) for _ in range(3)]
    await settle()
    sizes = []
    for _ in range(3):
        asking.append(asyncio.create_task(outcome(together, 2)))
        await settle()
        sizes.append([len(run) for run in runs.seen])

    runs.go_on.set()
    await asyncio.gather(*asking)

    assert sizes == [[3], [3], [3, 3]]


async def test_beside_a_slow_run_one_sets_off_with_whoever_there_is() -> None:
    runs = Runs()
    together = Together(runs)
    runs.go_on.clear()
    asking = [asyncio.create_task(outcome(together, 0)) for _ in range(3)]
    await settle()
    asking.append(asyncio.create_task(outcome(together, 2)))
    await settle()
    waiting = list(runs.seen)
    await asyncio.sleep(2 * SLOW)

    assert (waiting, runs.seen) == ([[0, 0, 0]], [[0, 0, 0], [2]])
    runs.go_on.set()
    await asyncio.gather(*asking)


async def test_the_next_run_is_on_its_way_before_those_of_the_last_are_answered() -> None:
    runs = Runs()
    together = Together(runs)
    runs.go_on.clear()
    under_way = []

    async def ask(one: int) -> None:
        await together(one)
        under_way.append(list(runs.seen))

    asking = [asyncio.create_task(ask(0)) for _ in range(3)]
    await settle()
    asking.append(asyncio.create_task(ask(2)))
    await settle()

    runs.go_on.set()
    await asyncio.gather(*asking)

    assert under_way[0] == [[0, 0, 0], [2]]


async def test_a_run_has_a_limit_and_so_has_the_queue() -> None:
    runs = Runs()
    together = Together(runs)
    runs.go_on.clear()
    places = LANES * MOST_IN_RUN + MOST_WAITING
    asking = [asyncio.create_task(outcome(together, 0)) for _ in range(MOST_WAITING)]
    await settle()
    asking += [asyncio.create_task(outcome(together, 0)) for _ in range(places - MOST_WAITING)]
    await settle()

    assert await outcome(together, 0) == "Busy"
    runs.go_on.set()
    assert set(await asyncio.gather(*asking)) == {"for 0"}
    assert max(map(len, runs.seen)) == MOST_IN_RUN


async def test_a_run_that_one_of_it_spoils_is_repeated_one_by_one() -> None:
    runs = Runs()
    runs.failure = lambda asked: SlotTaken() if 4 in asked else None

    together = Together(runs)
    answers = await asyncio.gather(*(outcome(together, one) for one in (2, 4, 5, 6)))

    assert runs.seen == [[2, 4, 5, 6], [2], [4], [5], [6]]
    assert answers == ["for 2", f"no to {SlotTaken()}", "no to 5", "for 6"]


@pytest.mark.parametrize("failure", [Unavailable, OutcomeUnknown])
async def test_a_run_that_was_not_answered_is_not_repeated(failure: type[Exception]) -> None:
    runs = Runs()
    runs.failure = lambda _: failure()
    together = Together(runs)

    answers = await asyncio.gather(*(outcome(together, one) for one in (2, 4)))

    assert runs.seen == [[2, 4]]
    assert answers == [failure.__name__] * 2


async def test_a_run_that_did_not_get_its_locks_is_repeated_one_by_one() -> None:
    runs = Runs()
    runs.failure = lambda asked: Busy() if 4 in asked else None
    together = Together(runs)

    assert await asyncio.gather(*(outcome(together, one) for one in (2, 4))) == ["for 2", "Busy"]


async def test_who_leaves_before_the_run_sets_off_has_asked_for_nothing() -> None:
    runs = Runs()
    together = Together(runs)
    runs.go_on.clear()
    under_way = []
    for _ in range(LANES):
        under_way.append(asyncio.create_task(outcome(together, 0)))
        await settle()
    leaving, staying = (asyncio.create_task(outcome(together, one)) for one in (8, 10))
    await settle()

    leaving.cancel()
    runs.go_on.set()

    assert await staying == "for 10"
    assert all(8 not in run for run in runs.seen)
    assert set(await asyncio.gather(*under_way)) == {"for 0"}


async def test_who_leaves_after_the_run_has_set_off_stops_nobody_else() -> None:
    runs = Runs()
    together = Together(runs)
    runs.go_on.clear()
    leaving, staying = (asyncio.create_task(outcome(together, one)) for one in (2, 4))
    await settle()

    leaving.cancel()
    await settle()
    runs.go_on.set()

    assert await staying == "for 4"
    assert runs.seen == [[2, 4]]


async def test_who_has_too_little_time_left_cuts_nobody_short() -> None:
    runs = Runs()
    together = Together(runs)

    async def late() -> str:
        with answer_within(module.TOO_LATE / 2):
            return await outcome(together, 2)

    answers: list[str] = await asyncio.gather(*[late(), outcome(together, 4)])

    assert answers == ["Busy", "for 4"]
    assert runs.seen == [[4]]


async def test_who_has_less_time_than_the_runs_before_them_is_told_in_time() -> None:
    runs = Runs()
    together = Together(runs)
    runs.go_on.clear()
    asking = [asyncio.create_task(outcome(together, 0))]
    await settle()
    asking += [asyncio.create_task(outcome(together, 0)) for _ in range(LANES - 1)]
    await settle()

    with answer_within(TOO_LATE + 0.1):
        async with asyncio.timeout(TOO_LATE):
            assert await outcome(together, 2) == "Busy"

    runs.go_on.set()
    assert set(await asyncio.gather(*asking)) == {"for 0"}
    assert runs.seen == [[0]] * LANES


async def test_who_has_the_least_time_goes_first_when_a_run_is_repeated() -> None:
    runs = Runs()
    together = Together(runs)
    runs.failure = lambda asked: Busy("somebody holds a lock") if len(asked) > 1 else None

    async def asks(one: int, seconds: float) -> str:
        with answer_within(seconds):
            return await outcome(together, one)

    answers: list[str] = await asyncio.gather(*[asks(0, 3), asks(2, 1), asks(4, 2)])

    assert runs.seen == [[0, 2, 4], [2], [4], [0]]
    assert answers == ["for 0", "for 2", "for 4"]


async def test_a_run_that_is_broken_off_leaves_nobody_waiting() -> None:
    runs = Runs()
    together = Together(runs)
    runs.go_on.clear()
    asking = [asyncio.create_task(outcome(together, one)) for one in (2, 4)]
    await settle()

    (run,) = together._runs.values()  # noqa: SLF001 - what a shutdown does
    run.cancel()

    assert await asyncio.gather(*asking) == ["OutcomeUnknown"] * 2
    runs.go_on.set()
    assert await outcome(together, 6) == "for 6"


def everybody_is_told_what_they_asked(kind: "type[Together[int, str]]") -> None:
    """Let many ask at several moments, and compare."""

    @given(st.lists(st.lists(st.integers(0, 9), max_size=8), max_size=4))
    def check(moments: list[list[int]]) -> None:
        async def ask() -> None:
            together = kind(Runs())
            asking = []
            for moment in moments:
                asking += [(one, asyncio.create_task(outcome(together, one))) for one in moment]
                await asyncio.sleep(0)
            for one, task in asking:
                assert await task == (f"no to {one}" if one % 2 else f"for {one}")

        asyncio.run(ask())

    check()


def test_everybody_is_told_what_they_asked() -> None:
    everybody_is_told_what_they_asked(Together)


class MixesAnswersUp(Together[int, str]):
    """Gives the answers to those who asked in another order."""

    async def _travel(self, run: Run[int, str]) -> None:
        people = [replace(one, ask=other.ask) for one, other in zip(run.people, reversed(run.people), strict=True)]
        await super()._travel(Run(people))


class RefusesAll(Together[int, str]):
    """Lets a refusal take its whole run down."""

    async def _travel(self, run: Run[int, str]) -> None:
        answers = await self._many([one.ask for one in run.people])
        if refusals := [answer for answer in answers if isinstance(answer, Refusal)]:
            for one in run.people:
                one.fail(refusals[0])
        else:
            await super()._travel(run)


@pytest.mark.parametrize("kind", [MixesAnswersUp, RefusesAll])
def test_the_check_sees_a_run_that(kind: "type[Together[int, str]]") -> None:
    with pytest.raises(AssertionError):
        everybody_is_told_what_they_asked(kind)


class ForgetsItsDecisions(DecideTogether):
    """Decides each of a run as if it were the first."""

    def _decide(self, diary: Diary, ask: Ask) -> Appointment | Slot | Refusal:
        return super()._decide(replace(diary, appointments=dict(diary.seen)), ask)


async def winners(clinic: Clinic, together: DecideTogether) -> int:
    """Let two patients want one slot in one run, and return how many are told that they have it."""
    slot = await clinic.slot()
    asked = [Booking(actor=an_actor((await clinic.user()).id), slot=slot.id, key="key") for _ in range(2)]
    try:
        answers = await together(asked)
    except SlotTaken:
        return 2  # both were told so, and only the constraint has kept it from being kept
    return sum(isinstance(one, Appointment) for one in answers)


async def test_of_two_in_one_run_who_want_one_slot_one_gets_it() -> None:
    clinic = Clinic()

    assert await winners(clinic, clinic.together) == 1


async def test_the_check_sees_a_run_that_forgets_its_decisions() -> None:
    clinic = Clinic()

    assert await winners(clinic, ForgetsItsDecisions(clinic.begin, clinic.cache, clinic.happened)) == 2
