"""Where the servers keep their files, and the user they run as.

PostgreSQL refuses to run as root. When root starts the servers they run as an unprivileged user, who must be
able to reach both the programs and the data, even when the checkout lies under a closed folder such as /root.
"""

import hashlib
import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Any

from healthcare.adapters.embedded.errors import FolderInUse, ServersFailed
from healthcare.adapters.embedded.programs import (
    POSTGRES_BIN,
    REDIS_BIN,
    chosen,
    postgres_install,
    valkey_program,
)

UNPRIVILEGED = "nobody"  # the one such account that every system has
ELSEWHERE = Path("/var/lib/healthcare-embedded")  # root's alone to write, and never swept like /var/tmp
NOTE = "data-folder"
GRACE = 15.0  # seconds for servers whose guard was killed to end by themselves


@dataclass(frozen=True, slots=True)
class Home:
    """A folder that the servers can enter, held by this process."""

    folder: Path
    user: pwd.struct_passwd | None
    lock: int

    def subfolder(self, name: str) -> Path:
        """A folder inside that belongs to the servers' user alone."""
        folder = self.folder / name
        folder.mkdir(mode=0o700, exist_ok=True)
        self.hand_over(folder)
        return folder

    def hand_over(self, path: Path) -> None:
        """Give what root has made to the servers' user."""
        if self.user is not None:
            os.chown(path, self.user.pw_uid, self.user.pw_gid, follow_symlinks=False)

    def as_user(self) -> dict[str, Any]:
        """The arguments that make `subprocess` run a program as the servers' user."""
        if self.user is None:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    def postgres_bin(self) -> Path:
        """The folder of PostgreSQL's programs, within reach of the servers' user."""
        if folder := chosen(POSTGRES_BIN):
            return folder
        install = postgres_install()
        if self.user is None or is_open(install):
            return install / "bin"
        # The programs find their libraries beside the package, so the wheel's layout is kept.
        package = install.parent
        shelf = emptied(self.folder / "postgres-programs")
        link_tree(install, shelf / package.name / install.name)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            link_tree(libraries, shelf / libraries.name)
        return shelf / package.name / install.name / "bin"

    def valkey(self) -> Path:
        """The server program of Valkey, within reach of the servers' user."""
        if program := chosen(REDIS_BIN):
            return program
        program = valkey_program()
        if self.user is None or is_open(program):
            return program
        shelf = emptied(self.folder / "valkey-programs")
        link(program, shelf / program.name)
        return shelf / program.name


@contextmanager
def held(state: Path) -> Iterator[Home]:
    """Make the folder when it is missing and hold it, so that nobody else runs servers in it.

    Raises:
        FolderInUse: another guard holds it, or servers of a killed guard still run.
        ServersFailed: this user may not write there.
    """
    state = state.resolve()
    try:
        user = pwd.getpwnam(UNPRIVILEGED) if os.geteuid() == 0 else None
        make(state, 0o711 if user else 0o700)
        with locked(state / "guard.lock", grace=0, otherwise=f"{state} is in use by another process."):
            folder = elsewhere(state) if user and not is_open(state) else state
            # The servers inherit this second lock: it is free when the last of their processes is gone.
            still = f"Servers of an earlier run are still running in {folder}."
            with locked(folder / "servers.lock", grace=GRACE, otherwise=still) as lock:
                yield Home(folder, user, lock.fileno())
    except PermissionError as error:
        message = f"This user may not use {error.filename or state}; it may belong to somebody else."
        raise ServersFailed(message) from error


def discard(state: Path) -> None:
    """Delete the folder and everything the servers have kept, wherever that is.

    Raises:
        FolderInUse: its servers are running.
    """
    state = state.resolve()
    if not state.exists():
        return
    with held(state) as home:
        shutil.rmtree(home.folder)
    shutil.rmtree(state, ignore_errors=True)


@contextmanager
def locked(path: Path, *, grace: float, otherwise: str) -> Iterator[IO[str]]:
    """Hold a file's lock; when it is not to be had within `grace` seconds, say so."""
    deadline = monotonic() + grace
    with path.open("a") as file:
        while True:
            try:
                flock(file, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                if monotonic() >= deadline:
                    raise FolderInUse(otherwise) from None
                sleep(0.02)
            else:
                break
        yield file


def elsewhere(state: Path) -> Path:
    """The folder that stands in for one which the servers' user cannot enter; a note in it says where."""
    folder = ELSEWHERE / hashlib.sha256(os.fsencode(state)).hexdigest()[:16]
    note = state / NOTE
    if not note.exists():
        # The state folder was deleted since, and its data with it.
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)
    make(ELSEWHERE, 0o711)
    make(folder, 0o711)
    note.write_text(f"{folder}\n", encoding="utf-8")
    return folder


def make(folder: Path, mode: int) -> None:
    """Make a folder with exactly this mode, whatever the umask; leave one that exists as it is."""
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(mode)


def is_open(path: Path) -> bool:
    """Whether any user can reach this file or folder."""
    return all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents))


def emptied(folder: Path) -> Path:
    """An empty folder: programs are put there anew at each start, so they are those now installed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    folder.chmod(0o711)
    return folder


def link_tree(source: Path, target: Path) -> None:
    """Make the files of a folder appear elsewhere, in folders that every user can enter."""
    for folder, _, names in os.walk(source):
        there = target / Path(folder).relative_to(source)
        make(there, 0o755)
        for name in names:
            link(Path(folder) / name, there / name)
    # The folders between were made by the way.
    make_way(target)


def link(source: Path, target: Path) -> None:
    """Make a file appear elsewhere: by a hard link, or as a copy where the file system differs."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
