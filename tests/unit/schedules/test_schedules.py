"""The orders in which the same things can happen: Hypothesis draws who does what, and a number says in which order.

What fails is a pair, a program and the number of a schedule: `play(program, schedule)` does the same again.
"""

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from tests.examples import LONG
from tests.figures import Figures
from tests.unit.schedules.commands import Book, By, Hold, LetGo
from tests.unit.schedules.judge import violations
from tests.unit.schedules.programs import Guards, Program, play, programs
from tests.unit.schedules.record import commits_of
from tests.unit.schedules.sabotage import HARMS, Harm, at_once
from tests.unit.schedules.scene import Scene

PROGRAMS = 100_000 if LONG else 1_000
ORDERS = 10
"""In how many orders each program is played."""
FIRST = st.integers(0, 2**32)
UNTIL_IT_FAILS = settings(max_examples=1000, database=None, phases=[Phase.generate, Phase.shrink])


def orders(first: int) -> Iterable[int]:
    return range(first, first + ORDERS)


def broken(program: Program, scene: Scene) -> list[str]:
    return list(violations(scene, calm=not program.faults))


def test_no_promise_is_broken_in_any_order(figures: Figures) -> None:
    played = faults = 0

    @settings(max_examples=PROGRAMS)
    @given(programs(), FIRST)
    def look(program: Program, first: int) -> None:
        nonlocal played, faults
        for schedule in orders(first):
            scene = play(program, schedule)
            played, faults = played + 1, faults + scene.faults
            assert broken(program, scene) == [], f"again with: play({program}, {schedule})"

    try:
        look()
    finally:
        figures.add("programs in seeded orders, in memory", operations=played, faults=faults)


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_without_its_guard_a_promise_is_broken_and_the_same_order_breaks_it_again(harm: Harm, seed: int) -> None:
    def breaks(schedule: int, guards: Guards) -> bool:
        return harm.promise in broken(harm.program, play(harm.program, schedule, guards))

    harmful = [schedule for schedule in range(seed, seed + 100) if breaks(schedule, harm.guards)]

    assert harmful
    assert all(breaks(schedule, harm.guards) for schedule in harmful)
    assert not any(breaks(schedule, Guards()) for schedule in harmful)


def test_a_commit_belongs_to_all_whose_asks_travelled_in_it(seed: int) -> None:
    program = at_once(Hold(0, 0), LetGo(By.PATIENT, 0), Book(1, 0, "a"))

    scenes = [play(program, schedule) for schedule in range(seed, seed + 100)]

    assert {len(commit.calls) for scene in scenes for commit in commits_of(scene, [])} == {1, 2, 3}
    assert not any(broken(program, scene) for scene in scenes)


def test_what_fails_shrinks_to_the_least_that_fails(seed: int) -> None:
    harm = HARMS["without locks"]

    def breaks(pair: tuple[Program, int]) -> bool:
        program, first = pair
        return any(harm.promise in broken(program, play(program, one, harm.guards)) for one in orders(first))

    draws = Random(seed)  # noqa: S311 - it is not a secret
    program, first_order = find(st.tuples(programs(), FIRST), breaks, settings=UNTIL_IT_FAILS, random=draws)

    assert breaks((program, first_order))
    commands = [errand.command for lane in program.lanes for errand in lane]
    claims = [one for one in commands if isinstance(one, Book | Hold)]
    assert len(commands) == len(claims) == 2
    assert len({one.slot for one in claims}) == 1
