"""The entries by which everything that happened can be shown later."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from healthcare.domain.kernel import EventId, EventKind, Outcome, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Who did what to whose data, when, in which request, and whether they were let."""

    id: EventId
    """The id of the event that it records: one event never has two entries."""
    at: datetime
    actor: UserId | None
    kind: EventKind
    subject: UUID | None
    outcome: Outcome
    request: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which entries are asked for; what is None matters not. `since` is in it, `until` is not."""

    actor: UserId | None = None
    subject: UUID | None = None
    kind: EventKind | None = None
    since: datetime | None = None
    until: datetime | None = None
