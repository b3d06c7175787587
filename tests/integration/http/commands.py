"""What people ask of a clinic, and what must come of it. Claims on slots are in `claims.py`, care is in `care.py`.

A command knows the request that it becomes, what may be wrong with it, whose role it needs, and what comes of it;
`expect` puts these in the order in which refusals are promised.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from typing import ClassVar, Self

from tests.integration.http.model import (
    NAME,
    NEW,
    PASSWORD,
    QUARTER,
    Answer,
    Caller,
    InAnyOrder,
    Json,
    Model,
    Refused,
    Slot,
    Something,
    Told,
    User,
    Who,
    money,
    not_found,
    not_yours,
    page,
    written,
)

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

    def meant(self, clinic: Model) -> Self:
        """Put ids in place of names."""
        names = {field.name: getattr(self, field.name) for field in fields(self)}
        ids = {key: clinic.named(name) for key, name in names.items() if isinstance(name, str) and NAME.fullmatch(name)}
        told = replace(self, **ids)
        return replace(told, who=clinic.caller(told.who, told.target))

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

    def reach(self, clinic: Model) -> Collection[str]:
        """Name the slots and the patients whose holds it comes upon: it cancels those that have run out.

        That is true whoever asks, so also whoever is refused does it.
        """
        return ()

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Say what comes of it, for a caller whose role allows it; raise Refused if nothing does."""
        raise NotImplementedError

    def told(self, status: int, tag: str | None, body: Json) -> list[Told]:
        """Divide a good answer into what each transaction has said."""
        return [Told(status, tag, body)]

    def expect(self, clinic: Model) -> Answer:
        """Say what must be answered first; `Answer.then` says what comes after that."""
        user = None if isinstance(self.who, Who) else clinic.users.get(self.who)
        expired: tuple[str, ...] = ()
        try:
            self._heard(clinic.now)
            expired = clinic.run_out(self.reach(clinic))
            answer = self.decide(clinic, self._admitted(user))
        except Refused as refused:
            events = [("access.refused", user.id, self.target)] if refused.recorded and user else []
            answer = Answer(refused.status, refused.code, tuple(events), then=refused.then)
        return replace(answer, expired=expired)

    def _heard(self, now: datetime) -> None:
        """Refuse in the order that is promised: who asks, then what they sent."""
        if self.roles is not ANYBODY and isinstance(self.who, Who):
            raise Refused(401, "unauthenticated" if self.who is Who.NOBODY else "invalid-token")
        if fault := self.fault(now):
            raise fault

    def _admitted(self, user: User | None) -> User:
        """Refuse whom their role does not allow it."""
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
    notice: int
    zone: str

    @property
    def body(self) -> Json:
        """The profile."""
        return {
            "specialty": self.specialty,
            "languages": ["en"],
            "fee": money(self.fee),
            "time_zone": self.zone,
            "registration_number": "AT-1",
            "notice_hours": self.notice,
        }

    def fault(self, now: datetime) -> Refused | None:
        """Specialties are written in lower case; a notice cannot come after the start."""
        return invalid(not self.specialty.islower() or self.notice < 0)

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

    def reach(self, clinic: Model) -> Collection[str]:
        """Who has the slot must be known."""
        return {self.target, str(self.who)}

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

        return Answer(204, None, (("slot.withdrawn", caller.id, slot.id),), keep)


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
        return Answer(200, clinic.free(self.specialty, self.day, self.zone), tag=Something())


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
