"""Intervals of instants."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthcare.domain.kernel import Invalid
from healthcare.domain.scheduling.model import TimeRange
from tests.builders import HOUR, MINUTE, NOW, a_time

RANGES = st.builds(
    lambda begin, length: TimeRange(NOW + begin * MINUTE, NOW + (begin + length) * MINUTE),
    st.integers(0, 100),
    st.integers(1, 100),
)


@given(RANGES, RANGES)
def test_ranges_overlap_if_an_instant_is_in_both(one: TimeRange, other: TimeRange) -> None:
    shared = [
        minute for minute in range(200) if one.start <= NOW + minute * MINUTE < one.end
        and other.start <= NOW + minute * MINUTE < other.end
    ]  # fmt: skip

    assert one.overlaps(other) is bool(shared)


@given(RANGES, RANGES)
def test_overlapping_is_mutual(one: TimeRange, other: TimeRange) -> None:
    assert one.overlaps(other) == other.overlaps(one)


def test_a_range_that_begins_where_another_ends_does_not_overlap_it() -> None:
    assert not a_time(NOW, HOUR).overlaps(a_time(NOW + HOUR, HOUR))


def test_a_range_is_kept_in_utc() -> None:
    berlin = timezone(timedelta(hours=1))

    time = TimeRange(datetime(2030, 1, 7, 10, tzinfo=berlin), datetime(2030, 1, 7, 11, tzinfo=berlin))

    assert (time.start, time.end) == (NOW, NOW + HOUR)
    assert (time.start.tzinfo, time.end.tzinfo) == (UTC, UTC)


@pytest.mark.parametrize("length", [timedelta(0), -HOUR])
def test_a_range_ends_after_it_starts(length: timedelta) -> None:
    with pytest.raises(Invalid) as refused:
        TimeRange(NOW, NOW + length)

    assert (refused.value.faults[0].path, refused.value.faults[0].rule) == (("end",), "order")


@pytest.mark.parametrize("field", ["start", "end"])
def test_a_range_knows_its_offsets_from_utc(field: str) -> None:
    instants = {"start": NOW, "end": NOW + HOUR}

    with pytest.raises(Invalid) as refused:
        TimeRange(**instants | {field: instants[field].replace(tzinfo=None)})

    assert refused.value.faults[0].path == (field,)
