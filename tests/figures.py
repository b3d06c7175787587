"""What a run has tried and found, as one table at its end: `make test-long` prints the figures in full."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import pytest

PROPERTY = "figures"


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one test."""

    test: pytest.Item

    def add(self, proof: str, *, operations: int, faults: int = 0) -> None:
        """Count what one test did towards a proof: commands and questions asked, and faults that struck meanwhile.

        The violations are not counted here: a test that finds one fails.
        """
        self.test.user_properties.append((PROPERTY, (proof, operations, faults)))


def table(reports: Iterable[pytest.TestReport]) -> list[str]:
    """Return the lines of the table, one proof each.

    The last column is what a zero means: where n independent tries show no violation, their share is below 3/n with
    95 % confidence (the "rule of three": 0.05 ** (1 / n) = 1 - 3/n, nearly).
    """
    operations: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    violations: Counter[str] = Counter()
    for report in reports:
        written = [cast("tuple[str, int, int]", value) for name, value in report.user_properties if name == PROPERTY]
        for proof, done, struck in written:
            operations[proof] += done
            faults[proof] += struck
        violations.update({proof for proof, _, _ in written} if report.failed else ())
    if not operations:
        return []
    width = max(map(len, operations))
    return [f"{'proof':{width}}  operations    faults  violations  95 % bound"] + [
        f"{proof:{width}}  {done:>10,}  {faults[proof]:>8,}  {violations[proof]:>10,}  "
        + (f"{3 / done:>10.1e}" if not violations[proof] else f"{'-':>10}")
        for proof, done in sorted(operations.items())
        if done
    ]
