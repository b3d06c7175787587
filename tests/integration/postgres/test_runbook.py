"""What the runbook tells operators to ask PostgreSQL can be asked."""

import re
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from healthcare.domain.kernel import EventKind
from healthcare.domain.policy import Action
from healthcare.domain.scheduling.status import NOT_LIVE, AppointmentStatus
from tests.integration.world import Conninfo

RUNBOOK = (Path(__file__).parents[3] / "docs/runbook.md").read_text("utf-8")
QUERIES = [
    query
    for block in re.findall(r"```sql\n(.*?)```", RUNBOOK, flags=re.DOTALL)
    for query in block.split(";")
    if query.strip()
]


@pytest.mark.parametrize("query", QUERIES, ids=[" ".join(query.split())[:60] for query in QUERIES])
def test_a_query_of_the_runbook_can_be_asked_and_changes_nothing(postgres: Conninfo, query: str) -> None:
    with psycopg.connect(make_conninfo("", **postgres)) as connection:
        connection.read_only = True

        assert connection.execute(query.encode()).description


@pytest.mark.parametrize(
    ("column", "known"),
    [
        ("kind", set(map(str, EventKind))),
        ("action", set(map(str, Action))),
        ("status", set(map(str, AppointmentStatus))),
    ],
)
def test_what_a_query_compares_with_is_a_value_that_there_is(column: str, known: set[str]) -> None:
    compared = re.findall(rf"\b{column} (?:=|NOT IN) (\([^)]+\)|'[^']+')", "\n".join(QUERIES))
    values = {value for one in compared for value in re.findall(r"'([^']+)'", one)}

    assert values
    assert values <= known


def test_a_query_that_leaves_appointments_out_leaves_out_those_that_are_not_live() -> None:
    left_out = re.findall(r"\bstatus NOT IN \(([^)]+)\)", "\n".join(QUERIES))

    assert left_out
    assert all(set(re.findall(r"'([^']+)'", one)) == NOT_LIVE for one in left_out)
