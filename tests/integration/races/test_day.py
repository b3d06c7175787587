"""A doctor cancels a day while patients book, hold and move: nobody is left on it, and nobody gets onto it."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random
from uuid import UUID, uuid4

import pytest

from healthcare.adapters.postgres.scheduling.rows import LIVE
from healthcare.application.scheduling.decide import Decide
from healthcare.domain.kernel import NotFound, SlotId, UserId
from healthcare.domain.scheduling.asks import Ask, Booking
from healthcare.domain.scheduling.model import Appointment
from tests.figures import Figures
from tests.integration.races.offices import Office, Opened, Outcome, Told, offices
from tests.integration.races.test_booking import double_booked, every_way, refusals
from tests.integration.races.test_other_commands import by, clinic
from tests.integration.world import World, tomorrow_at

DAYS = 8
HOURS = 12
"""Slots a day, and as many patients: each has to do with one hour."""


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a doctor and a colleague of theirs."""

    office: Office
    doctor: UserId
    date: date
    patients: Sequence[UserId]
    here: Sequence[UUID]
    """The doctor's slots, by hour."""
    there: Sequence[UUID]
    """The colleague's, at the same times."""

    async def cancel(self, draws: Random) -> tuple[dict[UUID, str], list[Outcome]]:
        """Cancel the day while patients claim its slots; return what came of its appointments, and what all were told.

        Of the patients some have an appointment, some hold a slot, some come from the colleague or go there.
        """
        office, who, here, there = self.office, self.patients, self.here, self.there
        before = [
            *[await office.book(who[hour], here[hour]) for hour in (0, 1, 2, 3)],
            *[await office.hold(who[hour], here[hour]) for hour in (4, 5)],
            *[await office.book(who[hour], there[hour]) for hour in (6, 7)],
        ]
        assert refusals(before) == []
        told = claims_in(before)
        claims = [
            office.reschedule(told[0], there[0]),
            office.reschedule(told[1], there[1]),
            office.cancel(told[2]),
            office.book(who[4], here[4]),
            office.reschedule(told[6], here[6]),
            office.reschedule(told[7], here[7]),
            *[office.book(who[hour], here[hour]) for hour in (8, 9)],
            *[office.hold(who[hour], here[hour]) for hour in (10, 11)],
        ]
        draws.shuffle(claims)
        place = draws.randrange(len(claims))
        earlier = [asyncio.ensure_future(one) for one in claims[:place]]
        day = asyncio.ensure_future(office.cancel_day(self.doctor, self.date))
        outcomes = await asyncio.gather(*earlier, *claims[place:])
        return await day, [*told, *outcomes]

    async def claim_again(self) -> list[Outcome]:
        """Want slots of the day once it is over, in every way."""
        office, who = self.office, self.patients[-1]
        mine = await office.book(who, self.there[-1])
        assert isinstance(mine, Told)
        return [
            outcome
            for slot in self.here[::3]
            for outcome in (
                await office.book(who, slot),
                await office.hold(who, slot),
                await office.reschedule(mine, slot),
            )
        ]


@every_way
def test_a_day_that_is_cancelled_while_patients_claim_it_is_empty_and_stays_empty(
    world: World, way: str, seed: int, figures: Figures
) -> None:
    patients = world.add_users("patient", HOURS)
    doctor, colleague = world.add_doctors(2)
    draws = Random(seed)  # noqa: S311 - it is not a secret
    items, told = dict[UUID, str](), list[Outcome]()

    async def story(opened: Opened) -> None:
        async with opened() as office:
            for number in range(DAYS):
                starts = [tomorrow_at(hour) + timedelta(days=number) for hour in range(HOURS)]
                here, there = world.add_slots(doctor, starts), world.add_slots(colleague, starts)
                day = Day(office, doctor, starts[0].date(), patients, here, there)
                done, outcomes = await day.cancel(draws)
                items.update(done)
                told.extend(outcomes)
                assert await office.cancel_day(doctor, day.date) == {}
                assert set(await day.claim_again()) == {"not-found"}

    with offices(world, way) as opened:
        asyncio.run(story(opened))

    figures.add(f"days cancelled, {way}", operations=len(told))
    assert set(refusals(told)) <= {"not-found", "appointment-not-booked"}
    assert double_booked(world) == 0
    rows = world.ask("SELECT id, status, doctor_id FROM appointments")
    stands = {id: "moved" if status == "booked" and who == colleague else status for id, status, who in rows}
    assert set(stands.values()) <= {"moved", "cancelled"}
    became = {id: "moved" if outcome == "appointment-moved" else "cancelled" for id, outcome in items.items()}
    assert became == {id: stands[id] for id in items}
    taken_back = [id for (id,) in world.ask("SELECT id FROM slots WHERE doctor_id = %s", [doctor])]
    last = {one.id: one for one in sorted(claims_in(told), key=lambda one: one.version)}
    assert set(last) <= set(stands)
    assert {stands[one.id] for one in last.values() if one.slot not in taken_back} == {"moved"}
    assert events(world, "slot.withdrawn") == Counter(taken_back)
    assert events(world, "appointment.cancelled") == Counter(id for id, how in stands.items() if how == "cancelled")


def claims_in(outcomes: Sequence[Outcome]) -> list[Told]:
    """Return what are no refusals."""
    return [one for one in outcomes if isinstance(one, Told)]


def events(world: World, kind: str) -> Counter[object]:
    """Return what events of a kind are about, and how often."""
    return Counter(subject for (subject,) in world.ask("SELECT subject_id FROM outbox WHERE kind = %s", [kind]))


class Killed(BaseException):
    """Nobody is left to catch it, nor to finish anything."""


@dataclass(slots=True)
class Dying:
    """Decides a few times, and then is killed."""

    decide: Decide
    left: int

    async def __call__(self, ask: Ask) -> Appointment:
        """Decide."""
        if not self.left:
            raise Killed
        self.left -= 1
        return await self.decide(ask)


@pytest.mark.anyio
async def test_a_repeat_finishes_the_day_wherever_it_was_cut(world: World) -> None:
    """After the slots were taken back, after the first cancellation, and before the last one."""
    patients, (doctor,) = world.add_users("patient", 4), world.add_doctors(1)
    async with clinic(world) as can:
        for number, cut in enumerate((0, 1, 3)):
            starts = [tomorrow_at(hour) + timedelta(days=number) for hour in range(4)]
            slots = [SlotId(slot) for slot in world.add_slots(doctor, starts)]
            await can.hold_slot(actor=by(patients[0]), slot=slots[0])
            for who, slot in list(zip(patients, slots, strict=True))[1:]:
                await can.book_appointment(Booking(actor=by(who), slot=slot, key=str(uuid4())))
            cancel = can.cancel_day
            dying = replace(cancel, decide=Dying(cancel.decide, cut))

            with pytest.raises(Killed):
                await dying(actor=by(doctor), day=starts[0].date(), reason="ill")
            with pytest.raises(NotFound):
                await can.hold_slot(actor=by(patients[0]), slot=slots[1])
            assert live(world) == len(slots) - cut
            repeated = await cancel(actor=by(doctor), day=starts[0].date(), reason="ill")

            assert [one.outcome for one in repeated] == ["cancelled"] * (len(slots) - cut)
            assert live(world) == 0
            assert await cancel(actor=by(doctor), day=starts[0].date(), reason="ill") == []
    for kind, table in (("appointment.cancelled", "appointments"), ("slot.withdrawn", "slots")):
        assert events(world, kind) == Counter(id for (id,) in world.ask(f"SELECT id FROM {table}"))


def live(world: World) -> int:
    """Return how many live appointments there are."""
    return len(world.ask(f"SELECT FROM appointments WHERE {LIVE}"))
