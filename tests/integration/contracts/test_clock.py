"""What every adapter of `Clock` does."""

from datetime import UTC

import pytest

from healthcare.adapters.system import SystemClock
from healthcare.domain.kernel import Clock
from tests.builders import FakeClock

PORT = Clock


@pytest.mark.parametrize("clock", [SystemClock(), FakeClock()], ids=["system", "fake"])
def test_the_time_is_an_instant_in_utc_and_does_not_go_back(clock: Clock) -> None:
    first, second = clock.now(), clock.now()

    assert first.tzinfo is UTC
    assert first <= second
