"""The diary, in which is decided what people ask of slots and appointments."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from healthcare.domain.kernel import (
    AccessRefused,
    Actor,
    AppointmentId,
    Event,
    EventKind,
    Happened,
    NotFound,
    Patient,
    Role,
    SlotId,
    UserId,
)
from healthcare.domain.policy import permit, require_relation
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
from healthcare.domain.scheduling.errors import (
    AppointmentMoved,
    KeyReused,
    PatientBusy,
    TooManyHolds,
    VersionStale,
)
from healthcare.domain.scheduling.model import MOST_HOLDS, Appointment, Slot
from healthcare.domain.scheduling.search import Touched
from healthcare.domain.scheduling.status import UNFINISHED, AppointmentStatus


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a key was used for, and what it was answered."""

    fingerprint: bytes
    appointment: Appointment


@dataclass(frozen=True, slots=True, kw_only=True)
class Diary:
    """What must be known to decide a list of commands, and what has been decided so far.

    It sees its own decisions: of two commands of one list that want one slot, the first wins.
    """

    now: datetime
    """The moment at which everything in it was seen, by the clock of whoever keeps it: all share that one."""
    roles: dict[UserId, Role]
    """Of those who ask."""
    patients: dict[UserId, Patient]
    """Those who ask, as their doctors see them."""
    slots: dict[SlotId, Slot]
    """Those that are asked for. Whether one is taken is not told by it, but by the appointments."""
    appointments: dict[AppointmentId, Appointment]
    """Those that are asked for, and all live ones that stand on the slots, are held by those who ask, or overlap."""
    receipts: dict[tuple[UserId, str], Receipt]
    """By caller and key."""
    seen: Mapping[AppointmentId, Appointment] = field(init=False)
    """The appointments before any decision."""
    new: set[AppointmentId] = field(default_factory=set)
    steps: list[Appointment] = field(default_factory=list)
    """Every state that an appointment has been given, in the order of the decisions."""
    withdrawn: list[SlotId] = field(default_factory=list)
    fresh: dict[tuple[UserId, str], Receipt] = field(default_factory=dict)
    """Receipts that must be kept."""
    replayed: Counter[tuple[UserId, str]] = field(default_factory=Counter)
    """How often each receipt has answered, a fresh one too."""
    events: list[Event] = field(default_factory=list)
    touched: set[Touched] = field(default_factory=set)
    """What searches may no longer show as it was, also by what was decided earlier: who repeats a command may be the
    first to hear of it."""

    def __post_init__(self) -> None:
        """Remember what was there."""
        object.__setattr__(self, "seen", dict(self.appointments))

    def sweep(self, happened: Happened, *, request: str, asked: Sequence[Ask] = ()) -> None:
        """Cancel the holds that have run out; whoever comes upon them does that.

        Where several ask in requests of their own, each hold is cancelled in that of the first who comes upon it.
        """
        for hold in list(self.appointments.values()):
            if (after := hold.at(self.now)) is not hold:
                self._put(after)
                of = next((one.actor.request for one in asked if self._comes_upon(one, hold)), request)
                self.events.append(happened(EventKind.HOLD_EXPIRED, Actor(None, of, system=True), hold.id))

    def decide(self, ask: Ask, happened: Happened) -> Appointment | Slot:
        """Decide one command, in order of arrival.

        Raises:
            Refusal: nothing comes of it; see the method of each command.
        """
        decisions: Mapping[type[Ask], Callable[[Any, Happened], Appointment | Slot]] = {
            Holding: self.hold,
            Release: self.release,
            Booking: self.book,
            Rescheduling: self.reschedule,
            Cancelling: self.cancel,
            CheckingIn: self.check_in,
            Missing: self.miss,
            Undoing: self.undo,
            Withdrawal: self.withdraw,
        }
        try:
            return decisions[type(ask)](ask, happened)
        except AccessRefused as refused:
            self.events.append(happened(EventKind.ACCESS_REFUSED, refused.actor, refused.subject))
            raise

    def hold(self, ask: Holding, happened: Happened) -> Appointment:
        """Hold a slot, or hold it for longer.

        Raises:
            Forbidden: the caller is no patient.
            NotFound, SlotTaken, SlotInThePast, PatientBusy: see `_room`.
            HoldExtended: the caller's hold cannot be extended any more.
            TooManyHolds: they have three already.
        """
        patient = self._admit(ask, subject=ask.slot)
        if mine := self._held(ask.slot, patient.id):
            self._room(ask.slot, patient.id, apart_from=[mine])
            return self._keep(mine.extend(), EventKind.HOLD_EXTENDED, ask, happened)
        slot = self._room(ask.slot, patient.id)
        pending = [one for one in self.appointments.values() if one.status is AppointmentStatus.PENDING]
        if sum(one.patient.id == patient.id for one in pending) >= MOST_HOLDS:
            raise TooManyHolds
        return self._keep(slot.hold(patient, id=self._new(happened), now=self.now), EventKind.SLOT_HELD, ask, happened)

    def release(self, ask: Release, happened: Happened) -> Appointment:
        """Give a held slot back.

        Raises:
            Forbidden: the caller is no patient.
            NotFound: they do not hold this slot.
        """
        patient = self._admit(ask, subject=ask.slot)
        if (mine := self._held(ask.slot, patient.id)) is None:
            raise NotFound
        return self._keep(mine.release(), EventKind.HOLD_RELEASED, ask, happened)

    def book(self, ask: Booking, happened: Happened) -> Appointment:
        """Book a slot; a hold of it becomes the appointment.

        Raises:
            Forbidden: the caller is no patient.
            KeyReused: the key was used for another slot.
            NotFound, SlotTaken, SlotInThePast, PatientBusy: see `_room`.
        """
        patient = self._admit(ask, subject=ask.slot)
        name = patient.id, ask.key
        if receipt := self.fresh.get(name) or self.receipts.get(name):
            return self._answer(ask, name, receipt)
        mine = self._held(ask.slot, patient.id)
        slot = self._room(ask.slot, patient.id, apart_from=[mine])
        booked = mine.confirm() if mine else slot.book(patient, id=self._new(happened))
        self.fresh[name] = Receipt(ask.fingerprint, booked)
        return self._keep(booked, EventKind.APPOINTMENT_BOOKED, ask, happened)

    def reschedule(self, ask: Rescheduling, happened: Happened) -> Appointment:
        """Move an appointment. Its own slot and time are free for it, and a slot that its patient holds, too.

        Raises:
            Forbidden, NotFound, NotYours: see `find`.
            VersionStale: it has changed since the caller saw it.
            AppointmentNotBooked, AppointmentStarted: it cannot be moved any more.
            NotFound, SlotTaken, SlotInThePast, PatientBusy: see `_room`.
        """
        found = self.find(ask)
        if ask.versions is not None and found.version not in ask.versions:
            raise VersionStale
        found.require_movable(now=self.now)
        mine = self._held(ask.slot, found.patient.id)
        slot = self._room(ask.slot, found.patient.id, apart_from=[found, mine])
        moved = found.move(slot, now=self.now)
        if mine:
            self._keep(mine.release(), EventKind.HOLD_RELEASED, ask, happened)
        self.touched.add(Touched.by(found))
        return self._keep(moved, EventKind.APPOINTMENT_RESCHEDULED, ask, happened)

    def cancel(self, ask: Cancelling, happened: Happened) -> Appointment:
        """Give an appointment up.

        Raises:
            Forbidden, NotFound, NotYours: see `find`.
            AppointmentMoved: it stands on another slot by now, perhaps of another doctor.
            AppointmentNotBooked, AppointmentStarted: see `Appointment.cancel`.
        """
        self._permit(ask, subject=ask.appointment)
        if (stands := self.appointments.get(ask.appointment)) and ask.only_on not in {None, stands.slot}:
            raise AppointmentMoved  # before asking whose it is: whoever had it may have it no longer
        found = self.find(ask)
        cancelled = found.cancel(ask.reason, ask.code, by=ask.actor.known, now=self.now)
        taken_back = ask.only_on in self.slots and not self.slots[ask.only_on].offered
        return self._keep(cancelled, EventKind.APPOINTMENT_CANCELLED, ask, happened, shown=not taken_back)

    def check_in(self, ask: CheckingIn, happened: Happened) -> Appointment:
        """Note that a patient is there; a second time changes nothing.

        Raises:
            Forbidden, NotFound, NotYours: see `find`.
            AppointmentNotBooked, CheckInTooEarly: see `Appointment.check_in`.
        """
        found = self.find(ask)
        if (after := found.check_in(now=self.now)) is found:
            return found
        return self._keep(after, EventKind.APPOINTMENT_CHECKED_IN, ask, happened)

    def miss(self, ask: Missing, happened: Happened) -> Appointment:
        """Note that nobody came.

        Raises:
            NotFound: there is no such appointment.
            AppointmentNotBooked, NotMissed: see `Appointment.miss`.
        """
        missed = self.find(ask).miss(now=self.now)
        return self._keep(missed, EventKind.APPOINTMENT_MISSED, ask, happened)

    def undo(self, ask: Undoing, happened: Happened) -> Appointment:
        """Take a mistaken check-in or no-show back.

        Raises:
            Forbidden, NotFound, NotYours: see `find`.
            NothingToUndo: see `Appointment.undo`.
        """
        return self._keep(self.find(ask).undo(), EventKind.APPOINTMENT_UNDONE, ask, happened)

    def fulfil(self, found: Appointment) -> None:
        """Note that care has begun; that is an event of the consultation.

        Raises:
            AppointmentNotBooked: see `Appointment.fulfil`.
        """
        self._put(found.fulfil())

    def withdraw(self, ask: Withdrawal, happened: Happened) -> Slot:
        """Take a slot back.

        Raises:
            Forbidden: the caller is no doctor.
            NotFound, NotYours: there is none, or it is another doctor's.
            SlotTaken: see `Slot.withdraw`.
        """
        role = self._permit(ask, subject=ask.slot)
        if (slot := self.slots.get(ask.slot)) is None:
            raise NotFound
        require_relation(ask.action, ask.actor, role, doctor=slot.doctor.id, subject=slot.id)
        after = self._seen(slot).withdraw(even_taken=ask.even_taken)
        self.slots[slot.id] = after
        self.withdrawn.append(slot.id)
        self.events.append(happened(EventKind.SLOT_WITHDRAWN, ask.actor, slot.id))
        self.touched.add(Touched.by(slot))
        return after

    def find(self, ask: Ask) -> Appointment:
        """Return the appointment that somebody asks for.

        Raises:
            Forbidden: their role may never do this.
            NotFound: there is none.
            NotYours: there is, but it is not theirs.
        """
        role = self._permit(ask, subject=ask.appointment)
        if ask.appointment is None or (found := self.appointments.get(ask.appointment)) is None:
            raise NotFound
        require_relation(
            ask.action, ask.actor, role, doctor=found.doctor.id, patient=found.patient.id, subject=found.id
        )
        return found

    def unfinished(self, slots: Collection[SlotId]) -> list[Appointment]:
        """Return those on the slots whose patients may still come, in order of start."""
        found = [one for one in self.appointments.values() if one.slot in slots and one.status in UNFINISHED]
        return sorted(found, key=lambda one: (one.time.start, one.id))

    def _comes_upon(self, ask: Ask, hold: Appointment) -> bool:
        """Say whether a command must know of a hold: by its slot, or by its patient."""
        found = self.appointments.get(ask.appointment) if ask.appointment else None
        slots, patients = {ask.slot}, {ask.actor.user}
        if found:
            slots.add(found.slot)
            patients.add(found.patient.id)
        return hold.slot in slots or hold.patient.id in patients

    def _permit(self, ask: Ask, *, subject: SlotId | AppointmentId | None) -> Role | None:
        role = self.roles.get(ask.actor.user) if ask.actor.user else None
        permit(ask.action, ask.actor, role, subject=subject)
        return role

    def _admit(self, ask: Ask, *, subject: SlotId) -> Patient:
        self._permit(ask, subject=subject)
        return self.patients[ask.actor.known]

    def _held(self, slot: SlotId, patient: UserId) -> Appointment | None:
        """Return the hold of a patient on a slot."""
        pending = (one for one in self.appointments.values() if one.status is AppointmentStatus.PENDING)
        return next((one for one in pending if one.slot == slot and one.patient.id == patient), None)

    def _room(self, wanted: SlotId, patient: UserId, *, apart_from: Sequence[Appointment | None] = ()) -> Slot:
        """Find a slot free for a patient, whatever some of their own appointments claim.

        Raises:
            NotFound: there is no such slot on offer.
            SlotTaken, SlotInThePast: see `Slot.require_free`.
            PatientBusy: they have another appointment at this time.
        """
        if (found := self.slots.get(wanted)) is None:
            raise NotFound
        slot = self._seen(found, apart_from=apart_from)
        slot.require_free(now=self.now)
        mine = (one for one in self.appointments.values() if one.patient.id == patient and one.live)
        if any(one.time.overlaps(slot.time) for one in mine if one not in apart_from):
            raise PatientBusy
        return slot

    def _seen(self, slot: Slot, *, apart_from: Sequence[Appointment | None] = ()) -> Slot:
        claims = (one for one in self.appointments.values() if one.slot == slot.id and one.live)
        return replace(slot, taken=any(one not in apart_from for one in claims))

    def _new(self, happened: Happened) -> AppointmentId:
        id = AppointmentId(happened.new_id())
        self.new.add(id)
        return id

    def _answer(self, ask: Booking, name: tuple[UserId, str], receipt: Receipt) -> Appointment:
        if receipt.fingerprint != ask.fingerprint:
            raise KeyReused.because("Idempotency-Key", "reused", "was used for another slot")
        self.replayed[name] += 1
        self.touched.add(Touched.by(receipt.appointment))
        return receipt.appointment

    def _keep(
        self, after: Appointment, kind: EventKind, ask: Ask, happened: Happened, *, shown: bool = True
    ) -> Appointment:
        self.events.append(happened(kind, ask.actor, after.id))
        return self._put(after, shown=shown)

    def _put(self, after: Appointment, *, shown: bool = True) -> Appointment:
        """Remember the state; where its slot was taken back with its day, searches have been told of that before."""
        self.appointments[after.id] = after
        self.steps.append(after)
        if shown:
            self.touched.add(Touched.by(after))
        return after
