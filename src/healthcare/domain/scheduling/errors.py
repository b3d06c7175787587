"""Why a request about free time and appointments is refused."""

from healthcare.domain.kernel import Conflict, Invalid


class SlotTaken(Conflict):
    """Somebody has already booked this slot, or holds it."""

    code = "slot-taken"


class SlotInThePast(Invalid):
    """This slot has already started."""

    code = "slot-in-the-past"


class PatientBusy(Conflict):
    """The patient has another appointment at this time."""

    code = "patient-busy"


class HoldExtended(Conflict):
    """The hold has been extended before, and can be only once."""

    code = "hold-extended"


class TooManyHolds(Conflict):
    """The patient holds as many slots as one can at a time."""

    code = "too-many-holds"


class SlotsOverlap(Conflict):
    """The doctor already has a slot in this time."""

    code = "slots-overlap"


class AppointmentNotBooked(Conflict):
    """The appointment is not booked, or is so no longer."""

    code = "appointment-not-booked"


class AppointmentStarted(Conflict):
    """The time of the appointment has already begun."""

    code = "appointment-started"


class AppointmentMoved(Conflict):
    """The appointment has been moved to another slot."""

    code = "appointment-moved"


class VersionStale(Conflict):
    """The appointment has changed since you saw it."""

    code = "version-stale"


class CheckInTooEarly(Conflict):
    """Check-in opens 15 minutes before the appointment."""

    code = "check-in-too-early"


class NotMissed(Conflict):
    """The appointment has not been over for 15 minutes."""

    code = "not-missed"


class NothingToUndo(Conflict):
    """The appointment is neither checked in nor marked as missed."""

    code = "nothing-to-undo"


class KeyReused(Invalid):
    """This idempotency key was used for another request."""

    code = "key-reused"
