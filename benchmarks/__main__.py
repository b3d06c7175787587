"""Measure everything: `make bench`, or in two minutes all but growth: `make bench-quick`."""

import argparse
import sys
from pathlib import Path
from typing import Final

from benchmarks import measures
from benchmarks.capacity import capacity
from benchmarks.results import HEAD, Report
from benchmarks.stage import stage
from healthcare.domain.zones import use_one_database

FOLDER: Final = Path("benchmarks", "results")


def main() -> int:
    """Run, print, write; end with 1 where an answer was wrong."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, and nothing that grows")
    parser.add_argument("--only", default="", help="measures whose name holds this")
    parser.add_argument("--into", type=Path, default=FOLDER, help="where results.json and results.svg are written")
    given = parser.parse_args()
    use_one_database()
    report = Report(quick=given.quick)
    pace = measures.QUICK if given.quick else measures.FULL
    print(HEAD, flush=True)  # noqa: T201
    with stage(pace.days) as one:
        for measure in measures.ALL:
            if given.only in measure.__name__:
                measure(one, pace, report)
    report.capacity = capacity(report.rows)
    print("\n".join(report.capacity))  # noqa: T201
    report.write(given.into)
    wrong = [row.measure for row in report.rows if row.wrong]
    missed = [row.measure for row in report.rows if row.reached is False]
    if wrong:
        print(f"wrong answers: {', '.join(wrong)}")  # noqa: T201
    if missed:
        print(f"goals missed: {', '.join(missed)}")  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
