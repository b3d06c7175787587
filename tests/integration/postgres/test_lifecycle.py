"""What the tables say of an appointment's life is what the domain says."""

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.errors import CheckViolation, RaiseException

from healthcare.domain.scheduling.status import TRANSITIONS, AppointmentStatus
from tests.integration.world import World, tomorrow_at

PENDING, CANCELLED = AppointmentStatus.PENDING, AppointmentStatus.CANCELLED
EITHER_WAY = list(product(AppointmentStatus, [True, False]))

Connection = psycopg.Connection[tuple[object, ...]]

ADD = """
    INSERT INTO appointments (id, slot_id, doctor_id, patient_id, starts_at, ends_at, fee_amount, fee_currency, version,
                              status, expires_at, cancellation_reason)
    SELECT %(id)s, s.id, s.doctor_id, u.id, s.starts_at, s.ends_at, 4900, 'EUR', 1, %(status)s, %(end)s, %(reason)s
      FROM slots s, users u WHERE u.role = 'patient'
"""
CHANGE = """
    UPDATE appointments SET status = %(status)s, expires_at = %(end)s, cancellation_reason = %(reason)s
     WHERE id = %(id)s
"""


@pytest.fixture
def connection(world: World) -> Iterator[Connection]:
    """A transaction in which there are a slot and a patient, and of which nothing is kept."""
    world.add_users("patient", 1)
    world.add_slots(world.add_doctors(1)[0], [tomorrow_at(9)])
    with psycopg.connect(make_conninfo("", **world.postgres)) as connection:
        yield connection
        connection.rollback()


def row(
    id: UUID, status: AppointmentStatus, *, end: bool | None = None, reason: bool | None = None
) -> dict[str, object]:
    """Return an appointment with what belongs to its status, unless that is said otherwise."""
    ends = status is PENDING if end is None else end
    says_why = status is CANCELLED if reason is None else reason
    return {"id": id, "status": status, "end": tomorrow_at(8) if ends else None, "reason": "ill" if says_why else None}


def test_a_status_is_followed_by_what_the_domain_says_and_by_nothing_else(connection: Connection) -> None:
    """By itself as well, because that is no transition."""
    followed = set[tuple[AppointmentStatus, AppointmentStatus]]()
    for before, after in product(AppointmentStatus, repeat=2):
        id = uuid4()
        with suppress(RaiseException), connection.transaction(force_rollback=True):
            connection.execute(ADD, row(id, before))
            connection.execute(CHANGE, row(id, after))
            followed.add((before, after))

    assert followed == {(before, after) for before in AppointmentStatus for after in (before, *TRANSITIONS[before])}


def test_a_refusal_names_both_statuses_and_nobody(connection: Connection) -> None:
    id = uuid4()
    connection.execute(ADD, row(id, AppointmentStatus.FULFILLED))

    with pytest.raises(RaiseException) as refusal:
        connection.execute(CHANGE, row(id, CANCELLED))

    assert refusal.value.diag.message_primary == "an appointment that is fulfilled cannot become cancelled"


def test_what_is_held_and_nothing_else_has_an_end(connection: Connection) -> None:
    assert kept_with_and_without(connection, "end", constraint="a_hold_has_an_end") == {
        (status, status is PENDING) for status in AppointmentStatus
    }


def test_what_is_cancelled_says_why(connection: Connection) -> None:
    """What was entered in error may, because it may have been cancelled before."""
    assert kept_with_and_without(connection, "reason", constraint="what_is_cancelled_says_why") == {
        (status, says_why) for status, says_why in EITHER_WAY if says_why or status is not CANCELLED
    }


def kept_with_and_without(
    connection: Connection, detail: str, *, constraint: str
) -> set[tuple[AppointmentStatus, bool]]:
    """Return the statuses that are let in with the detail or without it; fail if another constraint refuses one."""
    kept, refusing = set(), set()
    for status, has in EITHER_WAY:
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(ADD, row(uuid4(), status, **{detail: has}))
                kept.add((status, has))
        except CheckViolation as error:
            refusing.add(error.diag.constraint_name)
    assert refusing == {constraint}
    return kept


def test_the_table_knows_the_statuses_that_there_are(connection: Connection) -> None:
    (found,) = connection.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'status_is_known'"
    ).fetchone() or (None,)

    assert set(re.findall(r"'([a-z-]+)'", str(found))) == set(AppointmentStatus)
