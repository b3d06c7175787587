"""The HTTP server around the API: one process for one port; more load takes more processes behind a balancer."""

from socket import create_server

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.server import Server

from healthcare.adapters.security.keys import read_keys
from healthcare.entrypoints.settings import Settings

HEADERS_WITHIN = 3000
"""Milliseconds; a client that is silent, or sends its headers more slowly, is cut off: it holds no place for long."""
STOP_WITHIN = 15
"""Seconds for requests in flight, once the server was told to stop."""


class PortTaken(Exception):
    """The port cannot be had."""


def check_port(host: str, port: int) -> None:
    """Raise PortTaken if somebody else listens there: the server itself would share the port in silence."""
    try:
        with create_server((host, port)):
            pass
    except OSError as reason:
        raise PortTaken(f"port {port} cannot be had ({reason})") from reason


def serve(settings: Settings) -> None:
    """Answer until SIGTERM or SIGINT; requests in flight are answered first.

    Raises:
        PortTaken: somebody answers on the port already.
        KeysUnusable: there is no usable key file. What would fail in the server's child is tried here before.
    """
    check_port(settings.host, settings.port)
    read_keys(settings.signing_key_file)
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
