"""Lists of commands, drawn, and asked of two clinics that have the same people, slots, ids and clocks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import md5
from typing import Final
from uuid import UUID

from hypothesis import strategies as st

from healthcare.application.consultation.start import Started
from healthcare.domain.kernel import Actor, AppointmentId, Doctor, Event, Fault, Paging, Refusal, Role, UserId
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
from healthcare.domain.scheduling.cancellation import ReasonCode
from healthcare.domain.scheduling.model import Appointment, Slot
from healthcare.domain.scheduling.search import Search
from tests.builders import DAY, MINUTE, NOBODY, SYSTEM, TOMORROW, an_actor
from tests.clinic import Clinic
from tests.integration.contracts.asks import look

BEGINNING: Final = TOMORROW - 20 * MINUTE
"""Check-in opens within minutes, and the first who do not come are missed within the hour."""


@dataclass(slots=True)
class Ids:
    """The same ids in every clinic; which comes first says nothing about which is less."""

    number: int = 0

    def __call__(self) -> UUID:
        self.number += 1
        return self.at(self.number)

    @staticmethod
    def at(number: int) -> UUID:
        return UUID(md5(str(number).encode(), usedforsecurity=False).hexdigest())


@dataclass(frozen=True, slots=True)
class Scene:
    """Who and what there is from the beginning."""

    patients: Sequence[UserId]
    doctors: Sequence[Doctor]
    admin: UserId
    slots: Sequence[Slot]
    drawn: int
    """How many ids that took."""

    @classmethod
    async def set(cls, clinic: Clinic, ids: Ids) -> "Scene":
        """Let two doctors offer slots that overlap in part, and be followed by others."""
        patients = [(await clinic.user()).id for _ in range(3)]
        here, across = await clinic.doctor(), await clinic.doctor("neurology", notice_hours=1)
        slots = await clinic.slots(here, *(TOMORROW + n * MINUTE for n in (0, 30, 60, 120)))
        slots += await clinic.slots(across, *(TOMORROW + n * MINUTE for n in (15, 60, 120)))
        return cls(patients, [here, across], (await clinic.user(Role.ADMIN)).id, slots, ids.number)

    @property
    def first(self) -> list[Ask]:
        """What everybody has booked before anything is drawn."""
        return [
            Booking(actor=an_actor(patient), slot=slot.id, key="first")
            for patient, slot in zip(self.patients, self.slots[::2], strict=False)
        ]

    @property
    def anybody(self) -> list[Actor]:
        """Everybody who could ask."""
        known = [*self.patients, *(one.id for one in self.doctors), self.admin]
        return [*map(an_actor, known), an_actor(), NOBODY]


@dataclass(frozen=True, slots=True)
class Wish:
    """Something that is asked, in numbers; they count what there is by then."""

    kind: int
    who: int
    slot: int
    which: int
    detail: int
    stray: bool
    """Whether somebody asks who is not the one to ask."""

    def ask(self, scene: Scene, known: Sequence[Appointment], next_id: UUID) -> Ask:
        """Ask; where it is about an appointment, perhaps about one that only this list will make."""
        slot = scene.slots[self.slot]
        patient, doctor = an_actor(scene.patients[self.who % 3]), an_actor(slot.doctor.id)
        id, place, its_patient, its_doctor = AppointmentId(next_id), slot.id, patient, doctor
        if self.which:
            one = known[-1 - self.which % len(known)]
            id, place, its_patient, its_doctor = one.id, one.slot, an_actor(one.patient.id), an_actor(one.doctor.id)
        asks: list[Ask] = [
            Holding(actor=patient, slot=slot.id),
            Holding(actor=its_patient, slot=place),
            Release(actor=its_patient, slot=place),
            Booking(actor=patient, slot=slot.id, key=f"{self.detail}"),
            Booking(actor=its_patient, slot=place, key=f"{place}-{self.detail % 2}"),
            Rescheduling(actor=its_patient, appointment=id, slot=slot.id),
            Rescheduling(actor=its_patient, appointment=id, slot=slot.id, versions=[1, 1 + self.detail]),
            Cancelling(actor=its_patient, appointment=id, reason="ill"),
            Cancelling(actor=its_doctor, appointment=id, reason="ill", code=ReasonCode.MAINT, only_on=place),
            CheckingIn(actor=its_patient, appointment=id),
            Missing(actor=SYSTEM, appointment=id),
            Undoing(actor=its_doctor, appointment=id),
            Withdrawal(actor=doctor, slot=slot.id, even_taken=self.detail % 2 == 0),
        ]
        return replace(asks[self.kind], actor=scene.anybody[self.who]) if self.stray else asks[self.kind]


def wishes(kinds: Sequence[int]) -> st.SearchStrategy[list[Wish]]:
    """Draw a list of few kinds, so that it is often one command that makes way for the next."""
    wish = st.builds(
        Wish,
        kind=st.sampled_from(kinds),
        who=st.integers(0, 7),
        slot=st.integers(0, 6),
        which=st.integers(0, 7),
        detail=st.integers(0, 3),
        stray=st.integers(0, 19).map(lambda drawn: drawn == 0),
    )
    return st.lists(wish, min_size=6, max_size=12)


KINDS: Final = st.lists(st.sampled_from([*range(13), 0, 3, 5, 5, 9, 10, 11]), min_size=2, max_size=4)
"""Some are more often refused than others."""
WAITS: Final = st.sampled_from([0, 0, 0, 1, 5, 15, 90]).map(lambda minutes: minutes * MINUTE)
ROUNDS: Final = st.lists(st.tuples(WAITS, KINDS.flatmap(wishes), st.none() | st.integers(0, 4)), min_size=4, max_size=7)
"""Each a wait, a list of commands, and perhaps an appointment whose care begins."""

Said = tuple[str, str, Sequence[Fault]]
"""A refusal, as it can be compared."""


async def answers(clinic: Clinic, asked: Sequence[Ask]) -> list[Appointment | Slot | Said]:
    """Ask in one list; return what is answered."""
    return [said(one) if isinstance(one, Refusal) else one for one in await clinic.together(asked)]


async def care(clinic: Clinic, appointment: Appointment) -> Started | Said:
    """Let the doctor of an appointment begin."""
    try:
        return await clinic.can.start_consultation(actor=an_actor(appointment.doctor.id), appointment=appointment.id)
    except Refusal as refusal:
        return said(refusal)


def said(refusal: Refusal) -> Said:
    return refusal.code, str(refusal), refusal.faults


async def shown(
    clinic: Clinic, scene: Scene, known: Sequence[AppointmentId], asked: Sequence[Ask]
) -> dict[str, object]:
    """Return all that can be seen of slots and appointments, and what has happened."""
    now, everything = clinic.clock.now(), Paging(500)
    diary = await look(clinic, *asked, *(Withdrawal(actor=NOBODY, slot=slot.id) for slot in scene.slots))
    async with clinic.database.begin() as uow:
        return {
            "appointments": [await uow.appointments.get(id) for id in known],
            "those of everybody": [
                await uow.appointments.of(id, everything, as_doctor=True)
                for id in (*scene.patients, *(one.id for one in scene.doctors))
            ],
            "overdue": await uow.appointments.overdue(100, before=now),
            "slots": [await uow.slots.of(one.id, everything) for one in scene.doctors],
            "slots of the day": [await uow.slots.on(one.id, TOMORROW, TOMORROW + DAY) for one in scene.doctors],
            "alternatives": await uow.slots.alternatives([one.id for one in scene.slots], 3),
            "free": [
                await uow.slots.free(Search(one.specialty, TOMORROW.date(), paging=everything), now=now)
                for one in scene.doctors
            ],
            "offered": {id: slot.offered for id, slot in diary.slots.items()},
            "receipts": diary.receipts,
            "events": sorted(map(happening, await clinic.events())),
        }


def happening(event: Event) -> tuple[str, ...]:
    """Return what an event says; in which order holds run out that are come upon together says nothing."""
    return event.kind, str(event.at), str(event.actor), str(event.subject), event.outcome, event.request
