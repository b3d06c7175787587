"""A line to PostgreSQL or to Redis that fails when and how a test wants it to."""

import asyncio
import contextlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"
"""How PostgreSQL says that a transaction is kept: CommandComplete, protocol 3.0."""
COMMIT = re.compile(rb"\x00commit_\d+\x00")
"""How it is asked for: Bind, of a statement with this name; whatever was written later comes with it."""
BEGUN = b"C\x00\x00\x00\x0aBEGIN\x00"
DELETED = b"DELETE "
"""How it says that rows were taken out; their number follows."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Moment(Enum):
    """Where in a transaction a line goes silent."""

    BEFORE_A_COMMIT = auto()
    """It is asked for, and that is not passed on."""
    BEFORE_A_DELETION_IS_KEPT = auto()
    """The same, where rows were taken out."""
    AFTER_A_COMMIT = auto()
    """What was done is kept, and the answer is not passed on."""


@dataclass(slots=True, eq=False)
class Line:
    """One client and the target."""

    writers: list[asyncio.StreamWriter]
    silent: bool = False
    """Nothing passes any more, but an end still hears when the other has gone."""
    lost: bool = False
    """Nothing passes any more, not even that."""
    deleted: bool = False
    """Rows were taken out in the transaction under way."""

    def reset(self) -> None:
        """Let both ends read "connection reset by peer"."""
        for writer in self.writers:
            if not writer.is_closing():
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            writer.transport.abort()


@dataclass(slots=True)
class Proxy:
    """Passes bytes on, unless it is told otherwise."""

    target: tuple[str, int]
    port: int = 0
    commits_to_cut: int = 0
    """How many of the next commits are to be kept without the one who asked being told: the line is dropped."""
    cut: int = 0
    """How many were."""
    moment: Moment | None = None
    """Where to let every line go silent."""
    withheld: int = 0
    """How many did."""
    lines: set[Line] = field(default_factory=set)
    hole: bool = False
    loop: asyncio.AbstractEventLoop | None = None

    @contextmanager
    def going_silent(self, moment: Moment) -> Iterator[None]:
        """Let every line go silent there, in the block."""
        self.moment = moment
        try:
            yield
        finally:
            self.moment = None

    def reset(self) -> int:
        """Reset every line, and say how many there were."""
        return self._in_its_thread(self._reset)

    def swallow(self) -> int:
        """Lose what is sent on the lines there are, for good, and on new ones; say how many there were."""
        return self._in_its_thread(self._swallow)

    def heal(self) -> None:
        """Let new lines pass again. The clients of those that are lost must notice by themselves."""
        self._in_its_thread(self._heal)

    async def run(self, ready: threading.Event, over: asyncio.Event) -> None:
        """Serve until it is over."""
        self.loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, family=socket.AF_INET)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await over.wait()
        server.close()
        self._reset()
        while self.lines:  # noqa: ASYNC110 - each ends by itself now
            await asyncio.sleep(0.01)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join one client to the target."""
        line = Line([writer], lost=self.hole)
        self.lines.add(line)
        try:
            if line.lost:
                await self._pass(line, reader, writer)
                return
            to_reader, to_writer = await asyncio.open_connection(*self.target)
            line.writers.append(to_writer)
            await asyncio.gather(self._pass(line, reader, to_writer), self._pass(line, to_reader, writer, answers=True))
        except OSError:
            pass  # the target is away, and so is whoever asked for it
        finally:
            for each in line.writers:
                each.close()
            self.lines.discard(line)

    async def _pass(
        self, line: Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if line.lost or line.silent:
                    continue
                if self._ends_here(line, data, answers=answers):
                    break
                if not line.silent:
                    writer.write(data)
                    await writer.drain()
        if not line.lost or line.writers == [writer]:
            writer.close()

    def _ends_here(self, line: Line, data: bytes, *, answers: bool) -> bool:
        """Look at what is sent: the line may go silent, or be dropped."""
        if answers and COMMITTED in data:
            if self.commits_to_cut:
                self.commits_to_cut -= 1
                self.cut += 1
                return True
            line.silent = self.moment is Moment.AFTER_A_COMMIT
        elif answers:
            some = DELETED in data and DELETED + b"0" not in data
            line.deleted = some or (line.deleted and BEGUN not in data)
        elif COMMIT.search(data):
            line.silent = self.moment is Moment.BEFORE_A_COMMIT or (
                line.deleted and self.moment is Moment.BEFORE_A_DELETION_IS_KEPT
            )
        self.withheld += line.silent
        return False

    def _reset(self) -> int:
        lines = list(self.lines)
        for line in lines:
            line.reset()
        return len(lines)

    def _swallow(self) -> int:
        self.hole = True
        for line in self.lines:
            line.lost = True
        return len(self.lines)

    def _heal(self) -> int:
        self.hole = False
        for line in self.lines:
            if line.lost:
                for to_target in line.writers[1:]:
                    to_target.close()
        return 0

    def _in_its_thread(self, work: Callable[[], int]) -> int:
        async def done() -> int:
            return work()

        assert self.loop
        return asyncio.run_coroutine_threadsafe(done(), self.loop).result(5)


@contextmanager
def proxy_to(host: str, port: int) -> Iterator[Proxy]:
    """Run a proxy in a thread of its own, so that tests may block."""
    proxy, ready, over = Proxy((host, port)), threading.Event(), asyncio.Event()
    thread = threading.Thread(target=lambda: asyncio.run(proxy.run(ready, over)), name="proxy")
    thread.start()
    assert ready.wait(5)
    assert proxy.loop
    try:
        yield proxy
    finally:
        proxy.loop.call_soon_threadsafe(over.set)
        thread.join(5)
