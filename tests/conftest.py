"""What every test needs."""

import pytest
from hypothesis import settings

from healthcare.domain.zones import use_one_database
from tests.examples import examples

use_one_database()

# How long an example takes says nothing on a machine that others use too.
settings.register_profile("without haste", deadline=None, max_examples=examples(100))
settings.load_profile("without haste")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on the event loop of the standard library."""
    return "asyncio"
