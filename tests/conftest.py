"""What every test needs: one seed for all that is drawn, and one table for all that is counted."""

import random

import pytest
from hypothesis import settings
from xdist.workermanage import WorkerController  # type: ignore[import-untyped]

from healthcare.domain.zones import use_one_database
from tests.examples import examples
from tests.figures import Figures, table

use_one_database()

# How long an example takes says nothing on a machine that others use too.
settings.register_profile("without haste", deadline=None, max_examples=examples(100))
settings.load_profile("without haste")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed of this run, unless one is given, so that what it draws can be drawn again."""
    if config.option.hypothesis_seed is None:
        given = getattr(config, "workerinput", {}).get("seed")
        config.option.hypothesis_seed = given or str(random.randrange(2**32))  # noqa: S311


def pytest_configure_node(node: WorkerController) -> None:
    """Let all jobs draw from the same seed."""
    node.workerinput["seed"] = node.config.option.hypothesis_seed


def pytest_report_header(config: pytest.Config) -> str:
    """Name the seed of all samples."""
    seed = config.option.hypothesis_seed
    return f'seed of every sample: {seed} (the same again: make test ARGS="--hypothesis-seed={seed}")'


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of figures."""
    stats = terminalreporter.stats
    lines = table(report for outcome in ("passed", "failed") for report in stats.get(outcome, ()))
    if lines:
        terminalreporter.section("figures")
        terminalreporter.write_line("\n".join(lines))


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """Return the seed of this run, for what is not drawn by Hypothesis."""
    return int(pytestconfig.option.hypothesis_seed)


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Count towards the table of figures."""
    return Figures(request.node)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on the event loop of the standard library."""
    return "asyncio"
