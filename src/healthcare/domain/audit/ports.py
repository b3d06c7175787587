"""What the use cases of audit need from outside."""

from collections.abc import Sequence
from typing import Protocol

from healthcare.domain.audit.model import Entry, Question
from healthcare.domain.kernel import Page, Paging


class Entries(Protocol):
    """The audit entries. Nothing here changes or deletes one."""

    async def add(self, entries: Sequence[Entry]) -> None:
        """Keep entries; one that is kept already stays as it is."""
        ...

    async def find(self, question: Question, paging: Paging) -> Page[Entry]:
        """Return the entries that are asked for, the newest first."""
        ...
