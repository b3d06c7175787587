"""A clinic for each test."""

import pytest

from tests.clinic import Clinic


@pytest.fixture
def clinic() -> Clinic:
    """Every use case, on an empty memory database."""
    return Clinic()
