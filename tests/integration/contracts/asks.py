"""What people ask of slots and appointments, and how it is decided."""

from dataclasses import replace

from healthcare.application.uow import UnitOfWork
from healthcare.domain.identity.model import User
from healthcare.domain.scheduling.asks import (
    Ask,
    Booking,
    Cancelling,
    CheckingIn,
    Holding,
    Missing,
    Release,
    Rescheduling,
    Undoing,
    Withdrawal,
)
from healthcare.domain.scheduling.cancellation import EXPIRED
from healthcare.domain.scheduling.diary import Diary
from healthcare.domain.scheduling.model import HELD_FOR, Appointment, Slot
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.builders import NOW, SYSTEM, a_booking, a_diary, an_actor
from tests.clinic import Clinic


def book(patient: User, slot: Slot, *, key: str | None = None) -> Booking:
    return a_booking(an_actor(patient.id), slot.id, key=key)


def hold(patient: User, slot: Slot) -> Holding:
    return Holding(actor=an_actor(patient.id), slot=slot.id)


def release(patient: User, slot: Slot) -> Release:
    return Release(actor=an_actor(patient.id), slot=slot.id)


def move(appointment: Appointment, slot: Slot) -> Rescheduling:
    return Rescheduling(actor=an_actor(appointment.patient.id), appointment=appointment.id, slot=slot.id)


def cancel(appointment: Appointment) -> Cancelling:
    return Cancelling(actor=an_actor(appointment.patient.id), appointment=appointment.id, reason="ill")


def check_in(appointment: Appointment) -> CheckingIn:
    return CheckingIn(actor=an_actor(appointment.patient.id), appointment=appointment.id)


def miss(appointment: Appointment) -> Missing:
    return Missing(actor=SYSTEM, appointment=appointment.id)


def undo(appointment: Appointment) -> Undoing:
    return Undoing(actor=an_actor(appointment.doctor.id), appointment=appointment.id)


def withdraw(slot: Slot, *, even_taken: bool = False) -> Withdrawal:
    return Withdrawal(actor=an_actor(slot.doctor.id), slot=slot.id, even_taken=even_taken)


async def look(clinic: Clinic, *asked: Ask) -> Diary:
    """Return what one would decide on."""
    async with clinic.database.begin() as uow:
        return await uow.bookings.lock(asked)


async def decided(clinic: Clinic, uow: UnitOfWork, *asked: Ask) -> list[Appointment]:
    """Look, decide and keep, as the use case does; nobody may be refused. Return what has become of appointments."""
    diary = await uow.bookings.lock(asked)
    diary.sweep(clinic.happened, request="request-1")
    answers = [diary.decide(one, clinic.happened) for one in asked]
    await uow.bookings.keep(diary)
    return [one for one in answers if isinstance(one, Appointment)]


async def decide(clinic: Clinic, *asked: Ask) -> list[Appointment]:
    """Do so in one transaction."""
    async with clinic.database.begin() as uow:
        return await decided(clinic, uow, *asked)


async def put(clinic: Clinic, *appointments: Appointment) -> None:
    """Keep appointments that nobody has asked for."""
    diary = a_diary()
    diary.new.update(one.id for one in appointments)
    diary.steps.extend(appointments)
    async with clinic.database.begin() as uow:
        await uow.bookings.keep(diary)


async def correct(clinic: Clinic, before: Appointment, after: Appointment) -> None:
    """Keep what has become of an appointment, also what no command leads to."""
    diary = a_diary(appointments=[before])
    diary.steps.append(after)
    async with clinic.database.begin() as uow:
        await uow.bookings.keep(diary)


def in_status(appointment: Appointment, status: AppointmentStatus) -> Appointment:
    """Return it in a status, with what belongs to that."""
    return replace(
        appointment,
        status=status,
        expires_at=NOW + HELD_FOR if status is AppointmentStatus.PENDING else None,
        cancellation=EXPIRED if status is AppointmentStatus.CANCELLED else None,
    )


def claimed(diary: Diary, slot: Slot) -> bool:
    """Say whether a look has seen that somebody has the slot."""
    return any(one.slot == slot.id and one.at(diary.now).live for one in diary.appointments.values())
