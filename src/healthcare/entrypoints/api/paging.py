"""Lists in parts, and where the next part begins."""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Generic, Self, TypeVar
from uuid import UUID

from msgspec import Meta, Struct

from healthcare.domain import kernel
from healthcare.domain.kernel import MOST_PER_PAGE, Invalid, Paging, Position
from healthcare.entrypoints.api.refusals import ParameterFault

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
POSITION: Final = struct.Struct(">q16s")
"""The instant in microseconds, and the id."""

T = TypeVar("T")
B = TypeVar("B")

Limit = Annotated[int, Meta(ge=1, le=MOST_PER_PAGE, description="The most items to return.")]
Cursor = Annotated[
    str,
    Meta(
        description="The next_cursor of an earlier page.",
        pattern="^[A-Za-z0-9_-]{32}$",
        max_length=32,  # to Python, `$` also stands before a last line end
    ),
]


class PageRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which part of a list is asked for."""

    limit: Limit = Paging().limit
    cursor: Cursor | None = None

    @property
    def paging(self) -> Paging:
        """The same, for use cases; raise Invalid if the cursor is none of ours."""
        return Paging(self.limit, None if self.cursor is None else position_of(self.cursor))


class Page(Struct, Generic[B], frozen=True):
    """A part of a list."""

    items: list[B]
    next_cursor: str | None
    """What to ask for next; null on the last page."""

    @classmethod
    def of(cls, page: kernel.Page[T], body: Callable[[T], B]) -> Self:
        """Write a page down."""
        return cls([body(item) for item in page.items], None if page.next is None else cursor_of(page.next))


def cursor_of(position: Position) -> str:
    """Write a position so that it fits into a URL."""
    microseconds = (position.at - EPOCH) // MICROSECOND
    return urlsafe_b64encode(POSITION.pack(microseconds, position.id.bytes)).decode()


def position_of(cursor: str) -> Position:
    """Read a position; raise Invalid if it is none of ours."""
    try:
        microseconds, id = POSITION.unpack(urlsafe_b64decode(cursor))
        return Position(EPOCH + microseconds * MICROSECOND, UUID(bytes=id))
    except (ValueError, OverflowError, struct.error):
        raise Invalid(faults=[ParameterFault(("cursor",), "cursor", "is not a cursor of this list")]) from None
