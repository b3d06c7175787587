"""One server process: started on a free port, waited for until it is ready, stopped."""

import ctypes
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from healthcare.adapters.embedded.errors import ServersFailed
from healthcare.adapters.embedded.home import Home

HOST = "127.0.0.1"
# Below the range from which systems pick the near end of outgoing connections. In that range a client that
# keeps calling a stopped server's port can be connected to itself.
PORTS = range(10_000, 32_000)
ATTEMPTS = 10
PAUSE = 0.2
START_SECONDS = 60.0
STOP_SECONDS = 20.0
PR_SET_PDEATHSIG = 1

# Both servers write these words to their logs.
READY = "ready to accept connections"
PORT_TAKEN = "address already in use"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """How a server is started on a port, and the signal that makes it stop cleanly."""

    name: str
    command: Callable[[int], Sequence[str | Path]]
    stop_signal: signal.Signals


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs."""

    program: Program
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def alive(self) -> bool:
        """Whether the process is still there."""
        return self.process.poll() is None

    def wait_until_ready(self) -> bool:
        """Wait until it takes connections; False when its port was taken.

        Raises:
            ServersFailed: it ended, or took too long.
        """
        deadline = monotonic() + START_SECONDS
        while self.alive() and monotonic() < deadline:
            if READY in self.said():
                return True
            sleep(0.01)
        if not self.alive() and PORT_TAKEN in self.said():
            return False
        raise ServersFailed(self.complaint("did not start"))

    def said(self) -> str:
        """Everything in its log, in lower case."""
        return self.log.read_text(encoding="utf-8", errors="replace").lower()

    def complaint(self, what: str) -> str:
        """What went wrong, with the end of its log."""
        return f"{self.program.name} {what}.\n{last_lines(self.log)}"

    def stop(self) -> None:
        """Stop it cleanly, or by force when that takes too long."""
        if self.alive():
            self.process.send_signal(self.program.stop_signal)
            self.process.send_signal(signal.SIGCONT)  # a paused one would not hear it
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def serving(program: Program, home: Home, *, port: int | None) -> Iterator[Server]:
    """Run a server until the block is left, on this port or on a free one.

    Raises:
        ServersFailed: it did not start.
    """
    server = started(program, home, port)
    try:
        yield server
    finally:
        server.stop()


def started(program: Program, home: Home, port: int | None) -> Server:
    """Start a server. A port is chosen before the server binds it, so another may be quicker: try again."""
    for _ in range(ATTEMPTS):
        server = spawned(program, home, free_port() if port is None else port)
        try:
            if server.wait_until_ready():
                return server
        except BaseException:
            server.stop()
            raise
        sleep(PAUSE)
    raise ServersFailed(server.complaint(f"could not have port {server.port}"))


def spawned(program: Program, home: Home, port: int) -> Server:
    """Start the process. Its log holds what it has said since this start, and only that."""
    log = home.folder / f"{program.name}.log"
    log.unlink(missing_ok=True)
    log.touch(mode=0o600)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the command is our own
            program.command(port),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=environment(),
            pass_fds=(home.lock,),
            start_new_session=True,  # a terminal's Ctrl-C is for the owner, who stops the servers in order
            preexec_fn=end_with_parent(program.stop_signal),  # noqa: PLW1509 - the guard has one thread
            **home.run_as(),
        )
    return Server(program, process, port, log)


def end_with_parent(sign: signal.Signals, parent: int | None = None) -> Callable[[], None]:
    """What a child runs first, so that it gets a signal when its parent, we ourselves by default, is gone (Linux)."""
    parent = parent or os.getpid()
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def in_child() -> None:
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, int(sign), 0, 0, 0)
            if os.getppid() != parent:  # the parent was gone before the kernel was told
                os._exit(1)

    return in_child


def environment() -> dict[str, str]:
    """Ours without what would steer PostgreSQL, and with English logs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def free_port() -> int:
    """A port on which nothing listens now."""
    while True:
        port = PORTS[secrets.randbelow(len(PORTS))]
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])
