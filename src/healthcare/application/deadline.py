"""How long the one who asks will wait. Drivers set it, adapters keep it, use cases need not know."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

_deadline: ContextVar[float] = ContextVar("deadline")


@contextmanager
def answer_within(seconds: float) -> Iterator[None]:
    """Give everything in the block this long, counted from now."""
    token = _deadline.set(monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def remaining(most: float) -> float:
    """Return how many seconds a call may take: what is left of the deadline, and never more than `most`."""
    return max(0.0, min(most, _deadline.get(float("inf")) - monotonic()))
