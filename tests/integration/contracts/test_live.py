"""What the domain calls live, and what PostgreSQL does: the same."""

import re

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from healthcare.adapters.postgres.scheduling.rows import LIVE
from healthcare.domain.scheduling.status import NOT_LIVE, AppointmentStatus
from tests.integration.world import Conninfo


@pytest.mark.parametrize("name", ["one_live_appointment_per_slot", "patient_is_in_one_place"])
def test_the_predicate_of_an_index_names_what_is_not_live(postgres: Conninfo, name: str) -> None:
    with psycopg.connect(make_conninfo("", **postgres)) as connection:
        row = connection.execute(
            "SELECT pg_get_expr(indpred, indrelid) FROM pg_index WHERE indexrelid = %s::regclass", [name]
        ).fetchone()

    assert row
    assert "<> ALL" in row[0]
    assert set(re.findall(r"'([a-z-]+)'", row[0])) == NOT_LIVE


def test_the_look_names_what_is_not_live() -> None:
    assert "NOT IN" in LIVE
    assert set(re.findall(r"'([a-z-]+)'", LIVE)) == NOT_LIVE


def test_of_every_status_postgresql_says_what_the_domain_says(postgres: Conninfo) -> None:
    with psycopg.connect(make_conninfo("", **postgres)) as connection:
        rows = connection.execute(
            f"SELECT status FROM unnest(%s::text[]) AS status WHERE {LIVE}".encode(), [list(AppointmentStatus)]
        ).fetchall()

    assert {status for (status,) in rows} == {*AppointmentStatus} - NOT_LIVE
