"""What every context shares: ids, time, people as others see them, events, and the kinds of refusal."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import ClassVar, Generic, NewType, Protocol, Self, TypeVar
from uuid import UUID

UserId = NewType("UserId", UUID)
SlotId = NewType("SlotId", UUID)
AppointmentId = NewType("AppointmentId", UUID)
ConsultationId = NewType("ConsultationId", UUID)
PrescriptionId = NewType("PrescriptionId", UUID)
EventId = NewType("EventId", UUID)

NewId = Callable[[], UUID]

T = TypeVar("T")


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """Return the present instant, in UTC."""
        ...


class Role(StrEnum):
    """What a user is here; everybody is exactly one of these."""

    PATIENT = "patient"
    DOCTOR = "doctor"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Doctor:
    """A doctor, as other people see them."""

    id: UserId
    full_name: str
    specialty: str


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient, as their doctor sees them."""

    id: UserId
    full_name: str


MOST_MONEY = 2**53 - 1
"""Minor units; the largest whole number that every JSON reader takes exactly (RFC 8259 §6)."""
CURRENCY = re.compile(r"[A-Z]{3}")


@lru_cache(maxsize=256)
def is_currency(code: str) -> bool:
    """Say whether this may be a code of ISO 4217; the same few are asked about with every slot."""
    return CURRENCY.fullmatch(code) is not None


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units of a currency (ISO 4217): 4900 EUR are 49.00 euros."""

    amount: int
    currency: str

    def __post_init__(self) -> None:
        """Raise Invalid unless the amount is 0 or more and the currency is a code."""
        if not 0 <= self.amount <= MOST_MONEY:
            raise Invalid.because(("fee", "amount"), "range", f"must be 0 to {MOST_MONEY}")
        if not is_currency(self.currency):
            raise Invalid.because(("fee", "currency"), "currency", "must be an ISO 4217 code")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with one value of a command."""

    path: tuple[str | int, ...]
    """Where the value stands: names of fields, and positions in lists."""
    rule: str
    detail: str


class Refusal(Exception):
    """The request was refused."""

    code: ClassVar[str] = "refused"

    def __init__(self, detail: str | None = None, *, faults: Sequence[Fault] = ()) -> None:
        """Take the first line of the class's docstring as the message, unless a better one is given."""
        super().__init__(detail or (self.__doc__ or "").splitlines()[0])
        self.faults = tuple(faults)


class Invalid(Refusal):
    """The request contradicts a rule about its values."""

    code = "invalid"

    @classmethod
    def because(cls, path: str | tuple[str | int, ...], rule: str, detail: str) -> Self:
        """Refuse one value."""
        return cls(faults=[Fault((path,) if isinstance(path, str) else path, rule, detail)])


class Unauthenticated(Refusal):
    """This needs a caller who is signed in."""

    code = "unauthenticated"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: a user, nobody in particular, or the system itself."""

    user: UserId | None
    request: str
    """The request in which they ask, as logs and audit entries name it."""
    system: bool = False

    @property
    def known(self) -> UserId:
        """The user; raise Unauthenticated where nobody has signed in."""
        if self.user is None:
            raise Unauthenticated
        return self.user


class AccessRefused(Refusal):
    """The caller may not do this; such a refusal is always recorded."""

    def __init__(self, actor: Actor, subject: UUID | None) -> None:
        """Remember who asked, and for what."""
        super().__init__()
        self.actor, self.subject = actor, subject


class Forbidden(AccessRefused):
    """The caller's role may never do this."""

    code = "forbidden"


class NotFound(Refusal):
    """There is no such thing."""

    code = "not-found"


class NotYours(AccessRefused, NotFound):
    """There is no such thing.

    In truth there is, but it belongs to others; only the audit entry tells the difference.
    """

    code = "not-found"


class Conflict(Refusal):
    """The request lost to something that happened first."""

    code = "conflict"


class Overloaded(Refusal):
    """Too many are asking for this at the moment."""

    code = "overloaded"


class EventKind(StrEnum):
    """What can have happened."""

    USER_REGISTERED = "user.registered"
    SIGN_IN_SUCCEEDED = "sign_in.succeeded"
    SIGN_IN_FAILED = "sign_in.failed"
    ROLE_CHANGED = "role.changed"
    SLOTS_PUBLISHED = "slots.published"
    SLOT_WITHDRAWN = "slot.withdrawn"
    SLOT_HELD = "slot.held"
    HOLD_EXTENDED = "hold.extended"
    HOLD_RELEASED = "hold.released"
    HOLD_EXPIRED = "hold.expired"
    APPOINTMENT_BOOKED = "appointment.booked"
    APPOINTMENT_RESCHEDULED = "appointment.rescheduled"
    APPOINTMENT_CANCELLED = "appointment.cancelled"
    APPOINTMENT_CHECKED_IN = "appointment.checked_in"
    APPOINTMENT_MISSED = "appointment.missed"
    APPOINTMENT_UNDONE = "appointment.undone"
    CONSULTATION_STARTED = "consultation.started"
    PRESCRIPTION_ISSUED = "prescription.issued"
    PRESCRIPTION_READ = "prescription.read"
    ACCESS_REFUSED = "access.refused"
    EVENT_REQUEUED = "event.requeued"


class Outcome(StrEnum):
    """How it ended."""

    SUCCESS = "success"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something happened. It carries ids only; whoever needs more reads the truth."""

    id: EventId
    kind: EventKind
    at: datetime
    actor: UserId | None
    subject: UUID | None
    outcome: Outcome
    request: str


@dataclass(frozen=True, slots=True)
class Happened:
    """Makes events: the clock and the ids that every use case would otherwise pass around."""

    clock: Clock
    new_id: NewId

    def __call__(self, kind: EventKind, actor: Actor, subject: UUID | None, *, by: UserId | None = None) -> Event:
        """Say what `actor` did to `subject`; `by` names the user where the actor did not yet have a name."""
        refused = kind in {EventKind.ACCESS_REFUSED, EventKind.SIGN_IN_FAILED}
        return Event(
            id=EventId(self.new_id()),
            kind=kind,
            at=self.clock.now(),
            actor=by or actor.user,
            subject=subject,
            outcome=Outcome.REFUSED if refused else Outcome.SUCCESS,
            request=actor.request,
        )


MOST_PER_PAGE = 500


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a list that is ordered by instant and id: where the next page goes on."""

    at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Paging:
    """Which part of a list is asked for."""

    limit: int = 50
    after: Position | None = None

    def __post_init__(self) -> None:
        """Raise Invalid unless the limit is 1 to 500."""
        if not 1 <= self.limit <= MOST_PER_PAGE:
            raise Invalid.because("limit", "range", f"must be 1 to {MOST_PER_PAGE}")

    def cut(self, rows: Sequence[T], place: Callable[[T], Position]) -> "Page[T]":
        """Make a page of up to limit + 1 rows; the extra row only shows that there is more."""
        items = tuple(rows[: self.limit])
        return Page(items, place(items[-1]) if len(rows) > self.limit else None)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list, and where the next part begins (None: there is none)."""

    items: tuple[T, ...]
    next: Position | None


LONGEST_TEXT = 200
"""Characters (Unicode code points) in any free text."""
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
"""What no text may hold: control characters but tab and line ends, and halves of surrogate pairs."""


def check_text(value: str, path: str | tuple[str | int, ...], *, least: int = 1, most: int = LONGEST_TEXT) -> None:
    """Raise Invalid unless the text is `least` to `most` characters long, says something and is printable."""
    if UNPRINTABLE.search(value):
        raise Invalid.because(path, "characters", "holds a control character or half of a surrogate pair")
    if not least <= len(value) <= most or (least and not value.strip()):
        raise Invalid.because(path, "length", f"must be {least} to {most} characters that are not all blank")


def in_utc(instant: datetime, path: str) -> datetime:
    """Turn an instant into UTC; raise Invalid if it has no offset or leaves the calendar."""
    if instant.tzinfo is UTC:
        return instant
    if instant.utcoffset() is None:
        raise Invalid.because(path, "offset", "must carry an offset from UTC")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise Invalid.because(path, "range", "is outside the calendar") from None
