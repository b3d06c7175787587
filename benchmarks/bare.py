"""The limit of every answer over HTTP: an ASGI app that does nothing, under the server that the product uses."""

import sys
from pathlib import Path
from typing import Any, Final

from uvicorn import Server

from healthcare.entrypoints.server import config

HEADERS: Final = [(b"content-type", b"application/json")]


def create() -> Any:  # noqa: ANN401 - an ASGI app, whose types say nothing here
    """Return the app that sends one file."""
    body = Path(sys.argv[2]).read_bytes()
    headers = [*HEADERS, (b"content-length", str(len(body)).encode())]

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{message['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


if __name__ == "__main__":
    Server(config(create, "127.0.0.1", int(sys.argv[1]))).run()
