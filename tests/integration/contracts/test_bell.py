"""What every adapter of `Bell` does."""

import socket
from time import monotonic

import pytest

from healthcare.adapters.memory.bell import SilentBell
from healthcare.adapters.taskiq.bell import TaskiqBell
from healthcare.adapters.taskiq.broker import create_broker
from healthcare.application.uow import Bell

pytestmark = pytest.mark.anyio

PORT = Bell


@pytest.fixture(params=["silent", "taskiq", "taskiq without Redis"])
def bell(request: pytest.FixtureRequest) -> SilentBell | TaskiqBell:
    if request.param == "silent":
        return SilentBell()
    if request.param == "taskiq":
        host, port = request.getfixturevalue("redis_address")
        return TaskiqBell(create_broker(host=host, port=port))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody: int = probe.getsockname()[1]
    return TaskiqBell(create_broker(host="127.0.0.1", port=nobody))


async def test_ringing_never_fails_and_never_waits(bell: SilentBell | TaskiqBell) -> None:
    """Before it is opened, while it is open, and when it was closed."""
    rung: Bell = bell
    begun = monotonic()
    rung.ring()
    took = monotonic() - begun

    await bell.open()
    for _ in range(1000):
        begun = monotonic()
        rung.ring()
        took = max(took, monotonic() - begun)
    await bell.close()
    begun = monotonic()
    rung.ring()

    assert max(took, monotonic() - begun) < 0.1
