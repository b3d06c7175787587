"""Where days begin and end, in every zone there is."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthcare.domain.kernel import Invalid
from healthcare.domain.zones import EARLIEST_YEAR, LATEST_YEAR, check_day, check_zone, first_instant, zone_names
from tests.builders import DAY, HOUR

SECOND = timedelta(seconds=1)
MONTH = timedelta(weeks=4)
FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2041, 1, 1, tzinfo=UTC)
ZONES = st.sampled_from(sorted(zone_names()))
DAYS = st.dates(date(1970, 1, 1), date(2200, 12, 31))


@cache
def monthly_offsets(name: str) -> tuple[timedelta, ...]:
    """Return the offsets of a zone, month by month: zones that have the same are one zone for us."""
    zone = ZoneInfo(name)
    return tuple(offset(FIRST + number * MONTH, zone) for number in range((LAST - FIRST) // MONTH + 1))


def offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    found = instant.astimezone(zone).utcoffset()
    assert found is not None
    return found


def transitions(zone: ZoneInfo, offsets: tuple[timedelta, ...]) -> Iterator[datetime]:
    """Find the instants at which clocks are changed, to the second. None comes back within four weeks."""
    for number, (before, after) in enumerate(pairwise(offsets)):
        if before != after:
            low, high = FIRST + number * MONTH, FIRST + (number + 1) * MONTH
            while high - low > SECOND:
                middle = low + ((high - low) // (2 * SECOND)) * SECOND
                low, high = (middle, high) if offset(middle, zone) == before else (low, middle)
            yield high


def check_days_around(zone: ZoneInfo, instant: datetime) -> None:
    """Check the days around an instant: they tile time, and each holds the instants that its date names."""
    today = instant.astimezone(zone).date()
    days = [today + number * DAY for number in range(-2, 4)]
    begins = [first_instant(day, zone) for day in days]
    for day, begin, end in zip(days, begins, begins[1:], strict=False):
        assert begin <= end, f"{zone} {day} ends before it begins"
        assert end - begin <= 27 * HOUR, f"{zone} {day} is too long"
        for inner in {begin, end - SECOND, min(max(instant, begin), end - SECOND)} if begin < end else ():
            local = inner.astimezone(zone)
            # Where clocks are set back over midnight, the end of the day before is shown again within the new day.
            shown_again = local.fold == 1 and local.date() == day - DAY
            assert local.date() == day or shown_again, f"{zone} shows {local} on {day}"
        assert (begin - SECOND).astimezone(zone).date() < day, f"{zone} {day} has begun earlier"


def test_days_tile_time_around_every_change_of_clocks_in_every_zone() -> None:
    distinct = {monthly_offsets(name): name for name in sorted(zone_names())}
    seen = 0

    for offsets, name in distinct.items():
        zone = ZoneInfo(name)
        for instant in transitions(zone, offsets):
            check_days_around(zone, instant)
            seen += 1

    assert len(distinct) > 150
    assert seen > 5_000


@given(name=ZONES, day=DAYS)
def test_days_tile_time_everywhere(name: str, day: date) -> None:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)

    check_days_around(ZoneInfo(name), noon)


@given(name=ZONES, day=st.dates(date(2000, 1, 1), date(2040, 12, 31)), minutes=st.integers(0, 24 * 60))
def test_each_instant_is_in_the_day_that_its_clock_shows(name: str, day: date, minutes: int) -> None:
    zone = ZoneInfo(name)
    instant = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=minutes)
    local = instant.astimezone(zone)

    today = local.date() + DAY if local.fold and instant >= first_instant(local.date() + DAY, zone) else local.date()

    assert first_instant(today, zone) <= instant < first_instant(today + DAY, zone)


@pytest.mark.parametrize(
    ("name", "day", "hours"),
    [
        ("UTC", date(2030, 1, 7), 24),
        ("Europe/Berlin", date(2030, 3, 31), 23),
        ("Europe/Berlin", date(2030, 10, 27), 25),
        ("Australia/Lord_Howe", date(2030, 4, 7), 24.5),
        ("America/Sao_Paulo", date(2018, 11, 4), 23),  # midnight was skipped
        ("America/Havana", date(2030, 11, 3), 25),
        ("Pacific/Apia", date(2011, 12, 30), 0),  # the whole day was skipped
        ("Antarctica/Casey", date(2010, 3, 5), 27),
    ],
)
def test_a_day_is_as_long_as_it_is_there(name: str, day: date, hours: float) -> None:
    zone = ZoneInfo(name)

    assert (first_instant(day + DAY, zone) - first_instant(day, zone)) / HOUR == hours


def test_a_day_whose_midnight_is_skipped_begins_when_the_clocks_jump_over_it() -> None:
    sao_paulo = ZoneInfo("America/Sao_Paulo")

    begin = first_instant(date(2018, 11, 4), sao_paulo)

    assert begin == datetime(2018, 11, 4, 3, tzinfo=UTC)
    assert begin.astimezone(sao_paulo).hour == 1


def test_a_jump_over_midnight_may_begin_before_it() -> None:
    toronto = ZoneInfo("America/Toronto")

    begin = first_instant(date(1919, 3, 31), toronto)

    assert (begin - SECOND).astimezone(toronto).replace(tzinfo=None) == datetime(1919, 3, 30, 23, 29, 59)  # noqa: DTZ001
    assert begin.astimezone(toronto).replace(tzinfo=None) == datetime(1919, 3, 31, 0, 30)  # noqa: DTZ001


def test_a_day_whose_midnight_comes_twice_begins_the_first_time() -> None:
    st_johns = ZoneInfo("America/St_Johns")

    begin = first_instant(date(2005, 10, 30), st_johns)

    assert begin == datetime(2005, 10, 30, 2, 30, tzinfo=UTC)
    assert (begin + HOUR).astimezone(st_johns).date() == date(2005, 10, 30)
    assert (begin + HOUR - SECOND).astimezone(st_johns).date() == date(2005, 10, 29)


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_zones_have_iana_names(name: str) -> None:
    check_zone(name, "tz")


@pytest.mark.parametrize("name", ["", "utc2", "Mars/Olympus", "../etc/passwd", "Europe/Berlin\x00", "/UTC", "GMT+25"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_zone(name, "tz")

    assert refused.value.faults[0].path == ("tz",)


@pytest.mark.parametrize("day", [date(EARLIEST_YEAR, 1, 1), date(LATEST_YEAR, 12, 31)])
def test_days_within_the_calendar_can_be_asked_for_in_every_zone(day: date) -> None:
    check_day(day, "date")

    for name in zone_names():
        first_instant(day, ZoneInfo(name))
        first_instant(day + DAY, ZoneInfo(name))


@pytest.mark.parametrize("day", [date(EARLIEST_YEAR - 1, 12, 31), date(LATEST_YEAR + 1, 1, 1), date.max, date.min])
def test_days_at_the_edges_of_the_calendar_are_refused(day: date) -> None:
    with pytest.raises(Invalid) as refused:
        check_day(day, "date")

    assert refused.value.faults[0].path == ("date",)
