"""What holds whatever people ask, in whatever order, and however long they wait in between."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import combinations
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from healthcare.domain.kernel import Actor, EventKind, Refusal, Role, SlotId
from healthcare.domain.scheduling.asks import (
    Ask,
    Booking,
    Cancelling,
    CheckingIn,
    Holding,
    Missing,
    Release,
    Rescheduling,
    Starting,
    Undoing,
    Withdrawal,
)
from healthcare.domain.scheduling.diary import Diary
from healthcare.domain.scheduling.model import Appointment, Slot
from healthcare.domain.scheduling.search import Touched
from healthcare.domain.scheduling.status import TRANSITIONS, AppointmentStatus
from tests.builders import (
    MINUTE,
    NOW,
    SYSTEM,
    a_diary,
    a_doctor,
    a_slot,
    a_time,
    a_user_id,
    an_actor,
    happened_at,
)
from tests.examples import examples

HAPPENED: Final = happened_at()
PATIENTS: Final = [a_user_id() for _ in range(3)]
DOCTORS: Final = [a_doctor(), a_doctor(specialty="neurology")]
ROLES: Final = {one.id: Role.DOCTOR for one in DOCTORS} | {a_user_id(): Role.ADMIN}
PEOPLE: Final = [*PATIENTS, *ROLES]
NO_STEPS: Final = {EventKind.ACCESS_REFUSED, EventKind.SLOT_WITHDRAWN}
"""Events in the life of no appointment."""

OF_A_SLOT: Final[list[Callable[[Actor, Slot, int], Ask]]] = [
    lambda who, slot, _: Holding(actor=who, slot=slot.id),
    lambda who, slot, _: Holding(actor=who, slot=slot.id),
    lambda who, slot, _: Release(actor=who, slot=slot.id),
    lambda who, slot, number: Booking(actor=who, slot=slot.id, key=f"{slot.id}:{number}"),
    lambda who, slot, number: Booking(actor=who, slot=slot.id, key=str(number)),
    lambda _, slot, number: Withdrawal(actor=an_actor(slot.doctor.id), slot=slot.id, even_taken=number == 0),
]
"""What a patient asks, or the doctor whose slot it is."""

OF_AN_APPOINTMENT: Final[list[Callable[[Actor, Actor, Appointment, Slot], Ask]]] = [
    lambda patient, _, one, slot: Rescheduling(actor=patient, appointment=one.id, slot=slot.id),
    lambda patient, _, one, slot: Rescheduling(actor=patient, appointment=one.id, slot=slot.id, versions=[1, 3]),
    lambda patient, _, one, __: Cancelling(actor=patient, appointment=one.id, reason="ill"),
    lambda _, doctor, one, slot: Cancelling(actor=doctor, appointment=one.id, reason="ill", only_on=slot.id),
    lambda patient, _, one, __: CheckingIn(actor=patient, appointment=one.id),
    lambda patient, _, one, __: CheckingIn(actor=patient, appointment=one.id),
    lambda _, doctor, one, __: Undoing(actor=doctor, appointment=one.id),
    lambda _, doctor, one, __: Starting(actor=doctor, appointment=one.id),
    lambda _, __, one, ___: Missing(actor=SYSTEM, appointment=one.id),
    lambda _, __, one, ___: Missing(actor=SYSTEM, appointment=one.id),
]
"""What its patient asks, its doctor, or the system."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Something that somebody asks, in numbers; they count what there is at that time."""

    kind: int
    who: int
    slot: int
    number: int
    stray: bool
    """Whether somebody asks who is not the one to ask."""

    def ask(self, diary: Diary) -> Ask:
        """Ask for a slot, or something of an appointment where there is one."""
        slot, kind = list(diary.slots.values())[self.slot], self.kind - len(OF_A_SLOT)
        known = list(diary.appointments.values())
        if kind < 0 or not known:
            ask = OF_A_SLOT[kind % len(OF_A_SLOT)](an_actor(PATIENTS[self.who % len(PATIENTS)]), slot, self.number)
        else:
            one = known[self.number % len(known)]
            ask = OF_AN_APPOINTMENT[kind](an_actor(one.patient.id), an_actor(one.doctor.id), one, slot)
        return replace(ask, actor=an_actor(PEOPLE[self.who])) if self.stray else ask


WISHES: Final = st.builds(
    Wish,
    kind=st.integers(0, len(OF_A_SLOT) + len(OF_AN_APPOINTMENT) - 1),
    who=st.integers(0, len(PEOPLE) - 1),
    slot=st.integers(0, 7),
    number=st.integers(0, 9),
    stray=st.integers(0, 9).map(lambda drawn: drawn == 0),
)
WAITS: Final = st.sampled_from([0, 1, 5, 15, 30, 60]).map(lambda minutes: minutes * MINUTE)
LISTS: Final = st.lists(st.tuples(WAITS, st.lists(WISHES, min_size=8, max_size=16)), min_size=5, max_size=8)


def decide(diary: Diary, ask: Ask) -> None:
    """Decide one command; whatever is refused has changed nothing."""
    before = decided(diary)
    try:
        if isinstance(ask, Starting):
            diary.fulfil(diary.find(ask))
        else:
            diary.decide(ask, HAPPENED)
    except Refusal:
        assert decided(diary) == before
    claims_hold(diary)


def decided(diary: Diary) -> list[object]:
    """Return all that has been decided so far."""
    parts = (diary.appointments, diary.slots, diary.new, diary.steps, diary.withdrawn, diary.fresh, diary.touched)
    return [*(copy(part) for part in parts), [one for one in diary.events if one.kind is not EventKind.ACCESS_REFUSED]]


def claims_hold(diary: Diary) -> None:
    """Nobody shares a slot, nobody is in two places, and no hold claims anything once it has run out."""
    live = [one for one in diary.appointments.values() if one.live]
    assert len({one.slot for one in live}) == len(live)
    for one, other in combinations(live, 2):
        assert one.patient != other.patient or not one.time.overlaps(other.time)
    assert all(one.at(diary.now) is one for one in live)


def steps_hold(diary: Diary, taken_back: set[SlotId]) -> None:
    """Each step follows the table, raises the version by one, has its event, and is told to searches.

    What stands on a slot that was taken back before does not: searches have been told that they no longer show it.
    """
    last = dict(diary.seen)
    for step in diary.steps:
        before = last.get(step.id)
        if before is None:
            assert (step.id in diary.new, step.version) == (True, 1)
        else:
            assert step.version == before.version + 1
            assert step.status is before.status or step.status in TRANSITIONS[before.status]
            assert Touched.by(before) in diary.touched or before.slot in taken_back
        assert Touched.by(step) in diary.touched or step.slot in taken_back
        last[step.id] = step
    assert last == diary.appointments
    told = [event.subject for event in diary.events if event.kind not in NO_STEPS]
    assert told == [step.id for step in diary.steps if step.status is not AppointmentStatus.FULFILLED]


def nothing_new_stands_on_what_was_taken_back(diary: Diary, taken_back: set[SlotId]) -> None:
    places = {one.id: one.slot for one in diary.seen.values()}
    for step in diary.steps:
        assert step.slot == places.get(step.id) or step.slot not in taken_back


@settings(max_examples=examples(50))
@given(lists=LISTS, spacing=st.integers(5, 60))
def test_however_commands_are_mixed_every_claim_and_every_step_is_in_order(
    lists: list[tuple[timedelta, list[Wish]]], spacing: int
) -> None:
    """Each list is decided on a diary of what the lists before it have left."""
    starts = [NOW + (15 + place * spacing) * MINUTE for place in range(8)]
    slots: list[Slot] = [a_slot(doctor=DOCTORS[place % 2], time=a_time(start)) for place, start in enumerate(starts)]
    diary, taken_back, now = a_diary(slots=slots), set[SlotId](), NOW

    for wait, wishes in lists:
        now += wait
        diary = a_diary(
            PATIENTS,
            list(diary.slots.values()),
            roles=ROLES,
            appointments=list(diary.appointments.values()),
            receipts=diary.receipts | diary.fresh,
            now=now,
        )
        diary.sweep(HAPPENED, request="request-7")
        for wish in wishes:
            decide(diary, wish.ask(diary))

        steps_hold(diary, taken_back)
        nothing_new_stands_on_what_was_taken_back(diary, taken_back)
        assert {one for one, slot in diary.slots.items() if not slot.offered} == taken_back | set(diary.withdrawn)
        taken_back |= set(diary.withdrawn)
