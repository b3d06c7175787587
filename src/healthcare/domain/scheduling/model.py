"""Slots, appointments and searches."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from healthcare.domain.kernel import (
    AppointmentId,
    Doctor,
    Invalid,
    Money,
    NotFound,
    Paging,
    Patient,
    SlotId,
    UserId,
    check_text,
    in_utc,
)
from healthcare.domain.scheduling.errors import (
    AppointmentNotBooked,
    AppointmentStarted,
    CheckInTooEarly,
    HoldExtended,
    NothingToUndo,
    NotMissed,
    SlotInThePast,
    SlotsOverlap,
    SlotTaken,
)
from healthcare.domain.zones import check_day, check_zone, day_bounds

SHORTEST_SLOT, LONGEST_SLOT = 5, 240
"""Minutes."""
LONGEST_PUBLICATION = timedelta(hours=24)
FURTHEST_AHEAD = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A half-open interval of instants in UTC: the start is in it, the end is not."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        """Raise Invalid unless both have an offset from UTC and the end comes after the start."""
        if self.start.tzinfo is not UTC or self.end.tzinfo is not UTC:
            object.__setattr__(self, "start", in_utc(self.start, "start"))
            object.__setattr__(self, "end", in_utc(self.end, "end"))
        if self.end <= self.start:
            raise Invalid.because("end", "order", "must come after the start")

    def overlaps(self, other: "TimeRange") -> bool:
        """Say whether any instant is in both."""
        return self.start < other.end and other.start < self.end


class AppointmentStatus(StrEnum):
    """The life of an appointment; FHIR R4 Appointment.status."""

    PENDING = "pending"
    """A hold: it ends by itself unless it is booked in time."""
    BOOKED = "booked"
    CHECKED_IN = "checked-in"
    FULFILLED = "fulfilled"
    """Care has begun; how far it has come is the consultation's status."""
    CANCELLED = "cancelled"
    NOSHOW = "noshow"
    ENTERED_IN_ERROR = "entered-in-error"


NOT_LIVE: Final = frozenset({AppointmentStatus.CANCELLED, AppointmentStatus.ENTERED_IN_ERROR})
"""An appointment in any other status is live: it claims its slot and its patient's time."""

UNFINISHED: Final = frozenset({AppointmentStatus.PENDING, AppointmentStatus.BOOKED, AppointmentStatus.CHECKED_IN})
"""The patient may still come."""

TRANSITIONS: Final[Mapping[AppointmentStatus, frozenset[AppointmentStatus]]] = MappingProxyType(
    {
        AppointmentStatus.PENDING: frozenset({AppointmentStatus.BOOKED, AppointmentStatus.CANCELLED}),
        AppointmentStatus.BOOKED: frozenset(
            {
                AppointmentStatus.CHECKED_IN,
                AppointmentStatus.FULFILLED,
                AppointmentStatus.CANCELLED,
                AppointmentStatus.NOSHOW,
                AppointmentStatus.ENTERED_IN_ERROR,
            }
        ),
        AppointmentStatus.CHECKED_IN: frozenset(
            {
                AppointmentStatus.BOOKED,
                AppointmentStatus.FULFILLED,
                AppointmentStatus.CANCELLED,
                AppointmentStatus.ENTERED_IN_ERROR,
            }
        ),
        AppointmentStatus.FULFILLED: frozenset({AppointmentStatus.ENTERED_IN_ERROR}),
        # Who undoes a no-show says that the patient came; were it booked again, it would be missed again at once.
        AppointmentStatus.NOSHOW: frozenset({AppointmentStatus.CHECKED_IN, AppointmentStatus.ENTERED_IN_ERROR}),
        AppointmentStatus.CANCELLED: frozenset({AppointmentStatus.ENTERED_IN_ERROR}),
        AppointmentStatus.ENTERED_IN_ERROR: frozenset(),
    }
)
"""What each status may become. No command leads to `entered-in-error`: operators correct with it."""

HELD_FOR: Final = timedelta(minutes=5)
MOST_HOLDS: Final = 3
"""Live ones of one patient."""
CHECK_IN_OPENS: Final = timedelta(minutes=15)
"""Before the start."""
MISSED_AFTER: Final = timedelta(minutes=15)
"""After the end."""


class ReasonCode(StrEnum):
    """Why an appointment was cancelled; the FHIR R4 code system appointment-cancellation-reason."""

    PAT = "pat"
    PAT_CRS = "pat-crs"
    PAT_CPP = "pat-cpp"
    PAT_DEC = "pat-dec"
    PAT_FB = "pat-fb"
    PAT_LT = "pat-lt"
    PAT_MT = "pat-mt"
    PAT_MV = "pat-mv"
    PAT_PREG = "pat-preg"
    PAT_SWL = "pat-swl"
    PAT_UCP = "pat-ucp"
    PROV = "prov"
    PROV_PERS = "prov-pers"
    PROV_DCH = "prov-dch"
    PROV_EDU = "prov-edu"
    PROV_HOSP = "prov-hosp"
    PROV_LABS = "prov-labs"
    PROV_MRI = "prov-mri"
    PROV_ONC = "prov-onc"
    MAINT = "maint"
    MEDS_INC = "meds-inc"
    OTHER = "other"
    OTH_CMS = "oth-cms"
    OTH_ERR = "oth-err"
    OTH_FIN = "oth-fin"
    OTH_IV = "oth-iv"
    OTH_INT = "oth-int"
    OTH_MU = "oth-mu"
    OTH_ROOM = "oth-room"
    OTH_OERR = "oth-oerr"
    OTH_SWIE = "oth-swie"
    OTH_WEATH = "oth-weath"


@dataclass(frozen=True, slots=True)
class Cancellation:
    """Why an appointment was given up, and whether its patient did that later than its doctor asks."""

    reason: str
    """In the words of the one who cancelled."""
    code: ReasonCode
    late: bool = False


EXPIRED: Final = Cancellation("expired", ReasonCode.OTHER)
RELEASED: Final = Cancellation("released", ReasonCode.PAT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Appointment:
    """A patient's claim on a slot."""

    id: AppointmentId
    slot: SlotId
    doctor: Doctor
    patient: Patient
    time: TimeRange
    fee: Money
    """As shown when it was booked, or moved to this doctor."""
    notice_hours: int = 0
    """How long before the start its doctor wants to know of a cancellation; of the same moment as the fee."""
    status: AppointmentStatus = AppointmentStatus.BOOKED
    version: int = 1
    """Rises by one with every change."""
    expires_at: datetime | None = None
    """When a hold ends; None: this is no hold."""
    extended: bool = False
    """Whether the hold was extended."""
    cancellation: Cancellation | None = None

    @property
    def live(self) -> bool:
        """Whether it claims its slot and its patient's time; of a hold see also `at`."""
        return self.status not in NOT_LIVE

    def at(self, now: datetime) -> "Appointment":
        """Return it as it is at this instant: a hold that has run out is cancelled, whether or not that is kept."""
        if self.expires_at is None or self.status is not AppointmentStatus.PENDING or now < self.expires_at:
            return self
        return self._become(AppointmentStatus.CANCELLED, cancellation=EXPIRED)

    def extend(self) -> "Appointment":
        """Hold the slot for 5 minutes more.

        Raises:
            HoldExtended: that was done before.
        """
        if self.extended or self.expires_at is None:
            raise HoldExtended
        return replace(self, expires_at=self.expires_at + HELD_FOR, extended=True, version=self.version + 1)

    def confirm(self) -> "Appointment":
        """Turn the hold into an appointment."""
        return self._become(AppointmentStatus.BOOKED, expires_at=None)

    def release(self) -> "Appointment":
        """Give the held slot back."""
        return self._become(AppointmentStatus.CANCELLED, cancellation=RELEASED)

    def move(self, slot: "Slot", *, now: datetime) -> "Appointment":
        """Claim another slot in place of this one. Whoever stays with the same doctor keeps their terms.

        Raises:
            AppointmentNotBooked: it is no longer booked, or the patient has checked in.
            AppointmentStarted: its time has begun.
        """
        self.require_movable(now=now)
        terms = self if slot.doctor.id == self.doctor.id else slot
        return replace(
            self,
            slot=slot.id,
            doctor=slot.doctor,
            time=slot.time,
            fee=terms.fee,
            notice_hours=terms.notice_hours,
            version=self.version + 1,
        )

    def require_movable(self, *, now: datetime) -> None:
        """Raise what `move` raises."""
        if self.status is not AppointmentStatus.BOOKED:
            raise AppointmentNotBooked
        if self.time.start <= now:
            raise AppointmentStarted

    def cancel(self, reason: str, code: ReasonCode | None = None, *, by: UserId, now: datetime) -> "Appointment":
        """Give the slot and the time back. Without a code it says who cancelled: patient, doctor or somebody else.

        Raises:
            AppointmentNotBooked: it was cancelled before, or missed, or care has begun.
            AppointmentStarted: its time has begun.
        """
        usual = {self.patient.id: ReasonCode.PAT, self.doctor.id: ReasonCode.PROV}.get(by, ReasonCode.OTHER)
        too_late = now > self.time.start - timedelta(hours=self.notice_hours)
        late = too_late and by == self.patient.id and self.status is not AppointmentStatus.PENDING
        cancelled = self._become(
            AppointmentStatus.CANCELLED, cancellation=Cancellation(reason, code or usual, late=late)
        )
        if self.time.start <= now:
            raise AppointmentStarted
        return cancelled

    def check_in(self, *, now: datetime) -> "Appointment":
        """Note that the patient is there; a second time changes nothing.

        Raises:
            AppointmentNotBooked: there is nothing to wait for any more.
            CheckInTooEarly: it does not start within 15 minutes.
        """
        if self.status is AppointmentStatus.CHECKED_IN:
            return self
        checked_in = self._become(AppointmentStatus.CHECKED_IN, only_from=AppointmentStatus.BOOKED)
        if now < self.time.start - CHECK_IN_OPENS:
            raise CheckInTooEarly
        return checked_in

    def miss(self, *, now: datetime) -> "Appointment":
        """Note that nobody came.

        Raises:
            AppointmentNotBooked: somebody came, or it was cancelled.
            NotMissed: it ended less than 15 minutes ago.
        """
        missed = self._become(AppointmentStatus.NOSHOW)
        if now < self.time.end + MISSED_AFTER:
            raise NotMissed
        return missed

    def undo(self) -> "Appointment":
        """Take a mistaken check-in back, or note that the patient of a mistaken no-show did come.

        Raises:
            NothingToUndo: it is in another status.
        """
        match self.status:
            case AppointmentStatus.CHECKED_IN:
                return self._become(AppointmentStatus.BOOKED)
            case AppointmentStatus.NOSHOW:
                return self._become(AppointmentStatus.CHECKED_IN)
        raise NothingToUndo

    def fulfil(self) -> "Appointment":
        """Care begins.

        Raises:
            AppointmentNotBooked: it was cancelled, or missed, or is only held.
        """
        return self._become(AppointmentStatus.FULFILLED)

    def _become(
        self,
        status: AppointmentStatus,
        *,
        only_from: AppointmentStatus | None = None,
        expires_at: datetime | None = None,
        cancellation: Cancellation | None = None,
    ) -> "Appointment":
        if status not in TRANSITIONS[self.status] or only_from not in {None, self.status}:
            raise AppointmentNotBooked
        return replace(self, status=status, version=self.version + 1, expires_at=expires_at, cancellation=cancellation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A bookable range of one doctor."""

    id: SlotId
    doctor: Doctor
    time: TimeRange
    fee: Money
    notice_hours: int = 0
    """How long before the start the doctor wants to know of a cancellation."""
    taken: bool = False
    """Whether a live appointment stands on it: always read, never stored."""
    offered: bool = True
    """Not withdrawn, and its doctor is still a doctor."""

    def require_free(self, *, now: datetime) -> None:
        """Let somebody claim it.

        Raises:
            NotFound: it is no longer offered.
            SlotTaken: somebody was faster.
            SlotInThePast: it has started.
        """
        if not self.offered:
            raise NotFound
        if self.taken:
            raise SlotTaken
        if self.time.start <= now:
            raise SlotInThePast.because("slot_id", "future", "has already started")

    def book(self, patient: Patient, *, id: AppointmentId) -> Appointment:
        """Claim it for the patient, who has been let."""
        return Appointment(
            id=id,
            slot=self.id,
            doctor=self.doctor,
            patient=patient,
            time=self.time,
            fee=self.fee,
            notice_hours=self.notice_hours,
        )

    def hold(self, patient: Patient, *, id: AppointmentId, now: datetime) -> Appointment:
        """Claim it for 5 minutes."""
        claim = self.book(patient, id=id)
        return replace(claim, status=AppointmentStatus.PENDING, expires_at=now + HELD_FOR)

    def withdraw(self, *, even_taken: bool = False) -> "Slot":
        """Take it back; nobody can find or book it any more.

        Raises:
            NotFound: it was withdrawn before.
            SlotTaken: a patient has it, and that was not to be overlooked.
        """
        if not self.offered:
            raise NotFound
        if self.taken and not even_taken:
            raise SlotTaken
        return replace(self, offered=False)


@dataclass(frozen=True, slots=True)
class Publication:
    """A range of free time that a doctor offers in slots of equal length; a shorter remainder is left out."""

    time: TimeRange
    slot_minutes: int

    def __post_init__(self) -> None:
        """Raise Invalid unless both ends are whole minutes and at least one slot fits into at most 24 hours."""
        for name, instant in (("start", self.time.start), ("end", self.time.end)):
            if instant.second or instant.microsecond:
                raise Invalid.because(name, "whole-minute", "must be a whole minute")
        if not SHORTEST_SLOT <= self.slot_minutes <= LONGEST_SLOT:
            raise Invalid.because("slot_minutes", "range", f"must be {SHORTEST_SLOT} to {LONGEST_SLOT} minutes")
        if self.time.end - self.time.start > LONGEST_PUBLICATION:
            raise Invalid.because("end", "range", "must come at most 24 hours after the start")
        if not self.slots():
            raise Invalid.because("end", "whole-slot", "leaves no room for a whole slot")

    def slots(self) -> list[TimeRange]:
        """Return the ranges that it offers, in order."""
        length = timedelta(minutes=self.slot_minutes)
        whole = (self.time.end - self.time.start) // length
        starts = [self.time.start + place * length for place in range(whole)]
        return [TimeRange(start, start + length) for start in starts]

    def check(self, *, now: datetime) -> None:
        """Raise Invalid unless it lies in the next 90 days."""
        if self.time.start <= now:
            raise Invalid.because("start", "future", "must lie in the future")
        if self.time.end > now + FURTHEST_AHEAD:
            raise Invalid.because("end", "range", f"must lie at most {FURTHEST_AHEAD.days} days ahead")

    def check_room(self, existing: Collection[TimeRange]) -> None:
        """Find room between the slots that stand already.

        Raises:
            SlotsOverlap: there is none.
        """
        slots = self.slots()
        offered = TimeRange(slots[0].start, slots[-1].end)
        if any(offered.overlaps(time) for time in existing):
            raise SlotsOverlap


@dataclass(frozen=True, slots=True)
class Touched:
    """A part of all searches: those in a specialty, or those in a specialty that look at a UTC date."""

    specialty: str
    day: date | None = None

    @classmethod
    def by(cls, changed: Slot | Appointment) -> "Touched":
        """Name the searches that a change of this slot, or of a claim on one, concerns."""
        return cls(changed.doctor.specialty, changed.time.start.date())


@dataclass(frozen=True, slots=True)
class Search:
    """Which free slots are asked for: those that start on a calendar day of a time zone."""

    specialty: str
    day: date
    zone: str = "UTC"
    paging: Paging = field(default_factory=Paging)

    def __post_init__(self) -> None:
        """Raise Invalid unless there are such a zone and such a day."""
        check_text(self.specialty, "specialty")
        check_zone(self.zone, "tz")
        check_day(self.day, "date")

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """The day's first instant, and the next day's."""
        return day_bounds(self.day, self.zone)

    @property
    def touched(self) -> tuple[Touched, ...]:
        """What must not change while an answer to this search is kept."""
        start, end = self.bounds
        last = max(start, end - timedelta(microseconds=1))
        days = range(start.date().toordinal(), last.date().toordinal() + 1)
        return (Touched(self.specialty), *(Touched(self.specialty, date.fromordinal(day)) for day in days))
