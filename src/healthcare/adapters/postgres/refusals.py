"""What the errors of PostgreSQL mean to the one who asked."""

from collections.abc import Mapping
from typing import Final

from prometheus_client import Counter
from psycopg import Error, InterfaceError, OperationalError, errors

from healthcare.application.uow import Busy, Unavailable
from healthcare.domain.consultation.errors import PrescriptionIssued
from healthcare.domain.identity.errors import EmailTaken
from healthcare.domain.kernel import Refusal
from healthcare.domain.scheduling.errors import PatientBusy, SlotsOverlap, SlotTaken

REFUSALS: Final[Mapping[str, type[Refusal]]] = {
    "one_account_per_email": EmailTaken,
    "one_live_appointment_per_slot": SlotTaken,
    "patient_is_in_one_place": PatientBusy,
    "doctor_offers_one_slot_at_a_time": SlotsOverlap,
    "one_prescription_per_consultation": PrescriptionIssued,
}

constraint_refusals: Final = Counter(
    "constraint_refusals_total",
    "Refusals that a constraint had to make, because no lock had made them before; expected to stay 0.",
    ["constraint"],
)
for name in REFUSALS:
    constraint_refusals.labels(name)

deadlocks: Final = Counter(
    "deadlocks_total",
    "Transactions that PostgreSQL ended because they waited for each other; expected to stay 0.",
)

TIME_IS_UP: Final = {"25P03", "25P04"}
"""The transaction was idle for too long, or took too long as a whole."""

READ_ONLY: Final = "25006"
"""The server takes no writes: it is a standby, or has become one."""


def meaning(error: Error) -> Exception:
    """Return what to raise in place of an error of a statement, none of whose transaction will be kept."""
    if (constraint := error.diag.constraint_name) and constraint in REFUSALS:
        constraint_refusals.labels(constraint).inc()
        return REFUSALS[constraint]()
    if isinstance(error, errors.DeadlockDetected):
        deadlocks.inc()
    if isinstance(error, (errors.LockNotAvailable, errors.DeadlockDetected)):
        return Busy("a lock was not had in time")
    if isinstance(error, (OperationalError, InterfaceError)) or error.sqlstate in {*TIME_IS_UP, READ_ONLY}:
        return Unavailable(f"PostgreSQL did not answer: {error.sqlstate or 'connection lost'}")
    return error
