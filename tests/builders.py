"""Things for tests, valid by default: a case names only what it is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID, uuid4

from healthcare.domain.audit.model import Entry
from healthcare.domain.consultation.model import Consultation, ConsultationStatus, Item, Prescription
from healthcare.domain.directory.model import Profile
from healthcare.domain.identity.errors import InvalidToken
from healthcare.domain.identity.model import Email, User
from healthcare.domain.kernel import (
    Actor,
    AppointmentId,
    ConsultationId,
    Doctor,
    Event,
    EventId,
    EventKind,
    Happened,
    Money,
    Outcome,
    Patient,
    PrescriptionId,
    Role,
    SlotId,
    UserId,
)
from healthcare.domain.scheduling.asks import Booking
from healthcare.domain.scheduling.diary import Diary, Receipt
from healthcare.domain.scheduling.model import HELD_FOR, Appointment, Slot, TimeRange
from healthcare.domain.scheduling.publication import Publication
from healthcare.domain.scheduling.status import AppointmentStatus

NOW = datetime(2030, 1, 7, 9, 0, tzinfo=UTC)
"""A Monday morning."""
TOMORROW = NOW + timedelta(days=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

PASSWORD = "correct horse battery staple"
NOBODY = Actor(None, "request-of-nobody")
SYSTEM = Actor(None, "request-of-the-system", system=True)

numbers = count(1)


@dataclass(slots=True)
class FakeClock:
    """A clock that stands until somebody moves it."""

    time: datetime = NOW

    def now(self) -> datetime:
        return self.time

    def set(self, now: datetime) -> None:
        self.time = now

    def wait(self, duration: timedelta) -> None:
        self.set(self.time + duration)


@dataclass(slots=True)
class FakePasswords:
    """Passwords whose hashes can be read, and are made at once."""

    made: int = 0
    verified: int = 0

    def require_place(self) -> None: ...

    async def hash(self, password: str) -> str:
        self.made += 1
        return f"new:{self.made}:{password}"

    async def verify(self, password: str, password_hash: str | None) -> bool:
        self.verified += 1
        return password_hash is not None and password_hash.split(":", 2)[2] == password

    def is_outdated(self, password_hash: str) -> bool:
        return password_hash.startswith("old:")


@dataclass(slots=True)
class FakeTokens:
    """Tokens that are good because they are remembered."""

    lifetime: int = 900
    issued: dict[str, tuple[UserId, datetime]] = field(default_factory=dict)

    def issue(self, user: UserId, *, now: datetime) -> str:
        token = f"token-{len(self.issued)}"
        self.issued[token] = user, now + timedelta(seconds=self.lifetime)
        return token

    def read(self, token: str, *, now: datetime) -> UserId:
        user, end = self.issued.get(token, (None, now))
        if user is None or end <= now:
            raise InvalidToken
        return user


def happened_at(now: datetime = NOW) -> Happened:
    return Happened(FakeClock(now), uuid4)


def a_user_id() -> UserId:
    return UserId(uuid4())


def an_actor(user: UserId | None = None, *, request: str = "request-1") -> Actor:
    return Actor(user or a_user_id(), request)


def an_email(value: str | None = None) -> Email:
    return Email(value or f"person.{next(numbers)}@example.org")


def a_user(
    *,
    id: UserId | None = None,
    email: str | None = None,
    full_name: str = "Grace Hopper",
    role: Role = Role.PATIENT,
    time_zone: str = "Europe/Berlin",
) -> User:
    return User(id=id or a_user_id(), email=an_email(email), full_name=full_name, role=role, time_zone=time_zone)


def a_profile(
    doctor: UserId | None = None,
    *,
    specialty: str = "cardiology",
    languages: tuple[str, ...] = ("en", "de-CH"),
    fee: Money | None = None,
    time_zone: str = "Europe/Berlin",
    registration_number: str = "DE-12345",
    notice_hours: int = 0,
) -> Profile:
    return Profile(
        doctor=doctor or a_user_id(),
        specialty=specialty,
        languages=languages,
        fee=fee or Money(4900, "EUR"),
        time_zone=time_zone,
        registration_number=registration_number,
        notice_hours=notice_hours,
    )


def a_doctor(
    id: UserId | None = None, *, full_name: str = "Rosalind Franklin", specialty: str = "cardiology"
) -> Doctor:
    return Doctor(id or a_user_id(), full_name, specialty)


def a_patient(id: UserId | None = None, *, full_name: str = "Grace Hopper") -> Patient:
    return Patient(id or a_user_id(), full_name)


def a_time(start: datetime = TOMORROW, length: timedelta = 30 * MINUTE) -> TimeRange:
    return TimeRange(start, start + length)


def a_publication(start: datetime = TOMORROW, length: timedelta = 2 * HOUR, *, slot_minutes: int = 30) -> Publication:
    return Publication(TimeRange(start, start + length), slot_minutes)


def a_slot(
    *,
    id: SlotId | None = None,
    doctor: Doctor | None = None,
    time: TimeRange | None = None,
    fee: Money | None = None,
    notice_hours: int = 0,
    taken: bool = False,
    offered: bool = True,
) -> Slot:
    return Slot(
        id=id or SlotId(uuid4()),
        doctor=doctor or a_doctor(),
        time=time or a_time(),
        fee=fee or Money(4900, "EUR"),
        notice_hours=notice_hours,
        taken=taken,
        offered=offered,
    )


def an_appointment(
    *,
    slot: Slot | None = None,
    patient: Patient | None = None,
    status: AppointmentStatus = AppointmentStatus.BOOKED,
    version: int = 1,
    expires_at: datetime | None = None,
    extended: bool = False,
) -> Appointment:
    slot = slot or a_slot()
    return Appointment(
        id=AppointmentId(uuid4()),
        slot=slot.id,
        doctor=slot.doctor,
        patient=patient or a_patient(),
        time=slot.time,
        fee=slot.fee,
        notice_hours=slot.notice_hours,
        status=status,
        version=version,
        expires_at=expires_at,
        extended=extended,
    )


def a_hold(
    *,
    slot: Slot | None = None,
    patient: Patient | None = None,
    version: int = 1,
    expires_at: datetime = NOW + HELD_FOR,
    extended: bool = False,
) -> Appointment:
    return an_appointment(
        slot=slot,
        patient=patient,
        status=AppointmentStatus.PENDING,
        version=version,
        expires_at=expires_at,
        extended=extended,
    )


def a_booking(actor: Actor | None = None, slot: SlotId | None = None, *, key: str | None = None) -> Booking:
    return Booking(
        actor=actor or an_actor(), slot=slot or SlotId(uuid4()), key=f"key-{next(numbers)}" if key is None else key
    )


def a_diary(
    patients: Sequence[UserId] = (),
    slots: Sequence[Slot] = (),
    *,
    roles: Mapping[UserId, Role] | None = None,
    appointments: Sequence[Appointment] = (),
    receipts: Mapping[tuple[UserId, str], Receipt] | None = None,
    now: datetime = NOW,
) -> Diary:
    """Return a diary in which these people, patients unless `roles` says otherwise, want these slots."""
    return Diary(
        now=now,
        roles=dict.fromkeys(patients, Role.PATIENT) | dict(roles or {}),
        patients={patient: a_patient(patient) for patient in [*patients, *(roles or {})]},
        slots={slot.id: slot for slot in slots},
        appointments={one.id: one for one in appointments},
        receipts=dict(receipts or {}),
    )


def an_item(
    *,
    medicine: str = "Amoxicillin",
    dose: str = "500 mg",
    route: str = "oral",
    frequency: str = "three times a day",
    duration: str = "7 days",
    instructions: str = "after meals",
) -> Item:
    return Item(medicine, dose, route, frequency, duration, instructions)


def a_consultation(
    appointment: Appointment | None = None,
    *,
    status: ConsultationStatus = ConsultationStatus.IN_PROGRESS,
    started_at: datetime = NOW,
) -> Consultation:
    appointment = appointment or an_appointment()
    return Consultation(
        id=ConsultationId(uuid4()),
        appointment=appointment.id,
        doctor=appointment.doctor,
        patient=appointment.patient,
        status=status,
        started_at=started_at,
    )


def a_prescription(consultation: Consultation | None = None, *, items: tuple[Item, ...] | None = None) -> Prescription:
    consultation = consultation or a_consultation()
    return Prescription(
        id=PrescriptionId(uuid4()),
        consultation=consultation.id,
        doctor=consultation.doctor,
        patient=consultation.patient,
        items=items or (an_item(),),
        issued_at=NOW,
    )


def an_event(
    *,
    kind: EventKind = EventKind.APPOINTMENT_BOOKED,
    at: datetime = NOW,
    actor: UserId | None = None,
    subject: UUID | None = None,
    outcome: Outcome = Outcome.SUCCESS,
    request: str = "request-1",
) -> Event:
    return Event(id=EventId(uuid4()), kind=kind, at=at, actor=actor, subject=subject, outcome=outcome, request=request)


def an_entry(
    *,
    at: datetime = NOW,
    actor: UserId | None = None,
    kind: EventKind = EventKind.APPOINTMENT_BOOKED,
    subject: UUID | None = None,
    outcome: Outcome = Outcome.SUCCESS,
    request: str = "request-1",
) -> Entry:
    return Entry(id=EventId(uuid4()), at=at, actor=actor, kind=kind, subject=subject, outcome=outcome, request=request)
