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
from typing import TypedDict

from healthcare.adapters.embedded.errors import FolderInUse, ServersFailed

UNPRIVILEGED = "nobody"  # the one such account that every system has
ELSEWHERE = Path("/var/lib/healthcare-embedded")  # root's alone to write, and never swept like /var/tmp
FOR = "state-folder"
GRACE = 15.0  # seconds for servers whose guard was killed to end by themselves


class RunAs(TypedDict, total=False):
    """The arguments that make `subprocess` run a program as another user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Home:
    """A folder that the servers can enter, held by this process for as long as any of them runs."""

    folder: Path
    user: pwd.struct_passwd | None
    lock: int

    def run_as(self) -> RunAs:
        """As whom the servers run: nobody instead of root, and otherwise whoever starts them."""
        if self.user is None:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    def private_folder(self, name: str) -> Path:
        """A folder inside that belongs to the servers' user alone."""
        folder = self.folder / name
        folder.mkdir(mode=0o700, exist_ok=True)
        self.hand_over(folder)
        return folder

    def private_file(self, name: str, text: str) -> Path:
        """A new file inside that only the servers' user may read."""
        file = self.folder / name
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_text(text, encoding="utf-8")
        self.hand_over(file)
        return file

    def hand_over(self, path: Path) -> None:
        """Give what root has made to the servers' user."""
        if self.user is not None:
            os.chown(path, self.user.pw_uid, self.user.pw_gid, follow_symlinks=False)

    def can_run(self, program: Path) -> bool:
        """Whether the servers' user can reach a program where it is."""
        return self.user is None or is_open(program)


@contextmanager
def held(state: Path) -> Iterator[Home]:
    """Make the folder when it is missing and hold it, so that nobody else runs servers in it.

    Raises:
        FolderInUse: another guard holds it, or servers of a killed guard still run.
        ServersFailed: the folder cannot be made or written.
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
                yield Home(folder, user, lock)
    except OSError as error:
        raise ServersFailed(f"Cannot use {error.filename or state}: {error.strerror}.") from error


def discard(state: Path) -> None:
    """Delete the folder and everything its servers have kept, wherever that is.

    Raises:
        FolderInUse: its servers are running.
    """
    state = state.resolve()
    if state.exists():
        with held(state) as home:
            shutil.rmtree(home.folder)
        shutil.rmtree(state, ignore_errors=True)


@contextmanager
def locked(path: Path, *, grace: float, otherwise: str) -> Iterator[int]:
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
        yield file.fileno()


def elsewhere(state: Path) -> Path:
    """The folder that stands in for one which the servers' user cannot enter; a note in each names the other."""
    make(ELSEWHERE, 0o711)
    sweep()
    folder = ELSEWHERE / hashlib.sha256(os.fsencode(state)).hexdigest()[:16]
    note = state / "data-folder"
    if not note.exists() and folder.exists():
        shutil.rmtree(folder)  # the state folder was deleted and made again since
    make(folder, 0o711)
    (folder / FOR).write_bytes(os.fsencode(state))
    note.write_text(f"{folder}\n", encoding="utf-8")
    return folder


def sweep() -> None:
    """Delete what stands in for folders that have been deleted, where no server runs any more."""
    for note in ELSEWHERE.glob(f"*/{FOR}"):
        if not Path(os.fsdecode(note.read_bytes())).exists():
            with suppress(FolderInUse), locked(note.with_name("servers.lock"), grace=0, otherwise="in use"):
                shutil.rmtree(note.parent, ignore_errors=True)


def make(folder: Path, mode: int) -> None:
    """Make a folder with exactly this mode, whatever the umask; leave one that exists as it is."""
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(mode)


def is_open(path: Path) -> bool:
    """Whether any user can reach this file or folder."""
    return all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents))
