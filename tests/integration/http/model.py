"""What a clinic knows: its rules told a second time, by somebody who has not seen how they are written.

Nothing of the product is imported. The model changes only when the answer to a command is in, and takes from it no more
than the ids of what is new. What is asked of it is in `commands.py`, `claims.py` and `care.py`.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import Enum, auto
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

Json = Any
Rows = dict[str, Counter[tuple[object, ...]]]
"""Tables by name; a row that is there twice counts."""

NAME = re.compile(r"(users|slots|openings|holds|appointments|booked|noted|consultations|nothing) [0-9]+")
NOTHING = "11111111-1111-4111-8111-111111111111"
QUARTER = timedelta(minutes=15)
PASSWORD = "correct horse battery staple"
KEYS_ARE_KEPT = timedelta(hours=24)
ANSWERS_ARE_KEPT = timedelta(seconds=5)
"""To searches."""
HELD_FOR = timedelta(minutes=5)
MISSED_AFTER = timedelta(minutes=15)
MOST_ALTERNATIVES = 3

Reason = tuple[str | None, str | None, bool]
"""In somebody's words, by its code, and whether the patient said so too late."""
NO_REASON: Reason = None, None, False


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
    HOLDER = auto()
    """The patient who has the slot, or else any."""
    ADMIN = auto()
    NOBODY = auto()
    FORGED = auto()
    EXPIRED = auto()

    def __repr__(self) -> str:
        return self.name


Caller = str | Who
"""A user by id, or somebody who has no name."""

ROLE_OF: Mapping[Caller, str] = {
    Who.DOCTOR: "doctor",
    Who.PATIENT: "patient",
    Who.HOLDER: "patient",
    Who.ADMIN: "admin",
}
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
    """A patient's claim on a slot, live unless it is cancelled; while it is pending, the slot is only held."""

    id: str
    slot: str
    patient: str
    fee: int
    notice: int
    """In hours."""
    status: str = "booked"
    version: int = 1
    expires: datetime | None = None
    extended: bool = False
    why: Reason = NO_REASON
    """It was cancelled."""

    @property
    def live(self) -> bool:
        """Whether it claims its slot and its patient's time."""
        return self.status != "cancelled"

    def at(self, now: datetime) -> "Appointment":
        """Return it as everybody sees it: a hold that has run out is cancelled, whether or not anybody wrote that."""
        if self.expires is None or now < self.expires:
            return self
        return self.become("cancelled", ("expired", "other", False))

    def become(self, status: str, why: Reason = NO_REASON) -> "Appointment":
        """Return it in its next status; only a hold ends by itself."""
        return replace(self, status=status, version=self.version + 1, expires=None, why=why)


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


class Told(NamedTuple):
    """What somebody is answered: the status, the version by its tag, and the body, which of a problem is its code.

    Where a request is more than one transaction, each has its own part of the answer.
    """

    status: int
    tag: str | None
    body: Json


@dataclass(frozen=True)
class Answer:
    """What must be answered, and what has then come to be."""

    status: int
    body: Json = None
    happened: tuple[tuple[str, str | None, str | None], ...] = ()
    """Kind, actor and subject."""
    keep: Callable[[list[str]], None] = lambda _: None
    """Takes the ids of what is new."""
    tag: str | None = None
    expired: tuple[str, ...] = ()
    """The holds that had run out, and that whoever asked came upon."""
    then: "tuple[Expect, ...]" = ()
    """What the same request does next, each in a transaction of its own."""

    @property
    def told(self) -> Told:
        """What of it can be seen."""
        return Told(self.status, self.tag, self.body)


Expect = Callable[["Model"], Answer]
"""Says what must be answered, and changes nothing."""


class Refused(Exception):
    """Why a command is not done; whoever asks for what is not theirs is remembered."""

    def __init__(self, status: int, code: str, *, recorded: bool = False, then: "tuple[Expect, ...]" = ()) -> None:
        """Refuse."""
        super().__init__(status, code)
        self.status, self.code, self.recorded, self.then = status, code, recorded, then


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
        self._expire(answer.expired, request)
        ids = fresh(answer.body, body)
        answer.keep(ids)
        self.waiting += [
            Happened(request, kind, ids[0] if actor is NEW else actor, ids[0] if subject is NEW else subject, self.now)
            for kind, actor, subject in answer.happened
        ]

    def _expire(self, holds: Collection[str], request: str) -> None:
        self.appointments |= {id: self.appointments[id].at(self.now) for id in holds}
        self.waiting += [Happened(request, "hold.expired", None, id, self.now) for id in holds]

    def mark_no_shows(self, request: str) -> None:
        """Let the worker note who did not come; it too comes upon holds that have run out."""
        over = self.now - MISSED_AFTER
        booked = [one for one in self.appointments.values() if one.status == "booked"]
        missed = [one for one in booked if self.slots[one.slot].end <= over]
        self._expire(self.run_out({name for one in missed for name in (one.slot, one.patient)}), request)
        self.appointments |= {one.id: one.become("noshow") for one in missed}
        self.waiting += [Happened(request, "appointment.missed", None, one.id, self.now) for one in missed]

    def record(self) -> None:
        """Let the worker turn events into entries, and forget old keys."""
        self.recorded, self.waiting = self.recorded + self.waiting, []
        self.receipts = {name: one for name, one in self.receipts.items() if one.at >= self.now - KEYS_ARE_KEPT}

    @property
    def openings(self) -> list[str]:
        """The slots that can be had."""
        ahead = [one for one in self.slots.values() if one.start > self.now]
        return [one.id for one in ahead if self.offered(one) and not self.taken(one)]

    @property
    def holds(self) -> list[str]:
        """The slots that are held."""
        return [one.slot for one in self.claims() if one.status == "pending"]

    @property
    def booked(self) -> list[str]:
        """The appointments that are."""
        return [one.id for one in self.appointments.values() if one.status == "booked"]

    @property
    def noted(self) -> list[str]:
        """The appointments of which somebody has noted who came."""
        return [one.id for one in self.appointments.values() if one.status in {"checked-in", "noshow"}]

    def named(self, name: str) -> str:
        """Return the id: of "slots 3" that of the fourth slot, counted round, and of "nothing 0" that of none."""
        kind, number = name.split()
        things = list(getattr(self, kind, ()))
        return things[int(number) % len(things)] if things else NOTHING

    def caller(self, who: Caller, target: str | None) -> Caller:
        """Return who asks for something, if they have a name."""
        if who not in ROLE_OF:
            return who
        role = ROLE_OF[who]
        slot, patient = self.people_of(target)
        holder = next((one.patient for one in self.claims() if one.live and one.slot == target), None)
        doctor = slot.doctor if slot else None
        known: dict[Caller, str | None] = {Who.DOCTOR: doctor, Who.PATIENT: patient, Who.HOLDER: holder}
        others = [one.id for one in self.users.values() if one.role == role] or [NOTHING]
        return known.get(who) or others[len(self.waiting) % len(others)]

    def people_of(self, target: str | None) -> tuple[Slot | None, str | None]:
        """Return the slot that a thing is about, and its patient."""
        if target in self.consultations:
            target = self.consultations[target].appointment
        if target in self.appointments:
            return self.slots[self.appointments[target].slot], self.appointments[target].patient
        return self.slots.get(target or ""), None

    def require_theirs(self, id: str, caller: User, *, doctor_too: bool = True, patient_too: bool = True) -> None:
        """Refuse whoever is not its doctor, and still a doctor, or its patient, where those may ask."""
        slot, patient = self.people_of(id)
        its_doctor = slot is not None and slot.doctor == caller.id and caller.role == "doctor"
        if not (doctor_too and its_doctor) and not (patient_too and patient == caller.id):
            raise not_yours()

    def offered(self, slot: Slot) -> bool:
        """Say whether patients can have it if nobody else has it."""
        return not slot.withdrawn and self.users[slot.doctor].role == "doctor"

    def claims(self) -> list[Appointment]:
        """Return all appointments as they are at this moment."""
        return [one.at(self.now) for one in self.appointments.values()]

    def run_out(self, reach: Collection[str]) -> tuple[str, ...]:
        """Return the holds that have run out and are not yet cancelled, of these slots and these patients."""
        return tuple(
            one.id
            for one in self.appointments.values()
            if one != one.at(self.now) and (one.slot in reach or one.patient in reach)
        )

    def taken(self, slot: Slot, *, apart_from: Collection[Appointment | None] = ()) -> bool:
        """Say whether somebody has it."""
        return any(one.live and one.slot == slot.id for one in self.claims() if one not in apart_from)

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

    def alternatives(self, wanted: str) -> list[Json]:
        """Return what else the doctor of a slot has to offer soon."""
        ahead = [one for one in self.standing(self.slots[wanted].doctor) if one.start > self.now]
        free = [one for one in ahead if self.offered(one) and not self.taken(one)]
        return [self.slot_body(one) for one in free[:MOST_ALTERNATIVES]]

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
        """Write an appointment down; the fee and the notice are what was asked then."""
        slot, (reason, code, late) = self.slots[one.slot], one.why
        return self.slot_body(slot) | {
            "id": one.id,
            "slot_id": slot.id,
            "patient": self.patient_body(one.patient),
            "fee": money(one.fee),
            "notice_hours": one.notice,
            "status": one.status,
            "version": one.version,
            "expires_at": written(one.expires) if one.expires else None,
            "cancellation": {"reason": reason, "reason_code": code, "late": late} if reason else None,
        }

    def rows(self) -> Rows:
        """Return what the tables must hold."""
        tables: dict[str, list[tuple[object, ...]]] = {
            "users": [(one.id, one.email, one.role) for one in self.users.values()],
            "profiles": [
                (id, one["specialty"], one["fee"]["amount"], one["notice_hours"], one["time_zone"])
                for id, one in self.profiles.items()
            ],
            "slots": [
                (one.id, one.doctor, one.specialty, one.start, one.end, one.withdrawn) for one in self.slots.values()
            ],
            "appointments": [
                (one.id, slot.id, slot.doctor, one.patient, slot.start, slot.end)
                for one in self.appointments.values()
                for slot in [self.slots[one.slot]]
            ],
            "states": [
                (one.id, one.status, one.version, one.fee, one.notice, one.expires, one.extended, *one.why)
                for one in self.appointments.values()
            ],
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
