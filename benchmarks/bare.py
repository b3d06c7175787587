"""The limit of every answer over HTTP: an ASGI app that does nothing, under the server that the product uses."""

import sys
from pathlib import Path
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces, Loops
from granian.server import Server

HEADERS: Final = [(b"content-type", b"application/json")]


def create() -> Any:  # noqa: ANN401 - an ASGI app, whose types say nothing here
    """Return the app that sends one file."""
    body = Path(sys.argv[2]).read_bytes()
    headers = [*HEADERS, (b"content-length", str(len(body)).encode())]

    async def app(_scope: Any, _receive: Any, send: Any) -> None:  # noqa: ANN401
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


if __name__ == "__main__":
    Server(
        "benchmarks.bare:create",
        factory=True,
        address="127.0.0.1",
        port=int(sys.argv[1]),
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        loop=Loops.uvloop,
        websockets=False,
        workers=1,
        log_enabled=False,
    ).serve()
