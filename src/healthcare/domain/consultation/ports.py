"""What the use cases of consultation need from outside."""

from typing import Protocol

from healthcare.domain.consultation.model import Consultation, Prescription
from healthcare.domain.kernel import AppointmentId, ConsultationId


class Consultations(Protocol):
    """The care that is given."""

    async def of(self, appointment: AppointmentId) -> Consultation | None:
        """Return the consultation of an appointment."""
        ...

    async def get(self, consultation: ConsultationId) -> Consultation | None:
        """Return the consultation."""
        ...

    async def lock(self, consultation: ConsultationId) -> Consultation | None:
        """Return the consultation as nobody else can change it until the unit of work ends."""
        ...

    async def add(self, consultation: Consultation) -> None:
        """Keep a new consultation, of an appointment that has none and that the caller has locked."""
        ...

    async def put(self, consultation: Consultation) -> None:
        """Keep a change."""
        ...


class Prescriptions(Protocol):
    """What doctors order. Nothing here changes one."""

    async def add(self, prescription: Prescription) -> None:
        """Keep a new prescription.

        Raises:
            PrescriptionIssued: the consultation has one.
        """
        ...

    async def of(self, consultation: ConsultationId) -> Prescription | None:
        """Return the prescription of a consultation."""
        ...
