"""Valkey: a Redis server that keeps an append-only file, or nothing at all."""

import signal

from healthcare.adapters.embedded.home import Home
from healthcare.adapters.embedded.programs import valkey_program
from healthcare.adapters.embedded.server import HOST, Program


def valkey(home: Home, *, durable: bool) -> Program:
    """Valkey in this home. It evicts nothing, because it is the queue as well as the cache."""
    program = valkey_program(home)
    folder = home.private_folder("redis")
    options = {
        "bind": HOST,
        "dir": str(folder),
        "save": "",
        "appendonly": "yes" if durable else "no",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return Program(
        name="redis",
        command=lambda port: [program, "--port", str(port), *arguments],
        stop_signal=signal.SIGTERM,
    )
