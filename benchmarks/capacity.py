"""What the measured processor time means: how many cores so many consultations a day take."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.results import Row

BUSIEST_HOUR: Final = 0.1
"""Of a day's work: in even hours it would be 0.04."""
BUSY: Final = 0.6
"""Of a core's time, so that what comes at once need not wait long."""
DAYS: Final = (100_000, 10_000_000)
"""Consultations."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one consultation brings with it, and which measure says what that costs."""

    what: str
    times: float
    measure: str


A_CONSULTATION: Final = (
    Share("searches that are at hand", 27, "cached search"),
    Share("searches that are made anew", 3, "uncached search"),
    Share("sign-ins", 1, "sign-in"),
    Share("bookings, check-ins, starts and prescriptions, as if each came alone", 4, "booking, one at a time"),
    Share("events", 5, "events to audit entries"),
)


def capacity(rows: Sequence[Row]) -> list[str]:
    """Say what one core carries, and what a day needs; nothing where not everything was measured."""
    costs = {row.measure: row for row in reversed(rows)}
    if any(share.measure not in costs for share in A_CONSULTATION):
        return []
    lines = ["", "one consultation brings with it, in milliseconds of processor time:"]
    process = database = 0.0
    for share in A_CONSULTATION:
        row = costs[share.measure]
        ours, theirs = (share.times * (cost or 0.0) / 1000 for cost in (row.cpu, row.database_cpu))
        process, database = process + ours, database + theirs
        lines.append(f"  {share.times:>4} {share.what:70} {ours:7.2f} of a process {theirs:7.2f} of PostgreSQL")
    lines.append(f"  in all {'':68} {process:7.2f}              {database:7.2f}")
    for number in DAYS:
        a_second = number * BUSIEST_HOUR / 3600
        cores = [a_second * cost / 1000 / BUSY for cost in (process, database)]
        lines.append(
            f"{number:>10,} a day, {BUSIEST_HOUR:.0%} of them in one hour, cores {BUSY:.0%} busy: "
            f"{a_second:,.1f}/s, {cores[0]:.2f} cores of processes and {cores[1]:.2f} of PostgreSQL"
        )
    return lines
