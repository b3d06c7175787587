"""What there is to judge by: the journal of those who asked, the audit entries, and what is kept and shown."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from math import inf
from uuid import UUID

from healthcare.domain.kernel import EventKind
from healthcare.domain.scheduling.cancellation import ReasonCode
from healthcare.domain.scheduling.status import NOT_LIVE, AppointmentStatus
from tests.integration.faults.journal import Kind, Try

BECOMES = {
    EventKind.SLOT_HELD: AppointmentStatus.PENDING,
    EventKind.HOLD_EXTENDED: AppointmentStatus.PENDING,
    EventKind.HOLD_RELEASED: AppointmentStatus.CANCELLED,
    EventKind.HOLD_EXPIRED: AppointmentStatus.CANCELLED,
    EventKind.APPOINTMENT_BOOKED: AppointmentStatus.BOOKED,
    EventKind.APPOINTMENT_RESCHEDULED: AppointmentStatus.BOOKED,
    EventKind.APPOINTMENT_CANCELLED: AppointmentStatus.CANCELLED,
}
"""What an event makes of its appointment."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot, as it is kept."""

    id: str
    doctor: UUID
    start: datetime
    end: datetime
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """An appointment, as it is kept."""

    id: str
    slot: str
    doctor: UUID
    patient: UUID
    start: datetime
    end: datetime
    status: str
    version: int = 1
    extended: bool = False
    reason_code: str | None = None
    ran_out: bool = False
    """It is a hold whose time is over, whether or not somebody has come upon it."""

    @property
    def live(self) -> bool:
        return self.status not in NOT_LIVE and not self.ran_out

    @property
    def people(self) -> set[UUID]:
        return {self.doctor, self.patient}


@dataclass(frozen=True, slots=True)
class Entry:
    """An audit entry."""

    kind: EventKind
    subject: str
    actor: UUID | None
    request: str


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is there when all is quiet again."""

    rows: Sequence[Row]
    slots: Sequence[Slot]
    day: int
    """The slots that a doctor offers on a day."""
    entries: Sequence[Entry]
    """In the order in which things happened."""
    waiting: int
    """Events that are not recorded."""
    left: Collection[str]
    """The holds that were left to run out."""
    shown: Sequence[set[str]]
    """The free slots that a search shows, at each API."""

    @property
    def free(self) -> set[str]:
        """The slots that a search has to show."""
        taken = {row.slot for row in self.rows if row.live}
        return {slot.id for slot in self.slots if not slot.withdrawn} - taken


@dataclass(frozen=True, slots=True)
class Version:
    """An appointment, as one change has left it."""

    kind: EventKind
    by: Try
    status: AppointmentStatus
    slot: str
    extended: bool
    reason_code: str | None


@dataclass(frozen=True, slots=True)
class Claim:
    """The time in which a version of an appointment may have had its slot, as clients could tell."""

    appointment: str
    patient: UUID
    version: Version
    since: float
    until: float


class Evidence:
    """All of it, side by side."""

    def __init__(self, journal: Sequence[Try], state: State) -> None:
        self.journal = journal
        self.state = state
        self.rows = {row.id: row for row in state.rows}
        self.slots = {slot.id: slot for slot in state.slots}
        self.asked = {one.request: one for one in journal}

    @cached_property
    def entries(self) -> dict[str, list[Entry]]:
        """What was recorded of each request."""
        found = defaultdict[str, list[Entry]](list)
        for entry in self.state.entries:
            found[entry.request].append(entry)
        return found

    @cached_property
    def lives(self) -> dict[str, list[Version]]:
        """The versions of each appointment, as they were recorded; the first one is at place 0."""
        found = defaultdict[str, list[Version]](list)
        for entry in self.state.entries:
            by = self.asked.get(entry.request)
            if by and (status := BECOMES.get(entry.kind)):
                before = found[entry.subject][-1] if entry.subject in found else None
                found[entry.subject].append(
                    Version(
                        kind=entry.kind,
                        by=by,
                        status=status,
                        slot=before.slot if before and entry.kind != EventKind.APPOINTMENT_RESCHEDULED else by.slot,
                        extended=entry.kind == EventKind.HOLD_EXTENDED or (before is not None and before.extended),
                        reason_code=reason_of(entry.kind, by),
                    )
                )
        return found

    @cached_property
    def claims(self) -> list[Claim]:
        """Who may have had which slot when; but for holds that ran out, of which the journal does not tell the end."""
        return [claim for id in self.lives if id in self.rows for claim in self._claims(self.rows[id])]

    def _claims(self, row: Row) -> Iterator[Claim]:
        life = self.lives[row.id]
        if row.ran_out or life[-1].kind == EventKind.HOLD_EXPIRED:
            return
        ends = [*(over(version.by) for version in life[1:]), inf]
        for version, until in zip(life, ends, strict=True):
            if version.status not in NOT_LIVE:
                yield Claim(row.id, row.patient, version, version.by.began, until)


def reason_of(kind: EventKind, by: Try) -> str | None:
    """Return the code that says why something was given up."""
    match kind, by.kind:
        case EventKind.HOLD_EXPIRED, _:
            return ReasonCode.OTHER
        case EventKind.APPOINTMENT_CANCELLED, Kind.CANCEL:
            return by.reason_code or ReasonCode.PAT
        case EventKind.APPOINTMENT_CANCELLED, _:
            return ReasonCode.PROV
        case EventKind.HOLD_RELEASED, _:
            return ReasonCode.PAT
    return None


def over(one: Try) -> float:
    """Return when at the latest its effects were there: whoever was not answered cannot know."""
    return one.ended if one.ended and one.settled else inf
