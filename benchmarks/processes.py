"""Processor time of processes, and which processor they may use (Linux)."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

TICK: Final = 1 / os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """Return the process and everything that it has started."""
    found, left = list[int](), [pid]
    while left:
        one = left.pop()
        found.append(one)
        with suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{one}/task").glob("*/children"):
                left += map(int, task.read_text().split())
    return found


def cpu(pid: int) -> float:
    """Return the seconds of processor time that the process and its children have used, ended ones too."""
    seconds = 0.0
    for place, one in enumerate(tree(pid)):
        try:
            values = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended since; its parent counts it
        # utime and stime; of the first also those of children that have ended
        seconds += sum(map(int, values[11 : 15 if place == 0 else 13])) * TICK
    return seconds


def cpu_of_nice(pid: int, niceness: int) -> float:
    """Return the seconds of processor time that the threads of the process with this niceness have used."""
    seconds = 0.0
    for one in tree(pid):
        for task in Path(f"/proc/{one}/task").iterdir():
            values = (task / "stat").read_text().rpartition(")")[2].split()
            if int(values[16]) == niceness:
                seconds += sum(map(int, values[11:13])) * TICK
    return seconds


def memory(pid: int) -> int:
    """Return the bytes of memory that the process and its children hold for themselves."""
    total = 0
    for one in tree(pid):
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1]) * 1024
    return total


def pin(pid: int, processors: set[int]) -> None:
    """Let the process and everything it has started use these processors only."""
    for one in tree(pid):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended since
            for task in Path(f"/proc/{one}/task").iterdir():
                os.sched_setaffinity(int(task.name), processors)
