"""Booking."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.searches import touching
from healthcare.application.uow import Begin
from healthcare.domain.kernel import AppointmentId, Happened, Refusal
from healthcare.domain.policy import Action
from healthcare.domain.scheduling.model import Appointment, Booking, Diary, Touched
from healthcare.domain.scheduling.ports import SearchCache


@dataclass(frozen=True, slots=True)
class BookAppointments:
    """Those who ask at the same moment are decided in one transaction, in order of arrival."""

    action: ClassVar = Action.BOOK_APPOINTMENT
    begin: Begin
    cache: SearchCache
    happened: Happened

    async def __call__(self, asked: Sequence[Booking]) -> list[Appointment | Refusal]:
        """Return for each what came of it. The diary asks the policy table first: it knows the roles."""
        async with touching(self.cache) as touched, self.begin() as uow:
            diary = await uow.bookings.lock(asked)
            answers = [self._decide(diary, one) for one in asked]
            # Also by what was booked earlier: whoever is answered by a receipt may be the first to hear of it.
            touched |= {Touched.by(one) for one in answers if isinstance(one, Appointment)}
            await uow.bookings.keep(diary)
        return answers

    def _decide(self, diary: Diary, ask: Booking) -> Appointment | Refusal:
        try:
            return diary.book(ask, id=AppointmentId(self.happened.new_id()), happened=self.happened)
        except Refusal as refusal:
            return refusal


@dataclass(frozen=True, slots=True)
class BookAppointment:
    """The same for one, who is answered or turned away."""

    action: ClassVar = Action.BOOK_APPOINTMENT
    together: BookAppointments

    async def __call__(self, booking: Booking) -> Appointment:
        """Book."""
        (answer,) = await self.together([booking])
        if isinstance(answer, Refusal):
            raise answer
        return answer
