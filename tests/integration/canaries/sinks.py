"""Everything that leaves the system or outlives a request, but for the tables and the answers that are meant to."""

import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import httpx
from redis import Redis

from tests.integration.world import Api, World

END: Final = b"the-end-of-the-watch"


@dataclass(slots=True)
class Wire:
    """What clients sent, and the answers that were no success, to the last header."""

    sent: list[bytes] = field(default_factory=list)
    refused: list[bytes] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    @property
    def hooks(self) -> dict[str, list[Callable[..., Awaitable[None]]]]:
        """What makes a client of httpx tell."""
        return {"request": [self._asked], "response": [self._answered]}

    async def _asked(self, request: httpx.Request) -> None:
        headers = b"\r\n".join(b": ".join(header) for header in request.headers.raw)
        self.sent.append(b"\r\n".join([request.method.encode(), request.url.raw_path, headers, request.content]))

    async def _answered(self, response: httpx.Response) -> None:
        self.statuses.append(response.status_code)
        if response.is_success or response.is_redirect:
            return
        headers = b"\r\n".join(b": ".join(header) for header in response.headers.raw)
        self.refused.append(b"\r\n".join([headers, await response.aread()]))

    def rude(self, api: Api, *lines: bytes) -> None:
        """Send what no library sends, and hang up when it is answered."""
        host, port = api.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as line:
            self.sent.append(b"\r\n".join(lines))
            line.sendall(self.sent[-1])
            line.shutdown(socket.SHUT_WR)
            self.refused.append(b"".join(iter(lambda: line.recv(65536), b"")))


@dataclass(slots=True)
class Commands:
    """Every command that anybody sends to a Redis: what is kept there only for a moment is among it."""

    address: tuple[str, int]
    line: socket.socket

    def read(self) -> bytes:
        """Return what there was so far."""
        with Redis(host=self.address[0], port=self.address[1]) as client:
            client.echo(END)
        text = b""
        while END not in text:
            text += self.line.recv(1 << 20)
        return text


@contextmanager
def commands(address: tuple[str, int]) -> Iterator[Commands]:
    """Watch a Redis until the block is left. It keeps for us what we have not read yet."""
    with socket.create_connection(address, timeout=5) as line:
        line.sendall(b"MONITOR\r\n")
        assert line.recv(5) == b"+OK\r\n"
        yield Commands(address, line)


@dataclass(slots=True)
class ServerLogs:
    """What the servers log from now on; both put their log beside their data."""

    world: World
    begun: dict[Path, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Remember where the logs end."""
        self.begun = {file: file.stat().st_size for file in self._files().values()}

    def read(self) -> dict[str, bytes]:
        """Return what has come since."""
        return {name: file.read_bytes()[self.begun[file] :] for name, file in self._files().items()}

    def _files(self) -> dict[str, Path]:
        ((data,),) = self.world.ask("SHOW data_directory")
        with Redis(host=self.world.redis[0], port=self.world.redis[1]) as client:
            folder = cast("dict[str, str]", client.config_get("dir"))["dir"]
        return {
            "the log of PostgreSQL": Path(str(data)).with_name("postgres.log"),
            "the log of Redis": Path(folder).with_name("redis.log"),
        }


def logs(folder: Path) -> dict[str, bytes]:
    """Return what our own processes have written."""
    files = sorted(folder.rglob("*.log"))
    return {f"the log of {file.relative_to(folder).with_suffix('')}": file.read_bytes() for file in files}


def metrics(client: httpx.Client, **urls: str) -> dict[str, bytes]:
    """Return what Prometheus would collect."""
    return {f"the metrics of {name}": client.get(f"{url}/metrics").content for name, url in urls.items()}


def redis_content(address: tuple[str, int]) -> bytes:
    """Return every key with its value, of whichever type."""
    with Redis(host=address[0], port=address[1]) as client:
        read: dict[bytes, Callable[[bytes], Any]] = {
            b"string": client.get,
            b"hash": client.hgetall,
            b"list": lambda key: client.lrange(key, 0, -1),
            b"set": client.smembers,
            b"zset": lambda key: client.zrange(key, 0, -1),
            b"stream": client.xrange,
            b"none": lambda _: "has just expired; MONITOR has seen it",
        }
        kept = [(key, read[cast("bytes", client.type(key))](key)) for key in client.scan_iter()]
    return repr(kept).encode()


def table(world: World, name: str) -> bytes:
    """Return all rows of a table as PostgreSQL writes them."""
    return "\n".join(str(row) for (row,) in world.ask(f'SELECT t::text FROM "{name}" t')).encode()


def tables(world: World) -> dict[str, bytes]:
    """Return every table by its name."""
    names = world.ask("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {str(name): table(world, str(name)) for (name,) in names}


def statistics(world: World) -> dict[str, bytes]:
    """Return what PostgreSQL tells whoever may look at its sessions and statements."""
    return {
        "pg_stat_activity": table(world, "pg_stat_activity"),
        "pg_stat_statements": table(world, "pg_stat_statements"),
    }
