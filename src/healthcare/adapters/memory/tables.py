"""What the memory database keeps: its rows, and one transaction's view of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from healthcare.domain.audit.model import Entry
from healthcare.domain.consultation.model import Consultation, Prescription
from healthcare.domain.directory.model import Profile
from healthcare.domain.identity.model import Account
from healthcare.domain.kernel import AppointmentId, ConsultationId, Event, EventId, Money, SlotId, UserId
from healthcare.domain.scheduling.cancellation import Cancellation
from healthcare.domain.scheduling.diary import Receipt
from healthcare.domain.scheduling.model import TimeRange
from healthcare.domain.scheduling.status import NOT_LIVE, AppointmentStatus

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRow:
    """A slot without what is read from elsewhere: its doctor's name and fee, and whether it is taken."""

    id: SlotId
    doctor: UserId
    specialty: str
    time: TimeRange
    withdrawn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentRow:
    """An appointment without the names of its people and the specialty, which are read from elsewhere."""

    id: AppointmentId
    slot: SlotId
    doctor: UserId
    patient: UserId
    time: TimeRange
    fee: Money
    notice_hours: int
    status: AppointmentStatus
    version: int
    expires_at: datetime | None = None
    extended: bool = False
    cancellation: Cancellation | None = None

    @property
    def live(self) -> bool:
        """Whether it claims its slot and its patient's time, as an index says that knows no time."""
        return self.status not in NOT_LIVE

    def claims(self, now: datetime) -> bool:
        """Whether it does so at this instant: a hold that has run out does not."""
        return self.live and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """A receipt, and when it was written."""

    receipt: Receipt
    at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event in the outbox, and how often it could not be taken out."""

    event: Event
    tries: int = 0


@dataclass(frozen=True, slots=True)
class LetterRow:
    """An event that nobody could take out of the outbox, why, and since when it is tried no more."""

    event: Event
    reason: str
    died_at: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """Everything that has been committed."""

    accounts: dict[UserId, Account] = field(default_factory=dict)
    profiles: dict[UserId, Profile] = field(default_factory=dict)
    slots: dict[SlotId, SlotRow] = field(default_factory=dict)
    appointments: dict[AppointmentId, AppointmentRow] = field(default_factory=dict)
    receipts: dict[tuple[UserId, str], ReceiptRow] = field(default_factory=dict)
    consultations: dict[ConsultationId, Consultation] = field(default_factory=dict)
    prescriptions: dict[ConsultationId, Prescription] = field(default_factory=dict)
    entries: dict[EventId, Entry] = field(default_factory=dict)
    outbox: dict[EventId, Waiting] = field(default_factory=dict)
    dead_letters: dict[EventId, LetterRow] = field(default_factory=dict)


class Table(Generic[K, V]):
    """Rows of one kind, as one transaction sees them: what it wrote, and otherwise what is committed *now*."""

    def __init__(self, kept: dict[K, V]) -> None:
        """See the committed rows."""
        self._kept = kept
        self._written: dict[K, V | None] = {}

    def __contains__(self, key: K) -> bool:
        """Say whether there is such a row."""
        return self.get(key) is not None

    def __getitem__(self, key: K) -> V:
        """Return a row that must be there, because another refers to it."""
        if (row := self.get(key)) is None:
            raise KeyError(key)
        return row

    def __iter__(self) -> Iterator[V]:
        """Go through the rows, in the order in which they were kept first."""
        return (row for _, row in self.items())

    def items(self) -> list[tuple[K, V]]:
        """Return the rows and their keys, in the same order."""
        if not self._written:
            return list(self._kept.items())
        rows: dict[K, V | None] = {**self._kept, **self._written}
        return [(key, row) for key, row in rows.items() if row is not None]

    def get(self, key: K) -> V | None:
        """Return the row."""
        return self._written[key] if key in self._written else self._kept.get(key)

    def put(self, key: K, row: V) -> None:
        """Write the row, in place of an earlier one."""
        self._written[key] = row

    def remove(self, key: K) -> None:
        """Delete the row."""
        self._written[key] = None

    def commit(self) -> None:
        """Let everybody see what was written."""
        for key, row in self._written.items():
            if row is None:
                self._kept.pop(key, None)
            else:
                self._kept[key] = row
