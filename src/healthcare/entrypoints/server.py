"""The HTTP server around the API: one process for one port; more load takes more processes behind a balancer."""

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.server import Server

from healthcare.entrypoints.settings import Settings

HEADERS_WITHIN = 3000
"""Milliseconds; a client that sends its headers more slowly is cut off, so that it holds no place for long."""
STOP_WITHIN = 15
"""Seconds for requests in flight, once the server was told to stop."""


def serve(settings: Settings) -> None:
    """Answer until SIGTERM or SIGINT; requests in flight are answered first."""
    Server(
        "healthcare.entrypoints.asgi:create",
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,  # of other protocols the limit on headers below does not hold
        loop=Loops.uvloop,
        websockets=False,
        http1_settings=HTTP1Settings(header_read_timeout=HEADERS_WITHIN),
        workers=1,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_WITHIN,
        log_enabled=False,
    ).serve()
