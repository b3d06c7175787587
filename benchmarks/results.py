"""What was measured: samples of rounds, rows of a table, a file, a chart."""

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.load import Load


@dataclass(slots=True)
class Sample:
    """One slice of one contestant."""

    rate: float
    """Answers per second."""
    cpu: float = 0.0
    """Seconds of processor time of the process that serves, per answer."""
    database_cpu: float = 0.0
    """The same of PostgreSQL."""
    latencies: Sequence[float] = ()
    wrong: int = 0

    @classmethod
    def of(cls, load: Load, cpu: float, database_cpu: float = 0.0) -> "Sample":
        """Take what a load found."""
        answers = max(1, sum(load.statuses.values()))
        return cls(
            rate=sum(load.statuses.values()) / load.seconds,
            cpu=cpu / answers,
            database_cpu=database_cpu / answers,
            latencies=load.latencies,
            wrong=load.wrong.total(),
        )


@dataclass(slots=True)
class Row:
    """One line of the table: a measure, and how it stands to its limit."""

    measure: str
    value: str
    ratio: float | None = None
    """To the limit, median over the rounds."""
    spread: tuple[float, float] | None = None
    limit: str = ""
    goal: float | None = None
    """What the ratio must reach."""
    at_most: bool = False
    """Whether the ratio must stay below the goal, and not above."""
    cpu: float | None = None
    """Microseconds of the process per answer."""
    database_cpu: float | None = None
    """The same of PostgreSQL."""
    quantiles: tuple[float, float, float] | None = None
    """p50, p95 and p99 in milliseconds."""
    wrong: int = 0
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the goal is; None: there is none."""
        if self.goal is None or self.ratio is None:
            return None
        return self.ratio <= self.goal if self.at_most else self.ratio >= self.goal


def processor() -> str:
    """Name the processor."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


MACHINE: Final = {"processor": processor(), "system": platform.platform(), "python": platform.python_version()}


@dataclass(slots=True)
class Report:
    """Everything that one run has found."""

    quick: bool
    begun: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    machine: dict[str, str] = field(default_factory=MACHINE.copy)
    rows: list[Row] = field(default_factory=list)
    capacity: list[str] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Print the row as it comes, and keep it."""
        self.rows.append(row)
        print(line(row), flush=True)  # noqa: T201 - this is what it is for

    def write(self, folder: Path) -> None:
        """Write the figures as JSON, and the ratios as a chart."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.json").write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        (folder / "results.svg").write_text(chart(self.rows), encoding="utf-8")


def quantiles(latencies: Sequence[float]) -> tuple[float, float, float]:
    """Return p50, p95 and p99 in milliseconds."""
    ordered = sorted(latencies)
    at: Callable[[float], float] = lambda share: ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000  # noqa: E731 - of these
    return at(0.5), at(0.95), at(0.99)


def compared(
    measure: str,
    ours: Sequence[Sample],
    theirs: Sequence[Sample],
    *,
    by: Callable[[Sample], float],
    limit: str,
    goal: float | None,
    at_most: bool = False,
) -> Row:
    """Compare two contestants that ran in turns, round by round."""
    ratios = [by(one) / by(other) for one, other in zip(ours, theirs, strict=True)]
    latencies = [latency for one in ours for latency in one.latencies]
    rates = [one.rate for one in ours]
    return Row(
        measure,
        f"{median(rates):,.0f}/s ({min(rates):,.0f}..{max(rates):,.0f})",
        ratio=median(ratios),
        spread=(min(ratios), max(ratios)),
        limit=limit,
        goal=goal,
        at_most=at_most,
        cpu=median(one.cpu for one in ours) * 1e6 or None,
        database_cpu=median(one.database_cpu for one in ours) * 1e6 or None,
        quantiles=quantiles(latencies) if latencies else None,
        wrong=sum(one.wrong for one in [*ours, *theirs]),
    )


HEAD: Final = (
    f"{'measure':38} {'median (min..max)':26} {'ratio (min..max)':22} {'goal':>8}  {'CPU':>8} {'PG':>8}  "
    f"{'p50 / p95 / p99':>22}  wrong"
)


def line(row: Row) -> str:
    """Write a row of the table."""
    ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
    spread = f" ({row.spread[0]:.2f}..{row.spread[1]:.2f})" if row.spread else ""
    sign = "≤" if row.at_most else "≥"
    goal = f"{sign} {row.goal:g}{'' if row.reached else ' !'}" if row.goal is not None else ""
    cpu = f"{row.cpu:,.0f} µs" if row.cpu else ""
    database = f"{row.database_cpu:,.0f} µs" if row.database_cpu else ""
    times = " / ".join(f"{one:.1f}" for one in row.quantiles) + " ms" if row.quantiles else ""
    tail = f"  {row.limit}{' ' if row.limit and row.note else ''}{row.note}"
    return (
        f"{row.measure:38} {row.value:26} {ratio + spread:22} {goal:>8}  {cpu:>8} {database:>8}  {times:>22}  "
        f"{row.wrong:>5}{tail}"
    )


def chart(rows: Sequence[Row]) -> str:
    """Draw each ratio beside its goal; what reaches the goal is green."""
    shown = [(row, row.ratio, row.goal) for row in rows if row.ratio is not None and row.goal is not None]
    height, bars = 26, []
    for place, (row, ratio, goal) in enumerate(shown):
        share = goal / ratio if row.at_most else ratio / goal
        width, y = min(360, round(180 * share)), 20 + place * height
        colour, sign = "#2a7" if row.reached else "#c53", "≤" if row.at_most else "≥"
        bars.append(
            f'<text x="300" y="{y + 13}" text-anchor="end">{row.measure}</text>'
            f'<rect x="310" y="{y}" width="{width}" height="18" fill="{colour}"/>'
            f'<text x="{316 + width}" y="{y + 13}">{ratio:.2f} (goal {sign} {goal:g})</text>'
        )
    bottom = 20 + len(shown) * height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="860" height="{bottom + 20}"'
        ' font-family="sans-serif" font-size="13">'
        f'<line x1="490" y1="10" x2="490" y2="{bottom}" stroke="#888" stroke-dasharray="4"/>{"".join(bars)}</svg>\n'
    )
