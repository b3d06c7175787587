"""What is left when a process is killed: nothing that still answers, and nothing that is lost."""

import socket
import sys
import time

import pytest

from tests.integration.world import World

GONE_WITHIN = 5
"""Seconds."""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent is gone")
def test_an_api_that_is_killed_leaves_nothing_that_answers_on_its_port(world: World) -> None:
    """The HTTP server works in a child; orphaned, it would share the port with the next start."""
    with world.apis() as (api,):
        port = int(api.url.rsplit(":", 1)[1])
        api.process.kill()
        end = time.monotonic() + GONE_WITHIN
        while answers(port):
            assert time.monotonic() < end
            time.sleep(0.05)


def answers(port: int) -> bool:
    """Say whether anybody listens there."""
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0
