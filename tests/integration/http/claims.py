"""What people ask of a clinic when it comes to slots that somebody has, and what must come of it."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from tests.integration.http.commands import ALL, CARED, DOCTORS, PATIENTS, Command, invalid
from tests.integration.http.model import (
    HELD_FOR,
    NEW,
    QUARTER,
    Answer,
    Appointment,
    Json,
    Model,
    Receipt,
    Refused,
    Slot,
    Told,
    User,
    money,
    not_found,
    page,
    written,
)

MOST_HOLDS = 3
TAG = re.compile(r'(W/)?"[^"\s]*"')
CODES = {"pat", "pat-dec", "prov", "prov-pers", "maint", "other", "oth-weath"}
"""Some of those there are."""
RELEASED = ("released", "pat", False)
UNFINISHED = {"pending", "booked", "checked-in"}


def held(clinic: Model, slot: str, patient: str) -> Appointment | None:
    """Return the patient's hold of the slot."""
    holds = (one for one in clinic.claims() if one.status == "pending")
    return next((one for one in holds if one.slot == slot and one.patient == patient), None)


def room(clinic: Model, wanted: str, patient: str, *, apart_from: Collection[Appointment | None] = ()) -> Slot:
    """Return the slot if the patient can have it, whatever one of their own claims takes up."""
    slot = clinic.slots.get(wanted)
    if slot is None or not clinic.offered(slot):
        raise not_found()
    if clinic.taken(slot, apart_from=apart_from):
        raise Refused(409, "slot-taken", then=(lambda later: Answer(409, later.alternatives(wanted)),))
    if slot.start <= clinic.now:
        raise Refused(422, "slot-in-the-past")
    others = [one for one in clinic.claims() if one.live and one.patient == patient and one not in apart_from]
    times = [clinic.slots[one.slot] for one in others]
    if any(other.start < slot.end and slot.start < other.end for other in times):
        raise Refused(409, "patient-busy")
    return slot


def claim(clinic: Model, slot: Slot, patient: str) -> Appointment:
    """Return a new appointment, on the terms of this moment."""
    profile = clinic.profiles[slot.doctor]
    return Appointment(NEW, slot.id, patient, profile["fee"]["amount"], profile["notice_hours"])


@dataclass(frozen=True, kw_only=True)
class OfSlot(Command):
    """What patients ask of a slot."""

    roles = PATIENTS
    target: str

    def reach(self, clinic: Model) -> Collection[str]:
        """Who has the slot must be known, and what else the patient has."""
        return {self.target, str(self.who)}


@dataclass(frozen=True, kw_only=True)
class Hold(OfSlot):
    """Have a slot kept for a while."""

    method, template = "POST", "/booking/slots/{id}/hold"

    def decide(self, clinic: Model, caller: User) -> Answer:
        """For five minutes, and once for five more; three at a time."""
        mine = held(clinic, self.target, caller.id)
        slot = room(clinic, self.target, caller.id, apart_from=[mine])
        if mine and mine.expires:
            if mine.extended:
                raise Refused(409, "hold-extended")
            longer = replace(mine, expires=mine.expires + HELD_FOR, extended=True, version=mine.version + 1)
            return self._answer(clinic, 200, longer, "hold.extended")
        if sum(one.status == "pending" and one.patient == caller.id for one in clinic.claims()) >= MOST_HOLDS:
            raise Refused(409, "too-many-holds")
        new = replace(claim(clinic, slot, caller.id), status="pending", expires=clinic.now + HELD_FOR)
        return self._answer(clinic, 201, new, "slot.held")

    def _answer(self, clinic: Model, status: int, hold: Appointment, kind: str) -> Answer:
        slot = clinic.slot_body(clinic.slots[hold.slot]) | {"fee": money(hold.fee)}
        assert hold.expires
        body = {"id": hold.id, "slot": slot, "expires_at": written(hold.expires)}

        def keep(ids: list[str]) -> None:
            for id in ids or [hold.id]:
                clinic.appointments[id] = replace(hold, id=id)

        return Answer(status, body, ((kind, hold.patient, hold.id),), keep, f'"{hold.version}"')


@dataclass(frozen=True, kw_only=True)
class Release(OfSlot):
    """Give a held slot back."""

    method, template = "DELETE", "/booking/slots/{id}/hold"

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Whoever does not hold it is told no more than that."""
        if (mine := held(clinic, self.target, caller.id)) is None:
            raise not_found()

        def keep(_: list[str]) -> None:
            clinic.appointments[mine.id] = mine.become("cancelled", RELEASED)

        return Answer(204, None, (("hold.released", caller.id, mine.id),), keep)


@dataclass(frozen=True, kw_only=True)
class Book(OfSlot):
    """Claim a slot."""

    method, template = "POST", "/booking/slots/book"
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
            return Answer(201, receipt.answer, tag=f'"{receipt.answer["version"]}"')
        mine = held(clinic, self.target, caller.id)
        slot = room(clinic, self.target, caller.id, apart_from=[mine])
        booked = mine.become("booked") if mine else claim(clinic, slot, caller.id)
        body = clinic.appointment_body(booked)

        def keep(ids: list[str]) -> None:
            for id in ids or [booked.id]:
                clinic.appointments[id] = replace(booked, id=id)
                clinic.receipts[name] = Receipt(slot.id, body | {"id": id}, clinic.now)

        event = ("appointment.booked", caller.id, booked.id)
        return Answer(201, body, (event,), keep, f'"{booked.version}"')


@dataclass(frozen=True, kw_only=True)
class ListAppointments(Command):
    """See your appointments."""

    template, roles = "/booking/appointments", CARED

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Those one has as a patient and, as long as one is a doctor, as a doctor."""
        mine = [
            (slot.start, one.id, one)
            for one in clinic.claims()
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

    def found(self, clinic: Model, caller: User, *, doctor_too: bool = True, patient_too: bool = True) -> Appointment:
        """Return it, if it is the caller's."""
        if (found := clinic.appointments.get(self.target)) is None:
            raise not_found()
        clinic.require_theirs(found.id, caller, doctor_too=doctor_too, patient_too=patient_too)
        return found.at(clinic.now)


@dataclass(frozen=True, kw_only=True)
class ReadAppointment(OfAppointment):
    """See one."""

    template, roles = "/booking/appointments/{id}", CARED

    def decide(self, clinic: Model, caller: User) -> Answer:
        """As it stands."""
        found = self.found(clinic, caller)
        return Answer(200, clinic.appointment_body(found), tag=f'"{found.version}"')


@dataclass(frozen=True, kw_only=True)
class ChangeAppointment(OfAppointment):
    """Let something become of one."""

    method = "POST"

    def reach(self, clinic: Model) -> Collection[str]:
        """Its slot and its patient must be known, and what else the caller has."""
        found = clinic.appointments.get(self.target)
        return {str(self.who), *([found.slot, found.patient] if found else [])}

    def changed(
        self, clinic: Model, after: Appointment, kind: str, caller: User, *, given_up: Appointment | None = None
    ) -> Answer:
        """Keep what it has become, and that a hold was given up for it."""

        def keep(_: list[str]) -> None:
            clinic.appointments[after.id] = after
            if given_up:
                clinic.appointments[given_up.id] = given_up.become("cancelled", RELEASED)

        body = clinic.appointment_body(after)
        released = (("hold.released", caller.id, given_up.id),) if given_up else ()
        return Answer(200, body, (*released, (kind, caller.id, after.id)), keep, f'"{after.version}"')


@dataclass(frozen=True, kw_only=True)
class Reschedule(ChangeAppointment):
    """Move one."""

    template, roles = "/booking/appointments/{id}/reschedule", PATIENTS
    to: str
    versions: str
    """What If-Match says; in it, {} stands for the version that somebody sees who looks before they ask."""

    def meant(self, clinic: Model) -> "Reschedule":
        """Look before asking."""
        told = super().meant(clinic)
        found = clinic.appointments.get(told.target)
        return replace(told, versions=told.versions.format(found.at(clinic.now).version if found else 1))

    @property
    def body(self) -> Json:
        """Where to."""
        return {"slot_id": self.to}

    @property
    def headers(self) -> Mapping[str, str]:
        """What the caller has seen."""
        return {"If-Match": self.versions} if self.versions else {}

    @property
    def tags(self) -> list[str]:
        """What the caller has seen, one by one."""
        return [tag.strip() for tag in self.versions.split(",")]

    def fault(self, now: datetime) -> Refused | None:
        """Something must be there, and it must be tags, or an asterisk."""
        if not self.versions:
            return Refused(428, "precondition-required")
        well_formed = self.versions == "*" or all(TAG.fullmatch(tag) for tag in self.tags)
        return None if well_formed else Refused(400, "unreadable")

    def reach(self, clinic: Model) -> Collection[str]:
        """Who has the other slot must be known, too."""
        return {self.to, *super().reach(clinic)}

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Its own slot and time are free for it, and a slot that the patient holds; with the same doctor terms stay."""
        found = self.found(clinic, caller)
        if self.versions != "*" and f'"{found.version}"' not in self.tags:
            raise Refused(412, "version-stale")
        if found.status != "booked":
            raise Refused(409, "appointment-not-booked")
        if clinic.slots[found.slot].start <= clinic.now:
            raise Refused(409, "appointment-started")
        mine = held(clinic, self.to, found.patient)
        slot = room(clinic, self.to, found.patient, apart_from=[found, mine])
        after = replace(found, slot=slot.id, version=found.version + 1)
        if slot.doctor != clinic.slots[found.slot].doctor:
            terms = claim(clinic, slot, found.patient)
            after = replace(after, fee=terms.fee, notice=terms.notice)
        return self.changed(clinic, after, "appointment.rescheduled", caller, given_up=mine)


@dataclass(frozen=True, kw_only=True)
class Cancel(ChangeAppointment):
    """Give one up."""

    template, roles = "/booking/appointments/{id}/cancel", ALL
    reason: str
    code: str | None

    @property
    def body(self) -> Json:
        """Why."""
        return {"reason": self.reason} | ({"reason_code": self.code} if self.code else {})

    def fault(self, now: datetime) -> Refused | None:
        """A reason says something, and a code is one of those there are."""
        return invalid(not self.reason.strip() or self.code not in {None, *CODES})

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Before it starts, and before care has begun; patients too late for their doctor, if they must."""
        found = clinic.appointments.get(self.target) if caller.role == "admin" else self.found(clinic, caller)
        if found is None:
            raise not_found()
        found = found.at(clinic.now)
        slot = clinic.slots[found.slot]
        if found.status not in UNFINISHED:
            raise Refused(409, "appointment-not-booked")
        if slot.start <= clinic.now:
            raise Refused(409, "appointment-started")
        usual = "pat" if caller.id == found.patient else "prov" if caller.id == slot.doctor else "other"
        too_late = clinic.now > slot.start - timedelta(hours=found.notice)
        late = too_late and caller.id == found.patient and found.status != "pending"
        after = found.become("cancelled", (self.reason, self.code or usual, late))
        return self.changed(clinic, after, "appointment.cancelled", caller)


@dataclass(frozen=True, kw_only=True)
class CheckIn(ChangeAppointment):
    """Say that one is there."""

    template, roles = "/booking/appointments/{id}/check-in", CARED

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Its patient, also one who is a doctor by now; a second time changes nothing."""
        found = self.found(clinic, caller, doctor_too=False)
        if found.status == "checked-in":
            return Answer(200, clinic.appointment_body(found), tag=f'"{found.version}"')
        if found.status != "booked":
            raise Refused(409, "appointment-not-booked")
        if clinic.now < clinic.slots[found.slot].start - QUARTER:
            raise Refused(409, "check-in-too-early")
        return self.changed(clinic, found.become("checked-in"), "appointment.checked_in", caller)


@dataclass(frozen=True, kw_only=True)
class Undo(ChangeAppointment):
    """Say that this was a mistake."""

    template, roles = "/booking/appointments/{id}/undo", DOCTORS

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Who was not there is booked again; who was missed was there."""
        found = self.found(clinic, caller, patient_too=False)
        before = {"checked-in": "booked", "noshow": "checked-in"}.get(found.status)
        if before is None:
            raise Refused(409, "nothing-to-undo")
        return self.changed(clinic, found.become(before), "appointment.undone", caller)


@dataclass(frozen=True, kw_only=True)
class CancelDay(Command):
    """Give a whole day up: first its slots, then its appointments."""

    method, template, roles = "POST", "/booking/doctor/day/cancel", DOCTORS
    day: date
    reason: str

    @property
    def body(self) -> Json:
        """When, and why."""
        return {"date": self.day.isoformat(), "reason": self.reason}

    def fault(self, now: datetime) -> Refused | None:
        """A reason says something."""
        return invalid(not self.reason.strip())

    def told(self, status: int, tag: str | None, body: Json) -> list[Told]:
        """First which appointments there were, then what became of each."""
        parts = [[one["appointment_id"] for one in body["items"]], *(one["outcome"] for one in body["items"])]
        return [Told(status, tag, part) for part in parts]

    def expect(self, clinic: Model) -> Answer:
        """Who may not, or has no day, comes upon nothing."""
        answer = super().expect(clinic)
        return answer if answer.status == 200 else replace(answer, expired=())

    def reach(self, clinic: Model) -> Collection[str]:
        """Who has the slots must be known, and what else the caller has."""
        slots = [slot.id for slot in self._slots(clinic, str(self.who))]
        return {*slots, str(self.who)} if slots else ()

    def decide(self, clinic: Model, caller: User) -> Answer:
        """From now on nobody gets a slot of this day; then whoever has one is told, in order of start."""
        if caller.id not in clinic.profiles:
            raise Refused(409, "profile-missing")
        slots = {slot.id: slot for slot in self._slots(clinic, caller.id)}
        standing = [slot for slot in slots.values() if not slot.withdrawn]
        waiting = [one for one in clinic.claims() if one.slot in slots and one.status in UNFINISHED]
        waiting.sort(key=lambda one: (slots[one.slot].start, one.id))

        def keep(_: list[str]) -> None:
            clinic.slots |= {slot.id: replace(slot, withdrawn=True) for slot in standing}

        return Answer(
            200,
            [one.id for one in waiting],
            tuple(("slot.withdrawn", caller.id, slot.id) for slot in standing),
            keep,
            then=tuple(partial(self._give_up, one, caller) for one in waiting),
        )

    def _slots(self, clinic: Model, doctor: str) -> list[Slot]:
        """Return those of the day in the doctor's zone, and withdrawn ones that somebody has all the same."""
        zone = ZoneInfo(clinic.profiles[doctor]["time_zone"]) if doctor in clinic.profiles else None
        claimed = {one.slot for one in clinic.appointments.values() if one.live}
        theirs = [slot for slot in clinic.slots.values() if slot.doctor == doctor]
        return [
            slot
            for slot in theirs
            if slot.start.astimezone(zone).date() == self.day and (not slot.withdrawn or slot.id in claimed)
        ]

    def _give_up(self, seen: Appointment, caller: User, clinic: Model) -> Answer:
        """Cancel one, unless something else has become of it meanwhile."""
        found = clinic.appointments[seen.id].at(clinic.now)
        expired = clinic.run_out({found.slot, found.patient, caller.id})
        if found.slot != seen.slot:
            return Answer(200, "appointment-moved", expired=expired)
        if found.status not in UNFINISHED:
            return Answer(200, "appointment-not-booked", expired=expired)
        if clinic.slots[found.slot].start <= clinic.now:
            return Answer(200, "appointment-started", expired=expired)

        def keep(_: list[str]) -> None:
            clinic.appointments[found.id] = found.become("cancelled", (self.reason, "prov", False))

        return Answer(200, "cancelled", (("appointment.cancelled", caller.id, found.id),), keep, expired=expired)
