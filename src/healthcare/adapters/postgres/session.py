"""One transaction on one connection."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NoReturn

from psycopg import Error
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow

from healthcare.adapters.postgres.connection import ListeningConnection, Parameters, Query
from healthcare.adapters.postgres.refusals import meaning
from healthcare.adapters.postgres.traces import Traces
from healthcare.application.uow import OutcomeUnknown, Unavailable

Begin = Callable[..., Awaitable[tuple[ListeningConnection, list[list[DictRow]]]]]
"""Begins a transaction, and returns its connection and the answers to the first queries in it.

Where the connection breaks meanwhile, it begins another, on another connection.
"""

NO_ANSWER: Final = ("08", "25P04", "57")
"""Classes of errors after which it is open whether a commit was kept: the connection or the server ended."""


class Session:
    """Runs statements, and remembers what commit and the caller must know."""

    def __init__(self, begin: Begin, traces: Traces | None = None) -> None:
        """Take what begins the transaction, once there is something to do in it."""
        self._begin, self._traces = begin, traces
        self._connection: ListeningConnection | None = None
        self._unsent = list[Query]()
        self.changed = False
        """Whether anything was written: what was only read needs no commit."""
        self.announced = False
        """Whether an event was put into the outbox."""

    @property
    def parent(self) -> str | None:
        """What events are to name as the one they come from."""
        return self._traces.parent() if self._traces else None

    def go_on(self, parents: Iterable[str | None]) -> None:
        """Show the rest of this transaction where the events come from that it is about."""
        if self._traces:
            self._traces.go_on(parent for parent in parents if parent)

    async def read(self, statement: str, parameters: Parameters = (), *, after: str | None = None) -> list[DictRow]:
        """Run a statement that changes nothing, though it may lock; return its rows.

        `after` is another with the same parameters, which is run before.
        """
        before = [(after, parameters)] if after else []
        return (await self._ask(*before, (statement, parameters)))[-1]

    async def write(self, statement: str, parameters: Parameters = ()) -> list[DictRow]:
        """Run a statement that changes something; return the rows that it returns."""
        self.changed = True
        return await self.read(statement, parameters)

    def write_later(self, statement: str, parameters: Parameters) -> None:
        """Have a statement that changes something travel with the next, or with the commit; they tell how it fails."""
        self.changed = True
        self._unsent.append((statement, parameters))

    async def begin_anew(self) -> None:
        """Give all locks back, and begin another transaction in the place of this one, which must not have written."""
        if self.changed:
            raise RuntimeError("what was written would be lost")
        await self._ask(("ROLLBACK AND CHAIN", ()))

    async def commit(self) -> None:
        """Keep what was written.

        Raises:
            OutcomeUnknown: nobody can tell whether it is kept, or it is kept only until the next failover.
            Unavailable: PostgreSQL refused, and nothing is kept.
            Refusal, Busy: as what was written later failed; nothing is kept.
        """
        connection, unsent = self._connection or await self._begun(), self._unsent
        if connection.info.transaction_status is TransactionStatus.INERROR:
            raise Unavailable("the transaction had failed before")
        try:
            await connection.ask(*unsent, ("COMMIT", ()))
        except Error as error:
            committing, state = connection.done == len(unsent), error.sqlstate
            if (committing and state and state.startswith(NO_ANSWER)) or (connection.closed and not state):
                raise OutcomeUnknown("the commit was not answered") from error
            if committing:
                raise Unavailable(f"the commit was refused: {state}") from error
            raise meaning(error) from error
        if connection.warned:
            raise OutcomeUnknown("the standby has not confirmed the commit")

    async def end(self) -> None:
        """End what was not committed."""
        if self._connection:
            await self._connection.roll_back()

    async def _begun(self) -> ListeningConnection:
        self._connection, _ = await self._begin()
        return self._connection

    async def _ask(self, *queries: Query) -> list[list[DictRow]]:
        queries, self._unsent = (*self._unsent, *queries), []
        if not self._connection:
            self._connection, answers = await self._begin(*queries)
            return answers
        try:
            return await self._connection.ask(*queries)
        except Error as error:
            raise meaning(error) from error


class ReadingSession(Session):
    """Runs statements that are transactions of their own, and changes nothing."""

    def __init__(self, answer: Callable[[str, Parameters], Awaitable[list[DictRow]]]) -> None:
        """Take what answers a statement."""
        super().__init__(_nothing_begins)
        self._answer = answer

    async def read(self, statement: str, parameters: Parameters = (), *, after: str | None = None) -> list[DictRow]:
        """Run a statement that changes nothing and locks nothing; return its rows."""
        if after:
            raise RuntimeError("this unit of work does nothing in order")
        return await self._answer(statement, parameters)

    async def write(self, _statement: str, _parameters: Parameters = ()) -> list[DictRow]:
        """Raise RuntimeError."""
        raise RuntimeError("this unit of work only reads")

    def write_later(self, _statement: str, _parameters: Parameters) -> None:
        """Raise RuntimeError."""
        raise RuntimeError("this unit of work only reads")


async def _nothing_begins(*_queries: Query) -> NoReturn:
    raise RuntimeError("this unit of work only reads")
