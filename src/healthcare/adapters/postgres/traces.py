"""What traces need of this adapter; where nothing is traced, nobody provides it."""

from collections.abc import Iterable
from typing import Protocol

from psycopg import AsyncConnection
from psycopg.rows import DictRow


class Traces(Protocol):
    """Shows statements, and goes with the events into the worker."""

    @property
    def connection_class(self) -> type[AsyncConnection[DictRow]]:
        """Connections that show what they execute."""
        ...

    def parent(self) -> str | None:
        """Return what is being done now, as a `traceparent` (W3C Trace Context), or None where that is not traced."""
        ...

    def go_on(self, parents: Iterable[str]) -> None:
        """Count what is done next, until the use case ends or calls this again, among what these parents led to."""
        ...
