"""Starting a consultation."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.uow import Begin
from healthcare.domain.consultation.model import Consultation, ConsultationStatus
from healthcare.domain.kernel import Actor, AppointmentId, ConsultationId, EventKind, Happened, NotFound
from healthcare.domain.policy import Action, permit, require_relation


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
            role = await uow.users.role(actor.user)
            permit(self.action, actor, role, subject=appointment)
            if (found := await uow.appointments.lock(appointment)) is None:
                raise NotFound
            require_relation(self.action, actor, role, doctor=found.doctor.id, subject=appointment)
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
            await uow.appointments.put(found.fulfil())
            await uow.consultations.add(consultation)
            await uow.outbox.add(self.happened(EventKind.CONSULTATION_STARTED, actor, consultation.id))
        return Started(consultation, new=True)
