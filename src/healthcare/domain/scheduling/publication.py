"""Offering free time."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from healthcare.domain.kernel import Invalid
from healthcare.domain.scheduling.errors import SlotsOverlap
from healthcare.domain.scheduling.model import TimeRange

SHORTEST_SLOT, LONGEST_SLOT = 5, 240
"""Minutes."""
LONGEST_PUBLICATION = timedelta(hours=24)
FURTHEST_AHEAD = timedelta(days=90)


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
        """Find room between the slots that stand already, or have a patient although they were taken back.

        Raises:
            SlotsOverlap: there is none.
        """
        slots = self.slots()
        offered = TimeRange(slots[0].start, slots[-1].end)
        if any(offered.overlaps(time) for time in existing):
            raise SlotsOverlap
