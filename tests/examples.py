"""How many examples a search draws: a sample in `make test`, twenty times as many in `make test-long`."""

import os
from typing import Final

LONG: Final = "HEALTHCARE_LONG" in os.environ


def examples(number: int) -> int:
    """Return how many to draw where `make test` draws this many."""
    return 20 * number if LONG else number
