"""Turning events into audit entries."""

from collections.abc import Sequence
from dataclasses import dataclass
from traceback import extract_tb
from typing import ClassVar, Final

from healthcare.application.uow import Begin, OutcomeUnknown, Unavailable, UnitOfWork
from healthcare.domain.audit.model import Entry
from healthcare.domain.kernel import Actor, Event, EventId
from healthcare.domain.policy import Action, permit

MOST_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class RecordEvents:
    """Each event leaves the outbox in the transaction that keeps its entry: it is recorded exactly once."""

    action: ClassVar = Action.RECORD_EVENTS
    begin: Begin

    async def __call__(self, *, actor: Actor, most: int = MOST_AT_ONCE) -> int:
        """Record the oldest events, and return how many; 0 means that none is waiting that can be recorded now.

        Where one event spoils the transaction of all, each gets its own, and only the bad one is put back.
        """
        permit(self.action, actor)
        try:
            return await self._record(most)
        except (Unavailable, OutcomeUnknown):
            raise
        except Exception:  # noqa: BLE001 - whatever is wrong with an event must not hold up the others
            return await self._record_each(most)

    async def _record(self, most: int) -> int:
        async with self.begin() as uow:
            waiting = await uow.outbox.lock(most)
            await self._move(uow, waiting)
        return len(waiting)

    async def _record_each(self, most: int) -> int:
        recorded, failed = 0, set[EventId]()
        while recorded + len(failed) < most and (done := await self._record_one(failed)) is not None:
            recorded += done
        return recorded

    async def _record_one(self, failed: set[EventId]) -> int | None:
        """Record the next event and return 1, or put it back and return 0; None: only `failed` ones are waiting."""
        waiting: Sequence[EventId] = ()
        try:
            async with self.begin() as uow:
                waiting = await uow.outbox.lock(1)
                # What has just failed gets its next try with the next call: its reason may pass.
                if failed.issuperset(waiting):
                    return None
                await self._move(uow, waiting)
        except (Unavailable, OutcomeUnknown):
            raise
        except Exception as reason:
            if not waiting:
                raise
            async with self.begin() as uow:
                await uow.outbox.failed(waiting[0], described(reason))
            failed.update(waiting)
            return 0
        return 1

    async def _move(self, uow: UnitOfWork, waiting: Sequence[EventId]) -> None:
        events = await uow.outbox.take(waiting)
        await uow.entries.add([entry_of(event) for event in events])


def described(reason: Exception) -> str:
    """Say what went wrong and where, but not in its own words: messages quote values."""
    kind, place = type(reason), extract_tb(reason.__traceback__)[-1]
    return f"{kind.__module__}.{kind.__qualname__} at {place.filename}:{place.lineno} {place.name}"


def entry_of(event: Event) -> Entry:
    """Write the event down as an audit entry."""
    return Entry(
        id=event.id,
        at=event.at,
        actor=event.actor,
        kind=event.kind,
        subject=event.subject,
        outcome=event.outcome,
        request=event.request,
    )
