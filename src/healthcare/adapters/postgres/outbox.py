"""The outbox, in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from healthcare.adapters.postgres.connection import Parameters
from healthcare.adapters.postgres.documents import as_json
from healthcare.adapters.postgres.session import Session
from healthcare.application.uow import MOST_TRIES, DeadLetter
from healthcare.domain.kernel import Event, EventId, EventKind, Outcome, Page, Paging, Position

ADD: Final = """
    INSERT INTO outbox (id, kind, at, actor_id, subject_id, outcome, request_id, traceparent)
    SELECT id, kind, at, actor, subject, outcome, request, %(parent)s::text
      FROM json_to_recordset(%(events)s) AS event (
           id uuid, kind text, at timestamptz, actor uuid, subject uuid, outcome text, request text)
"""


def adding(events: Sequence[Event], parent: str | None) -> Parameters:
    """Return the parameters of ADD."""
    return {"events": as_json(events), "parent": parent}


@dataclass(frozen=True, slots=True)
class PostgresOutbox:
    """The record of what happened, from which effects elsewhere are made."""

    session: Session

    @property
    def filled(self) -> bool:
        """Whether this transaction has put something in."""
        return self.session.announced

    async def add(self, *events: Event) -> None:
        """Put events in."""
        if events:
            self.session.announced = True
            self.session.write_later(ADD, adding(events, self.session.parent))

    async def lock(self, most: int) -> Sequence[EventId]:
        """Reserve the oldest events that nobody else has reserved.

        Never those behind the last one seen: numbers do not commit in order, and an event would be left behind.
        """
        rows = await self.session.read(
            "SELECT id, traceparent FROM outbox ORDER BY tries, position LIMIT %s FOR UPDATE SKIP LOCKED", [most]
        )
        self.session.go_on(row["traceparent"] for row in rows)
        return [row["id"] for row in rows]

    async def take(self, reserved: Sequence[EventId]) -> Sequence[Event]:
        """Take out the events, which the caller has reserved."""
        rows = await self.session.write("DELETE FROM outbox WHERE id = ANY(%s) RETURNING *", [list(reserved)])
        return [
            Event(
                id=row["id"],
                kind=EventKind(row["kind"]),
                at=row["at"],
                actor=row["actor_id"],
                subject=row["subject_id"],
                outcome=Outcome(row["outcome"]),
                request=row["request_id"],
            )
            for row in rows
        ]

    async def failed(self, event: EventId, reason: str) -> None:
        """Remember that an event could not be taken out; after the fifth time it is a dead letter."""
        await self.session.write("UPDATE outbox SET tries = tries + 1 WHERE id = %s", [event])
        dead = await self.session.write(
            """
            WITH dead AS (DELETE FROM outbox WHERE id = %s AND tries >= %s RETURNING *)
            INSERT INTO dead_letters (id, kind, at, actor_id, subject_id, outcome, request_id, reason)
            SELECT id, kind, at, actor_id, subject_id, outcome, request_id, %s FROM dead
            RETURNING kind
            """,
            [event, MOST_TRIES, reason],
        )
        for letter in dead:
            log = structlog.get_logger(__name__)
            log.error("outbox.dead_letter", id=str(event), kind=letter["kind"], reason=reason)

    async def dead(self, paging: Paging) -> Page[DeadLetter]:
        """Return dead letters, those that died first before the others."""
        place = {"at": paging.after.at, "id": paging.after.id} if paging.after else {}
        rows = await self.session.read(
            f"""
            SELECT id, kind, at, died_at, reason
              FROM dead_letters
             WHERE {"(died_at, id) > (%(at)s, %(id)s)" if place else "true"}
             ORDER BY died_at, id
             LIMIT %(most)s
            """,
            {**place, "most": paging.limit + 1},
        )
        return paging.cut([DeadLetter(**row) for row in rows], lambda one: Position(one.died_at, one.id))

    async def requeue(self, letters: Sequence[EventId]) -> Sequence[EventId]:
        """Put dead letters back as if they had never failed; return which of these were dead letters."""
        rows = await self.session.write(
            """
            WITH locked AS MATERIALIZED (SELECT id FROM dead_letters WHERE id = ANY(%s) ORDER BY id FOR UPDATE),
                 back AS (DELETE FROM dead_letters d USING locked WHERE d.id = locked.id RETURNING d.*)
            INSERT INTO outbox (id, kind, at, actor_id, subject_id, outcome, request_id)
            SELECT id, kind, at, actor_id, subject_id, outcome, request_id FROM back ORDER BY at, id
            RETURNING id
            """,
            [list(letters)],
        )
        self.session.announced = self.session.announced or bool(rows)
        return [row["id"] for row in rows]
