"""One connection to Redis that everybody in this process shares: what is asked meanwhile goes out together.

A client with a pool takes some 100 µs of processor time for a question, which is more than all the rest of a search
that finds its answer in this process; this takes a few.
"""

import asyncio
from collections import deque
from collections.abc import Collection
from functools import lru_cache
from time import monotonic
from typing import Any, Final, cast

import hiredis
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import ResponseError

GRACE: Final = 0.02
"""Seconds more for an answer that may be here already, and only not read: where this process itself stood still."""


class Line(asyncio.Protocol):
    """An open connection. Redis answers in the order of the questions."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._unsent: list[bytes] = []
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self.lost = False

    def ask(self, question: bytes) -> "asyncio.Future[Any]":
        """Send a question at the end of this turn of the loop, with all others of this turn."""
        answer = self._loop.create_future()
        if self.lost:  # since it was opened for whoever asks, who waited for that
            answer.set_exception(Disconnected("the connection was lost"))
            return answer
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(question)
        self._waiting.append((answer, monotonic()))
        if self._watch is None:
            self._watch = self._loop.call_later(self._patience, self._look)
        return answer

    def hang_up(self, reason: Exception) -> None:
        """End the connection, and everybody's waiting: nobody could tell an answer that comes late from the next."""
        self.lost = True
        if self._watch:
            self._watch.cancel()
        self._transport.abort()
        while self._waiting:
            answer, _ = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(reason)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Redis has hung up, or we have."""
        self.hang_up(Disconnected(str(exc or "the connection was closed")))

    def data_received(self, data: bytes) -> None:
        """Hand the answers to those who wait for them; who has left gets none."""
        try:
            self._reader.feed(data)
            while (found := self._reader.gets()) is not False:
                answer, _ = self._waiting.popleft()
                if answer.done():
                    continue
                if isinstance(found, hiredis.ReplyError):
                    answer.set_exception(ResponseError(str(found)))
                else:
                    answer.set_result(found)
        except (hiredis.ProtocolError, IndexError):
            self.hang_up(Disconnected("what came is no answer to what was asked"))

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        if not self.lost:
            self._transport.write(b"".join(unsent))

    def _look(self, *, again: bool = False) -> None:
        self._watch = None
        if not self._waiting:
            return
        left = self._waiting[0][1] + self._patience - monotonic()
        if left > 0:
            self._watch = self._loop.call_later(left, self._look)
        elif not again:
            self._watch = self._loop.call_later(GRACE, lambda: self._look(again=True))
        else:
            self.hang_up(TimeoutError())


class SharedLine:
    """The line, which is opened when it is needed, and again after it was lost."""

    def __init__(self, *, host: str, port: int, patience: float) -> None:
        self._host, self._port, self._patience = host, port, patience
        self._line: Line | None = None
        self._opening: asyncio.Task[Line] | None = None

    async def mget(self, names: tuple[str, ...]) -> list[object]:
        """Return the values of these keys.

        Raises:
            TimeoutError: Redis did not answer in time.
            redis.exceptions.ConnectionError: it cannot be reached, or has hung up.
            redis.exceptions.ResponseError: it does not want to say.
        """
        found: list[object] = await self._ask(written("MGET", names))
        return found

    async def get(self, name: str) -> tuple[bytes, int]:
        """Return the value of a key and the milliseconds that are left to it; -2 where there is none.

        Raises:
            TimeoutError, redis.exceptions.RedisError: see `mget`.
        """
        # A transaction, because both speak of the same value.
        found: tuple[bytes, int] = await self._ask(MULTI, written("GET", (name,)), written("PTTL", (name,)), EXEC)
        return found

    async def put(self, name: str, value: bytes, *, milliseconds: int) -> None:
        """Keep the value for so long.

        Raises:
            TimeoutError, redis.exceptions.RedisError: see `mget`.
        """
        await self._ask(hiredis.pack_command(("SET", name, value, "PX", milliseconds)))  # type: ignore[arg-type]  # it takes any number

    async def drop(self, names: Collection[str]) -> None:
        """Delete these keys. Unlike setting them, this works in a Redis that is full.

        Raises:
            TimeoutError, redis.exceptions.RedisError: see `mget`.
        """
        # Not remembered: while Redis is away there are more of them each time, and they are never the same.
        await self._ask(hiredis.pack_command(("DEL", *names)))  # type: ignore[arg-type]  # it takes any number

    async def close(self) -> None:
        """Hang up."""
        if self._opening:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        if self._line and not self._line.lost:
            self._line.hang_up(Disconnected("closed"))

    async def _ask(self, *questions: bytes) -> Any:  # noqa: ANN401 - whoever asks knows what comes
        """Return the answer to the last question."""
        line = self._line
        if line is None or line.lost:
            line = await self._opened()
        for question in questions[:-1]:
            line.ask(question).add_done_callback(unheard)
        return await line.ask(questions[-1])

    async def _opened(self) -> Line:
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._opening)

    async def _open(self) -> Line:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._patience):
                _, self._line = await loop.create_connection(lambda: Line(self._patience), self._host, self._port)
        except OSError as reason:
            raise Disconnected(str(reason)) from None
        return self._line


def unheard(answer: "asyncio.Future[Any]") -> None:
    """Take an answer for which nobody waits: asyncio would complain of an error that nobody has seen."""
    answer.cancelled() or answer.exception()


@lru_cache(maxsize=1024)
def written(command: str, names: tuple[str, ...]) -> bytes:
    """Write the question as Redis reads it (RESP)."""
    return cast("bytes", hiredis.pack_command((command, *names)))  # type: ignore[arg-type]  # it takes any number


MULTI: Final = written("MULTI", ())
EXEC: Final = written("EXEC", ())
