"""Cancelling a whole day."""

from asyncio import gather
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from healthcare.application.scheduling.decide import Decide
from healthcare.application.searches import touching
from healthcare.application.uow import Begin, OutcomeUnknown, Unavailable
from healthcare.domain.directory.errors import ProfileMissing
from healthcare.domain.kernel import Actor, Happened, NotFound, Refusal, check_text
from healthcare.domain.policy import Action, permit
from healthcare.domain.scheduling.asks import Cancelling, Withdrawal
from healthcare.domain.scheduling.errors import AppointmentMoved, AppointmentNotBooked, AppointmentStarted
from healthcare.domain.scheduling.model import Appointment
from healthcare.domain.scheduling.ports import SearchCache
from healthcare.domain.scheduling.search import Touched
from healthcare.domain.scheduling.status import AppointmentStatus
from healthcare.domain.zones import check_day, day_bounds


@dataclass(frozen=True, slots=True)
class DayItem:
    """An appointment of the day, and why it was not cancelled (None: it was)."""

    appointment: Appointment
    """As it stood when the day was taken back."""
    refusal: Refusal | None

    @property
    def outcome(self) -> str:
        """`cancelled`, or the code of the refusal."""
        return self.refusal.code if self.refusal else AppointmentStatus.CANCELLED


@dataclass(frozen=True, slots=True)
class CancelDay:
    """A doctor cannot come: every slot of the day is taken back, and then each of its appointments is cancelled.

    They are asked for at the same moment, and so travel together: a day must not take as long as all of them in a row.
    Nothing new can be booked from the first moment on. Whatever a cut leaves undone, a repeat finishes.
    """

    action: ClassVar = Action.CANCEL_DAY
    begin: Begin
    cache: SearchCache
    happened: Happened
    decide: Decide

    async def __call__(self, *, actor: Actor, day: date, reason: str) -> Sequence[DayItem]:
        """Cancel what is pending, booked or checked in on this day of the doctor's own time zone, in order of start.

        Raises:
            OutcomeUnknown: also where it was cut after the slots had been taken back, because something has happened.
        """
        check_day(day, "date")
        check_text(reason, "reason")
        found = await self._take_back(actor, day)
        outcomes = await gather(*[self._cancel(actor, one, reason) for one in found], return_exceptions=True)
        for failure in outcomes:
            if isinstance(failure, BaseException):
                raise failure
        return [one for one in outcomes if isinstance(one, DayItem)]

    async def _take_back(self, actor: Actor, day: date) -> Sequence[Appointment]:
        async with touching(self.cache) as touched, self.begin() as uow:
            permit(self.action, actor, await uow.users.role(actor.user))
            doctor = actor.known
            await uow.profiles.lock(doctor)  # so that nothing is published meanwhile
            if (profile := await uow.profiles.get(doctor)) is None:
                raise ProfileMissing
            slots = await uow.slots.on(doctor, *day_bounds(day, profile.time_zone))
            asked = [Withdrawal(actor=actor, slot=slot, even_taken=True) for slot in slots]
            diary = await uow.bookings.lock(asked)
            diary.sweep(self.happened, request=actor.request)
            for ask in asked:
                try:
                    diary.withdraw(ask, self.happened)
                except NotFound:
                    continue  # it was taken back before
            touched.update(diary.touched, map(Touched.by, diary.slots.values()))  # also those taken back before
            await uow.bookings.keep(diary)
        return diary.unfinished(slots)

    async def _cancel(self, actor: Actor, found: Appointment, reason: str) -> DayItem:
        try:
            await self.decide(Cancelling(actor=actor, appointment=found.id, reason=reason, only_on=found.slot))
        except (AppointmentMoved, AppointmentNotBooked, AppointmentStarted) as refusal:
            return DayItem(found, refusal)
        except Unavailable as cut:
            raise OutcomeUnknown("the day is taken back, and not all of it is cancelled") from cut
        return DayItem(found, None)
