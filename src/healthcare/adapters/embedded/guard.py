"""The process that owns the servers: `python -m healthcare.adapters.embedded.guard <folder>`.

Its standard input is a pipe that the owner never writes to. When the owner ends, however it ends, the pipe does
too, and the guard stops the servers. When the guard itself is killed, the kernel tells the servers (Linux).
It prints one line of JSON when the servers are ready, or one that says why they are not. It restarts nothing:
when one server ends, it stops the other and ends.
"""

import json
import os
import select
import signal
import sys
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from healthcare.adapters.embedded.errors import FolderInUse, ServersFailed
from healthcare.adapters.embedded.home import Home, held
from healthcare.adapters.embedded.postgres import USER, password, postgres
from healthcare.adapters.embedded.server import HOST, Server, serving
from healthcare.adapters.embedded.valkey import valkey

PROGRAMS = {"postgres": postgres, "redis": valkey}
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> int:
    """Run the servers until the owner is gone, a signal comes or one of them ends."""
    asked = arguments()
    os.umask(0o022)  # folders made on the way to the programs and data are for the servers' user to enter
    for each in STOP_SIGNALS:
        signal.signal(each, leave)
    try:
        with held(asked.folder) as home, ExitStack() as stack:
            servers = {
                name: stack.enter_context(serving(PROGRAMS[name](home, durable=asked.durable), home, port=asked.port))
                for name in asked.servers
            }
            say(ready(home, servers))
            return watch(list(servers.values()))
    except ServersFailed as error:
        say({"error": str(error), "in_use": isinstance(error, FolderInUse)})
        return 1


def arguments() -> Namespace:
    """What the command line asks for."""
    parser = ArgumentParser(prog="guard", description="Run PostgreSQL and Valkey until standard input ends.")
    parser.add_argument("folder", type=Path, help="where they keep everything")
    parser.add_argument("--only", dest="servers", action="append", choices=PROGRAMS, help="run just this one")
    parser.add_argument("--port", type=int, help="its port, with --only; free ones are chosen otherwise")
    parser.add_argument("--throwaway", dest="durable", action="store_false", help="never wait for the disk")
    asked = parser.parse_args()
    if asked.servers is None:
        asked.servers = list(PROGRAMS)
    if asked.port is not None and len(asked.servers) > 1:
        parser.error("--port needs --only")
    return asked


def ready(home: Home, servers: dict[str, Server]) -> dict[str, Any]:
    """The line that tells the owner where the servers are."""
    line: dict[str, Any] = {name: {"host": HOST, "port": server.port} for name, server in servers.items()}
    if "postgres" in line:
        line["postgres"] |= {"user": USER, "password": password(home)}
    pids = {name: server.process.pid for name, server in servers.items()}
    return line | {"pids": pids | {"guard": os.getpid()}}


def say(line: dict[str, Any]) -> None:
    """Tell the owner, if there still is one."""
    try:
        print(json.dumps(line), flush=True)  # noqa: T201 - standard output is how the owner is told
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains at exit


def watch(servers: list[Server]) -> int:
    """Wait for the owner to go (0) or for a server to end (1)."""
    while all(server.alive() for server in servers):
        readable, _, _ = select.select([0], [], [], 0.1)
        if readable and not os.read(0, 4096):
            return 0
    return 1


def leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Unwind, which stops the servers; a second signal must not interrupt that."""
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
