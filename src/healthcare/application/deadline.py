"""How long the one who asks will wait. Drivers set it, adapters keep it, use cases need not know."""

from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from time import monotonic

_deadline: ContextVar[float] = ContextVar("deadline")


def answer_within(seconds: float) -> AbstractContextManager[None]:
    """Give everything in the block this long, counted from now."""
    return _Within(monotonic() + seconds)


class _Within(AbstractContextManager[None]):
    # Each request enters one: a generator would take three times as long.

    __slots__ = ("_end", "_token")

    _token: Token[float]

    def __init__(self, end: float) -> None:
        self._end = end

    def __enter__(self) -> None:
        self._token = _deadline.set(self._end)

    def __exit__(self, *_failure: object) -> None:
        _deadline.reset(self._token)


def remaining(most: float) -> float:
    """Return how many seconds a call may take: what is left of the deadline, and never more than `most`."""
    return max(0.0, min(most, _deadline.get(float("inf")) - monotonic()))
