"""A line between the API and PostgreSQL that can be cut where it hurts most."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"
"""How PostgreSQL says that a transaction is kept: CommandComplete, protocol 3.0."""


@dataclass(slots=True)
class Proxy:
    """Passes bytes on, until it is told to swallow the answer to a commit and to drop that line."""

    target: tuple[str, int]
    port: int = 0
    commits_to_cut: int = 0
    """How many of the next commits are to be kept without the one who asked being told."""
    cut: int = 0
    """How many were."""
    lines: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join one client to the target."""
        to_reader, to_writer = await asyncio.open_connection(*self.target)
        self.lines |= {writer, to_writer}
        await asyncio.gather(self._pass(reader, to_writer), self._pass(to_reader, writer, answers=True))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if answers and self.commits_to_cut and COMMITTED in data:
                    self.commits_to_cut -= 1
                    self.cut += 1
                    break
                writer.write(data)
                await writer.drain()
        writer.close()
        self.lines.discard(writer)


@contextmanager
def proxy_to(host: str, port: int) -> Iterator[Proxy]:
    """Run a proxy in a thread of its own, so that tests may block."""
    proxy = Proxy((host, port))
    loop = asyncio.new_event_loop()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(proxy.serve, "127.0.0.1", 0, family=socket.AF_INET)

    server = loop.run_until_complete(start())
    proxy.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, name="proxy")
    thread.start()

    async def stop() -> None:
        server.close()
        for line in list(proxy.lines):
            line.transport.abort()
        await asyncio.sleep(0)

    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()
