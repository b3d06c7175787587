"""Booking."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.scheduling.decide import Decide
from healthcare.domain.policy import Action
from healthcare.domain.scheduling.asks import Booking
from healthcare.domain.scheduling.model import Appointment


@dataclass(frozen=True, slots=True)
class BookAppointment:
    """A patient books a free slot, or the one they hold; the same key again gets the same answer again."""

    action: ClassVar = Action.BOOK_APPOINTMENT
    decide: Decide

    async def __call__(self, booking: Booking) -> Appointment:
        """Book."""
        return await self.decide(booking)
