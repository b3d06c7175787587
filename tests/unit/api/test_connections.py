"""Connections have their number, and no client has for ever."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from uvicorn.server import ServerState

from healthcare.entrypoints import connections
from healthcare.entrypoints.connections import Impatient
from healthcare.entrypoints.server import config

pytestmark = pytest.mark.anyio

MUCH = 32 * 1024 * 1024
"""Bytes, more than sockets hold."""


async def much(scope: dict[str, Any], _receive: object, send: Callable[..., Any]) -> None:
    """Answer at length."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(MUCH).encode())]})
    await send({"type": "http.response.body", "body": bytes(MUCH)})


@asynccontextmanager
async def served() -> AsyncIterator[tuple[ServerState, tuple[str, int]]]:
    """Serve, and return what the server knows and where it is."""
    settings, state = config(lambda: much, "127.0.0.1", 0), ServerState()
    server = await asyncio.get_running_loop().create_server(lambda: Impatient(settings, state, {}), "127.0.0.1", 0)
    async with server:
        yield state, server.sockets[0].getsockname()


@asynccontextmanager
async def connected(where: tuple[str, int]) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect."""
    reader, writer = await asyncio.open_connection(*where)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0.05)


async def test_who_comes_when_there_are_too_many_connections_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 2)
    async with served() as (_, where), connected(where):
        async with connected(where), connected(where) as (third, _):
            assert await asyncio.wait_for(third.read(), 1) == b""
        async with connected(where) as (fourth, _):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(fourth.read(), 0.2)


async def test_who_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "READ_WITHIN", 1)
    async with served() as (state, where), connected(where) as (_, silent), connected(where) as (reader, other):
        for one in (silent, other):
            one.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.readexactly(MUCH)
        both = len(state.connections)
        await asyncio.sleep(1.2)

        assert both == 2
        assert len(state.connections) == 1
