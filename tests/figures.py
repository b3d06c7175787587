"""What a run has tried and found, as one table at its end: `make test-long` prints the figures in full."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import cast

import pytest

PROPERTY = "figures"

Figure = tuple[str, int, int, float | None]


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one test."""

    test: pytest.Item

    def add(self, proof: str, *, operations: int, faults: int = 0, healed: float | None = None) -> None:
        """Count what one test did towards a proof: commands and questions asked, and faults that struck meanwhile.

        `healed` is how many seconds after the end of a fault the first one was served again. The violations are not
        counted here: a test that finds one fails.
        """
        self.test.user_properties.append((PROPERTY, (proof, operations, faults, healed)))


def table(reports: Iterable[pytest.TestReport]) -> list[str]:
    """Return the lines of the table, one proof each.

    The bound is what a zero means: where n independent tries show no violation, their share is below 3/n with 95 %
    confidence (the "rule of three": 0.05 ** (1 / n) = 1 - 3/n, nearly). Of the times of healing, the median and the
    longest are shown.
    """
    operations: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    violations: Counter[str] = Counter()
    healed: defaultdict[str, list[float]] = defaultdict(list)
    for report in reports:
        written = [cast("Figure", value) for name, value in report.user_properties if name == PROPERTY]
        for proof, done, struck, seconds in written:
            operations[proof] += done
            faults[proof] += struck
            healed[proof] += [] if seconds is None else [seconds]
        violations.update({proof for proof, *_ in written} if report.failed else ())
    if not operations:
        return []
    width = max(map(len, operations))
    return [f"{'proof':{width}}  operations    faults  violations  95 % bound  healed after"] + [
        f"{proof:{width}}  {done:>10,}  {faults[proof]:>8,}  {violations[proof]:>10,}  "
        + (f"{3 / done:>10.1e}" if not violations[proof] else f"{'-':>10}")
        + (f"  {median(healed[proof]):.2f} to {max(healed[proof]):.2f} s" if healed[proof] else "")
        for proof, done in sorted(operations.items())
        if done
    ]
