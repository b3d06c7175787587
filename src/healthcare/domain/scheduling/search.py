"""Looking for free slots, and what a change makes searches forget."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from healthcare.domain.kernel import Paging, check_text
from healthcare.domain.scheduling.model import Appointment, Slot
from healthcare.domain.zones import check_day, check_zone, day_bounds


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
