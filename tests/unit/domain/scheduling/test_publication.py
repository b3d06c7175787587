"""What a doctor may offer, and how it is cut into slots."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthcare.domain.kernel import Invalid
from healthcare.domain.scheduling.errors import SlotsOverlap
from healthcare.domain.scheduling.publication import FURTHEST_AHEAD, LONGEST_SLOT, SHORTEST_SLOT
from tests.builders import DAY, HOUR, MINUTE, NOW, TOMORROW, a_publication, a_time


@given(minutes=st.integers(1, 24 * 60), slot_minutes=st.integers(SHORTEST_SLOT, LONGEST_SLOT))
def test_slots_tile_the_range_up_to_a_remainder_that_is_shorter_than_a_slot(minutes: int, slot_minutes: int) -> None:
    if minutes < slot_minutes:
        with pytest.raises(Invalid) as refused:
            a_publication(length=minutes * MINUTE, slot_minutes=slot_minutes)
        assert refused.value.faults[0].rule == "whole-slot"
        return

    publication = a_publication(length=minutes * MINUTE, slot_minutes=slot_minutes)

    slots = publication.slots()
    assert slots[0].start == publication.time.start
    assert all(slot.end - slot.start == slot_minutes * MINUTE for slot in slots)
    assert all(one.end == following.start for one, following in pairwise(slots))
    assert timedelta(0) <= publication.time.end - slots[-1].end < slot_minutes * MINUTE


@pytest.mark.parametrize("slot_minutes", [SHORTEST_SLOT - 1, LONGEST_SLOT + 1, 0, -30])
def test_a_slot_is_five_minutes_to_four_hours_long(slot_minutes: int) -> None:
    with pytest.raises(Invalid) as refused:
        a_publication(slot_minutes=slot_minutes)

    assert refused.value.faults[0].path == ("slot_minutes",)


@pytest.mark.parametrize("too_much", [timedelta(seconds=1), timedelta(microseconds=1)])
def test_both_ends_are_whole_minutes(too_much: timedelta) -> None:
    with pytest.raises(Invalid) as refused:
        a_publication(TOMORROW + too_much, 2 * HOUR - too_much)
    assert refused.value.faults[0].path == ("start",)

    with pytest.raises(Invalid) as refused:
        a_publication(TOMORROW, 2 * HOUR + too_much)
    assert refused.value.faults[0].path == ("end",)


def test_a_day_can_be_offered_at_once() -> None:
    assert len(a_publication(length=DAY, slot_minutes=5).slots()) == 288


def test_more_than_a_day_cannot() -> None:
    with pytest.raises(Invalid) as refused:
        a_publication(length=DAY + MINUTE)

    assert (refused.value.faults[0].path, refused.value.faults[0].rule) == (("end",), "range")


@pytest.mark.parametrize("start", [NOW, NOW - MINUTE, NOW - DAY])
def test_only_the_future_can_be_offered(start: datetime) -> None:
    publication = a_publication(start)

    with pytest.raises(Invalid) as refused:
        publication.check(now=NOW)

    assert refused.value.faults[0].path == ("start",)


def test_what_begins_in_a_minute_can_be_offered() -> None:
    a_publication(NOW + MINUTE).check(now=NOW)


def test_ninety_days_ahead_can_be_offered_and_a_minute_more_cannot() -> None:
    a_publication(NOW + FURTHEST_AHEAD - HOUR, HOUR).check(now=NOW)

    with pytest.raises(Invalid) as refused:
        a_publication(NOW + FURTHEST_AHEAD - HOUR, HOUR + MINUTE).check(now=NOW)
    assert refused.value.faults[0].path == ("end",)


def test_slots_do_not_overlap_what_stands_already() -> None:
    with pytest.raises(SlotsOverlap):
        a_publication(TOMORROW, 2 * HOUR).check_room([a_time(TOMORROW + HOUR, MINUTE)])


def test_there_is_room_before_after_and_in_the_remainder() -> None:
    publication = a_publication(TOMORROW, HOUR + 10 * MINUTE, slot_minutes=30)

    publication.check_room([])
    publication.check_room([a_time(TOMORROW - HOUR, HOUR), a_time(TOMORROW + HOUR, 10 * MINUTE)])
