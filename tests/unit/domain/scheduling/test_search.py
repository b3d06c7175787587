"""What can be searched for, and which changes concern a search."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from healthcare.domain.kernel import Invalid
from healthcare.domain.scheduling.search import Search, Touched
from healthcare.domain.zones import zone_names
from tests.builders import HOUR, MINUTE, a_doctor, a_slot, a_time

ZONES = st.sampled_from(sorted(zone_names()))
DAYS = st.dates(date(2000, 1, 1), date(2040, 12, 31))


def test_a_search_looks_at_a_calendar_day_of_its_zone() -> None:
    start, end = Search("cardiology", date(2030, 3, 31), "Europe/Berlin").bounds

    assert start == datetime(2030, 3, 31, tzinfo=ZoneInfo("Europe/Berlin"))
    assert end - start == 23 * HOUR


@given(zone=ZONES, day=DAYS, minutes=st.integers(0, 27 * 60))
def test_whatever_starts_within_the_day_concerns_the_search(zone: str, day: date, minutes: int) -> None:
    search = Search("cardiology", day, zone)
    start, end = search.bounds
    assume(start + minutes * MINUTE < end)

    slot = a_slot(doctor=a_doctor(specialty="cardiology"), time=a_time(start + minutes * MINUTE))

    assert Touched.by(slot) in search.touched


@given(zone=ZONES, day=DAYS)
def test_a_search_looks_at_its_specialty_and_at_one_or_two_utc_dates(zone: str, day: date) -> None:
    whole, *days = Search("cardiology", day, zone).touched

    assert whole == Touched("cardiology")
    assert 1 <= len(days) <= 3
    assert all(one.specialty == "cardiology" for one in days)


def test_a_day_that_was_skipped_concerns_the_date_on_which_it_was() -> None:
    search = Search("cardiology", date(2011, 12, 30), "Pacific/Apia")

    assert search.touched == (Touched("cardiology"), Touched("cardiology", date(2011, 12, 30)))


def test_a_day_in_utc_concerns_that_date_alone() -> None:
    day = date(2030, 1, 7)

    assert Search("cardiology", day).touched == (Touched("cardiology"), Touched("cardiology", day))


def test_searches_that_ask_the_same_are_equal() -> None:
    day = date(2030, 1, 7)

    assert len({Search("cardiology", day), Search("cardiology", day), Search("cardiology", day + timedelta(1))}) == 2


@pytest.mark.parametrize(
    ("specialty", "day", "zone", "field"),
    [
        ("", date(2030, 1, 7), "UTC", "specialty"),
        ("x" * 201, date(2030, 1, 7), "UTC", "specialty"),
        ("\x00", date(2030, 1, 7), "UTC", "specialty"),
        ("cardiology", date(2030, 1, 7), "Europe/Atlantis", "tz"),
        ("cardiology", date(1, 1, 1), "UTC", "date"),
        ("cardiology", date(9999, 12, 31), "UTC", "date"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(specialty: str, day: date, zone: str, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        Search(specialty, day, zone)

    assert refused.value.faults[0].path == (field,)


def test_a_specialty_that_nobody_has_can_be_searched_for() -> None:
    assert Search("Phrenology & more", date(2030, 1, 7)).specialty == "Phrenology & more"
