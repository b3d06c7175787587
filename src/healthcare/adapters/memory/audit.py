"""Audit entries, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

from healthcare.adapters.memory.transaction import Transaction
from healthcare.domain.audit.model import Entry, Question
from healthcare.domain.kernel import Page, Paging, Position


def answers(entry: Entry, question: Question) -> bool:
    """Say whether the entry is asked for."""
    return (
        question.actor in {None, entry.actor}
        and question.subject in {None, entry.subject}
        and question.kind in {None, entry.kind}
        and (question.since is None or question.since <= entry.at)
        and (question.until is None or entry.at < question.until)
    )


@dataclass(frozen=True, slots=True)
class MemoryEntries:
    """Who did what to whose data."""

    tx: Transaction

    async def add(self, entries: Sequence[Entry]) -> None:
        """Keep entries; one that is kept already stays as it is."""
        for entry in entries:
            await self.tx.lock("entry", entry.id)
            if entry.id not in self.tx.entries:
                self.tx.entries.put(entry.id, entry)

    async def find(self, question: Question, paging: Paging) -> Page[Entry]:
        """Return the entries that are asked for, the newest first."""
        await self.tx.turn()
        found = [
            one
            for one in self.tx.entries
            if answers(one, question)
            and (paging.after is None or (one.at, one.id) < (paging.after.at, paging.after.id))
        ]
        found.sort(key=lambda one: (one.at, one.id), reverse=True)
        return paging.cut(found, lambda one: Position(one.at, one.id))
