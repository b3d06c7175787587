"""What traces need of this adapter; where nothing is traced, nobody provides it."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from psycopg import ConnectionInfo


class Traces(Protocol):
    """Shows statements, and goes with the events into the worker."""

    def asked(self, texts: Sequence[str], of: ConnectionInfo, done: Callable[[], int]) -> AbstractContextManager[None]:
        """Show what the server is asked in the block. Where that fails, so many of the statements did not."""
        ...

    def parent(self) -> str | None:
        """Return what is being done now, as a `traceparent` (W3C Trace Context), or None where that is not traced."""
        ...

    def go_on(self, parents: Iterable[str]) -> None:
        """Count what is done next, until the use case ends or calls this again, among what these parents led to."""
        ...
