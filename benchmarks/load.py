"""A load of HTTP requests: so many connections, each of which asks again as soon as it is answered."""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final, cast

END_OF_HEAD: Final = b"\r\n\r\n"
LENGTH: Final = b"content-length:"


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent, byte for byte, and what a right answer to it looks like."""

    raw: bytes
    status: int = 200
    length: int | None = None
    """Bytes of the body; None: however many."""


@dataclass(slots=True)
class Load:
    """What was answered."""

    latencies: list[float] = field(default_factory=list)
    """Seconds, of the right answers."""
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    """Answers that are not what the request wanted, and connections that broke, by what was wrong."""
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Right answers per second."""
        return len(self.latencies) / self.seconds


class Connection(asyncio.Protocol, ABC):
    """One connection, on which one request at a time is answered."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._asked: Request | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class does not say so

    def send(self, request: Request) -> None:
        """Ask."""
        self._asked = request
        self._transport.write(request.raw)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        head = buffer.find(END_OF_HEAD)
        if head < 0:
            return
        length = length_of(bytes(buffer[:head]))
        if len(buffer) < head + len(END_OF_HEAD) + length:
            return
        status = int(buffer[9:12])
        buffer.clear()
        asked, self._asked = self._asked, None
        if asked is not None:
            self.answered(asked, status, length)

    @abstractmethod
    def answered(self, asked: Request, status: int, length: int) -> None:
        """Take the status of an answer, and the bytes of its body."""


class Line(Connection):
    """One connection, which asks until the time is up or there is nothing left to ask."""

    def __init__(self, requests: Iterator[Request], load: Load, end: float, allowed: frozenset[int]) -> None:
        super().__init__()
        self._requests, self._load, self._end, self._allowed = requests, load, end, allowed
        self._begun = 0.0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._ask()

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._asked is not None:
            self._load.wrong["connection lost"] += 1
        if not self.ended.done():
            self.ended.set_result(None)

    def answered(self, asked: Request, status: int, length: int) -> None:
        self._load.statuses[status] += 1
        if status == asked.status and asked.length in {None, length}:
            self._load.latencies.append(perf_counter() - self._begun)
        elif status not in self._allowed:
            self._load.wrong[f"{status} with {length} bytes"] += 1
        self._ask()

    def _ask(self) -> None:
        request = next(self._requests, None) if perf_counter() < self._end else None
        if request is None:
            self._transport.close()
            return
        self._begun = perf_counter()
        self.send(request)


def length_of(head: bytes) -> int:
    """Return how long the body is that follows this head."""
    lower = head.lower()
    place = lower.find(LENGTH)
    return int(lower[place + len(LENGTH) :].split(b"\r\n", 1)[0]) if place >= 0 else 0


async def load(
    port: int,
    requests: Iterator[Request],
    *,
    connections: int,
    seconds: float,
    allowed: Sequence[int] = (),
) -> Load:
    """Ask on so many connections until the time is up or the requests are; statuses in `allowed` are no mistake."""
    done = Load()
    loop, begun = asyncio.get_running_loop(), perf_counter()
    end = begun + seconds
    make: Callable[[], Line] = lambda: Line(requests, done, end, frozenset(allowed))  # noqa: E731 - a factory
    lines = [(await loop.create_connection(make, "127.0.0.1", port))[1] for _ in range(connections)]
    await asyncio.wait([line.ended for line in lines], timeout=seconds + 30)
    done.seconds = perf_counter() - begun
    return done


@dataclass(slots=True)
class Flooded(Load):
    """What came of a flood; `latencies` are those of the right answers, from the moment each was due."""

    refusals: list[float] = field(default_factory=list)
    """Seconds until somebody was turned away."""
    given_up: int = 0
    """Requests that were never sent: every connection waited for an answer."""


class FloodLine(Connection):
    """One connection, on which the flood asks when it is free."""

    def __init__(self, done: Flooded, free: deque["FloodLine"]) -> None:
        super().__init__()
        self._done, self._free = done, free
        self._due = 0.0
        self.open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._free.append(self)

    def ask(self, request: Request, due: float) -> None:
        """Send a request that was due at a moment."""
        self._due = due
        self.send(request)

    def answered(self, asked: Request, status: int, _length: int) -> None:
        self._done.statuses[status] += 1
        took = perf_counter() - self._due
        if status == asked.status:
            self._done.latencies.append(took)
        elif status in TURNED_AWAY:
            self._done.refusals.append(took)
        else:
            self._done.wrong[str(status)] += 1
        self._free.append(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.open = False
        if self._asked is not None:
            self._done.wrong["connection lost"] += 1

    def close(self) -> None:
        """Hang up."""
        self._asked = None
        self._transport.close()


TURNED_AWAY: Final = frozenset({429, 503})
MOST_LINES: Final = 900
"""Connections of a flood: the server leaves those beyond 1,024 waiting at the port, where nobody can answer them."""
TICK: Final = 0.002


async def flood(port: int, requests: Iterator[Request], *, rate: float, seconds: float) -> Flooded:
    """Ask so many times a second, whatever is answered, and however late."""
    done, free, lines = Flooded(), deque[FloodLine](), list[FloodLine]()
    loop = asyncio.get_running_loop()
    begun = perf_counter()
    sent = 0
    while (now := perf_counter() - begun) < seconds:
        while sent < now * rate:
            while free and not free[0].open:
                lines.remove(free.popleft())  # the server has hung up, as nothing was asked for some seconds
            if not free and len(lines) < MOST_LINES:
                _, line = await loop.create_connection(lambda: FloodLine(done, free), "127.0.0.1", port)
                lines.append(line)
            if free:
                free.popleft().ask(next(requests), begun + sent / rate)
            else:
                done.given_up += 1
            sent += 1
        await asyncio.sleep(TICK)
    done.seconds = perf_counter() - begun
    for line in lines:
        line.close()
    return done


def get(path: str, **headers: str) -> bytes:
    """Write a GET request."""
    return _written("GET", path, headers, b"")


def post(path: str, body: bytes, **headers: str) -> bytes:
    """Write a POST request with a JSON body."""
    given = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    return _written("POST", path, given, body)


def _written(method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "host: bench",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + END_OF_HEAD + body
