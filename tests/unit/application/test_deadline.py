"""How long a call may take."""

import asyncio

import pytest

from healthcare.application.deadline import answer_within, remaining


def test_without_a_deadline_a_call_may_take_what_it_wants() -> None:
    assert remaining(3.0) == 3.0


def test_a_call_may_take_what_is_left_and_never_more_than_it_wants() -> None:
    with answer_within(10):
        assert remaining(3.0) == 3.0
        assert 9.0 < remaining(30.0) <= 10.0


def test_when_the_time_is_up_nothing_is_left() -> None:
    with answer_within(-1):
        assert remaining(3.0) == 0.0


def test_a_deadline_ends_with_its_block() -> None:
    with answer_within(10):
        with answer_within(1):
            assert remaining(30.0) <= 1.0
        assert remaining(30.0) > 9.0

    assert remaining(30.0) == 30.0


def test_a_deadline_ends_with_its_block_also_where_that_fails() -> None:
    with pytest.raises(RuntimeError), answer_within(1):
        raise RuntimeError

    assert remaining(30.0) == 30.0


@pytest.mark.anyio
async def test_each_task_has_its_own_deadline() -> None:
    async def left(seconds: float) -> float:
        with answer_within(seconds):
            await asyncio.sleep(0)
            return remaining(30.0)

    short, long = await asyncio.gather(left(1), left(10))

    assert short <= 1.0 < long
