"""The HTTP server around the API: one process for one port; more load takes more processes behind a balancer."""

import resource
import signal
from socket import create_server
from typing import Any, Final

from uvicorn import Config, Server

from healthcare.adapters.security.keys import read_keys
from healthcare.entrypoints.settings import Settings

IDLE: Final = 75
"""Seconds for which a connection stays open between two requests: longer than balancers keep theirs."""
STOP_WITHIN: Final = 15
"""Seconds for requests in flight, once the server was told to stop."""


class PortTaken(Exception):
    """The port cannot be had."""


def check_port(host: str, port: int) -> None:
    """Raise PortTaken if somebody else listens there: the server itself would say so in the log alone."""
    try:
        with create_server((host, port)):
            pass
    except OSError as reason:
        raise PortTaken(f"port {port} cannot be had ({reason})") from reason


def config(app: Any, host: str, port: int) -> Config:  # noqa: ANN401 - whatever uvicorn takes
    """Return how an app is served: what `app` names is called for it."""
    return Config(
        app,
        factory=True,
        host=host,
        port=port,
        loop="uvloop",
        http="healthcare.entrypoints.connections:Impatient",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=STOP_WITHIN,
    )


def serve(settings: Settings) -> None:
    """Answer until SIGTERM or SIGINT; requests in flight are answered first.

    Raises:
        PortTaken: somebody answers on the port already.
        KeysUnusable: there is no usable key file.
    """
    check_port(settings.host, settings.port)
    read_keys(settings.signing_key_file)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # often 1,024 until somebody asks
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: None)  # once it has stopped, uvicorn gives them to whoever had them before
    Server(config("healthcare.entrypoints.asgi:create", settings.host, settings.port)).run()
