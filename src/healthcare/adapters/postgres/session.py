"""One transaction on one connection."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from psycopg import AsyncCursor, Error
from psycopg.rows import DictRow

from healthcare.adapters.postgres.connection import ListeningConnection
from healthcare.adapters.postgres.refusals import READ_ONLY, meaning
from healthcare.adapters.postgres.traces import Traces
from healthcare.application.uow import OutcomeUnknown, Unavailable

Parameters = Mapping[str, Any] | Sequence[Any]

NO_ANSWER: Final = ("08", "25P04", "57")
"""Classes of errors after which it is open whether a commit was kept: the connection or the server ended."""

END_OF_READING: Final = "SET LOCAL synchronous_commit TO off; COMMIT"
"""psycopg forgets what it has prepared when it sees a ROLLBACK, and each statement would be planned anew. Locks are
written down too, but nobody has to wait until they are on the disk."""


class Session:
    """Runs statements, and remembers what commit and the caller must know."""

    def __init__(self, connection: ListeningConnection, traces: Traces | None = None) -> None:
        """Take a connection in a transaction that nobody else uses."""
        self._connection = connection
        self._traces = traces
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

    async def read(self, statement: str, parameters: Parameters = ()) -> list[DictRow]:
        """Run a statement that changes nothing, though it may lock; return its rows."""
        try:
            cursor = await self._connection.execute(statement, parameters)
            return await cursor.fetchall() if cursor.description else []
        except Error as error:
            if error.sqlstate == READ_ONLY:
                await self._connection.close()  # a new one may lead to the server that has taken over
            raise meaning(error) from error

    async def write(self, statement: str, parameters: Parameters = ()) -> list[DictRow]:
        """Run a statement that changes something; return the rows that it returns."""
        self.changed = True
        return await self.read(statement, parameters)

    async def begin_anew(self) -> None:
        """Give all locks back, and begin another transaction in the place of this one, which must not have written."""
        if self.changed:
            raise RuntimeError("what was written would be lost")
        try:
            await self._connection.execute(f"{END_OF_READING} AND CHAIN", prepare=False)
        except Error as error:
            raise meaning(error) from error

    async def commit(self) -> None:
        """Keep what was written.

        Raises:
            OutcomeUnknown: nobody can tell whether it is kept, or it is kept only until the next failover.
            Unavailable: PostgreSQL refused, and nothing is kept.
        """
        try:
            cursor, kept = await confirmed(self._connection, "COMMIT", prepare=False)
        except Error as error:
            if error.sqlstate is None or error.sqlstate.startswith(NO_ANSWER):
                raise OutcomeUnknown("the commit was not answered") from error
            raise Unavailable(f"the commit was refused: {error.sqlstate}") from error
        if cursor.statusmessage != "COMMIT":
            raise Unavailable("the transaction had failed before, and was rolled back")
        if not kept:
            raise OutcomeUnknown("the standby has not confirmed the commit")


class ReadingSession(Session):
    """Runs statements that are transactions of their own, and changes nothing."""

    def __init__(self, answer: Callable[[str, Parameters], Awaitable[list[DictRow]]]) -> None:
        """Take what answers a statement."""
        self._answer = answer

    async def read(self, statement: str, parameters: Parameters = ()) -> list[DictRow]:
        """Run a statement that changes nothing and locks nothing; return its rows."""
        return await self._answer(statement, parameters)

    async def write(self, _statement: str, _parameters: Parameters = ()) -> list[DictRow]:
        """Raise RuntimeError."""
        raise RuntimeError("this unit of work only reads")


async def confirmed(
    connection: ListeningConnection, statement: str, parameters: Parameters = (), *, prepare: bool | None = None
) -> tuple[AsyncCursor[DictRow], bool]:
    """Run a statement that commits, and say whether what it commits outlives a failover.

    PostgreSQL warns when it stops waiting for its standby, and calls the commit a success all the same.
    """
    connection.warned = False
    cursor = await connection.execute(statement, parameters, prepare=prepare)
    return cursor, not connection.warned
