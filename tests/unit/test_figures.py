"""The table at the end of a run."""

import pytest

from tests.figures import PROPERTY, Figure, table


def report(outcome: str, *figures: Figure) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid="a test",
        location=("", 0, ""),
        keywords={},
        outcome=outcome,  # type: ignore[arg-type]
        longrepr=None,
        when="call",
        user_properties=[(PROPERTY, one) for one in figures],
    )


def test_figures_of_one_proof_are_added_up_and_zero_violations_have_a_bound() -> None:
    heading, booking = table([report("passed", ("booking", 100, 1, None)), report("passed", ("booking", 200, 2, None))])

    assert heading.split() == ["proof", "operations", "faults", "violations", "95", "%", "bound", "healed", "after"]
    assert booking.split() == ["booking", "300", "3", "0", "1.0e-02"]


def test_a_test_that_fails_is_a_violation_of_what_it_counted_and_leaves_no_bound() -> None:
    _, booking, search = table(
        [report("failed", ("booking", 100, 0, None)), report("passed", ("search", 3000, 0, None))]
    )

    assert booking.split() == ["booking", "100", "0", "1", "-"]
    assert search.split() == ["search", "3,000", "0", "0", "1.0e-03"]


def test_of_the_times_until_faults_were_healed_the_median_and_the_longest_are_shown() -> None:
    _, crashes = table([report("passed", ("crashes", 10, 1, 0.5), ("crashes", 10, 1, 0.25), ("crashes", 10, 1, 3.0))])

    assert crashes.endswith("  0.50 to 3.00 s")


def test_a_run_that_counted_nothing_has_no_table() -> None:
    assert table([report("passed")]) == []
