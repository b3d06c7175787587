"""Slots, appointments and bookings, in memory."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from healthcare.adapters.memory.tables import AppointmentRow, ReceiptRow, SlotRow, Waiting
from healthcare.adapters.memory.transaction import Constraint, Transaction
from healthcare.domain.kernel import (
    AppointmentId,
    Clock,
    Doctor,
    Page,
    Paging,
    Patient,
    Position,
    Role,
    SlotId,
    UserId,
)
from healthcare.domain.scheduling.asks import Ask
from healthcare.domain.scheduling.diary import Diary
from healthcare.domain.scheduling.errors import PatientBusy, SlotsOverlap, SlotTaken
from healthcare.domain.scheduling.model import Appointment, Slot, TimeRange
from healthcare.domain.scheduling.search import Search
from healthcare.domain.scheduling.status import TRANSITIONS, AppointmentStatus


def doctor_of(tx: Transaction, doctor: UserId, slot: SlotRow) -> Doctor:
    """Name the doctor as they are called now, with the specialty of the slot."""
    return Doctor(doctor, tx.accounts[doctor].user.full_name, slot.specialty)


def patient_of(tx: Transaction, patient: UserId) -> Patient:
    """Name the patient as they are called now."""
    return Patient(patient, tx.accounts[patient].user.full_name)


def slot_of(tx: Transaction, row: SlotRow, now: datetime) -> Slot:
    """Read a slot, and with it what is kept elsewhere."""
    return Slot(
        id=row.id,
        doctor=doctor_of(tx, row.doctor, row),
        time=row.time,
        fee=tx.profiles[row.doctor].fee,
        notice_hours=tx.profiles[row.doctor].notice_hours,
        taken=any(one.slot == row.id and one.claims(now) for one in tx.appointments),
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
        notice_hours=row.notice_hours,
        status=row.status,
        version=row.version,
        expires_at=row.expires_at,
        extended=row.extended,
        cancellation=row.cancellation,
    )


def row_of(one: Appointment) -> AppointmentRow:
    """Write an appointment down without what is read from elsewhere."""
    return AppointmentRow(
        id=one.id,
        slot=one.slot,
        doctor=one.doctor.id,
        patient=one.patient.id,
        time=one.time,
        fee=one.fee,
        notice_hours=one.notice_hours,
        status=one.status,
        version=one.version,
        expires_at=one.expires_at,
        extended=one.extended,
        cancellation=one.cancellation,
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
    clock: Clock

    async def times(self, doctor: UserId, within: TimeRange) -> Sequence[TimeRange]:
        """Return when the doctor's slots stand, or have a patient all the same, that overlap the range."""
        await self.tx.turn()
        now = self.clock.now()
        patients = {one.slot for one in self.tx.appointments if one.claims(now)}
        return [
            row.time
            for row in self.tx.slots
            if row.doctor == doctor and row.time.overlaps(within) and (not row.withdrawn or row.id in patients)
        ]

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

    async def on(self, doctor: UserId, start: datetime, end: datetime) -> Sequence[SlotId]:
        """Return which of the doctor's slots start in this time and stand, or have a patient all the same."""
        await self.tx.turn()
        patients = {one.slot for one in self.tx.appointments if one.live}
        return sorted(
            row.id
            for row in self.tx.slots
            if row.doctor == doctor and start <= row.time.start < end and (not row.withdrawn or row.id in patients)
        )

    async def of(self, doctor: UserId, paging: Paging) -> Page[Slot]:
        """Return the doctor's slots by start."""
        await self.tx.turn()
        rows = in_order(row for row in self._standing(doctor) if beyond(paging, row))
        now = self.clock.now()
        return paging.cut([slot_of(self.tx, row, now) for row in rows[: paging.limit + 1]], start_of)

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
        return search.paging.cut(self._free(rows), start_of)

    async def alternatives(self, slots: Collection[SlotId], most: int) -> Mapping[SlotId, Sequence[Slot]]:
        """Return for each the next slots of the same doctor that can be booked, by start."""
        await self.tx.turn()
        now = self.clock.now()
        return {
            id: self._free(in_order(row for row in self._standing(wanted.doctor) if row.time.start > now))[:most]
            for id in slots
            if (wanted := self.tx.slots.get(id))
        }

    def _free(self, rows: Iterable[SlotRow]) -> list[Slot]:
        slots = (slot_of(self.tx, row, self.clock.now()) for row in rows)
        return [slot for slot in slots if slot.offered and not slot.taken]

    def _standing(self, doctor: UserId) -> list[SlotRow]:
        return [row for row in self.tx.slots if row.doctor == doctor and not row.withdrawn]


@dataclass(frozen=True, slots=True)
class MemoryBookings:
    """The path from a wish to what comes of it: lock, look, keep."""

    tx: Transaction
    clock: Clock

    async def lock(self, asked: Sequence[Ask]) -> Diary:
        """Lock the slots, queue the patients, lock what may change, each in order; only then look.

        An appointment names its slot before it is locked; where it has been moved meanwhile, everything begins anew.
        """
        while True:
            await self.tx.turn()
            named = [row for one in asked if one.appointment and (row := self.tx.appointments.get(one.appointment))]
            slots = {one.slot for one in asked if one.slot} | {row.slot for row in named}
            patients = {user for one in asked if (user := one.actor.user)} | {row.patient for row in named}
            await self.hold(slots, patients, named)
            await self.tx.turn()
            if all(self.tx.appointments[row.id].slot == row.slot for row in named):
                return self.look(asked, slots, patients, named)
            self.tx.release()

    async def hold(self, slots: set[SlotId], patients: set[UserId], named: Sequence[AppointmentRow]) -> None:
        """Take the locks."""
        for slot in sorted(slots):
            await self.tx.lock("slot", slot)
        for patient in sorted(patients):
            await self.tx.lock("patient", patient)
        pending = [row for row in self.tx.appointments if row.status is AppointmentStatus.PENDING]
        changing = {row.id for row in pending if row.slot in slots or row.patient in patients}
        for appointment in sorted(changing | {row.id for row in named}):
            await self.tx.lock("appointment", appointment)

    def look(
        self, asked: Sequence[Ask], slots: set[SlotId], patients: set[UserId], named: Sequence[AppointmentRow]
    ) -> Diary:
        """Write down what must be known to decide."""
        callers = {user for one in asked if (user := one.actor.user) and user in self.tx.accounts}
        ids = {row.id for row in named}
        return Diary(
            now=self.clock.now(),
            roles={user: self.tx.accounts[user].user.role for user in callers},
            patients={user: patient_of(self.tx, user) for user in callers},
            slots={id: slot_of(self.tx, row, self.clock.now()) for id in slots if (row := self.tx.slots.get(id))},
            appointments={
                row.id: appointment_of(self.tx, row)
                for row in self.tx.appointments
                if row.id in ids or (row.live and (row.slot in slots or row.patient in patients))
            },
            receipts={
                (user, one.key): kept.receipt
                for one in asked
                if (user := one.actor.user) and one.key and (kept := self.tx.receipts.get((user, one.key)))
            },
        )

    async def keep(self, diary: Diary) -> None:
        """Keep what the diary decided: first what gives its slot and time back."""
        await self.tx.turn()
        self.follow(diary.steps)
        final = {one.id: row_of(one) for one in diary.steps}
        unwritten = set(final)
        for row in sorted(final.values(), key=lambda row: row.live):
            unwritten.remove(row.id)
            if row.live:
                await self.check(row, unwritten)
            self.tx.appointments.put(row.id, row)
        for slot in diary.withdrawn:
            self.tx.slots.put(slot, replace(self.tx.slots[slot], withdrawn=True))
        for name, receipt in diary.fresh.items():
            await self.tx.lock("key", *name)
            if name in self.tx.receipts:
                raise Constraint("one_effect_per_key")
            self.tx.receipts.put(name, ReceiptRow(receipt, diary.now))
        for event in diary.events:
            self.tx.outbox.put(event.id, Waiting(event))
            self.tx.filled = True

    def follow(self, steps: Sequence[Appointment]) -> None:
        """Refuse what a trigger of a database refuses: with the locks it never has to."""
        reached = {row.id: row.status for row in self.tx.appointments}
        for step in steps:
            before = reached.get(step.id, step.status)
            if step.status not in {before, *TRANSITIONS[before]}:
                raise Constraint("statuses_follow_the_table")
            reached[step.id] = step.status

    async def check(self, new: AppointmentRow, unwritten: Collection[AppointmentId]) -> None:
        """Refuse what the constraints of a database refuse: with the locks they never have to.

        A constraint waits for whoever is about to break it, and then looks at what they did. Rows that the same
        transaction has still to write stand where they will not stay.
        """
        for name in (("live on slot", new.slot), ("live of patient", new.patient)):
            await self.tx.lock(*name)
        others = [row for row in self.tx.appointments if row.live and row.id not in {new.id, *unwritten}]
        if any(row.slot == new.slot for row in others):
            raise SlotTaken
        if any(row.patient == new.patient and row.time.overlaps(new.time) for row in others):
            raise PatientBusy

    async def forget(self, most: int, *, before: datetime) -> int:
        """Delete up to `most` receipts that are older."""
        await self.tx.turn()
        old = [(user, key) for (user, key), row in self.tx.receipts.items() if row.at < before][:most]
        for name in old:
            self.tx.receipts.remove(name)
        return len(old)


@dataclass(frozen=True, slots=True)
class MemoryAppointments:
    """The claims on slots, as they can be read."""

    tx: Transaction
    clock: Clock

    async def get(self, appointment: AppointmentId) -> Appointment | None:
        """Return the appointment."""
        await self.tx.turn()
        row = self.tx.appointments.get(appointment)
        return self._seen(row) if row else None

    async def of(self, user: UserId, paging: Paging, *, as_doctor: bool) -> Page[Appointment]:
        """Return those in which the user is the patient, or also those in which they are the doctor, by start."""
        await self.tx.turn()
        theirs = [row for row in self.tx.appointments if row.patient == user or (as_doctor and row.doctor == user)]
        rows = sorted((row for row in theirs if beyond(paging, row)), key=lambda row: (row.time.start, row.id))
        return paging.cut([self._seen(row) for row in rows[: paging.limit + 1]], start_of)

    async def overdue(self, most: int, *, before: datetime) -> Sequence[AppointmentId]:
        """Return those that ended before this instant and are still booked."""
        await self.tx.turn()
        booked = [row for row in self.tx.appointments if row.status is AppointmentStatus.BOOKED]
        over = sorted((row.time.end, row.id) for row in booked if row.time.end <= before)
        return [id for _, id in over[:most]]

    def _seen(self, row: AppointmentRow) -> Appointment:
        return appointment_of(self.tx, row).at(self.clock.now())
