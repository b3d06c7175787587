"""The HTTP server around the API: one process for one port; more load takes more processes behind a balancer."""

import resource
import signal
from asyncio import TimerHandle, Transport
from socket import create_server
from typing import Any, Final

from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from healthcare.adapters.security.keys import read_keys
from healthcare.adapters.system import new_id
from healthcare.entrypoints.api.observed import complete
from healthcare.entrypoints.api.problems import written
from healthcare.entrypoints.api.refusals import Unreadable
from healthcare.entrypoints.settings import Settings

HEADERS_WITHIN: Final = 3.0
"""Seconds; a client that sends its headers more slowly is cut off."""
MOST_BYTES_OF_HEADERS: Final = 64 * 1024
MOST_CONNECTIONS: Final = 8192
"""Each takes some 20 KB; whoever comes when there are as many is hung up on."""
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


class Impatient(HttpToolsProtocol):
    """Hangs up on who takes too long to send the headers of a request, or sends too many.

    uvicorn itself would wait for ever, and keep all that comes.
    """

    _patience: TimerHandle | None = None
    """While headers are to come."""
    _heard = 0
    """Bytes since the request began."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first request, as long as for its headers."""
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > MOST_CONNECTIONS:
            self._hang_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Wait for the headers of this request."""
        super().on_message_begin()
        self._wait_no_longer()
        self._wait()

    def on_headers_complete(self) -> None:
        """Wait no longer: for the rest, whoever reads it has patience of their own."""
        self._wait_no_longer()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Take in what comes."""
        super().data_received(data)
        self._heard += len(data)
        if self._patience and self._heard > MOST_BYTES_OF_HEADERS:
            self._hang_up()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn has words of its own
        """Refuse what is no HTTP, with a problem as everything is refused."""
        request_id = str(new_id())
        status, headers, body = written(Unreadable(), request_id)
        lines = [b": ".join(one) for one in complete(headers, request_id)]
        self.transport.write(
            b"\r\n".join([b"HTTP/1.1 %d Bad Request" % status, *lines, b"connection: close", b"", body])
        )
        self._hang_up()

    def _wait(self) -> None:
        self._heard = 0
        self._patience = self.loop.call_later(HEADERS_WITHIN, self._hang_up)

    def _wait_no_longer(self) -> None:
        if self._patience:
            self._patience.cancel()
            self._patience = None

    def _hang_up(self) -> None:
        self._wait_no_longer()
        self.transport.close()


def config(app: Any, host: str, port: int) -> Config:  # noqa: ANN401 - whatever uvicorn takes
    """Return how an app is served: what `app` names is called for it."""
    return Config(
        app,
        factory=True,
        host=host,
        port=port,
        loop="uvloop",
        http=Impatient,
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
