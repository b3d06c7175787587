"""Slots and appointments."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from healthcare.domain.kernel import (
    AppointmentId,
    Doctor,
    Invalid,
    Money,
    NotFound,
    Patient,
    SlotId,
    UserId,
    in_utc,
)
from healthcare.domain.scheduling.cancellation import EXPIRED, RELEASED, Cancellation, ReasonCode
from healthcare.domain.scheduling.errors import (
    AppointmentNotBooked,
    AppointmentStarted,
    CheckInTooEarly,
    HoldExtended,
    NothingToUndo,
    NotMissed,
    SlotInThePast,
    SlotTaken,
)
from healthcare.domain.scheduling.status import NOT_LIVE, TRANSITIONS, AppointmentStatus


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


HELD_FOR: Final = timedelta(minutes=5)
MOST_HOLDS: Final = 3
"""Live ones of one patient."""
CHECK_IN_OPENS: Final = timedelta(minutes=15)
"""Before the start."""
MISSED_AFTER: Final = timedelta(minutes=15)
"""After the end."""


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
