"""The outbox, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

from healthcare.adapters.memory.tables import DeadLetter, Waiting
from healthcare.adapters.memory.transaction import Transaction
from healthcare.application.uow import MOST_TRIES
from healthcare.domain.kernel import Event, EventId


@dataclass(frozen=True, slots=True)
class MemoryOutbox:
    """The record of what happened, from which effects elsewhere are made."""

    tx: Transaction

    @property
    def filled(self) -> bool:
        """Whether this transaction has put something in."""
        return self.tx.filled

    async def add(self, *events: Event) -> None:
        """Put events in."""
        await self.tx.turn()
        for event in events:
            self.tx.outbox.put(event.id, Waiting(event))
            self.tx.filled = True

    async def lock(self, most: int) -> Sequence[EventId]:
        """Reserve the oldest events that nobody else has reserved."""
        await self.tx.turn()
        reserved: list[EventId] = []
        for one in sorted(self.tx.outbox, key=lambda waiting: waiting.tries):
            if len(reserved) == most:
                break
            if await self.tx.try_lock("event", one.event.id):
                reserved.append(one.event.id)
        return reserved

    async def take(self, reserved: Sequence[EventId]) -> Sequence[Event]:
        """Take out the events, which the caller has reserved."""
        await self.tx.turn()
        events = [one.event for each in reserved if (one := self.tx.outbox.get(each))]
        for event in events:
            self.tx.outbox.remove(event.id)
        return events

    async def failed(self, event: EventId, reason: str) -> None:
        """Remember that an event could not be taken out; after the fifth time it is a dead letter."""
        await self.tx.lock("event", event)
        if (waiting := self.tx.outbox.get(event)) is None:
            return
        tries = waiting.tries + 1
        if tries < MOST_TRIES:
            self.tx.outbox.put(event, Waiting(waiting.event, tries))
        else:
            self.tx.outbox.remove(event)
            self.tx.dead_letters.put(event, DeadLetter(waiting.event, reason))
