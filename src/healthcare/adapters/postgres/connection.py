"""Connections that go on listening between statements."""

import socket
from asyncio import Future, TimerHandle, get_running_loop
from contextlib import suppress
from time import monotonic
from typing import Any, Final, TypeVar

from psycopg import AsyncConnection
from psycopg.abc import PQGen
from psycopg.errors import Diagnostic
from psycopg.pq import ConnStatus, TransactionStatus
from psycopg.rows import DictRow
from psycopg.waiting import Ready, Wait

R = TypeVar("R")

FOREVER: Final = 0.0
"""Whoever sends a statement bounds it; see `sever_at`."""
WARNING: Final = "01000"


class ListeningConnection(AsyncConnection[DictRow]):
    """Lets the event loop watch its socket as long as it lives.

    psycopg has it watched anew for each statement, beside a timer. With uvloop that is a dozen calls of the kernel, and
    half of what a statement takes of the process.
    """

    _watched: int | None = None
    """The socket, while the event loop watches it."""
    _wakes: Future[Ready] | None = None
    """Whoever waits for the server."""
    warned: bool = False
    """Whether the server has warned of something; for whoever wants to know, to set back before."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - handed on as they come
        """Take what psycopg has connected."""
        super().__init__(*args, **options)
        self.add_notice_handler(self._heed)

    async def wait(self, gen: PQGen[R], interval: float = FOREVER, timeout: float | None = None) -> R:  # noqa: ARG002, ASYNC109 - psycopg's signature
        """Take what is to be done with the server to its end.

        Whoever is cancelled meanwhile takes the connection along: psycopg would ask the server to cancel, and wait for
        up to ten seconds for one that does not answer.
        """
        if timeout is not None:
            raise NotImplementedError("a wait that ends by itself")
        try:
            wanted = next(gen)
            while True:
                wanted = gen.send(await self._ready(wanted))
                self._look_away()  # there may have been an error, and after one uvloop watches no more
        except StopIteration as end:
            result: R = end.value
            return result
        except BaseException:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                await self.close()
            raise
        finally:
            if self.pgconn.status != ConnStatus.OK:
                self._look_away()  # libpq has closed the socket, and the next to be opened gets its number

    def sever_at(self, end: float) -> TimerHandle:
        """Cut the line at `end` (of `time.monotonic`), unless the timer is cancelled before."""
        return get_running_loop().call_later(end - monotonic(), self.sever)

    def sever(self) -> None:
        """Cut the line: whoever waits for the server gets an error at once."""
        if not self.closed:
            with socket.socket(fileno=socket.dup(self.fileno())) as line, suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)  # unless the server was faster
            if self._wakes:
                self._wake(Ready.R)

    async def close(self) -> None:
        """Hang up; whoever waits for the server is told."""
        self._look_away()
        await super().close()
        if self._wakes:
            self._wake(Ready.NONE)

    async def _ready(self, wanted: Wait) -> Ready:
        loop = get_running_loop()
        if self._watched is None:
            self._watched = self.pgconn.socket
            loop.add_reader(self._watched, self._wake, Ready.R)
        writes = wanted & Wait.W
        if writes:
            loop.add_writer(self._watched, self._wake, Ready.W)
        self._wakes = loop.create_future()
        try:
            return await self._wakes
        finally:
            self._wakes = None
            if writes and self._watched is not None:
                loop.remove_writer(self._watched)

    def _wake(self, ready: Ready) -> None:
        if self._wakes is None:
            self._look_away()  # the server says something that nobody has asked for: the next statement will read it
        elif not self._wakes.done():
            self._wakes.set_result(ready)

    def _heed(self, notice: Diagnostic) -> None:
        self.warned = self.warned or notice.sqlstate == WARNING

    def _look_away(self) -> None:
        if self._watched is not None:
            loop = get_running_loop()
            loop.remove_reader(self._watched)
            loop.remove_writer(self._watched)
            self._watched = None
