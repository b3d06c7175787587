"""Connections have their number, too."""

import asyncio

import pytest
from uvicorn.server import ServerState

from healthcare.entrypoints import connections
from healthcare.entrypoints.connections import Impatient
from healthcare.entrypoints.server import config

pytestmark = pytest.mark.anyio


async def test_who_comes_when_there_are_too_many_connections_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 2)
    settings, state = config(object, "127.0.0.1", 0), ServerState()
    served = await asyncio.get_running_loop().create_server(lambda: Impatient(settings, state, {}), "127.0.0.1", 0)
    async with served:
        where = served.sockets[0].getsockname()
        lines = [await asyncio.open_connection(*where) for _ in range(2)]
        third, last = await asyncio.open_connection(*where)
        assert await asyncio.wait_for(third.read(), 1) == b""
        last.close()
        lines[0][1].close()
        await asyncio.sleep(0.05)
        fourth, last = await asyncio.open_connection(*where)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(fourth.read(), 0.2)
        for line in (lines[1][1], last):
            line.close()
        await asyncio.sleep(0.05)
