"""The pool of connections, and the beginning and the end of a transaction."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from time import monotonic
from typing import Final

from psycopg import Error
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow
from psycopg_pool import PoolTimeout, TooManyRequests

from healthcare.adapters.postgres.audit import PostgresEntries
from healthcare.adapters.postgres.connection import ListeningConnection, Parameters, Query
from healthcare.adapters.postgres.consultation import PostgresConsultations, PostgresPrescriptions
from healthcare.adapters.postgres.directory import PostgresProfiles
from healthcare.adapters.postgres.identity import PostgresUsers
from healthcare.adapters.postgres.measures import forget_work, measure_pool, measure_work
from healthcare.adapters.postgres.outbox import ADD, PostgresOutbox, adding
from healthcare.adapters.postgres.pool import Pool
from healthcare.adapters.postgres.refusals import READ_ONLY, meaning
from healthcare.adapters.postgres.scheduling.appointments import PostgresAppointments
from healthcare.adapters.postgres.scheduling.bookings import PostgresBookings
from healthcare.adapters.postgres.scheduling.slots import PostgresSlots
from healthcare.adapters.postgres.session import ReadingSession, Session
from healthcare.adapters.postgres.traces import Traces
from healthcare.application.deadline import remaining
from healthcare.application.uow import Busy, OutcomeUnknown, Unavailable, UnitOfWork
from healthcare.domain.kernel import Event

LONGEST_TRANSACTION: Final = 3.0
LONGEST_WAIT_FOR_A_CONNECTION: Final = 0.8
MOST_WAITING: Final = 192
MOST_READING: Final = 128
"""Who only reads waits while no more do: the other places are for who writes, and for who asks whether all is well."""
CONNECTION_LIFETIME: Final = 600.0
"""Seconds; requests."""
SILENT: Final = 0.4
"""Seconds without an answer to what was asked first, after which it is no longer a busy server that is to blame."""
RECONNECT_FOR: Final = 1.0
"""Seconds. Longer, the pool would double its pauses up to minutes; after this, whoever waits makes it try anew."""

TOO_MANY: Final = "too many wait for a connection to PostgreSQL"

RECORD: Final = f"{ADD} ON CONFLICT (id) DO NOTHING"
"""An event that was sent twice, because its connection broke, is kept once."""

LIMITS: Final = {
    "lock_timeout": "500ms",
    "statement_timeout": "2s",
    "idle_in_transaction_session_timeout": "2s",
    "transaction_timeout": "3s",
    # PostgreSQL would weigh a plan of its own for every short list of ids, and never stop doing so.
    "plan_cache_mode": "force_generic_plan",
    # Such a plan stays: one that is made while a table is still small must be good for when it has grown.
    "enable_seqscan": "off",
    "timezone": "UTC",
}


def with_limits(conninfo: Mapping[str, str | int]) -> str:
    """Return how to connect such that no session keeps anybody waiting for long."""
    options = " ".join(f"-c {name}={value}" for name, value in LIMITS.items())
    return make_conninfo("", **conninfo, connect_timeout=2, options=options, application_name="healthcare")


@dataclass(frozen=True, slots=True)
class PostgresUnitOfWork:
    """Everything that one transaction can reach, each made when somebody wants it: most want one or two."""

    session: Session

    @property
    def users(self) -> PostgresUsers:
        return PostgresUsers(self.session)

    @property
    def profiles(self) -> PostgresProfiles:
        return PostgresProfiles(self.session)

    @property
    def slots(self) -> PostgresSlots:
        return PostgresSlots(self.session)

    @property
    def bookings(self) -> PostgresBookings:
        return PostgresBookings(self.session)

    @property
    def appointments(self) -> PostgresAppointments:
        return PostgresAppointments(self.session)

    @property
    def consultations(self) -> PostgresConsultations:
        return PostgresConsultations(self.session)

    @property
    def prescriptions(self) -> PostgresPrescriptions:
        return PostgresPrescriptions(self.session)

    @property
    def entries(self) -> PostgresEntries:
        return PostgresEntries(self.session)

    @property
    def outbox(self) -> PostgresOutbox:
        return PostgresOutbox(self.session)


class PostgresDatabase:
    """Hands out transactions that end in time, whatever the server does."""

    def __init__(self, conninfo: Mapping[str, str | int], *, size: int, traces: Traces | None = None) -> None:
        """Build the pool closed: it may be opened only where an event loop runs."""
        self._traces = traces
        self._returning = set[asyncio.Task[None]]()
        """What brings connections back to the pool."""
        self._pool = Pool(
            with_limits(conninfo),
            connection_class=_shown(traces) if traces else ListeningConnection,
            kwargs={"autocommit": True},
            min_size=size,
            max_size=size,
            max_waiting=MOST_WAITING,
            max_lifetime=CONNECTION_LIFETIME,
            timeout=LONGEST_WAIT_FOR_A_CONNECTION,
            reconnect_timeout=RECONNECT_FOR,
            open=False,
        )

    async def open(self) -> None:
        """Begin to connect; a server that is away is tried again until it is there."""
        await self._pool.open()

    async def close(self) -> None:
        """Close every connection."""
        if self._returning:
            await asyncio.wait(self._returning)
        await self._pool.close()

    async def check(self) -> None:
        """Raise Unavailable unless PostgreSQL answers."""
        await self._answer("SELECT 1", ())

    async def measure(self) -> None:
        """Tell Prometheus how busy the pool is, and what waits in the database.

        Raises:
            Unavailable: PostgreSQL does not answer; what waits in it is not known.
        """
        measure_pool(self._pool.get_stats())
        forget_work()
        async with self._transaction() as session:
            await measure_work(session)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[UnitOfWork]:
        """Begin a unit of work; see `healthcare.application.uow.Begin`."""
        async with self._transaction() as session:
            yield PostgresUnitOfWork(session)

    def read(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Begin a unit of work that reads, each statement by itself: two of them may see two states of the database."""
        return nullcontext(PostgresUnitOfWork(ReadingSession(self._read)))

    async def record(self, event: Event) -> None:
        """Keep an event by itself; see `healthcare.application.uow.Record`."""
        parent = self._traces.parent() if self._traces else None
        connection, _ = await self._first(_end(), (RECORD, adding([event], parent)))
        warned = connection.warned
        self._give_back(connection)
        if warned:
            raise OutcomeUnknown("the standby has not confirmed the event")

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Session]:
        end, held = _end(), ExitStack()

        async def begin(*queries: Query) -> tuple[ListeningConnection, list[list[DictRow]]]:
            connection, (_, *answers) = await self._first(end, ("BEGIN", ()), *queries)
            held.callback(self._give_back, connection)
            held.callback(connection.sever_at(end).cancel)
            return connection, answers

        with held:
            session = Session(begin, self._traces)
            try:
                yield session
                if session.changed:
                    await session.commit()
            finally:
                await session.end()

    async def _first(self, end: float, *queries: Query) -> tuple[ListeningConnection, list[list[DictRow]]]:
        """Return a connection and what it answers first. One that broke while it was idle is found out here.

        Where it breaks, another is asked the same: it must be something that may be done twice.
        """
        while True:
            connection, asked = await self._connected(end), monotonic()
            timer = connection.sever_at(end)
            try:
                try:
                    return connection, await connection.ask(*queries)
                except Error as error:
                    await connection.roll_back()
                    if error.sqlstate == READ_ONLY or not connection.closed:
                        raise meaning(error) from error
                finally:
                    timer.cancel()  # before it is given back: it may be somebody else's at the deadline
            except BaseException:
                self._give_back(connection)
                raise
            self._give_back(connection)
            if monotonic() - asked > SILENT:
                # It had never answered: others may be as dead, and each would cost somebody a whole deadline.
                await self._pool.drain()

    async def _read(self, statement: str, parameters: Parameters) -> list[DictRow]:
        """Return what somebody reads."""
        if self._pool.waiting >= MOST_READING:
            raise Busy(TOO_MANY)
        return await self._answer(statement, parameters)

    async def _answer(self, statement: str, parameters: Parameters) -> list[DictRow]:
        """Return what a statement reads that is a transaction by itself."""
        connection, (rows,) = await self._first(_end(), (statement, parameters))
        self._give_back(connection)
        return rows

    async def _connected(self, end: float) -> ListeningConnection:
        """Return a connection, which may have broken while it was idle."""
        if (left := end - monotonic()) > 0:
            try:
                return await self._pool.getconn(min(left, LONGEST_WAIT_FOR_A_CONNECTION))
            except TooManyRequests:
                raise Busy(TOO_MANY) from None
            except PoolTimeout:
                pass
        raise Unavailable("no connection to PostgreSQL was had in time")

    def _give_back(self, connection: ListeningConnection) -> None:
        """Return the connection to the pool. Nobody waits for that: who is cancelled in it would take it along."""
        returning = asyncio.create_task(self._pool.putconn(connection))
        self._returning.add(returning)
        returning.add_done_callback(self._returning.discard)


def _shown(traces: Traces) -> type[ListeningConnection]:
    class ShownConnection(ListeningConnection):
        async def ask(self, *queries: Query) -> list[list[DictRow]]:
            with traces.asked([statement for statement, _ in queries], self.info, lambda: self.done):
                return await super().ask(*queries)

    return ShownConnection


def _end() -> float:
    """Return when a transaction that begins now must have ended, of `time.monotonic`."""
    return monotonic() + remaining(LONGEST_TRANSACTION)
