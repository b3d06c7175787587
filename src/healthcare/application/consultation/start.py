"""Starting a consultation."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.uow import Begin
from healthcare.domain.consultation.model import Consultation, ConsultationStatus
from healthcare.domain.kernel import Actor, AppointmentId, ConsultationId, EventKind, Happened
from healthcare.domain.policy import Action
from healthcare.domain.scheduling.asks import Starting


@dataclass(frozen=True, slots=True)
class Started:
    """A consultation, and whether it began just now."""

    consultation: Consultation
    new: bool


@dataclass(frozen=True, slots=True)
class StartConsultation:
    """The booked doctor starts the consultation of an appointment, at any time; starting again changes nothing."""

    action: ClassVar = Action.START_CONSULTATION
    begin: Begin
    happened: Happened

    async def __call__(self, *, actor: Actor, appointment: AppointmentId) -> Started:
        """Start; the appointment's lock makes two who start at once one after the other."""
        async with self.begin() as uow:
            ask = Starting(actor=actor, appointment=appointment)
            diary = await uow.bookings.lock([ask])
            diary.sweep(self.happened, request=actor.request)
            found = diary.find(ask)
            if existing := await uow.consultations.of(appointment):
                return Started(existing, new=False)
            consultation = Consultation(
                id=ConsultationId(self.happened.new_id()),
                appointment=appointment,
                doctor=found.doctor,
                patient=found.patient,
                status=ConsultationStatus.IN_PROGRESS,
                started_at=self.happened.clock.now(),
            )
            diary.fulfil(found)
            await uow.bookings.keep(diary)
            await uow.consultations.add(consultation)
            await uow.outbox.add(self.happened(EventKind.CONSULTATION_STARTED, actor, consultation.id))
        return Started(consultation, new=True)
