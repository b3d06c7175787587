"""The transaction boundary: what a use case can reach, when it is kept, and the two ways in which it can fail."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final, Protocol

from healthcare.domain.audit.ports import Entries
from healthcare.domain.consultation.ports import Consultations, Prescriptions
from healthcare.domain.directory.ports import Profiles
from healthcare.domain.identity.ports import Users
from healthcare.domain.kernel import AccessRefused, Event, EventId, EventKind, Happened, Page, Paging
from healthcare.domain.scheduling.ports import Appointments, Bookings, Slots


class Unavailable(Exception):
    """Nothing happened, because something that is needed did not answer; ask again in a moment."""

    code: ClassVar[str] = "unavailable"


class Busy(Unavailable):
    """Nothing happened, because too many want the same at once; ask again in a moment."""

    code = "busy"


class OutcomeUnknown(Exception):
    """The answer to a commit was lost; ask again with the same key to learn what happened."""

    code: ClassVar[str] = "outcome-unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event that could not be taken out of the outbox, as operators see it."""

    id: EventId
    kind: str
    """No `EventKind`: that this release does not know it may be why nobody could."""
    at: datetime
    """When it happened."""
    died_at: datetime
    reason: str


class Outbox(Protocol):
    """The record of what happened, from which effects elsewhere are made."""

    @property
    def filled(self) -> bool:
        """Whether this unit of work has put something in."""
        ...

    async def add(self, *events: Event) -> None:
        """Put events in; they become visible to others when the unit of work commits."""
        ...

    async def lock(self, most: int) -> Sequence[EventId]:
        """Reserve the oldest events that nobody else has reserved; those that failed before come last."""
        ...

    async def take(self, reserved: Sequence[EventId]) -> Sequence[Event]:
        """Take out the events, which the caller has reserved."""
        ...

    async def failed(self, event: EventId, reason: str) -> None:
        """Remember that an event could not be taken out; after the fifth time it is a dead letter.

        The reason is kept and shown, so there are no values in it.
        """
        ...

    async def dead(self, paging: Paging) -> Page[DeadLetter]:
        """Return dead letters, those that died first before the others."""
        ...

    async def requeue(self, letters: Sequence[EventId]) -> Sequence[EventId]:
        """Put dead letters back as if they had never failed; return which of these were dead letters."""
        ...


MOST_TRIES: Final = 5


class UnitOfWork(Protocol):
    """Leaving the block commits everything; raising out of it commits nothing."""

    @property
    def users(self) -> Users: ...
    @property
    def profiles(self) -> Profiles: ...
    @property
    def slots(self) -> Slots: ...
    @property
    def bookings(self) -> Bookings: ...
    @property
    def appointments(self) -> Appointments: ...
    @property
    def consultations(self) -> Consultations: ...
    @property
    def prescriptions(self) -> Prescriptions: ...
    @property
    def entries(self) -> Entries: ...
    @property
    def outbox(self) -> Outbox: ...


Begin = Callable[[], AbstractAsyncContextManager[UnitOfWork]]
"""Begins a unit of work.

Raises:
    Unavailable: nothing happened.
    OutcomeUnknown: the commit was sent, and no answer came.
"""

Read = Callable[[], AbstractAsyncContextManager[UnitOfWork]]
"""Begins a unit of work that changes nothing and locks nothing. What is read second may be newer than what was first.

Raises:
    Unavailable: there was no answer.
"""

Record = Callable[[Event], Awaitable[None]]
"""Keeps an event with which nothing else is to be kept: it costs a third of a unit of work.

Raises:
    Unavailable: there was no answer, and the event may be kept all the same.
    OutcomeUnknown: it is kept, but perhaps only until the next failover.
"""


class Database(Protocol):
    """What all of this comes from."""

    def begin(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """See `Begin`."""
        ...

    def read(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """See `Read`."""
        ...

    async def record(self, event: Event) -> None:
        """See `Record`."""
        ...


class Bell(Protocol):
    """Wakes the workers, so that they need not wait for their next look at the outbox."""

    def ring(self) -> None:
        """Say that there is something to do. It never fails and never waits."""
        ...


@dataclass(frozen=True, slots=True)
class Transactions:
    """The `Begin` that use cases are given: it records whom it turns away, and wakes the workers.

    For an event that is kept by itself nobody is woken. All that follows from it is its audit entry, which nobody waits
    for: the workers' next look will do.
    """

    database: Database
    bell: Bell
    happened: Happened

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[UnitOfWork]:
        """Begin a unit of work."""
        try:
            async with self.database.begin() as uow:
                yield uow
        except AccessRefused as refused:
            await self.database.record(self.happened(EventKind.ACCESS_REFUSED, refused.actor, refused.subject))
            raise
        if uow.outbox.filled:
            self.bell.ring()
