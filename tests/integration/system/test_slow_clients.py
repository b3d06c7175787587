"""Clients that say nothing, or say it slowly, hold no place for long."""

import socket
import time
from contextlib import ExitStack

import httpx

from tests.integration.world import World

CLIENTS = 40
GONE_WITHIN = 10
"""Seconds; the limits themselves are three, on headers and on a body."""

SILENT = b""
HALF_A_HEADER = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HALF_A_BODY = b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 200\r\n\r\n{"


def test_slow_clients_are_let_go_while_others_are_answered(world: World) -> None:
    """Four kinds of them at once; who sends half a body is told so first."""
    with world.apis() as (api,), ExitStack() as stack:
        port = int(api.url.rsplit(":", 1)[1])
        lines = {}
        for said in (SILENT, HALF_A_HEADER, HTTP_2, HALF_A_BODY):
            for _ in range(CLIENTS):
                line = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                line.settimeout(GONE_WITHIN)
                line.sendall(said)
                lines[line] = said
        assert httpx.get(f"{api.url}/health/live").status_code == 200

        start = time.monotonic()
        heard = {line: everything(line) for line in lines}

        assert time.monotonic() - start < GONE_WITHIN
        assert {heard[line].split(b"\r\n")[0] for line, said in lines.items() if said is HALF_A_BODY} == {
            b"HTTP/1.1 408 Request Timeout"
        }
        assert httpx.get(f"{api.url}/health/live").status_code == 200


def everything(line: socket.socket) -> bytes:
    """Return all that the server says until it hangs up."""
    heard = b""
    try:
        while part := line.recv(65536):
            heard += part
    except ConnectionResetError:
        pass
    return heard
