"""Whatever is asked, and however long everybody waits in between: memory and PostgreSQL decide alike and keep alike."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from hypothesis import given, reject, settings
from psycopg.conninfo import make_conninfo

from healthcare.adapters.postgres.database import PostgresDatabase
from healthcare.application.uow import Unavailable
from healthcare.domain.kernel import AppointmentId
from healthcare.domain.scheduling.asks import Ask
from healthcare.domain.scheduling.model import HELD_FOR, Appointment
from tests.builders import FakeClock
from tests.clinic import Clinic
from tests.examples import examples
from tests.figures import Figures
from tests.integration.contracts.lists import BEGINNING, ROUNDS, Ids, Scene, Wish, answers, care, shown
from tests.integration.shared_clock import SharedClock
from tests.integration.world import Conninfo

Rounds = Sequence[tuple[timedelta, Sequence[Wish], int | None]]

RESET = """
    TRUNCATE appointments, idempotency_keys, outbox CASCADE;
    UPDATE slots SET withdrawn_at = NULL WHERE withdrawn_at IS NOT NULL;
"""


def test_every_list_of_commands_is_decided_and_kept_alike(postgres: Conninfo, figures: Figures) -> None:
    commands = 0
    with played(postgres) as twins:

        @settings(max_examples=examples(30))
        @given(rounds=ROUNDS)
        def check(rounds: Rounds) -> None:
            nonlocal commands
            commands += sum(len(wishes) for _, wishes, _ in rounds)
            try:
                twins.play(rounds)
            except Unavailable:
                reject()  # the machine has too much else to do: nothing was decided, and nothing can be compared

        check()
    figures.add("lists of commands, in memory and in PostgreSQL", operations=commands)


@dataclass(frozen=True, slots=True)
class Twins:
    """A clinic in PostgreSQL, to which one in memory is compared."""

    runner: asyncio.Runner
    connection: "psycopg.Connection[tuple[object, ...]]"
    clinic: Clinic
    scene: Scene
    ids: Ids

    def play(self, rounds: Rounds) -> None:
        """Begin anew in both, and fail where they differ."""
        self.connection.execute(RESET)
        self.ids.number = self.scene.drawn
        self.clinic.clock.set(BEGINNING)
        self.runner.run(self._play(rounds))

    async def _play(self, rounds: Rounds) -> None:
        ids = Ids()
        other = Clinic(clock=FakeClock(BEGINNING), new_id=ids)
        assert await Scene.set(other, ids) == self.scene
        known: dict[AppointmentId, Appointment] = {}

        async def ask(asks: Sequence[Ask]) -> None:
            here, there = await answers(self.clinic, asks), await answers(other, asks)
            assert here == there
            known.update({one.id: one for one in here if isinstance(one, Appointment)})

        asked = self.scene.first
        await ask(asked)
        for wait, wishes, start in rounds:
            self.clinic.clock.wait(wait)
            other.clock.wait(wait)
            asks = [one.ask(self.scene, list(known.values()), Ids.at(ids.number + 1)) for one in wishes]
            await ask(asks)
            if start is not None:
                one = list(known.values())[-1 - start % len(known)]
                assert await care(self.clinic, one) == await care(other, one)
            asked += asks
        for wait in (timedelta(), HELD_FOR):
            self.clinic.clock.wait(wait)
            other.clock.wait(wait)
            here, there = [await shown(clinic, self.scene, list(known), asked) for clinic in (self.clinic, other)]
            assert here == there


@contextmanager
def played(postgres: Conninfo) -> Iterator[Twins]:
    """Fill a clinic in PostgreSQL."""
    ids = Ids()
    with (
        asyncio.Runner() as runner,
        closing(SharedClock(postgres, BEGINNING)) as clock,
        psycopg.connect(make_conninfo("", **postgres), autocommit=True) as connection,
    ):
        database = PostgresDatabase(postgres, size=2)
        clinic = Clinic(database, clock=clock, new_id=ids)
        runner.run(database.open())
        try:
            yield Twins(runner, connection, clinic, runner.run(Scene.set(clinic, ids)), ids)
        finally:
            runner.run(database.close())
