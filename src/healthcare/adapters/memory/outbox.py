"""The outbox, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from healthcare.adapters.memory.tables import LetterRow, Waiting
from healthcare.adapters.memory.transaction import Transaction
from healthcare.application.uow import MOST_TRIES, DeadLetter
from healthcare.domain.kernel import Event, EventId, Page, Paging, Position


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
            self.tx.dead_letters.put(event, LetterRow(waiting.event, reason, datetime.now(UTC)))

    async def dead(self, paging: Paging) -> Page[DeadLetter]:
        """Return dead letters, those that died first before the others."""
        await self.tx.turn()
        letters = [
            DeadLetter(id=row.event.id, kind=row.event.kind, at=row.event.at, died_at=row.died_at, reason=row.reason)
            for row in self.tx.dead_letters
            if paging.after is None or (row.died_at, row.event.id) > (paging.after.at, paging.after.id)
        ]
        letters.sort(key=lambda one: (one.died_at, one.id))
        return paging.cut(letters, lambda one: Position(one.died_at, one.id))

    async def requeue(self, letters: Sequence[EventId]) -> Sequence[EventId]:
        """Put dead letters back as if they had never failed; return which of these were dead letters."""
        rows = []
        for letter in sorted(set(letters)):
            await self.tx.lock("event", letter)
            if row := self.tx.dead_letters.get(letter):
                rows.append(row)
        for row in sorted(rows, key=lambda row: (row.event.at, row.event.id)):
            self.tx.dead_letters.remove(row.event.id)
            self.tx.outbox.put(row.event.id, Waiting(row.event))
            self.tx.filled = True
        return [row.event.id for row in rows]
