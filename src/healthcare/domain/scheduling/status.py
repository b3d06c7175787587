"""The life of an appointment."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class AppointmentStatus(StrEnum):
    """The life of an appointment; FHIR R4 Appointment.status."""

    PENDING = "pending"
    """A hold: it ends by itself unless it is booked in time."""
    BOOKED = "booked"
    CHECKED_IN = "checked-in"
    FULFILLED = "fulfilled"
    """Care has begun; how far it has come is the consultation's status."""
    CANCELLED = "cancelled"
    NOSHOW = "noshow"
    ENTERED_IN_ERROR = "entered-in-error"


NOT_LIVE: Final = frozenset({AppointmentStatus.CANCELLED, AppointmentStatus.ENTERED_IN_ERROR})
"""An appointment in any other status is live: it claims its slot and its patient's time."""

UNFINISHED: Final = frozenset({AppointmentStatus.PENDING, AppointmentStatus.BOOKED, AppointmentStatus.CHECKED_IN})
"""The patient may still come."""

TRANSITIONS: Final[Mapping[AppointmentStatus, frozenset[AppointmentStatus]]] = MappingProxyType(
    {
        AppointmentStatus.PENDING: frozenset({AppointmentStatus.BOOKED, AppointmentStatus.CANCELLED}),
        AppointmentStatus.BOOKED: frozenset(
            {
                AppointmentStatus.CHECKED_IN,
                AppointmentStatus.FULFILLED,
                AppointmentStatus.CANCELLED,
                AppointmentStatus.NOSHOW,
                AppointmentStatus.ENTERED_IN_ERROR,
            }
        ),
        AppointmentStatus.CHECKED_IN: frozenset(
            {
                AppointmentStatus.BOOKED,
                AppointmentStatus.FULFILLED,
                AppointmentStatus.CANCELLED,
                AppointmentStatus.ENTERED_IN_ERROR,
            }
        ),
        AppointmentStatus.FULFILLED: frozenset({AppointmentStatus.ENTERED_IN_ERROR}),
        # Who undoes a no-show says that the patient came; were it booked again, it would be missed again at once.
        AppointmentStatus.NOSHOW: frozenset({AppointmentStatus.CHECKED_IN, AppointmentStatus.ENTERED_IN_ERROR}),
        AppointmentStatus.CANCELLED: frozenset({AppointmentStatus.ENTERED_IN_ERROR}),
        AppointmentStatus.ENTERED_IN_ERROR: frozenset(),
    }
)
"""What each status may become. No command leads to `entered-in-error`: operators correct with it."""
