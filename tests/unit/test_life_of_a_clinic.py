"""Whatever people do, in whatever order: what must always hold, does."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from healthcare.adapters.memory.database import MemoryDatabase, MemoryUnitOfWork
from healthcare.adapters.memory.scheduling import MemoryBookings
from healthcare.adapters.memory.tables import AppointmentRow
from healthcare.adapters.memory.transaction import Constraint
from healthcare.application.uow import UnitOfWork
from healthcare.domain.consultation.model import Consultation
from healthcare.domain.identity.model import User
from healthcare.domain.kernel import Conflict, Doctor, EventKind, Invalid, NotFound, UserId
from healthcare.domain.scheduling.model import NOT_LIVE, Appointment, Booking, Diary, Slot
from tests.builders import HOUR, MINUTE, TOMORROW, a_booking, a_publication, an_actor, an_item
from tests.clinic import Clinic
from tests.examples import examples

T = TypeVar("T")

PEOPLE = 3
ANYBODY = st.integers(0, PEOPLE - 1)
STARTS = st.integers(0, 8).map(lambda number: TOMORROW + number * 15 * MINUTE)


class LifeOfAClinic(RuleBasedStateMachine):
    """Doctors publish and take back, patients book, repeat and cancel, alone or at once; care begins and ends."""

    slots: Bundle[Slot] = Bundle("slots")
    bookings: Bundle[Booking] = Bundle("bookings")
    appointments: Bundle[Appointment] = Bundle("appointments")
    consultations: Bundle[Consultation] = Bundle("consultations")

    may_happen: ClassVar[tuple[type[Exception], ...]] = (Conflict, NotFound, Invalid)

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clinic = Clinic(self.database())
        self.can = self.clinic.can
        self.doctors: list[Doctor] = []
        self.patients: list[User] = []
        self.answers: dict[str, Appointment] = {}
        self.expected: Counter[EventKind] = Counter()

    @staticmethod
    def database() -> MemoryDatabase:
        return MemoryDatabase()

    def teardown(self) -> None:
        self.runner.close()

    def attempt(self, *what: Coroutine[Any, Any, T]) -> list[T]:
        """Do all of it at once, and leave out what is refused. No refusal is about rights, and nothing goes wrong."""

        async def together() -> list[T | BaseException]:
            return await asyncio.gather(*what, return_exceptions=True)

        outcomes = self.runner.run(together())
        done: list[T] = []
        for one in outcomes:
            if isinstance(one, BaseException):
                assert isinstance(one, self.may_happen), repr(one)
            else:
                done.append(one)
        return done

    def book_all(self, *asked: Booking) -> MultipleResults[Appointment]:
        """Book at once, and return what is new: a key that was answered before gets that answer again."""

        async def answer(ask: Booking) -> tuple[str, Appointment]:
            return f"{ask.actor.user} {ask.key}", await self.can.book_appointment(ask)

        new: list[Appointment] = []
        for key, appointment in self.attempt(*(answer(one) for one in asked)):
            if key not in self.answers:
                self.answers[key] = appointment
                new.append(appointment)
            assert self.answers[key] == appointment
        self.expected[EventKind.APPOINTMENT_BOOKED] += len(new)
        return multiple(*new)

    @initialize(target=slots)
    def people_come(self) -> MultipleResults[Slot]:
        async def come() -> list[Slot]:
            self.doctors = [await self.clinic.doctor() for _ in range(PEOPLE)]
            self.patients = [await self.clinic.user() for _ in range(PEOPLE)]
            return [await self.clinic.slot(doctor, TOMORROW - HOUR) for doctor in self.doctors]

        return multiple(*self.runner.run(come()))

    @rule(target=slots, who=ANYBODY, start=STARTS, minutes=st.sampled_from([20, 30, 45]))
    def publish(self, who: int, start: datetime, minutes: int) -> MultipleResults[Slot]:
        publication = a_publication(start, HOUR, slot_minutes=minutes)
        published = self.attempt(self.can.publish_slots(actor=an_actor(self.doctors[who].id), publication=publication))
        self.expected[EventKind.SLOTS_PUBLISHED] += len(published)
        return multiple(*(slot for slots in published for slot in slots))

    @rule(slot=slots)
    def take_back(self, slot: Slot) -> None:
        self.attempt(self.can.take_slot_back(actor=an_actor(slot.doctor.id), slot=slot.id))

    @rule(target=bookings, who=ANYBODY, slot=slots, key=st.sampled_from(["", "a", "b"]))
    def wish(self, who: int, slot: Slot, key: str) -> Booking:
        return a_booking(an_actor(self.patients[who].id), slot.id, key=key or None)

    @rule(target=appointments, ask=bookings)
    def book(self, ask: Booking) -> MultipleResults[Appointment]:
        return self.book_all(ask)

    @rule(target=appointments, first=bookings, second=bookings, third=bookings)
    def book_at_once(self, first: Booking, second: Booking, third: Booking) -> MultipleResults[Appointment]:
        return self.book_all(first, second, third)

    @rule(appointment=appointments)
    def cancel(self, appointment: Appointment) -> None:
        cancelled = self.attempt(
            *(
                self.can.cancel_appointment(actor=an_actor(who), appointment=appointment.id, reason="ill")
                for who in (appointment.doctor.id, appointment.patient.id)
            )
        )
        self.expected[EventKind.APPOINTMENT_CANCELLED] += len(cancelled)

    @rule(target=consultations, appointment=appointments)
    def start(self, appointment: Appointment) -> MultipleResults[Consultation]:
        actor = an_actor(appointment.doctor.id)
        started = self.attempt(
            *(self.can.start_consultation(actor=actor, appointment=appointment.id) for _ in range(2))
        )
        new = [one.consultation for one in started if one.new]
        self.expected[EventKind.CONSULTATION_STARTED] += len(new)
        return multiple(*new)

    @rule(consultation=consultations)
    def prescribe(self, consultation: Consultation) -> None:
        issued = self.attempt(
            self.can.issue_prescription(
                actor=an_actor(consultation.doctor.id), consultation=consultation.id, items=(an_item(),)
            )
        )
        self.expected[EventKind.PRESCRIPTION_ISSUED] += len(issued)

    @invariant()
    def nobody_shares_a_slot_or_is_in_two_places(self) -> None:
        async def look() -> None:
            for patient in self.patients:
                mine = [one for one in await self.clinic.appointments(patient) if one.status not in NOT_LIVE]
                clashes = [(a, b) for a in mine for b in mine if a.id < b.id and a.time.overlaps(b.time)]
                assert clashes == []
            for doctor in self.doctors:
                theirs = [one for one in await self.clinic.appointments(doctor) if one.status not in NOT_LIVE]
                assert len({one.slot for one in theirs}) == len(theirs)

        self.runner.run(look())

    @invariant()
    def every_change_has_exactly_one_event(self) -> None:
        kinds = Counter(event.kind for event in self.runner.run(self.clinic.events()))

        assert kinds == +self.expected


class Careless(MemoryBookings):
    """Looks without a lock."""

    async def lock(self, asked: Sequence[Booking]) -> Diary:
        await self.tx.turn()
        return self.look(asked)


class Reckless(Careless):
    """Looks without a lock, and has no constraints either."""

    async def check(self, new: AppointmentRow, key: tuple[UserId, str]) -> None:
        """Let everything pass."""


class SabotagedDatabase(MemoryDatabase):
    """A memory database whose bookings are others."""

    def __init__(self, bookings: type[Careless]) -> None:
        super().__init__()
        self.bookings = bookings

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[UnitOfWork]:
        async with super().begin() as uow:
            assert isinstance(uow, MemoryUnitOfWork)
            yield replace(uow, bookings=self.bookings(uow.bookings.tx))


class LifeOfACarelessClinic(LifeOfAClinic):
    may_happen = (*LifeOfAClinic.may_happen, Constraint)

    @staticmethod
    def database() -> MemoryDatabase:
        return SabotagedDatabase(Careless)


class LifeOfARecklessClinic(LifeOfAClinic):
    @staticmethod
    def database() -> MemoryDatabase:
        return SabotagedDatabase(Reckless)


LIVES = settings(max_examples=examples(25), stateful_step_count=25)
UNTIL_IT_FAILS = settings(max_examples=500, stateful_step_count=25, database=None, phases=[Phase.generate])


def test_nothing_goes_wrong() -> None:
    run_state_machine_as_test(LifeOfAClinic, settings=LIVES)


def test_without_locks_the_constraints_still_hold() -> None:
    run_state_machine_as_test(LifeOfACarelessClinic, settings=LIVES)


def test_without_locks_and_constraints_it_does_go_wrong() -> None:
    """A guard that cannot fail guards nothing."""
    with pytest.raises(AssertionError):
        run_state_machine_as_test(LifeOfARecklessClinic, settings=UNTIL_IT_FAILS)
