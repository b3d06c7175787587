"""However patients move, each keeps their one appointment, and it stands where they were told."""

import asyncio
from collections import Counter
from random import Random
from uuid import UUID

import pytest

from healthcare.domain.kernel import UserId
from tests.figures import Figures
from tests.integration.races.offices import Office, Opened, Told, in_process, offices
from tests.integration.races.test_booking import CONTENDERS, double_booked, every_way, refusals
from tests.integration.world import World, tomorrow_at

ROUNDS = 25
HOURS = range(9, 13)
SHIFTS = range(0, 60, 20)
"""Minutes: three doctors, each of whose slots overlaps one of another's."""


@pytest.mark.parametrize("free", [0, 4])
@every_way
def test_no_appointment_is_lost_while_all_patients_move_theirs_again_and_again(
    world: World, way: str, free: int, seed: int, figures: Figures
) -> None:
    """Each sends two moves at once, one of them only for the version that they know; a few slots are free, or none.

    Where none is, what is left are moves to where one is already, which raise the version all the same.
    """
    patients = world.add_users("patient", CONTENDERS)
    slots = [
        slot
        for doctor, shift in zip(world.add_doctors(len(SHIFTS)), SHIFTS, strict=True)
        for slot in world.add_slots(doctor, [tomorrow_at(hour, shift) for hour in HOURS])
    ][: CONTENDERS + free]

    with offices(world, way) as opened:
        told = asyncio.run(move_about(opened, patients, slots, Random(seed)))  # noqa: S311 - it is not a secret

    figures.add(f"all patients move, {free} slots free, {way}", operations=2 * ROUNDS * CONTENDERS)
    moves = [one for mine in told for one in mine[1:]]
    assert double_booked(world) == 0
    assert Counter(world.ask("SELECT id, patient_id, slot_id, status, version FROM appointments")) == Counter(
        (last.id, last.patient, last.slot, "booked", last.version) for *_, last in told
    )
    assert [[one.version for one in mine] for mine in told] == [list(range(1, 1 + len(mine))) for mine in told]
    assert Counter(world.ask("SELECT subject_id FROM outbox WHERE kind = 'appointment.rescheduled'")) == Counter(
        (one.id,) for one in moves
    )
    if free:
        assert len(moves) > ROUNDS, "hardly anybody could move"
    else:
        assert len(moves) < ROUNDS * CONTENDERS, "hardly anybody was refused"
        assert all(len({one.slot for one in mine}) == 1 for mine in told), "somebody went where somebody was"


async def move_about(opened: Opened, patients: list[UserId], slots: list[UUID], draws: Random) -> list[list[Told]]:
    """Let each patient book a slot, and all move again and again; return what each was told, by version."""
    async with opened() as office:
        booked = [await office.book(patient, slot) for patient, slot in zip(patients, slots, strict=False)]
        told = [[one] for one in booked if isinstance(one, Told)]
        assert len(told) == len(patients)
        for _ in range(ROUNDS):
            await asyncio.gather(
                *[move_twice(office, mine, draws.choices([*slots, mine[-1].slot], k=2)) for mine in told]
            )
    return told


async def move_twice(office: Office, mine: list[Told], targets: list[UUID]) -> None:
    """Send two moves of one appointment at once, and add what is told of it."""
    known = mine[-1]
    moves = [
        office.reschedule(known, slot, as_told=as_told) for slot, as_told in zip(targets, (True, False), strict=True)
    ]
    outcomes = await asyncio.gather(*moves)
    assert set(refusals(outcomes)) <= {"slot-taken", "version-stale"}
    mine += sorted((one for one in outcomes if isinstance(one, Told)), key=lambda one: one.version)


def test_of_eight_moves_for_the_version_that_was_seen_one_is_made(world: World) -> None:
    """A patient with eight browsers."""
    (patient,), (doctor,) = world.add_users("patient", 1), world.add_doctors(1)
    first, *others = world.add_slots(doctor, [tomorrow_at(hour) for hour in range(CONTENDERS + 1)])

    refused = asyncio.run(move_at_once(world, patient, first, others))

    assert refused == ["version-stale"] * (CONTENDERS - 1)
    assert world.ask("SELECT status, version FROM appointments") == [("booked", 2)]


async def move_at_once(world: World, patient: UserId, first: UUID, others: list[UUID]) -> list[str]:
    """Book the first slot, and move from there to all others; return the refusals."""
    async with in_process(world) as office:
        known = await office.book(patient, first)
        assert isinstance(known, Told)
        moves = [office.reschedule(known, slot, as_told=True) for slot in others]
        return refusals(await asyncio.gather(*moves))
