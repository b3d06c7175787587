"""Slots, appointments and bookings, in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from healthcare.adapters.memory.tables import AppointmentRow, ReceiptRow, SlotRow, Waiting
from healthcare.adapters.memory.transaction import Constraint, Transaction
from healthcare.domain.kernel import (
    AppointmentId,
    Doctor,
    Page,
    Paging,
    Patient,
    Position,
    Role,
    SlotId,
    UserId,
)
from healthcare.domain.scheduling.errors import PatientBusy, SlotsOverlap, SlotTaken
from healthcare.domain.scheduling.model import Appointment, Booking, Diary, Search, Slot, TimeRange


def doctor_of(tx: Transaction, doctor: UserId, slot: SlotRow) -> Doctor:
    """Name the doctor as they are called now, with the specialty of the slot."""
    return Doctor(doctor, tx.accounts[doctor].user.full_name, slot.specialty)


def patient_of(tx: Transaction, patient: UserId) -> Patient:
    """Name the patient as they are called now."""
    return Patient(patient, tx.accounts[patient].user.full_name)


def slot_of(tx: Transaction, row: SlotRow) -> Slot:
    """Read a slot, and with it what is kept elsewhere."""
    return Slot(
        id=row.id,
        doctor=doctor_of(tx, row.doctor, row),
        time=row.time,
        fee=tx.profiles[row.doctor].fee,
        taken=any(one.live and one.slot == row.id for one in tx.appointments),
        offered=not row.withdrawn and tx.accounts[row.doctor].user.role is Role.DOCTOR,
    )


def appointment_of(tx: Transaction, row: AppointmentRow) -> Appointment:
    """Read an appointment, and with it what is kept elsewhere."""
    return Appointment(
        id=row.id,
        slot=row.slot,
        doctor=doctor_of(tx, row.doctor, tx.slots[row.slot]),
        patient=patient_of(tx, row.patient),
        time=row.time,
        fee=row.fee,
        status=row.status,
        version=row.version,
    )


def start_of(item: Slot | Appointment | SlotRow | AppointmentRow) -> Position:
    """Return the item's place in a list by start."""
    return Position(item.time.start, item.id)


def beyond(paging: Paging, item: SlotRow | AppointmentRow) -> bool:
    """Say whether the item comes after what was shown before."""
    return paging.after is None or (item.time.start, item.id) > (paging.after.at, paging.after.id)


def in_order(rows: Iterable[SlotRow]) -> list[SlotRow]:
    """Sort by start, and where that is equal by id."""
    return sorted(rows, key=lambda row: (row.time.start, row.id))


@dataclass(frozen=True, slots=True)
class MemorySlots:
    """The time that doctors offer."""

    tx: Transaction

    async def times(self, doctor: UserId, within: TimeRange) -> Sequence[TimeRange]:
        """Return when the doctor's slots stand that overlap the range."""
        await self.tx.turn()
        return [row.time for row in self._standing(doctor) if row.time.overlaps(within)]

    async def add(self, slots: Sequence[Slot]) -> None:
        """Keep new slots. Whoever adds some of the same doctor meanwhile is waited for, as a constraint does."""
        for doctor in sorted({slot.doctor.id for slot in slots}):
            await self.tx.lock("user", doctor)
        for slot in slots:
            if any(row.time.overlaps(slot.time) for row in self._standing(slot.doctor.id)):
                raise SlotsOverlap
            self.tx.slots.put(
                slot.id, SlotRow(id=slot.id, doctor=slot.doctor.id, specialty=slot.doctor.specialty, time=slot.time)
            )

    async def move(self, doctor: UserId, specialty: str, *, now: datetime) -> None:
        """Offer the doctor's slots that have not started under another specialty."""
        await self.tx.turn()
        for slot in sorted(row.id for row in self._standing(doctor) if row.time.start > now):
            await self.tx.lock("slot", slot)
            self.tx.slots.put(slot, replace(self.tx.slots[slot], specialty=specialty))

    async def lock(self, slot: SlotId) -> Slot | None:
        """Return the slot as nobody else can change it; it is looked at only when the lock is had."""
        await self.tx.lock("slot", slot)
        row = self.tx.slots.get(slot)
        return slot_of(self.tx, row) if row else None

    async def withdraw(self, slot: SlotId) -> None:
        """Keep that the slot is no longer offered."""
        await self.tx.lock("slot", slot)
        self.tx.slots.put(slot, replace(self.tx.slots[slot], withdrawn=True))

    async def of(self, doctor: UserId, paging: Paging) -> Page[Slot]:
        """Return the doctor's slots by start."""
        await self.tx.turn()
        rows = in_order(row for row in self._standing(doctor) if beyond(paging, row))
        return paging.cut([slot_of(self.tx, row) for row in rows[: paging.limit + 1]], start_of)

    async def free(self, search: Search, *, now: datetime) -> Page[Slot]:
        """Return the slots that can be booked, have not started and are searched for."""
        await self.tx.turn()
        start, end = search.bounds
        rows = in_order(
            row
            for row in self.tx.slots
            if row.specialty == search.specialty
            and start <= row.time.start < end
            and row.time.start > now
            and beyond(search.paging, row)
        )
        slots = [slot for row in rows if (slot := slot_of(self.tx, row)).offered and not slot.taken]
        return search.paging.cut(slots, start_of)

    def _standing(self, doctor: UserId) -> list[SlotRow]:
        return [row for row in self.tx.slots if row.doctor == doctor and not row.withdrawn]


@dataclass(frozen=True, slots=True)
class MemoryBookings:
    """The path from a wish to an appointment: lock, look, keep."""

    tx: Transaction

    async def lock(self, asked: Sequence[Booking]) -> Diary:
        """Lock the slots, then queue the patients, each in order; only then look."""
        for slot in sorted({one.slot for one in asked}):
            await self.tx.lock("slot", slot)
        for patient in sorted({user for one in asked if (user := one.actor.user)}):
            await self.tx.lock("patient", patient)
        await self.tx.turn()
        return self.look(asked)

    def look(self, asked: Sequence[Booking]) -> Diary:
        """Write down what must be known to decide."""
        diary = Diary(roles={}, patients={}, slots={}, busy={}, receipts={})
        for one in asked:
            if (user := one.actor.user) is None:
                continue
            if account := self.tx.accounts.get(user):
                diary.roles[user], diary.patients[user] = account.user.role, patient_of(self.tx, user)
            if slot := self.tx.slots.get(one.slot):
                diary.slots[slot.id] = slot_of(self.tx, slot)
            diary.busy[user] = [row.time for row in self.tx.appointments if row.live and row.patient == user]
            if row := self.tx.receipts.get((user, one.key)):
                diary.receipts[user, one.key] = row.receipt
        return diary

    async def keep(self, diary: Diary) -> None:
        """Keep what the diary decided."""
        await self.tx.turn()
        for one in diary.booked:
            appointment, name = one.appointment, (one.booking.actor.known, one.booking.key)
            row = AppointmentRow(
                id=appointment.id,
                slot=appointment.slot,
                doctor=appointment.doctor.id,
                patient=appointment.patient.id,
                time=appointment.time,
                fee=appointment.fee,
                status=appointment.status,
                version=appointment.version,
            )
            await self.check(row, name)
            self.tx.appointments.put(row.id, row)
            self.tx.receipts.put(name, ReceiptRow(diary.receipts[name], one.event.at))
        for event in [*(one.event for one in diary.booked), *diary.refused]:
            self.tx.outbox.put(event.id, Waiting(event))
            self.tx.filled = True

    async def check(self, new: AppointmentRow, key: tuple[UserId, str]) -> None:
        """Refuse what the constraints of a database refuse: with the locks they never have to.

        A constraint waits for whoever is about to break it, and then looks at what they did.
        """
        for name in (("live on slot", new.slot), ("live of patient", new.patient), ("key", *key)):
            await self.tx.lock(*name)
        live = [row for row in self.tx.appointments if row.live]
        if any(row.slot == new.slot for row in live):
            raise SlotTaken
        if any(row.patient == new.patient and row.time.overlaps(new.time) for row in live):
            raise PatientBusy
        if key in self.tx.receipts:
            raise Constraint("one_effect_per_key")

    async def forget(self, most: int, *, before: datetime) -> int:
        """Delete up to `most` receipts that are older."""
        await self.tx.turn()
        old = [(user, key) for (user, key), row in self.tx.receipts.items() if row.at < before][:most]
        for name in old:
            self.tx.receipts.remove(name)
        return len(old)


@dataclass(frozen=True, slots=True)
class MemoryAppointments:
    """The claims on slots."""

    tx: Transaction

    async def get(self, appointment: AppointmentId) -> Appointment | None:
        """Return the appointment."""
        await self.tx.turn()
        row = self.tx.appointments.get(appointment)
        return appointment_of(self.tx, row) if row else None

    async def lock(self, appointment: AppointmentId) -> Appointment | None:
        """Return the appointment as nobody else can change it or claim its slot.

        Its slot and its patient never change, so they can be read before they are locked.
        """
        await self.tx.turn()
        if (row := self.tx.appointments.get(appointment)) is None:
            return None
        await self.tx.lock("slot", row.slot)
        await self.tx.lock("patient", row.patient)
        await self.tx.lock("appointment", row.id)
        return await self.get(appointment)

    async def put(self, appointment: Appointment, *, reason: str | None = None) -> None:
        """Keep a change, and the reason of the one who cancelled."""
        await self.tx.lock("appointment", appointment.id)
        row = self.tx.appointments[appointment.id]
        self.tx.appointments.put(
            row.id,
            replace(row, status=appointment.status, version=appointment.version, reason=reason or row.reason),
        )

    async def of(self, user: UserId, paging: Paging, *, as_doctor: bool) -> Page[Appointment]:
        """Return those in which the user is the patient, or also those in which they are the doctor, by start."""
        await self.tx.turn()
        theirs = [row for row in self.tx.appointments if row.patient == user or (as_doctor and row.doctor == user)]
        rows = sorted((row for row in theirs if beyond(paging, row)), key=lambda row: (row.time.start, row.id))
        return paging.cut([appointment_of(self.tx, row) for row in rows[: paging.limit + 1]], start_of)
