"""When a hold ends is told by the clock of PostgreSQL, however wrong the clock of a process is."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from healthcare.adapters.postgres.database import PostgresDatabase
from healthcare.adapters.postgres.scheduling import bookings
from healthcare.domain.kernel import AppointmentId
from healthcare.domain.scheduling.errors import SlotTaken, TooManyHolds
from healthcare.domain.scheduling.model import HELD_FOR, MOST_HOLDS
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.builders import HOUR, MINUTE, FakeClock, an_actor
from tests.clinic import Clinic
from tests.integration.world import Conninfo, tomorrow_at

pytestmark = pytest.mark.anyio

SOON = timedelta(milliseconds=300)


class Server:
    """The PostgreSQL behind a clinic, and its clock."""

    def __init__(self, conninfo: Conninfo) -> None:
        self.connection = psycopg.connect(make_conninfo("", **conninfo), autocommit=True)

    def now(self) -> datetime:
        """Return the time that counts."""
        return self._instant("SELECT clock_timestamp()")

    def end(self, hold: AppointmentId, after: timedelta) -> datetime:
        """Let a hold end that long after this moment; return when that is."""
        return self._instant(
            "UPDATE appointments SET expires_at = clock_timestamp() + %s WHERE id = %s RETURNING expires_at",
            after,
            hold,
        )

    def _instant(self, query: str, *parameters: object) -> datetime:
        row = self.connection.execute(query.encode(), parameters).fetchone()
        assert row
        assert isinstance(row[0], datetime)
        return row[0]


@pytest.fixture
def server(postgres: Conninfo) -> Iterator[Server]:
    """Look at the database behind the clinic."""
    server = Server(postgres)
    yield server
    server.connection.close()


@pytest.fixture(params=[-2 * HOUR, 2 * HOUR], ids=["two hours behind", "two hours ahead"])
async def clinic(request: pytest.FixtureRequest, postgres: Conninfo) -> AsyncIterator[Clinic]:
    """A clinic whose own clock is wrong."""
    database = PostgresDatabase(postgres, size=4)
    await database.open()
    yield Clinic(database, clock=FakeClock(datetime.now(UTC) + request.param))
    await database.close()


async def test_a_hold_lasts_five_minutes(clinic: Clinic, server: Server) -> None:
    before = server.now()

    hold = await clinic.held(await clinic.slot(start=tomorrow_at(9)))

    assert hold.expires_at
    assert before + HELD_FOR <= hold.expires_at <= server.now() + HELD_FOR


async def test_a_hold_that_is_live_is_its_patients(clinic: Clinic, server: Server) -> None:
    """Nobody else gets the slot, nobody finds it, and the patient holds no more than three."""
    doctor, (anna, ben) = await clinic.doctor(), [await clinic.user() for _ in range(2)]
    slots = await clinic.slots(doctor, *[tomorrow_at(hour) for hour in range(MOST_HOLDS + 1)])
    holds = [await clinic.held(slot, anna) for slot in slots[:-1]]
    for hold in holds:
        server.end(hold.id, MINUTE)

    for attempt in (clinic.held, clinic.booked):
        with pytest.raises(SlotTaken):
            await attempt(slots[0], ben)
    with pytest.raises(SlotTaken):
        await clinic.can.take_slot_back(actor=an_actor(doctor.id), slot=slots[0].id)
    with pytest.raises(TooManyHolds):
        await clinic.held(slots[-1], anna)

    assert await clinic.free(day=tomorrow_at(0)) == slots[-1:]
    booked = await clinic.booked(slots[0], anna)
    assert (booked.id, booked.status) == (holds[0].id, AppointmentStatus.BOOKED)


async def test_a_hold_that_has_run_out_is_nobodys(clinic: Clinic, server: Server) -> None:
    """Everybody finds the slot and can have it, and the hold counts no more among those of its patient."""
    doctor, (anna, ben) = await clinic.doctor(), [await clinic.user() for _ in range(2)]
    slots = await clinic.slots(doctor, *[tomorrow_at(hour) for hour in range(MOST_HOLDS + 1)])
    holds = [await clinic.held(slot, anna) for slot in slots[:-1]]
    for hold in holds:
        server.end(hold.id, timedelta())

    assert await clinic.free(day=tomorrow_at(0)) == slots
    shown = await clinic.can.read_appointment(actor=an_actor(anna.id), appointment=holds[0].id)
    assert shown.status is AppointmentStatus.CANCELLED
    assert (await clinic.booked(slots[0], ben)).id != holds[0].id
    assert (await clinic.booked(slots[1], anna)).id != holds[1].id
    await clinic.held(slots[-1], anna)
    await clinic.can.take_slot_back(actor=an_actor(doctor.id), slot=slots[2].id)


async def test_a_hold_ends_at_the_moment_that_it_names(clinic: Clinic, server: Server) -> None:
    """Somebody who asks again and again is refused before it, and not after it."""
    slot, ben = await clinic.slot(start=tomorrow_at(9)), await clinic.user()
    end = server.end((await clinic.held(slot)).id, SOON)

    booked = False
    while not booked:
        before = server.now()
        with suppress(SlotTaken):
            await clinic.booked(slot, ben)
            booked = True
        assert before < end or booked
    assert server.now() >= end


async def test_by_the_clock_of_the_process_a_hold_would_be_stolen_or_kept(
    clinic: Clinic, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the look says is what all are judged by: here it says what the process believes."""
    wrong = clinic.clock.now() - datetime.now(UTC)
    seconds = f"clock_timestamp() + {wrong.total_seconds()} * interval '1 second'"
    monkeypatch.setattr(bookings, "LOOK", bookings.LOOK.replace("'now', clock_timestamp()", f"'now', {seconds}"))
    slot, anna, ben = await clinic.slot(start=tomorrow_at(9)), await clinic.user(), await clinic.user()
    hold = await clinic.held(slot, anna)

    if wrong > timedelta():
        server.end(hold.id, MINUTE)
        assert (await clinic.booked(slot, ben)).id != hold.id
    else:
        server.end(hold.id, timedelta())
        with pytest.raises(SlotTaken):
            await clinic.booked(slot, ben)
