"""Time zones, and where a calendar day begins and ends in one of them."""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones, reset_tzpath

from healthcare.domain.kernel import Invalid

EARLIEST_YEAR, LATEST_YEAR = 1970, 2999
"""Years in which days can be asked for; outside them, offsets from UTC lead out of the calendar."""


def use_one_database() -> None:
    """Read time zones from the locked `tzdata` package alone; every driver calls this once, at its start.

    Files of the operating system are often stale, and two databases in one system mail the wrong hour.
    """
    reset_tzpath(to=[])
    ZoneInfo.clear_cache()
    zone_names.cache_clear()


@cache
def zone_names() -> frozenset[str]:
    """Every IANA time zone there is."""
    return frozenset(available_timezones())


def check_zone(name: str, path: str) -> None:
    """Raise Invalid unless this is the name of an IANA time zone."""
    if name not in zone_names():
        raise Invalid.because(path, "time-zone", "is not the name of an IANA time zone")


def check_day(day: date, path: str) -> None:
    """Raise Invalid unless offsets from UTC keep the day within the calendar."""
    if not EARLIEST_YEAR <= day.year <= LATEST_YEAR:
        raise Invalid.because(path, "range", f"must lie in the years {EARLIEST_YEAR} to {LATEST_YEAR}")


def first_instant(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant, in UTC, at which the calendar of the zone shows this day or a later one.

    Where midnight is skipped, the day begins when the clocks jump over it; where it comes twice, at its first time.
    """
    midnight = datetime.combine(day, time(), zone)
    start = midnight.astimezone(UTC)
    if start.astimezone(zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return start
    # Midnight does not exist here. The jump lies between its two readings, and whole seconds find it.
    before, after = midnight.replace(fold=1).astimezone(UTC), start
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before).total_seconds() // 2)
        if middle.astimezone(zone).date() < day:
            before = middle
        else:
            after = middle
    return after


def day_bounds(day: date, zone: str) -> tuple[datetime, datetime]:
    """Return a day's first instant, and the next day's, in UTC.

    They are mostly 23 to 25 hours apart; where a zone skipped the day they are the same.
    """
    here = ZoneInfo(zone)
    return first_instant(day, here), first_instant(day + timedelta(days=1), here)
