"""Calls that arrive together travel together: a call for one, made of a call for many."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from time import monotonic
from typing import Final, Generic, TypeVar

from healthcare.application.deadline import answer_within, remaining
from healthcare.application.uow import Busy, OutcomeUnknown, Unavailable
from healthcare.domain.kernel import Refusal

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")

LANES: Final = 2
"""Runs at a time: what one that waits for a lock holds up, the other lets pass."""
SLOW: Final = 0.02
"""Seconds after which a run is taken for one that waits for a lock."""
MOST_IN_RUN: Final = 64
MOST_WAITING: Final = 1024
LONGEST: Final = 3.0
"""Seconds for one who asks without a deadline."""
TOO_LATE: Final = 0.25
"""Seconds that must be left to whoever sets off: with less, the whole run would be cut short for their sake."""


@dataclass(frozen=True, slots=True, eq=False)
class Waiting(Generic[Ask, Answer]):
    """One who asks."""

    ask: Ask
    answer: "asyncio.Future[Answer]"
    end: float
    """Of `time.monotonic`: when they must have been answered."""
    context: Context
    """In which they asked: logs and traces of the run belong to the first who travels in it."""

    @property
    def left(self) -> float:
        """How many seconds there are."""
        return self.end - monotonic()

    def fail(self, failure: Exception) -> None:
        """Tell them what went wrong, unless they no longer wait."""
        if not self.answer.done():
            self.answer.set_exception(failure)


@dataclass(slots=True, eq=False)
class Run(Generic[Ask, Answer]):
    """Those who travel, and whether it has taken so long that it must be waiting for a lock."""

    people: Sequence[Waiting[Ask, Answer]]
    slow: bool = False


class Together(Generic[Ask, Answer]):
    """Whoever asks while a run is under way travels in the next one; alone, nobody waits.

    The next one sets off when the one before has arrived, or beside it as soon as as many want to travel: what a run
    costs is mostly the same for one and for ten. Beside a slow one it sets off with whoever there is.

    A run that fails, and of which nothing was kept, is repeated one by one: then each can only fail for itself. Whoever
    stops waiting stops nobody else, and has asked for nothing unless their run has already set off.
    """

    def __init__(self, many: Callable[[Sequence[Ask]], Awaitable[Sequence[Answer | Refusal]]]) -> None:
        """Take the call for many, which returns an answer or a refusal for each, in order."""
        self._many = many
        self._queue: deque[Waiting[Ask, Answer]] = deque()
        self._runs: dict[Run[Ask, Answer], asyncio.Task[None]] = {}
        self._called = False

    async def __call__(self, ask: Ask) -> Answer:
        """Ask, and wait for the answer.

        Raises:
            Refusal: the answer is no.
            Busy: too many wait, or it took too long until the run could set off; nothing happened.
            Unavailable, OutcomeUnknown: as for the run.
        """
        if len(self._queue) >= MOST_WAITING:
            raise Busy("too many wait for their turn")
        loop = asyncio.get_running_loop()
        one: Waiting[Ask, Answer] = Waiting(ask, loop.create_future(), monotonic() + remaining(LONGEST), copy_context())
        self._queue.append(one)
        # Runs that have set off may last longer than this one can wait.
        patience = loop.call_later(one.left - TOO_LATE, self._give_up, one)
        if not self._called and len(self._runs) < LANES:
            # Not at once: others may be about to ask in this same turn of the loop.
            loop.call_soon(self._set_off)
            self._called = True
        try:
            return await one.answer
        finally:
            patience.cancel()

    def _give_up(self, one: Waiting[Ask, Answer]) -> None:
        if one in self._queue:
            one.fail(Busy("it took too long until it was their turn"))

    def _set_off(self) -> None:
        self._called = False
        while self._may_set_off() and (people := self._next_run()):
            self._send(Run(people))

    def _send(self, run: Run[Ask, Answer]) -> None:
        self._runs[run] = task = run.people[0].context.run(asyncio.create_task, self._travel(run))
        task.add_done_callback(lambda _: self._arrived(run))
        asyncio.get_running_loop().call_later(SLOW, self._is_slow, run)

    def _may_set_off(self) -> bool:
        return len(self._runs) < LANES and all(run.slow or len(run.people) <= len(self._queue) for run in self._runs)

    def _is_slow(self, run: Run[Ask, Answer]) -> None:
        run.slow = True
        self._set_off()

    def _arrived(self, run: Run[Ask, Answer]) -> None:
        self._runs.pop(run, None)
        self._set_off()

    def _next_run(self) -> list[Waiting[Ask, Answer]]:
        people: list[Waiting[Ask, Answer]] = []
        while self._queue and len(people) < MOST_IN_RUN:
            one = self._queue.popleft()
            if one.answer.done():
                continue  # they have left
            if one.left < TOO_LATE:
                one.fail(Busy("it took too long until it was their turn"))
            else:
                people.append(one)
        return people

    async def _travel(self, run: Run[Ask, Answer]) -> None:
        try:
            with answer_within(min(one.left for one in run.people)):
                answers = await self._many([one.ask for one in run.people])
        except Exception as failure:  # noqa: BLE001 - each is told what went wrong with the run
            await self._failed(run.people, failure)
        except BaseException:
            for one in run.people:
                one.fail(OutcomeUnknown("the run was broken off"))
            raise
        else:
            self._arrived(run)  # the next one is on its way while these are answered
            for one, answer in zip(run.people, answers, strict=True):
                if isinstance(answer, Refusal):
                    one.fail(answer)
                elif not one.answer.done():
                    one.answer.set_result(answer)

    async def _failed(self, people: Sequence[Waiting[Ask, Answer]], failure: Exception) -> None:
        unanswered = isinstance(failure, (Unavailable, OutcomeUnknown)) and not isinstance(failure, Busy)
        if unanswered or len(people) == 1:
            for one in people:
                one.fail(failure)
            return
        for one in sorted(people, key=lambda one: one.end):  # so that nobody waits for somebody who may take longer
            if not one.answer.done():
                await self._travel(Run([one]))
