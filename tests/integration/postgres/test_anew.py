"""Whoever locked the slot on which an appointment stood begins anew when it has moved, however often it does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from healthcare.adapters.postgres.database import PostgresDatabase
from healthcare.domain.kernel import SlotId
from healthcare.domain.scheduling.asks import Cancelling
from healthcare.domain.scheduling.model import Appointment, Slot
from tests.builders import HOUR, TOMORROW, a_user, an_actor
from tests.clinic import Clinic
from tests.integration.world import Conninfo

pytestmark = pytest.mark.anyio

Watcher = AsyncConnection[tuple[object, ...]]

MOVE = """
    UPDATE appointments
       SET (slot_id, starts_at, ends_at) = (SELECT id, starts_at, ends_at FROM slots WHERE id = %s),
           version = version + 1
     WHERE id = %s
"""


@asynccontextmanager
async def connected(postgres: Conninfo) -> AsyncIterator[Watcher]:
    """Connect beside everybody."""
    async with await AsyncConnection.connect(make_conninfo("", **postgres), autocommit=True) as connection:
        yield connection


@asynccontextmanager
async def opened(postgres: Conninfo) -> AsyncIterator[Clinic]:
    """Open a clinic."""
    database = PostgresDatabase(postgres, size=2)
    await database.open()
    try:
        yield Clinic(database)
    finally:
        await database.close()


async def hold(connection: Watcher, slot: Slot) -> None:
    """Keep others from locking a slot, though not from moving something there."""
    await connection.execute("SELECT FROM slots WHERE id = %s FOR NO KEY UPDATE", [slot.id])


async def until_somebody_waits_for(holder: Watcher, watcher: Watcher) -> None:
    """Wait until a session wants what the holder has."""
    async with asyncio.timeout(10):
        while True:
            cursor = await watcher.execute(
                "SELECT FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))", [holder.info.backend_pid]
            )
            if cursor.rowcount:
                return
            await asyncio.sleep(0.005)


async def test_what_moves_twice_is_found_where_it_is_in_the_end(postgres: Conninfo) -> None:
    async with (
        opened(postgres) as clinic,
        connected(postgres) as first,
        connected(postgres) as second,
        connected(postgres) as watcher,
    ):
        slots = await clinic.slots(await clinic.doctor(), *(TOMORROW + n * HOUR for n in range(3)))
        appointment = await clinic.booked(slots[0])

        async with second.transaction():
            await hold(second, slots[1])
            async with first.transaction():
                await hold(first, slots[0])
                cancelling = asyncio.create_task(cancelled(clinic, appointment))
                await until_somebody_waits_for(first, watcher)
                await first.execute(MOVE, [slots[1].id, appointment.id])
            await until_somebody_waits_for(second, watcher)
            await second.execute(MOVE, [slots[2].id, appointment.id])

        assert await cancelling == (slots[2].id, 4)


async def cancelled(clinic: Clinic, appointment: Appointment) -> tuple[SlotId, int]:
    """Cancel, and return where it stood and what its version is now."""
    after = await clinic.can.cancel_appointment(
        actor=an_actor(appointment.patient.id), appointment=appointment.id, reason="ill"
    )
    return after.slot, after.version


async def test_whoever_has_written_does_not_begin_anew(postgres: Conninfo) -> None:
    """What they wrote would be lost, and they would not know."""
    async with opened(postgres) as clinic, connected(postgres) as first, connected(postgres) as watcher:
        here, there = await clinic.slots(await clinic.doctor(), TOMORROW, TOMORROW + HOUR)
        appointment, user = await clinic.booked(here), a_user()
        ask = Cancelling(actor=an_actor(appointment.patient.id), appointment=appointment.id, reason="ill")

        async def write_and_lock() -> None:
            async with clinic.database.begin() as uow:
                await uow.users.add(user, "!")
                await uow.bookings.lock([ask])

        async with first.transaction():
            await hold(first, here)
            locking = asyncio.create_task(write_and_lock())
            await until_somebody_waits_for(first, watcher)
            await first.execute(MOVE, [there.id, appointment.id])

        with pytest.raises(RuntimeError, match="would be lost"):
            await locking
        async with clinic.database.begin() as uow:
            assert await uow.users.get(user.id) is None
