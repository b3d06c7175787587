"""What every test needs."""

import pytest

from healthcare.domain.zones import use_one_database

use_one_database()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on the event loop of the standard library."""
    return "asyncio"
