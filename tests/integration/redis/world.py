"""A world in which searches, changes and accidents race, and a judge who knows what each reader must at least see."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import count
from typing import Final, Literal

from hypothesis import strategies as st
from redis.asyncio import Redis

from healthcare.adapters.embedded.servers import RedisAddress
from healthcare.adapters.redis.cache import RedisSearchCache
from healthcare.adapters.redis.names import token_name
from healthcare.adapters.system import SystemClock
from healthcare.domain.kernel import Paging
from healthcare.domain.scheduling.ports import Found
from healthcare.domain.scheduling.search import Search, Touched

DAYS: Final = (date(2031, 3, 1), date(2031, 3, 2))
numbers = count()

Kind = Literal["search", "change one day", "change all", "flush", "lose a token", "spoil a token"]


@dataclass(frozen=True, slots=True)
class Step:
    """What a client does after a pause; all times are in milliseconds."""

    kind: Kind
    pause: int = 0
    process: int = 0
    day: int = 0
    page: int = 1
    query: tuple[int, int] = (0, 0)
    """How long a query takes before it sees the data, and after that."""


Program = list[list[Step]]
"""Several clients, each of whom takes one step after the other."""
Play = Callable[[Program], list[str]]
"""Returns the stale answers that somebody got."""


def programs(*, accidents: bool) -> st.SearchStrategy[Program]:
    """Draw what several clients do."""
    kinds: list[Kind] = ["search", "search", "search", "change one day", "change all"]
    if accidents:
        kinds += ["flush", "lose a token", "spoil a token"]
    milliseconds = st.integers(0, 3)
    steps = st.builds(
        Step,
        st.sampled_from(kinds),
        milliseconds,
        process=st.integers(0, 1),
        day=st.integers(0, 1),
        page=st.integers(1, 2),
        query=st.tuples(milliseconds, milliseconds),
    )
    return st.lists(st.lists(steps, min_size=2, max_size=8), min_size=2, max_size=6)


class World:
    """Data that change, and caches of several processes in front of them."""

    def __init__(self, caches: Sequence[RedisSearchCache], accidents: Redis) -> None:
        self._caches, self._accidents = caches, accidents
        self._specialty = f"specialty-{next(numbers)}"
        self._data = [0, 0]
        self._known = [0, 0]
        """What whoever begins to search now must at least see: changes whose writers have been answered."""
        self._stale: list[str] = []

    async def play(self, program: Program) -> list[str]:
        """Let the clients race, and return the stale answers."""
        await asyncio.gather(*(self._follow(steps) for steps in program))
        return self._stale

    async def _follow(self, steps: Sequence[Step]) -> None:
        for step in steps:
            await asyncio.sleep(step.pause / 1000)
            token = token_name(Touched(self._specialty, DAYS[step.day]))
            match step.kind:
                case "search":
                    await self._search(step)
                case "change one day":
                    await self._change(step, [step.day], Touched(self._specialty, DAYS[step.day]))
                case "change all":
                    await self._change(step, [0, 1], Touched(self._specialty))
                case "flush":
                    await self._accidents.flushall()
                case "lose a token":
                    await self._accidents.delete(token)
                case "spoil a token":
                    await self._accidents.set(token, b"nonsense")

    async def _search(self, step: Step) -> None:
        before, after = step.query
        known = self._known[step.day]

        async def make() -> Found:
            await asyncio.sleep(before / 1000)
            seen = self._data[step.day]
            await asyncio.sleep(after / 1000)
            return Found(str(seen).encode(), None)

        search = Search(self._specialty, DAYS[step.day], paging=Paging(step.page))
        got = int(await self._caches[step.process].answer(search, make))
        if got < known:
            self._stale.append(f"{step} got {got}, but {known} was known when it began")

    async def _change(self, step: Step, days: Sequence[int], touched: Touched) -> None:
        for day in days:
            self._data[day] += 1
        committed = list(self._data)
        await self._caches[step.process].forget({touched})
        for day in days:
            self._known[day] = max(self._known[day], committed[day])


@contextmanager
def playing(address: RedisAddress, kind: type[RedisSearchCache]) -> Iterator[Play]:
    """Let programs be played with caches of this kind: two processes that share a Redis."""
    with asyncio.Runner() as runner:
        accidents = Redis(host=address.host, port=address.port)
        caches = [kind(host=address.host, port=address.port, clock=SystemClock()) for _ in range(2)]
        try:
            # Hypothesis runs the same program again and again: each time in a world of its own.
            yield lambda program: runner.run(World(caches, accidents).play(program))
        finally:
            for each in caches:
                runner.run(each.close())
            runner.run(accidents.aclose())
