"""What people ask of a clinic while something strikes it, and what they are told."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from healthcare.entrypoints.api.observed import SECONDS_TO_READ, SECONDS_TO_WRITE


class Kind(StrEnum):
    """What patients do, and one doctor."""

    SEARCH = "search"
    READ = "read"
    HOLD = "hold"
    """A second time: for longer."""
    RELEASE = "release"
    BOOK = "book"
    RESCHEDULE = "reschedule"
    CANCEL = "cancel"
    CANCEL_DAY = "cancel a day"
    PUBLISH = "publish"
    LIST = "list"
    """Of a doctor's own slots."""


QUESTIONS = frozenset({Kind.SEARCH, Kind.READ, Kind.LIST})
"""They change nothing."""
NOTHING_HAPPENED = frozenset({"unavailable", "busy"})
OUTCOME_UNKNOWN = "outcome-unknown"


@dataclass(frozen=True, slots=True)
class Seen:
    """An appointment, as an answer shows it."""

    version: int
    status: str
    slot: str


@dataclass(slots=True, kw_only=True)
class Try:
    """One request: written down before it is sent, and completed when it is over."""

    kind: Kind
    caller: UUID
    subject: str
    """The slot that is held, released or booked; the appointment that is read, moved or cancelled; the specialty that
    is searched; the doctor whose day or whose slots it is about."""
    target: str = ""
    """The slot to which an appointment is moved."""
    match: str = ""
    """The version of which it must still be, or *."""
    reason_code: str | None = None
    wish: str = ""
    """What all tries of the same have in common; of a booking, its key."""
    request: str = ""
    """Its id, which the audit entries name."""
    api: int = 0
    began: float = 0
    ended: float | None = None
    status: int | None = None
    """None: there was no answer."""
    code: str = ""
    retry_after: str | None = None
    answer: bytes = b""
    tag: str = ""
    appointment: str = ""
    """The id in the answer; of a release, the hold."""
    seen: Seen | None = None
    cancelled: Collection[str] = ()
    """The appointments of a day that were, as the answer says."""
    listed: Collection[str] = ()
    """A doctor's slots."""

    @property
    def seconds(self) -> float:
        """For an answer."""
        return SECONDS_TO_READ if self.kind in QUESTIONS else SECONDS_TO_WRITE

    @property
    def slot(self) -> str:
        """The one that is wanted."""
        return self.target or self.subject

    @property
    def kept(self) -> bool:
        """Whether it was acknowledged."""
        return self.status in {200, 201, 204}

    @property
    def refused(self) -> bool:
        """Whether it was decided, and nothing was done."""
        return self.status is not None and 400 <= self.status < 500

    @property
    def settled(self) -> bool:
        """Whether there is no reason to ask again."""
        return self.kept or self.refused

    @property
    def unknown(self) -> bool:
        """Whether it may have been done."""
        return not (self.settled or (self.status == 503 and self.code in NOTHING_HAPPENED))


def by_wish(journal: Iterable[Try]) -> Collection[list[Try]]:
    """Return the tries that somebody insisted on, those of one wish together."""
    found = defaultdict[str, list[Try]](list)
    for one in journal:
        if one.wish:
            found[one.wish].append(one)
    return found.values()
