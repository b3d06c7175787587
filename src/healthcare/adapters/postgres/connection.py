"""Connections on which statements travel together, and that go on listening between them."""

import re
import socket
from asyncio import Future, TimerHandle, get_running_loop
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import count
from time import monotonic
from typing import Any, Final, NamedTuple

from psycopg import AsyncConnection, Error, OperationalError
from psycopg.abc import Buffer, Transformer
from psycopg.adapt import PyFormat
from psycopg.adapt import Transformer as Adapting
from psycopg.errors import Diagnostic, error_from_result
from psycopg.pq import ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg.rows import DictRow
from psycopg.waiting import Ready, Wait

from healthcare.adapters.postgres.refusals import READ_ONLY

Parameters = Mapping[str, Any] | Sequence[Any]
Query = tuple[str, Parameters]
"""A statement with placeholders as psycopg has them, and what to put into them."""
Kind = tuple[bytes, tuple[int, ...]]
"""A statement as PostgreSQL has it, and the types of what is put into it."""

PLACEHOLDER: Final = re.compile(r"%(?:%|s|\((?P<name>\w+)\)s)")
MOST_STATEMENTS: Final = 500
DONE: Final = frozenset({ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK})
WARNING: Final = "01000"


class Written(NamedTuple):
    """A query as PostgreSQL takes it."""

    kind: Kind
    values: Sequence[Buffer | None]
    formats: Sequence[Format]


class ListeningConnection(AsyncConnection[DictRow]):
    """Asks the server several things at once, and lets the event loop watch its socket as long as it lives.

    psycopg connects, adapts values and knows the errors. Its cursors take four times as long to ask, and its pipeline
    eight times; for each statement it has the socket watched anew, which with uvloop is a dozen calls of the kernel.
    """

    _watched: int | None = None
    """The socket, while the event loop watches it."""
    _wakes: Future[Ready] | None = None
    """Whoever waits for the server."""
    warned: bool = False
    """Whether the server has warned of something while it was last asked."""
    done: int = 0
    """How many of the statements that it was last asked are known to be executed."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - handed on as they come
        """Take what psycopg has connected."""
        super().__init__(*args, **options)
        self.add_notice_handler(self._heed)
        self._statements = dict[Kind, bytes]()
        """The names of what the server has prepared. None is forgotten: there are some hundred, whatever is asked."""
        self._numbers = count()

    async def ask(self, *queries: Query) -> list[list[DictRow]]:
        """Have statements executed in this order, and return the rows of each; all are sent before any is answered.

        Outside a transaction they are one. Where one fails, those after it are not executed. Whoever is cancelled
        meanwhile takes the connection along: nobody could tell what comes on it next.

        Raises:
            psycopg.Error: that of the one that failed. The connection is closed if it is of no use any more.
        """
        self.warned, self.done, lost = False, 0, None
        adapt = Adapting(self)
        written = [_written(adapt, *query) for query in queries]
        sent, results = list[Kind | None](), list[PGresult]()
        try:
            self.pgconn.enter_pipeline_mode()
            for one in written:
                sent += self._send(one)
            self.pgconn.pipeline_sync()
            await self._hear(results)
            self.pgconn.exit_pipeline_mode()
        except OperationalError as error:
            await self.close()
            lost = error
        except BaseException:
            await self.close()
            raise
        answers = []
        for prepared, result in zip(sent, results, strict=False):  # of what was lost there is none
            done = result.status in DONE
            if done and prepared is None:
                answers.append(result)
            elif prepared and not done:
                del self._statements[prepared]
        self.done = len(answers)
        if failed := next((result for result in results if result.status not in DONE), None):
            failure = error_from_result(failed)
            if failure.sqlstate == READ_ONLY:
                await self.close()  # a new one may lead to the server that has taken over
            raise failure from lost
        if lost:
            raise lost
        return [_rows(adapt, answer) for answer in answers]

    async def roll_back(self) -> None:
        """End what was not committed; a connection that cannot is closed, which does the same."""
        if not self.closed and self.pgconn.transaction_status != TransactionStatus.IDLE:
            try:
                await self.ask(("ROLLBACK", ()))
            except Error:
                await self.close()

    async def wait(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - handed on as they come
        """Take what psycopg does by itself to its end; it watches for itself."""
        self._look_away()
        return await super().wait(*args, **options)

    def sever_at(self, end: float) -> TimerHandle:
        """Cut the line at `end` (of `time.monotonic`), unless the timer is cancelled before."""
        return get_running_loop().call_later(end - monotonic(), self.sever)

    def sever(self) -> None:
        """Cut the line: whoever waits for the server gets an error at once."""
        if not self.closed:
            line = socket.socket(fileno=self.fileno())  # no copy: there may be no descriptor left for one
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)  # unless the server was faster
            line.detach()
            if self._wakes:
                self._wake(Ready.R)

    async def close(self) -> None:
        """Hang up; whoever waits for the server is told."""
        self._look_away()  # first: the next socket to be opened gets the number of this one
        await super().close()
        if self._wakes:
            self._wake(Ready.NONE)

    def _send(self, one: Written) -> list[Kind | None]:
        """Send a query; return for each of its results what it says is prepared, None for the answer."""
        if name := self._statements.get(one.kind):
            self.pgconn.send_query_prepared(name, one.values, one.formats)
            return [None]
        verb = one.kind[0].split(maxsplit=1)[0].lower()  # for whoever reads PostgreSQL's log
        name = self._statements[one.kind] = b"%s_%d" % (verb, next(self._numbers))
        self.pgconn.send_prepare(name, *one.kind)
        self.pgconn.send_query_prepared(name, one.values, one.formats)
        return [one.kind, None]

    async def _hear(self, results: list[PGresult]) -> None:
        """Send what is left, and take the results in, until all is answered."""
        while self.pgconn.flush():
            if await self._ready(Wait.RW) & Ready.R:
                self.pgconn.consume_input()
            self._look_away()
        self.pgconn.consume_input()  # where the line has ended already, uvloop has nothing to say any more
        while True:
            while self.pgconn.is_busy():
                await self._ready(Wait.R)
                self.pgconn.consume_input()
                if self.pgconn.is_busy():
                    self._look_away()  # there may have been an error, and after one uvloop watches no more
            result = self.pgconn.get_result()
            if result and result.status == ExecStatus.PIPELINE_SYNC:
                return
            if result:
                results.append(result)

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


def _written(adapt: Transformer, statement: str, parameters: Parameters) -> Written:
    text, places = _numbered(statement)
    values = [parameters[place] for place in places]
    dumped = adapt.dump_sequence(values, [PyFormat.AUTO] * len(values))
    return Written((text, adapt.types or ()), dumped, adapt.formats or ())


@lru_cache(MOST_STATEMENTS)
def _numbered(statement: str) -> tuple[bytes, list[Any]]:
    """Return a statement with its placeholders numbered, as PostgreSQL has them, and the key or place of each value."""
    places = dict[str | int, int]()

    def number(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        return f"${places.setdefault(found['name'] or len(places), len(places) + 1)}"

    return PLACEHOLDER.sub(number, statement).encode(), list(places)


def _rows(adapt: Transformer, result: PGresult) -> list[DictRow]:
    adapt.set_pgresult(result)
    names = [(result.fname(place) or b"").decode() for place in range(result.nfields)]
    return adapt.load_rows(0, result.ntuples, lambda values: dict(zip(names, values, strict=True)))
