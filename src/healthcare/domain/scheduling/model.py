"""Slots, appointments, and the diary in which bookings are decided."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final
from zoneinfo import ZoneInfo

from healthcare.domain.kernel import (
    Actor,
    AppointmentId,
    Doctor,
    Event,
    EventKind,
    Forbidden,
    Happened,
    Invalid,
    Money,
    NotFound,
    Paging,
    Patient,
    Role,
    SlotId,
    UserId,
    check_text,
    in_utc,
)
from healthcare.domain.policy import Action, permit
from healthcare.domain.scheduling.errors import (
    AppointmentNotBooked,
    AppointmentStarted,
    KeyReused,
    PatientBusy,
    SlotInThePast,
    SlotsOverlap,
    SlotTaken,
)
from healthcare.domain.zones import check_day, check_zone, first_instant

SHORTEST_SLOT, LONGEST_SLOT = 5, 240
"""Minutes."""
LONGEST_PUBLICATION = timedelta(hours=24)
FURTHEST_AHEAD = timedelta(days=90)
KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A half-open interval of instants in UTC: the start is in it, the end is not."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        """Raise Invalid unless both have an offset from UTC and the end comes after the start."""
        object.__setattr__(self, "start", in_utc(self.start, "start"))
        object.__setattr__(self, "end", in_utc(self.end, "end"))
        if self.end <= self.start:
            raise Invalid.because("end", "order", "must come after the start")

    def overlaps(self, other: "TimeRange") -> bool:
        """Say whether any instant is in both."""
        return self.start < other.end and other.start < self.end


class AppointmentStatus(StrEnum):
    """The life of an appointment; FHIR R4 Appointment.status."""

    BOOKED = "booked"
    FULFILLED = "fulfilled"
    CANCELLED = "cancelled"
    ENTERED_IN_ERROR = "entered-in-error"


NOT_LIVE: Final = frozenset({AppointmentStatus.CANCELLED, AppointmentStatus.ENTERED_IN_ERROR})
"""An appointment in any other status is live: it claims its slot and its patient's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appointment:
    """A patient's claim on a slot."""

    id: AppointmentId
    slot: SlotId
    doctor: Doctor
    patient: Patient
    time: TimeRange
    fee: Money
    """As shown when it was booked."""
    status: AppointmentStatus = AppointmentStatus.BOOKED
    version: int = 1
    """Rises by one with every change."""

    def cancel(self, *, now: datetime) -> "Appointment":
        """Give the slot and the time back.

        Raises:
            AppointmentNotBooked: it was cancelled before, or care has begun.
            AppointmentStarted: its time has begun.
        """
        if self.status is not AppointmentStatus.BOOKED:
            raise AppointmentNotBooked
        if self.time.start <= now:
            raise AppointmentStarted
        return replace(self, status=AppointmentStatus.CANCELLED, version=self.version + 1)

    def fulfil(self) -> "Appointment":
        """Care begins.

        Raises:
            AppointmentNotBooked: it was cancelled.
        """
        if self.status is not AppointmentStatus.BOOKED:
            raise AppointmentNotBooked
        return replace(self, status=AppointmentStatus.FULFILLED, version=self.version + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A bookable range of one doctor."""

    id: SlotId
    doctor: Doctor
    time: TimeRange
    fee: Money
    taken: bool = False
    """Whether a live appointment stands on it: always read, never stored."""
    offered: bool = True
    """Not withdrawn, and its doctor is still a doctor."""

    def book(self, patient: Patient, *, id: AppointmentId, now: datetime) -> Appointment:
        """Claim it for the patient.

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
        return Appointment(id=id, slot=self.id, doctor=self.doctor, patient=patient, time=self.time, fee=self.fee)

    def withdraw(self) -> "Slot":
        """Take it back; nobody can find or book it any more.

        Raises:
            NotFound: it was withdrawn before.
            SlotTaken: a patient has it.
        """
        if not self.offered:
            raise NotFound
        if self.taken:
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
        """The day's first instant, and the next day's: mostly 23 to 25 hours apart, none where the day was skipped."""
        zone = ZoneInfo(self.zone)
        return first_instant(self.day, zone), first_instant(self.day + timedelta(days=1), zone)

    @property
    def touched(self) -> tuple[Touched, ...]:
        """What must not change while an answer to this search is kept."""
        start, end = self.bounds
        last = max(start, end - timedelta(microseconds=1))
        days = range(start.date().toordinal(), last.date().toordinal() + 1)
        return (Touched(self.specialty), *(Touched(self.specialty, date.fromordinal(day)) for day in days))


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """A patient asks for a slot; the same key again asks for the same answer again."""

    actor: Actor
    slot: SlotId
    key: str

    def __post_init__(self) -> None:
        """Raise Invalid unless the key is 1 to 255 visible ASCII characters."""
        if not KEY.fullmatch(self.key):
            raise Invalid.because("Idempotency-Key", "key", "must be 1 to 255 visible ASCII characters")

    @property
    def fingerprint(self) -> bytes:
        """What is equal for commands that ask for the same."""
        return sha256(self.slot.bytes).digest()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a key was used for, and what it was answered."""

    fingerprint: bytes
    appointment: Appointment


@dataclass(frozen=True, slots=True)
class Booked:
    """A decision of the diary that must be kept: the appointment, the key's record and the event, or none of them."""

    booking: Booking
    appointment: Appointment
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Diary:
    """What must be known to decide a list of bookings, and what has been decided so far.

    It sees its own decisions: of two bookings of one list that want one slot, the first wins.
    """

    roles: dict[UserId, Role]
    """Of those who ask."""
    patients: dict[UserId, Patient]
    slots: dict[SlotId, Slot]
    busy: dict[UserId, list[TimeRange]]
    """When those who ask have live appointments."""
    receipts: dict[tuple[UserId, str], Receipt]
    """By caller and key."""
    booked: list[Booked] = field(default_factory=list)
    replayed: list[Booking] = field(default_factory=list)
    """What was answered from a receipt that had been kept before this list."""
    refused: list[Event] = field(default_factory=list)
    """The refusals that must be recorded."""

    def book(self, ask: Booking, *, id: AppointmentId, happened: Happened) -> Appointment:
        """Decide one booking, in order of arrival.

        Raises:
            Forbidden: the caller is no patient.
            KeyReused: the key was used for another slot.
            NotFound: there is no such slot on offer.
            SlotTaken, SlotInThePast: see `Slot.book`.
            PatientBusy: they have another appointment at this time.
        """
        patient = self._admit(ask, happened)
        if receipt := self.receipts.get((patient.id, ask.key)):
            return self._answer(ask, receipt)
        if (slot := self.slots.get(ask.slot)) is None:
            raise NotFound
        appointment = slot.book(patient, id=id, now=happened.clock.now())
        if any(appointment.time.overlaps(time) for time in self.busy[patient.id]):
            raise PatientBusy
        self.slots[slot.id] = replace(slot, taken=True)
        self.busy[patient.id].append(appointment.time)
        self.receipts[patient.id, ask.key] = Receipt(ask.fingerprint, appointment)
        event = happened(EventKind.APPOINTMENT_BOOKED, ask.actor, appointment.id)
        self.booked.append(Booked(ask, appointment, event))
        return appointment

    def _admit(self, ask: Booking, happened: Happened) -> Patient:
        user = ask.actor.known
        try:
            permit(Action.BOOK_APPOINTMENT, ask.actor, self.roles.get(user), subject=ask.slot)
        except Forbidden:
            self.refused.append(happened(EventKind.ACCESS_REFUSED, ask.actor, ask.slot))
            raise
        return self.patients[user]

    def _answer(self, ask: Booking, receipt: Receipt) -> Appointment:
        if receipt.fingerprint != ask.fingerprint:
            raise KeyReused.because("Idempotency-Key", "reused", "was used for another slot")
        if all(one.appointment is not receipt.appointment for one in self.booked):
            self.replayed.append(ask)
        return receipt.appointment
