"""PostgreSQL: made once by initdb, then run on the loopback address with passwords."""

import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from healthcare.adapters.embedded.errors import ServersFailed
from healthcare.adapters.embedded.home import Home
from healthcare.adapters.embedded.programs import postgres_bin
from healthcare.adapters.embedded.server import HOST, Program, end_with_parent, environment

USER = "healthcare"
DATA = "postgres"
PASSWORD = "postgres.password"  # noqa: S105 - the name of a file

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_preload_libraries": "pg_stat_statements",
    "deadlock_timeout": "200ms",  # below every lock_timeout, so that a deadlock is seen as one
    "jit": "off",
    # Otherwise the log quotes rows that a constraint refuses, and values of statements that it is told to log.
    "log_error_verbosity": "terse",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
THROWAWAY = {"fsync": "off", "full_page_writes": "off"}  # lost in a crash of the machine, not of a server


def postgres(home: Home, *, durable: bool) -> Program:
    """PostgreSQL in this home, its data made if there are none."""
    folder = postgres_bin(home)
    if not (home.folder / DATA).exists():
        initialise(home, folder / "initdb", durable=durable)
    settings = SETTINGS | ({} if durable else THROWAWAY)
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return Program(
        name="postgres",
        command=lambda port: [folder / "postgres", "-D", home.folder / DATA, "-p", str(port), *options],
        stop_signal=signal.SIGINT,  # "fast": sessions are ended, everything is written
    )


def password(home: Home) -> str:
    """The password of `USER`."""
    return (home.folder / PASSWORD).read_text(encoding="utf-8")


def initialise(home: Home, initdb: Path, *, durable: bool) -> None:
    """Make the data. They get their name when they are whole: whoever was interrupted starts afresh."""
    unfinished = home.folder / f"{DATA}.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    home.private_folder(unfinished.name)
    secret = home.private_file(PASSWORD, secrets.token_urlsafe(24))
    made = subprocess.run(  # noqa: S603 - the command is our own
        [
            initdb,
            f"--pgdata={unfinished}",
            f"--username={USER}",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",  # sorts by code point on every machine
            "--data-checksums",
            "--no-instructions",
            *([] if durable else ["--no-sync"]),
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
        env=environment(),
        pass_fds=(home.lock,),
        start_new_session=True,
        preexec_fn=end_with_parent(signal.SIGTERM),
        **home.run_as(),
    )
    if made.returncode != 0:
        raise ServersFailed(f"initdb failed.\n{made.stdout}{made.stderr}".rstrip())
    unfinished.rename(home.folder / DATA)
