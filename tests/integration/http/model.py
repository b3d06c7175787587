"""What a clinic must answer: its rules told a second time, by somebody who has not seen how they are written.

Nothing of the product is imported. A command knows the request that it becomes, what may be wrong with it, whose role
it needs, and what comes of it; `expect` puts these in the order in which refusals are promised. The model changes only
when the answer is in, and takes from it no more than the ids of what is new.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, timedelta
from enum import Enum, auto
from typing import Any, ClassVar, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

Json = Any
Rows = dict[str, Counter[tuple[object, ...]]]
"""Tables by name; a row that is there twice counts."""

NAME = re.compile(r"(users|slots|appointments|consultations|nothing) [0-9]+")
NOTHING = "11111111-1111-4111-8111-111111111111"
QUARTER = timedelta(minutes=15)
PASSWORD = "correct horse battery staple"
KEYS_ARE_KEPT = timedelta(hours=24)


class New(str):
    """Stands for an id that nobody can know before it is made; equal to every id."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return other is self or (isinstance(other, str) and str(UUID(other)) == other)


class Something(str):
    """Stands for a text that means nothing to us; equal to every text."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str)


class InAnyOrder(list[dict[str, Json]]):
    """Entries of one instant come in an order that nobody can know."""

    __hash__ = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list) and self._sorted(self) == self._sorted(other)

    @staticmethod
    def _sorted(items: list[dict[str, Json]]) -> list[dict[str, Json]]:
        return sorted(items, key=lambda item: (item["request_id"], item["kind"]))


NEW = New("new")


class Who(Enum):
    """Callers who have no name."""

    DOCTOR = auto()
    """Of what is asked for, or else any doctor."""
    PATIENT = auto()
    ADMIN = auto()
    NOBODY = auto()
    FORGED = auto()
    EXPIRED = auto()

    def __repr__(self) -> str:
        return self.name


Caller = str | Who
"""A user by id, or somebody who has no name."""

ROLE_OF: Mapping[Caller, str] = {Who.DOCTOR: "doctor", Who.PATIENT: "patient", Who.ADMIN: "admin"}
OUTSIDERS = (Who.NOBODY, Who.FORGED, Who.EXPIRED)


@dataclass(frozen=True)
class User:
    """Somebody who can sign in."""

    id: str
    email: str
    full_name: str
    role: str
    time_zone: str

    @property
    def body(self) -> Json:
        """The user, as they see themselves."""
        return dict(vars(self))


@dataclass(frozen=True)
class Slot:
    """A bookable range of one doctor."""

    id: str
    doctor: str
    specialty: str
    start: datetime
    end: datetime
    withdrawn: bool = False


@dataclass(frozen=True)
class Appointment:
    """A patient's claim on a slot, live unless it is cancelled."""

    id: str
    slot: str
    patient: str
    fee: int
    status: str = "booked"
    version: int = 1
    reason: str | None = None

    @property
    def live(self) -> bool:
        """Whether it claims its slot and its patient's time."""
        return self.status != "cancelled"


@dataclass(frozen=True)
class Consultation:
    """The care that came of an appointment."""

    id: str
    appointment: str
    started: datetime
    ended: datetime | None = None

    @property
    def body(self) -> Json:
        """The consultation, as its doctor sees it."""
        return {
            "id": self.id,
            "appointment_id": self.appointment,
            "status": "finished" if self.ended else "in-progress",
            "started_at": written(self.started),
            "ended_at": written(self.ended) if self.ended else None,
        }


@dataclass(frozen=True)
class Receipt:
    """What a key was used for, what it was answered, and when."""

    slot: str
    answer: Json
    at: datetime


class Happened(NamedTuple):
    """An event, and the entry that it becomes."""

    request: str
    kind: str
    actor: str | None
    subject: str | None
    at: datetime

    @property
    def outcome(self) -> str:
        """Whether they were let."""
        return "refused" if self.kind in {"access.refused", "sign_in.failed"} else "success"


@dataclass(frozen=True)
class Answer:
    """What must be answered, and what has then come to be."""

    status: int
    body: Json = None
    """Of a problem its code."""
    happened: tuple[tuple[str, str | None, str | None], ...] = ()
    """Kind, actor and subject."""
    keep: Callable[[list[str]], None] = lambda _: None
    """Takes the ids of what is new."""


class Refused(Exception):
    """Why a command is not done; whoever asks for what is not theirs is remembered."""

    def __init__(self, status: int, code: str, *, recorded: bool = False) -> None:
        """Refuse."""
        super().__init__(status, code)
        self.status, self.code, self.recorded = status, code, recorded


def not_found() -> Refused:
    """There is no such thing."""
    return Refused(404, "not-found")


def not_yours() -> Refused:
    """There is, but for this caller it looks as if there were not."""
    return Refused(404, "not-found", recorded=True)


def written(instant: datetime) -> str:
    """Write an instant as JSON has it."""
    return instant.isoformat().replace("+00:00", "Z")


def money(amount: int) -> Json:
    """Write an amount."""
    return {"amount": amount, "currency": "EUR"}


@dataclass
class Model:
    """Everything that the clinic should know now."""

    now: datetime
    users: dict[str, User] = field(default_factory=dict)
    profiles: dict[str, Json] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    appointments: dict[str, Appointment] = field(default_factory=dict)
    receipts: dict[tuple[str, str], Receipt] = field(default_factory=dict)
    consultations: dict[str, Consultation] = field(default_factory=dict)
    prescriptions: dict[str, Json] = field(default_factory=dict)
    """By consultation."""
    waiting: list[Happened] = field(default_factory=list)
    recorded: list[Happened] = field(default_factory=list)

    def copy(self) -> "Model":
        """Return another that can go its own way."""
        kept = {name: value.copy() for name, value in vars(self).items() if name != "now"}
        return Model(self.now, **kept)

    def accept(self, answer: Answer, body: Json, request: str) -> None:
        """Learn that a command was answered as expected."""
        ids = fresh(answer.body, body)
        answer.keep(ids)
        self.waiting += [
            Happened(request, kind, ids[0] if actor is NEW else actor, ids[0] if subject is NEW else subject, self.now)
            for kind, actor, subject in answer.happened
        ]

    def record(self) -> None:
        """Let the worker turn events into entries, and forget old keys."""
        self.recorded, self.waiting = self.recorded + self.waiting, []
        self.receipts = {name: one for name, one in self.receipts.items() if one.at >= self.now - KEYS_ARE_KEPT}

    def meant(self, command: "Command") -> "Command":
        """Put ids in place of names: "slots 3" is the fourth slot, counted round, and "nothing 0" is none of them."""
        names = {field.name: getattr(command, field.name) for field in fields(command)}
        ids = {key: self._id(name) for key, name in names.items() if isinstance(name, str) and NAME.fullmatch(name)}
        told = replace(command, **ids)
        return replace(told, who=self._caller(told.who, told.target))

    def _id(self, name: str) -> str:
        kind, number = name.split()
        things = list(getattr(self, kind, ()))
        return things[int(number) % len(things)] if things else NOTHING

    def _caller(self, who: Caller, target: str | None) -> Caller:
        if who not in ROLE_OF:
            return who
        role = ROLE_OF[who]
        slot, patient = self.people_of(target)
        its = patient if who is Who.PATIENT else slot.doctor if slot and who is Who.DOCTOR else None
        others = [one.id for one in self.users.values() if one.role == role] or [NOTHING]
        return its or others[len(self.waiting) % len(others)]

    def people_of(self, target: str | None) -> tuple[Slot | None, str | None]:
        """Return the slot that a thing is about, and its patient."""
        if target in self.consultations:
            target = self.consultations[target].appointment
        if target in self.appointments:
            return self.slots[self.appointments[target].slot], self.appointments[target].patient
        return self.slots.get(target or ""), None

    def require_theirs(self, id: str, caller: User, *, patient_too: bool) -> None:
        """Refuse whoever is not its doctor, and still a doctor, or its patient, where those may ask too."""
        slot, patient = self.people_of(id)
        its_doctor = slot is not None and slot.doctor == caller.id and caller.role == "doctor"
        if not its_doctor and not (patient_too and patient == caller.id):
            raise not_yours()

    def offered(self, slot: Slot) -> bool:
        """Say whether patients can have it if nobody else has it."""
        return not slot.withdrawn and self.users[slot.doctor].role == "doctor"

    def taken(self, slot: Slot) -> bool:
        """Say whether somebody has it."""
        return any(one.live and one.slot == slot.id for one in self.appointments.values())

    def standing(self, doctor: str) -> list[Slot]:
        """Return a doctor's slots, by start."""
        theirs = [one for one in self.slots.values() if one.doctor == doctor and not one.withdrawn]
        return sorted(theirs, key=lambda one: one.start)

    def free(self, specialty: str, day: date, zone: str) -> Json:
        """Return what a search finds."""
        tz = ZoneInfo(zone)
        found = [
            slot
            for slot in self.slots.values()
            if slot.specialty == specialty
            and slot.start.astimezone(tz).date() == day
            and slot.start > self.now
            and self.offered(slot)
            and not self.taken(slot)
        ]
        return page([self.slot_body(one, tz) for one in sorted(found, key=lambda one: (one.start, one.id))])

    def doctor_body(self, slot: Slot) -> Json:
        """Name the doctor, with the specialty of the slot."""
        return {"id": slot.doctor, "full_name": self.users[slot.doctor].full_name, "specialty": slot.specialty}

    def patient_body(self, id: str) -> Json:
        """Name the patient."""
        return {"id": id, "full_name": self.users[id].full_name}

    def slot_body(self, slot: Slot, zone: ZoneInfo | None = None) -> Json:
        """Write a slot down; the fee is what its doctor asks now."""
        return {
            "id": slot.id,
            "doctor": self.doctor_body(slot),
            "start": written(slot.start.astimezone(zone or UTC)),
            "end": written(slot.end.astimezone(zone or UTC)),
            "fee": self.profiles[slot.doctor]["fee"],
        }

    def appointment_body(self, one: Appointment) -> Json:
        """Write an appointment down; the fee is what was asked then."""
        slot = self.slots[one.slot]
        return self.slot_body(slot) | {
            "id": one.id,
            "slot_id": slot.id,
            "patient": self.patient_body(one.patient),
            "fee": money(one.fee),
            "status": one.status,
            "version": one.version,
        }

    def rows(self) -> Rows:
        """Return what the tables must hold."""
        tables: dict[str, list[tuple[object, ...]]] = {
            "users": [(one.id, one.email, one.role) for one in self.users.values()],
            "profiles": [(id, one["specialty"], one["fee"]["amount"]) for id, one in self.profiles.items()],
            "slots": [
                (one.id, one.doctor, one.specialty, one.start, one.end, one.withdrawn) for one in self.slots.values()
            ],
            "appointments": [
                (one.id, slot.id, slot.doctor, one.patient, slot.start, slot.end)
                for one in self.appointments.values()
                for slot in [self.slots[one.slot]]
            ],
            "states": [(one.id, one.fee, one.status, one.version, one.reason) for one in self.appointments.values()],
            "keys": [(*name, one.answer["id"], one.at) for name, one in self.receipts.items()],
            "consultations": [
                (one.id, one.appointment, one.body["status"], one.started, one.ended)
                for one in self.consultations.values()
            ],
            "prescriptions": [(one["id"], consultation) for consultation, one in self.prescriptions.items()],
            "outbox": [(*one, one.outcome) for one in self.waiting],
            "entries": [(*one, one.outcome) for one in self.recorded],
            "dead letters": [],
        }
        return {name: Counter(rows) for name, rows in tables.items()}


def fresh(expected: Json, actual: Json) -> list[str]:
    """Return the ids that nobody could know before."""
    if expected is NEW:
        return [actual]
    if isinstance(expected, dict):
        return [id for name, value in expected.items() for id in fresh(value, actual[name])]
    if isinstance(expected, list):
        return [id for one, other in zip(expected, actual, strict=True) for id in fresh(one, other)]
    return []


def page(items: list[Json]) -> Json:
    """Write a list down that has no second page."""
    return {"items": items, "next_cursor": None}


ANYBODY: None = None
"""Also those who are not signed in."""
ALL, ADMINS, DOCTORS, PATIENTS = {"patient", "doctor", "admin"}, {"admin"}, {"doctor"}, {"patient"}
CARED = PATIENTS | DOCTORS


@dataclass(frozen=True, kw_only=True)
class Command:
    """Something that somebody asks of the clinic."""

    method: ClassVar[str] = "GET"
    template: ClassVar[str]
    roles: ClassVar[set[str] | None]

    who: Caller
    target: str | None = None
    """What it is asked of; in the audit entry of a refusal its subject."""

    @property
    def body(self) -> Json:
        """What is sent along."""
        return None

    @property
    def query(self) -> Mapping[str, str]:
        """What stands behind the path."""
        return {}

    @property
    def headers(self) -> Mapping[str, str]:
        """What is not usual."""
        return {}

    def fault(self, now: datetime) -> Refused | None:
        """Say what is wrong with the command itself, whatever the clinic knows."""
        return None

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Say what comes of it, for a caller whose role allows it; raise Refused if nothing does."""
        raise NotImplementedError

    def expect(self, clinic: Model) -> Answer:
        """Say what must be answered."""
        user = None if isinstance(self.who, Who) else clinic.users.get(self.who)
        try:
            return self.decide(clinic, self._admitted(user, clinic.now))
        except Refused as refused:
            events = [("access.refused", user.id, self.target)] if refused.recorded and user else []
            return Answer(refused.status, refused.code, tuple(events))

    def _admitted(self, user: User | None, now: datetime) -> User:
        """Refuse in the order that is promised: who asks, then what they sent, then whether their role allows it."""
        if self.roles is not ANYBODY and isinstance(self.who, Who):
            raise Refused(401, "unauthenticated" if self.who is Who.NOBODY else "invalid-token")
        if fault := self.fault(now):
            raise fault
        if self.roles is ANYBODY:
            return STRANGER
        if user is None:
            raise Refused(401, "unauthenticated")
        if user.role not in self.roles:
            raise Refused(403, "forbidden", recorded=True)
        return user


STRANGER = User("", "", "", "", "")
"""Whoever asks for what anybody may have."""


def invalid(wrong: bool) -> Refused | None:
    """Refuse a value that is wrong."""
    return Refused(422, "invalid") if wrong else None


@dataclass(frozen=True, kw_only=True)
class Register(Command):
    """Become a patient."""

    method, template, roles = "POST", "/auth/register", ANYBODY
    email: str
    password: str

    @property
    def body(self) -> Json:
        """Who they say they are."""
        return {"email": self.email, "password": self.password, "full_name": "Grace Hopper", "time_zone": "UTC"}

    def fault(self, now: datetime) -> Refused | None:
        """Short passwords are none."""
        return invalid(len(self.password) < 15)

    def decide(self, clinic: Model, caller: User) -> Answer:
        """One account per address."""
        if any(one.email.lower() == self.email.lower() for one in clinic.users.values()):
            raise Refused(409, "email-taken")
        user = User(NEW, self.email, "Grace Hopper", "patient", "UTC")

        def keep(ids: list[str]) -> None:
            (id,) = ids
            clinic.users[id] = replace(user, id=id)

        return Answer(201, user.body, (("user.registered", NEW, NEW),), keep)


@dataclass(frozen=True, kw_only=True)
class LogIn(Command):
    """Sign in."""

    method, template, roles = "POST", "/auth/login", ANYBODY
    email: str
    password: str

    @property
    def body(self) -> Json:
        """How they prove it."""
        return {"email": self.email, "password": self.password}

    def decide(self, clinic: Model, caller: User) -> Answer:
        """An unknown address and a wrong password look the same, and are told apart in the audit entry."""
        found = next((one for one in clinic.users.values() if one.email.lower() == self.email.lower()), None)
        if found is None or self.password != PASSWORD:
            return Answer(401, "sign-in-failed", (("sign_in.failed", None, found.id if found else None),))
        body = {"access_token": Something(), "token_type": "Bearer", "expires_in": 900, "user": found.body}
        return Answer(200, body, (("sign_in.succeeded", found.id, found.id),))


@dataclass(frozen=True, kw_only=True)
class ReadSelf(Command):
    """See who you are."""

    template, roles = "/auth/me", ALL

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Everybody may."""
        return Answer(200, caller.body)


@dataclass(frozen=True, kw_only=True)
class ChangeRole(Command):
    """Give a user a role."""

    method, template, roles = "POST", "/auth/admin/role", ADMINS
    target: str
    role: str

    @property
    def body(self) -> Json:
        """Who becomes what."""
        return {"user_id": self.target, "role": self.role}

    def fault(self, now: datetime) -> Refused | None:
        """There are three roles."""
        return invalid(self.role not in ALL)

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Somebody must be left who can give roles."""
        if (user := clinic.users.get(self.target)) is None:
            raise not_found()
        admins = [one for one in clinic.users.values() if one.role == "admin"]
        if admins == [user] and self.role != "admin":
            raise Refused(409, "last-admin")
        if user.role == self.role:
            return Answer(200, user.body)
        after = replace(user, role=self.role)

        def keep(_: list[str]) -> None:
            clinic.users[user.id] = after

        return Answer(200, after.body, (("role.changed", caller.id, user.id),), keep)


@dataclass(frozen=True, kw_only=True)
class KeepProfile(Command):
    """Say what you do."""

    method, template, roles = "POST", "/booking/doctor/profile", DOCTORS
    specialty: str
    fee: int

    @property
    def body(self) -> Json:
        """The profile."""
        return {
            "specialty": self.specialty,
            "languages": ["en"],
            "fee": money(self.fee),
            "time_zone": "UTC",
            "registration_number": "AT-1",
        }

    def fault(self, now: datetime) -> Refused | None:
        """Specialties are written in lower case."""
        return invalid(not self.specialty.islower())

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Slots that have not started follow to the new specialty."""

        def keep(_: list[str]) -> None:
            clinic.profiles[caller.id] = self.body
            for slot in clinic.standing(caller.id):
                if slot.start > clinic.now:
                    clinic.slots[slot.id] = replace(slot, specialty=self.specialty)

        return Answer(200, self.body, keep=keep)


@dataclass(frozen=True, kw_only=True)
class ListSpecialties(Command):
    """See what there is."""

    template, roles = "/booking/specialties", ANYBODY

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Those that have a doctor."""
        doctors = {one.id for one in clinic.users.values() if one.role == "doctor"}
        return Answer(
            200, {"items": sorted({one["specialty"] for id, one in clinic.profiles.items() if id in doctors})}
        )


@dataclass(frozen=True, kw_only=True)
class Publish(Command):
    """Offer free time."""

    method, template, roles = "POST", "/booking/doctor/availability", DOCTORS
    start: datetime
    quarters: int
    minutes: int

    @property
    def body(self) -> Json:
        """When, and in slots of which length."""
        end = self.start + self.quarters * QUARTER
        return {"start": self.start.isoformat(), "end": end.isoformat(), "slot_minutes": self.minutes}

    @property
    def offer(self) -> list[tuple[datetime, datetime]]:
        """The whole slots that fit in."""
        length = timedelta(minutes=self.minutes)
        starts = [self.start + place * length for place in range(self.quarters * QUARTER // length)]
        return [(start, start + length) for start in starts]

    def fault(self, now: datetime) -> Refused | None:
        """It must lie ahead, and a slot must fit in that is long enough."""
        return invalid(self.minutes < 5 or not self.offer or self.start <= now)

    def decide(self, clinic: Model, caller: User) -> Answer:
        """All of it, or none."""
        if (profile := clinic.profiles.get(caller.id)) is None:
            raise Refused(409, "profile-missing")
        first, last = self.offer[0][0], self.offer[-1][1]
        if any(slot.start < last and first < slot.end for slot in clinic.standing(caller.id)):
            raise Refused(409, "slots-overlap")
        new = [Slot(NEW, caller.id, profile["specialty"], start, end) for start, end in self.offer]

        def keep(ids: list[str]) -> None:
            for id, slot in zip(ids, new, strict=True):
                clinic.slots[id] = replace(slot, id=id)

        body = {"items": [clinic.slot_body(slot) for slot in new]}
        return Answer(201, body, (("slots.published", caller.id, caller.id),), keep)


@dataclass(frozen=True, kw_only=True)
class ListSlots(Command):
    """See what you offer."""

    template, roles = "/booking/doctor/slots", DOCTORS

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Past ones too, and who is busy when."""
        return Answer(
            200,
            page(
                [
                    clinic.slot_body(slot) | {"status": "busy" if clinic.taken(slot) else "free"}
                    for slot in clinic.standing(caller.id)
                ]
            ),
        )


@dataclass(frozen=True, kw_only=True)
class TakeBack(Command):
    """Withdraw a slot."""

    method, template, roles = "DELETE", "/booking/doctor/slots/{id}", DOCTORS
    target: str

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Only one's own, and only while it is free."""
        if (slot := clinic.slots.get(self.target)) is None:
            raise not_found()
        if slot.doctor != caller.id:
            raise not_yours()
        if slot.withdrawn:
            raise not_found()
        if clinic.taken(slot):
            raise Refused(409, "slot-taken")

        def keep(_: list[str]) -> None:
            clinic.slots[slot.id] = replace(slot, withdrawn=True)

        return Answer(204, keep=keep)


@dataclass(frozen=True, kw_only=True)
class Search(Command):
    """Find free slots."""

    template, roles = "/booking/slots/search", ANYBODY
    specialty: str
    day: date
    zone: str

    @property
    def query(self) -> Mapping[str, str]:
        """Which slots."""
        return {"specialty": self.specialty, "date": self.day.isoformat(), "tz": self.zone, "limit": "500"}

    def fault(self, now: datetime) -> Refused | None:
        """Mars has no time zone yet."""
        return invalid(self.zone.startswith("Mars"))

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Anybody may."""
        return Answer(200, clinic.free(self.specialty, self.day, self.zone))


@dataclass(frozen=True, kw_only=True)
class Book(Command):
    """Claim a slot."""

    method, template, roles = "POST", "/booking/slots/book", PATIENTS
    target: str
    key: str | None

    @property
    def body(self) -> Json:
        """Which slot."""
        return {"slot_id": self.target}

    @property
    def headers(self) -> Mapping[str, str]:
        """The key."""
        return {"Idempotency-Key": self.key} if self.key else {}

    def fault(self, now: datetime) -> Refused | None:
        """A key must be there."""
        return None if self.key else Refused(400, "unreadable")

    def decide(self, clinic: Model, caller: User) -> Answer:
        """What a key was answered comes first; then the slot, and last the patient's own time."""
        name = caller.id, self.key or ""
        if receipt := clinic.receipts.get(name):
            if receipt.slot != self.target:
                raise Refused(422, "key-reused")
            return Answer(201, receipt.answer)
        slot = clinic.slots.get(self.target)
        if slot is None or not clinic.offered(slot):
            raise not_found()
        if clinic.taken(slot):
            raise Refused(409, "slot-taken")
        if slot.start <= clinic.now:
            raise Refused(422, "slot-in-the-past")
        mine = [clinic.slots[one.slot] for one in clinic.appointments.values() if one.live and one.patient == caller.id]
        if any(other.start < slot.end and slot.start < other.end for other in mine):
            raise Refused(409, "patient-busy")
        new = Appointment(NEW, slot.id, caller.id, clinic.profiles[slot.doctor]["fee"]["amount"])
        body = clinic.appointment_body(new)

        def keep(ids: list[str]) -> None:
            (id,) = ids
            clinic.appointments[id] = replace(new, id=id)
            clinic.receipts[name] = Receipt(slot.id, body | {"id": id}, clinic.now)

        return Answer(201, body, (("appointment.booked", caller.id, NEW),), keep)


@dataclass(frozen=True, kw_only=True)
class ListAppointments(Command):
    """See your appointments."""

    template, roles = "/booking/appointments", CARED

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Those one has as a patient and, as long as one is a doctor, as a doctor."""
        mine = [
            (slot.start, one.id, one)
            for one in clinic.appointments.values()
            for slot in [clinic.slots[one.slot]]
            if one.patient == caller.id or (slot.doctor == caller.id and caller.role == "doctor")
        ]
        return Answer(
            200, page([clinic.appointment_body(one) for _, _, one in sorted(mine, key=lambda each: each[:2])])
        )


@dataclass(frozen=True, kw_only=True)
class OfAppointment(Command):
    """What is asked of an appointment, by those whom it concerns."""

    target: str

    def found(self, clinic: Model, caller: User, *, patient_too: bool = True) -> Appointment:
        """Return it, if it is the caller's."""
        if (found := clinic.appointments.get(self.target)) is None:
            raise not_found()
        clinic.require_theirs(found.id, caller, patient_too=patient_too)
        return found


@dataclass(frozen=True, kw_only=True)
class ReadAppointment(OfAppointment):
    """See one."""

    template, roles = "/booking/appointments/{id}", CARED

    def decide(self, clinic: Model, caller: User) -> Answer:
        """As it stands."""
        return Answer(200, clinic.appointment_body(self.found(clinic, caller)))


@dataclass(frozen=True, kw_only=True)
class Cancel(OfAppointment):
    """Give one up."""

    method, template, roles = "POST", "/booking/appointments/{id}/cancel", CARED
    reason: str

    @property
    def body(self) -> Json:
        """Why."""
        return {"reason": self.reason}

    def fault(self, now: datetime) -> Refused | None:
        """A reason says something."""
        return invalid(not self.reason.strip())

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Before it starts, and before care has begun."""
        found = self.found(clinic, caller)
        if found.status != "booked":
            raise Refused(409, "appointment-not-booked")
        if clinic.slots[found.slot].start <= clinic.now:
            raise Refused(409, "appointment-started")
        after = replace(found, status="cancelled", version=found.version + 1, reason=self.reason)

        def keep(_: list[str]) -> None:
            clinic.appointments[found.id] = after

        event = ("appointment.cancelled", caller.id, found.id)
        return Answer(200, clinic.appointment_body(after), (event,), keep)


@dataclass(frozen=True, kw_only=True)
class Start(OfAppointment):
    """Begin the care."""

    method, template, roles = "POST", "/consultation/start", DOCTORS

    @property
    def body(self) -> Json:
        """Of which appointment."""
        return {"appointment_id": self.target}

    def decide(self, clinic: Model, caller: User) -> Answer:
        """At any time; to start again changes nothing."""
        found = self.found(clinic, caller, patient_too=False)
        if existing := next((one for one in clinic.consultations.values() if one.appointment == found.id), None):
            return Answer(200, existing.body)
        if found.status != "booked":
            raise Refused(409, "appointment-not-booked")
        new = Consultation(NEW, found.id, clinic.now)

        def keep(ids: list[str]) -> None:
            (id,) = ids
            clinic.appointments[found.id] = replace(found, status="fulfilled", version=found.version + 1)
            clinic.consultations[id] = replace(new, id=id)

        return Answer(201, new.body, (("consultation.started", caller.id, NEW),), keep)


@dataclass(frozen=True, kw_only=True)
class OfConsultation(Command):
    """What is asked of a consultation."""

    target: str

    def found(self, clinic: Model, caller: User, *, patient_too: bool = True) -> Consultation:
        """Return it, if it is the caller's."""
        if (found := clinic.consultations.get(self.target)) is None:
            raise not_found()
        clinic.require_theirs(found.id, caller, patient_too=patient_too)
        return found


@dataclass(frozen=True, kw_only=True)
class Prescribe(OfConsultation):
    """Order medicines."""

    method, template, roles = "POST", "/consultation/{id}/prescription", DOCTORS
    medicine: str

    @property
    def body(self) -> Json:
        """One medicine."""
        rest = dict.fromkeys(("dose", "route", "frequency", "duration"), "as said")
        return {"items": [{"medicine": self.medicine, **rest, "instructions": ""}]}

    def fault(self, now: datetime) -> Refused | None:
        """It must have a name."""
        return invalid(not self.medicine.strip())

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Once and for all."""
        found = self.found(clinic, caller, patient_too=False)
        if found.ended:
            raise Refused(409, "prescription-issued")
        slot, patient = clinic.people_of(found.id)
        assert slot
        assert patient
        body = {
            "id": NEW,
            "consultation_id": found.id,
            "doctor": clinic.doctor_body(slot),
            "patient": clinic.patient_body(patient),
            "items": self.body["items"],
            "issued_at": written(clinic.now),
        }

        def keep(ids: list[str]) -> None:
            (id,) = ids
            clinic.consultations[found.id] = replace(found, ended=clinic.now)
            clinic.prescriptions[found.id] = body | {"id": id}

        return Answer(201, body, (("prescription.issued", caller.id, NEW),), keep)


@dataclass(frozen=True, kw_only=True)
class ReadPrescription(OfConsultation):
    """See what was ordered."""

    template, roles = "/consultation/{id}/prescription", CARED

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Names are those of the day of issue, and who reads is remembered."""
        found = self.found(clinic, caller)
        if (prescription := clinic.prescriptions.get(found.id)) is None:
            raise not_found()
        return Answer(200, prescription, (("prescription.read", caller.id, prescription["id"]),))


@dataclass(frozen=True, kw_only=True)
class SearchAudit(Command):
    """See who did what."""

    template, roles = "/audit", ADMINS
    subject: str
    """Not the target: a refusal names none."""

    @property
    def query(self) -> Mapping[str, str]:
        """Of whose data."""
        return {"subject": self.subject, "limit": "500"}

    def decide(self, clinic: Model, caller: User) -> Answer:
        """What the worker has recorded until now."""
        entries = InAnyOrder(
            {
                "id": NEW,
                "at": written(one.at),
                "actor_id": one.actor,
                "kind": one.kind,
                "subject_id": one.subject,
                "outcome": one.outcome,
                "request_id": one.request,
            }
            for one in clinic.recorded
            if one.subject == self.subject
        )
        return Answer(200, page(entries))
