"""Which status may follow which is said twice, in the domain and by a trigger: the same both times."""

from itertools import permutations

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.errors import RaiseException

from healthcare.domain.scheduling.status import TRANSITIONS, AppointmentStatus
from tests.integration.world import Conninfo

APPOINTMENT = """
    INSERT INTO appointments (id, slot_id, doctor_id, patient_id, starts_at, ends_at, fee_amount, fee_currency, version,
                              cancellation_reason, status, expires_at)
    SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), now(), now() + interval '1 hour',
           4900, 'EUR', 1, 'ill', %(status)s, CASE WHEN %(status)s = 'pending' THEN now() END
    RETURNING id
"""
CHANGE = """
    UPDATE appointments
       SET status = %(status)s, expires_at = CASE WHEN %(status)s = 'pending' THEN now() END
     WHERE id = %(id)s
"""


def test_the_trigger_lets_pass_what_the_table_of_the_domain_does(postgres: Conninfo) -> None:
    passed = {status: set[AppointmentStatus]() for status in AppointmentStatus}
    with psycopg.connect(make_conninfo("", **postgres), autocommit=True) as connection:
        for before, after in permutations(AppointmentStatus, 2):
            # Only the trigger is looked at here, so the row need not fit anything.
            connection.execute("SET session_replication_role = replica")
            row = connection.execute(APPOINTMENT, {"status": before}).fetchone()
            connection.execute("SET session_replication_role = origin")
            assert row
            try:
                connection.execute(CHANGE, {"status": after, "id": row[0]})
            except RaiseException:
                continue
            passed[before].add(after)

    assert passed == TRANSITIONS
