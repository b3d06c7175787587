"""What the use cases of scheduling need from outside."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from healthcare.domain.kernel import AppointmentId, Page, Paging, SlotId, UserId
from healthcare.domain.scheduling.asks import Ask
from healthcare.domain.scheduling.diary import Diary
from healthcare.domain.scheduling.model import Appointment, Slot, TimeRange
from healthcare.domain.scheduling.search import Search, Touched


class Slots(Protocol):
    """The time that doctors offer."""

    async def times(self, doctor: UserId, within: TimeRange) -> Sequence[TimeRange]:
        """Return when the doctor's slots stand, or have a patient all the same, that overlap the range."""
        ...

    async def add(self, slots: Sequence[Slot]) -> None:
        """Keep new slots.

        Raises:
            SlotsOverlap: the doctor has a slot at one of these times.
        """
        ...

    async def move(self, doctor: UserId, specialty: str, *, now: datetime) -> None:
        """Offer the doctor's slots that have not started under another specialty."""
        ...

    async def on(self, doctor: UserId, start: datetime, end: datetime) -> Sequence[SlotId]:
        """Return which of the doctor's slots start in this time and stand, or have a patient all the same."""
        ...

    async def of(self, doctor: UserId, paging: Paging) -> Page[Slot]:
        """Return the doctor's slots by start, withdrawn ones aside."""
        ...

    async def free(self, search: Search, *, now: datetime) -> Page[Slot]:
        """Return the slots that can be booked, have not started and are searched for, by start."""
        ...

    async def alternatives(self, slots: Collection[SlotId], most: int) -> Mapping[SlotId, Sequence[Slot]]:
        """Return for each the next slots of the same doctor that can be booked at this moment, by start."""
        ...


class Bookings(Protocol):
    """The path from a wish to what comes of it: lock, look, keep."""

    async def lock(self, asked: Sequence[Ask]) -> Diary:
        """Lock the slots, then queue the patients, then lock what may change; only then look, and return what was seen.

        Whatever is asked of an appointment locks its slot and its patient too.
        """
        ...

    async def keep(self, diary: Diary) -> None:
        """Keep what the diary decided: appointments, slots, receipts and events.

        Raises, at the latest when the unit of work ends:
            SlotTaken: a slot has a live appointment that the look did not see.
            PatientBusy: a patient has a live appointment that the look did not see.
        """
        ...

    async def forget(self, most: int, *, before: datetime) -> int:
        """Delete up to `most` receipts that are older, and return how many those were."""
        ...


class Appointments(Protocol):
    """The claims on slots, as they can be read. Holds that have run out are shown as cancelled."""

    async def get(self, appointment: AppointmentId) -> Appointment | None:
        """Return the appointment."""
        ...

    async def of(self, user: UserId, paging: Paging, *, as_doctor: bool) -> Page[Appointment]:
        """Return those in which the user is the patient, or also those in which they are the doctor, by start."""
        ...

    async def overdue(self, most: int, *, before: datetime) -> Sequence[AppointmentId]:
        """Return those that ended before this instant and are still booked; the oldest, and at most so many."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """An answer to a search as it goes out, and until when at most it may be given again."""

    body: bytes
    until: datetime | None
    """The start of the first slot in it; None: no slot is in it."""


class SearchCache(Protocol):
    """Answers to searches, kept for as long as nothing they show has changed."""

    async def answer(self, search: Search, make: Callable[[], Awaitable[Found]]) -> bytes:
        """Return a kept answer that was true when this call began, or make one."""
        ...

    async def forget(self, touched: Collection[Touched]) -> None:
        """Let no later call get an answer that was made before this one.

        It never fails: where the cache cannot be reached, what it holds runs out within 5 seconds.
        """
        ...
