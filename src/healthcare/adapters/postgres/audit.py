"""Audit entries, in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass

from healthcare.adapters.postgres.session import Session
from healthcare.domain.audit.model import Entry, Question
from healthcare.domain.kernel import EventKind, Outcome, Page, Paging, Position


@dataclass(frozen=True, slots=True)
class PostgresEntries:
    """Who did what to whose data."""

    session: Session

    async def add(self, entries: Sequence[Entry]) -> None:
        """Keep entries; one that is kept already stays as it is."""
        if not entries:
            return
        columns = list(
            zip(*[(e.id, e.at, e.actor, e.kind, e.subject, e.outcome, e.request) for e in entries], strict=True)
        )
        self.session.write_later(
            """
            INSERT INTO audit_entries (id, at, actor_id, kind, subject_id, outcome, request_id)
            SELECT * FROM unnest(%s::uuid[], %s::timestamptz[], %s::uuid[], %s::text[], %s::uuid[],
                                 %s::text[], %s::text[])
                ON CONFLICT DO NOTHING
            """,
            [list(column) for column in columns],
        )

    async def find(self, question: Question, paging: Paging) -> Page[Entry]:
        """Return the entries that are asked for, the newest first."""
        conditions = {
            "actor": "actor_id = %(actor)s",
            "subject": "subject_id = %(subject)s",
            "kind": "kind = %(kind)s",
            "since": "at >= %(since)s",
            "until": "at < %(until)s",
            "after": "(at, id) < (%(at)s, %(id)s)",
        }
        values = {
            "actor": question.actor,
            "subject": question.subject,
            "kind": question.kind,
            "since": question.since,
            "until": question.until,
            "after": paging.after,
        }
        where = " AND ".join(conditions[name] for name, value in values.items() if value is not None)
        place = {"at": paging.after.at, "id": paging.after.id} if paging.after else {}
        rows = await self.session.read(
            f"""
            SELECT id, at, actor_id, kind, subject_id, outcome, request_id
              FROM audit_entries
             WHERE {where or "true"}
             ORDER BY at DESC, id DESC
             LIMIT %(most)s
            """,
            {**{name: value for name, value in values.items() if name != "after"}, **place, "most": paging.limit + 1},
        )
        entries = [
            Entry(
                id=row["id"],
                at=row["at"],
                actor=row["actor_id"],
                kind=EventKind(row["kind"]),
                subject=row["subject_id"],
                outcome=Outcome(row["outcome"]),
                request=row["request_id"],
            )
            for row in rows
        ]
        return paging.cut(entries, lambda entry: Position(entry.at, entry.id))
