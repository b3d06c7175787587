"""Why a request about free time and appointments is refused."""

from healthcare.domain.kernel import Conflict, Invalid


class SlotTaken(Conflict):
    """Somebody has already booked this slot."""

    code = "slot-taken"


class SlotInThePast(Invalid):
    """This slot has already started."""

    code = "slot-in-the-past"


class PatientBusy(Conflict):
    """The patient has another appointment at this time."""

    code = "patient-busy"


class SlotsOverlap(Conflict):
    """The doctor already has a slot in this time."""

    code = "slots-overlap"


class AppointmentNotBooked(Conflict):
    """The appointment is no longer booked."""

    code = "appointment-not-booked"


class AppointmentStarted(Conflict):
    """The time of the appointment has already begun."""

    code = "appointment-started"


class KeyReused(Invalid):
    """This idempotency key was used for another request."""

    code = "key-reused"
