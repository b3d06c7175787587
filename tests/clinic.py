"""A whole system for tests: every use case on one database, and people and slots put straight into it."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol
from uuid import uuid4

from healthcare.adapters.memory.bell import SilentBell
from healthcare.adapters.memory.cache import MemorySearchCache
from healthcare.adapters.memory.database import MemoryDatabase
from healthcare.application import uow
from healthcare.application.audit.list_dead_letters import ListDeadLetters
from healthcare.application.audit.record import RecordEvents
from healthcare.application.audit.requeue import RequeueEvents
from healthcare.application.audit.search import SearchAudit
from healthcare.application.consultation.prescribe import IssuePrescription
from healthcare.application.consultation.read_prescription import ReadPrescription
from healthcare.application.consultation.start import StartConsultation
from healthcare.application.directory.keep_profile import KeepProfile
from healthcare.application.directory.list_specialties import ListSpecialties
from healthcare.application.identity.change_role import ChangeRole
from healthcare.application.identity.create_admin import CreateAdmin
from healthcare.application.identity.enrolment import Enrolment
from healthcare.application.identity.log_in import LogIn
from healthcare.application.identity.read_self import ReadSelf
from healthcare.application.identity.register import RegisterPatient
from healthcare.application.scheduling.book import BookAppointment
from healthcare.application.scheduling.cancel import CancelAppointment
from healthcare.application.scheduling.cancel_day import CancelDay
from healthcare.application.scheduling.check_in import CheckIn
from healthcare.application.scheduling.decide import DecideOne, DecideTogether, LookForOthers
from healthcare.application.scheduling.forget_keys import ForgetKeys
from healthcare.application.scheduling.hold import HoldSlot
from healthcare.application.scheduling.list_appointments import ListAppointments
from healthcare.application.scheduling.list_slots import ListSlots
from healthcare.application.scheduling.mark_no_shows import MarkNoShows
from healthcare.application.scheduling.publish import PublishSlots
from healthcare.application.scheduling.read_appointment import ReadAppointment
from healthcare.application.scheduling.release import ReleaseHold
from healthcare.application.scheduling.reschedule import RescheduleAppointment
from healthcare.application.scheduling.search import SearchSlots
from healthcare.application.scheduling.take_back import TakeSlotBack
from healthcare.application.scheduling.undo_status import UndoStatus
from healthcare.application.together import Together
from healthcare.application.uow import Transactions
from healthcare.application.use_cases import UseCases
from healthcare.domain.identity.model import User
from healthcare.domain.kernel import (
    AppointmentId,
    Doctor,
    Event,
    EventKind,
    Happened,
    Money,
    NewId,
    Paging,
    Role,
    SlotId,
    UserId,
)
from healthcare.domain.scheduling.asks import Ask, Booking
from healthcare.domain.scheduling.model import Appointment, Slot, TimeRange
from healthcare.domain.scheduling.ports import SearchCache
from healthcare.domain.scheduling.search import Search
from tests.builders import (
    MINUTE,
    TOMORROW,
    FakeClock,
    FakePasswords,
    FakeTokens,
    a_profile,
    a_slot,
    a_user,
    an_actor,
)


class Database(uow.Database, Protocol):
    """What the database adapters have in common."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def check(self) -> None: ...


class Undone(Exception):
    """Ends a transaction of which nothing shall be kept."""


class Clinic:
    """Everything the system can do (`can`), and short cuts to what has to be there before."""

    def __init__(
        self,
        database: Database | None = None,
        cache: SearchCache | None = None,
        *,
        clock: FakeClock | None = None,
        new_id: NewId = uuid4,
        runs: type[Together[Ask, Appointment | Slot]] = Together,
    ) -> None:
        self.clock = clock or FakeClock()
        self.database = database or MemoryDatabase(self.clock)
        self.cache = cache or MemorySearchCache(self.clock)
        self.bell = SilentBell()
        self.passwords = FakePasswords()
        self.tokens = FakeTokens()
        self.new_id = new_id
        self.happened = Happened(self.clock, new_id)
        self.begin = Transactions(self.database, self.bell, self.happened).begin
        enrolment = Enrolment(self.begin, self.passwords, self.happened)
        self.together = DecideTogether(self.begin, self.cache, self.happened)
        self.decide = DecideOne(runs(self.together), Together(LookForOthers(self.database.read)))
        self.can = UseCases(
            register_patient=RegisterPatient(enrolment),
            log_in=LogIn(
                self.begin, self.database.read, self.database.record, self.passwords, self.tokens, self.happened
            ),
            read_self=ReadSelf(self.begin),
            change_role=ChangeRole(self.begin, self.cache, self.happened),
            create_admin=CreateAdmin(enrolment),
            keep_profile=KeepProfile(self.begin, self.cache, self.clock),
            list_specialties=ListSpecialties(self.begin),
            publish_slots=PublishSlots(self.begin, self.cache, self.happened),
            list_slots=ListSlots(self.begin),
            take_slot_back=TakeSlotBack(self.together),
            search_slots=SearchSlots(self.database.read, self.cache, self.clock),
            hold_slot=HoldSlot(self.decide),
            release_hold=ReleaseHold(self.decide),
            book_appointment=BookAppointment(self.decide),
            list_appointments=ListAppointments(self.begin),
            read_appointment=ReadAppointment(self.begin),
            reschedule_appointment=RescheduleAppointment(self.decide),
            cancel_appointment=CancelAppointment(self.decide),
            cancel_day=CancelDay(self.begin, self.cache, self.happened, self.decide),
            check_in=CheckIn(self.decide),
            undo_status=UndoStatus(self.decide),
            mark_no_shows=MarkNoShows(self.begin, self.clock, self.together),
            forget_keys=ForgetKeys(self.begin, self.clock),
            start_consultation=StartConsultation(self.begin, self.happened),
            issue_prescription=IssuePrescription(self.begin, self.happened),
            read_prescription=ReadPrescription(self.begin, self.happened),
            record_events=RecordEvents(self.begin),
            list_dead_letters=ListDeadLetters(self.begin),
            requeue_events=RequeueEvents(self.begin, self.happened),
            search_audit=SearchAudit(self.begin),
        )

    async def user(
        self, role: Role = Role.PATIENT, *, full_name: str = "Grace Hopper", email: str | None = None
    ) -> User:
        """Add a user."""
        user = a_user(id=UserId(self.new_id()), role=role, full_name=full_name, email=email)
        async with self.database.begin() as uow:
            await uow.users.add(user, await self.passwords.hash("their password"))
        return user

    async def doctor(
        self,
        specialty: str = "cardiology",
        *,
        fee: Money | None = None,
        time_zone: str = "Europe/Berlin",
        notice_hours: int = 0,
    ) -> Doctor:
        """Add a doctor who has a profile."""
        user = await self.user(Role.DOCTOR, full_name="Rosalind Franklin")
        profile = a_profile(user.id, specialty=specialty, fee=fee, time_zone=time_zone, notice_hours=notice_hours)
        async with self.database.begin() as uow:
            await uow.profiles.put(profile)
        return Doctor(user.id, user.full_name, specialty)

    async def slots(
        self, doctor: Doctor, *starts: datetime, length: timedelta = 30 * MINUTE, fee: Money | None = None
    ) -> list[Slot]:
        """Add slots of a doctor, in the past too."""
        slots = [
            a_slot(id=SlotId(self.new_id()), doctor=doctor, time=TimeRange(start, start + length), fee=fee)
            for start in starts
        ]
        async with self.database.begin() as uow:
            await uow.slots.add(slots)
        return slots

    async def slot(self, doctor: Doctor | None = None, start: datetime = TOMORROW) -> Slot:
        """Add one slot."""
        (slot,) = await self.slots(doctor or await self.doctor(), start)
        return slot

    async def booked(self, slot: Slot | None = None, patient: User | None = None) -> Appointment:
        """Book a slot."""
        slot = slot or await self.slot()
        patient = patient or await self.user()
        booking = Booking(actor=an_actor(patient.id), slot=slot.id, key=str(self.new_id()))
        return await self.can.book_appointment(booking)

    async def held(self, slot: Slot | None = None, patient: User | None = None) -> Appointment:
        """Hold a slot."""
        slot = slot or await self.slot()
        patient = patient or await self.user()
        return await self.can.hold_slot(actor=an_actor(patient.id), slot=slot.id)

    async def appointment(self, id: AppointmentId) -> Appointment | None:
        """Return an appointment as it is kept."""
        async with self.database.begin() as uow:
            return await uow.appointments.get(id)

    async def appointments(self, user: User | Doctor) -> Sequence[Appointment]:
        """Return someone's appointments as they are kept."""
        async with self.database.begin() as uow:
            return (await uow.appointments.of(user.id, Paging(500), as_doctor=True)).items

    async def free(self, specialty: str = "cardiology", day: datetime = TOMORROW) -> list[Slot]:
        """Return what a search of a day, in UTC, finds."""
        search = Search(specialty, day.date(), paging=Paging(500))
        async with self.database.begin() as uow:
            return list((await uow.slots.free(search, now=self.clock.now())).items)

    async def events(self, kind: EventKind | None = None) -> list[Event]:
        """Return the events that wait in the outbox, and leave them there."""
        found: list[Event] = []
        with suppress(Undone):
            async with self.database.begin() as uow:
                found.extend(await uow.outbox.take(await uow.outbox.lock(10_000)))
                raise Undone
        return sorted((one for one in found if kind in {None, one.kind}), key=lambda one: one.at)
