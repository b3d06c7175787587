"""The HTTP server, on its sockets: who says nothing, or says it slowly or wrongly, and who is answered to the end."""

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest

from tests.integration.world import Api, World

CLIENTS = 40
GONE_WITHIN = 10
"""Seconds; the limits themselves are three, on headers and on a body."""

MUCH = 16 * 1024 * 1024
"""Bytes."""

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


@contextmanager
def connected(api: Api) -> Iterator[socket.socket]:
    """Return a line to the API."""
    with socket.create_connection(("127.0.0.1", int(api.url.rsplit(":", 1)[1]))) as line:
        line.settimeout(GONE_WITHIN)
        yield line


def test_a_second_request_is_waited_for_no_longer_than_the_first(world: World) -> None:
    with world.apis() as (api,), connected(api) as line:
        line.sendall(f"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n{HALF_A_HEADER.decode()}".encode())
        start = time.monotonic()
        heard = everything(line)

    assert heard.startswith(b"HTTP/1.1 200 OK\r\n")
    assert 2 < time.monotonic() - start < GONE_WITHIN


@pytest.mark.parametrize("to", [b"h2c", b"websocket"])
def test_there_is_no_other_protocol_and_no_request_in_a_body(world: World, to: bytes) -> None:
    hidden = b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n"
    with world.apis() as (api,), connected(api) as line:
        line.sendall(
            b"POST /health/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %s\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (to, len(hidden))
        )
        time.sleep(0.3)
        with suppress(BrokenPipeError, ConnectionResetError):
            line.sendall(hidden)
        heard = everything(line)

    assert heard.startswith(b"HTTP/1.1 405 ")
    assert heard.count(b"HTTP/1.1") == 1


def test_empty_lines_are_no_request(world: World) -> None:
    with world.apis() as (api,), connected(api) as line:
        line.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.2)
        line.sendall(b"\r\n")
        start = time.monotonic()
        heard = everything(line)

    assert heard.startswith(b"HTTP/1.1 200 OK\r\n")
    assert time.monotonic() - start < GONE_WITHIN


def test_headers_come_to_an_end(world: World) -> None:
    """Otherwise whoever sends quickly enough would fill the memory."""
    with world.apis() as (api,), connected(api) as line:
        line.sendall(HALF_A_HEADER)
        sent = 0
        with suppress(ConnectionResetError, BrokenPipeError):
            while sent < MUCH:
                sent += line.send(b"X: " + b"y" * 10_000 + b"\r\n")
        assert httpx.get(f"{api.url}/health/live").status_code == 200

    assert sent < MUCH


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nno header\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(world: World, said: bytes) -> None:
    with world.apis() as (api,), connected(api) as line:
        line.sendall(said)
        heard = everything(line)

    assert heard.startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_who_has_begun_to_ask_is_answered_before_it_stops(world: World, sign: signal.Signals) -> None:
    with world.apis() as (api,), connected(api) as idle, connected(api) as line:
        line.sendall(HALF_A_BODY)
        time.sleep(0.2)
        api.process.send_signal(sign)
        assert everything(idle) == b""
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{api.url}/health/live")
        line.sendall(b"}" + 198 * b" ")
        heard = everything(line)

        assert api.process.wait(GONE_WITHIN) == 0
    assert heard.startswith(b"HTTP/1.1 422 ")
    assert b"\r\nconnection: close\r\n" in heard


def everything(line: socket.socket) -> bytes:
    """Return all that the server says until it hangs up."""
    heard = b""
    try:
        while part := line.recv(65536):
            heard += part
    except ConnectionResetError:
        pass
    return heard
