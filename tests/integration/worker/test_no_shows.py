"""Whoever did not come is marked as missed, by whichever worker looks first, once and never too early."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from healthcare.domain.scheduling.model import MISSED_AFTER
from healthcare.entrypoints.worker.duties import MARK_NO_SHOWS_EVERY
from healthcare.entrypoints.worker.main import STOP_WITHIN
from tests.integration.proxy import proxy_to
from tests.integration.world import World

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
ALLOWANCE = 5
"""Seconds on top of what a worker promises, on a machine that has more to do."""
MANY = 1500
"""More than are marked at once, so that something can come in between."""

TWO_HOURS_AHEAD = """
import asyncio
from datetime import timedelta
from healthcare.adapters.system import SystemClock
from healthcare.entrypoints.container import Container
from healthcare.entrypoints.settings import read
from healthcare.entrypoints.worker.main import run

class Ahead(SystemClock):
    def now(self):
        return super().now() + timedelta(hours=2)

asyncio.run(run(Container(settings=read(), clock=Ahead())))
"""


def test_who_is_still_booked_15_minutes_after_the_end_is_marked_and_nobody_else(world: World) -> None:
    missed = appointments(world, overdue_by=MINUTE)
    others = {
        status: appointments(world, overdue_by=MINUTE, status=status)[0]
        for status in ("checked-in", "fulfilled", "cancelled", "entered-in-error")
    }
    (early,) = appointments(world, overdue_by=-MINUTE)

    with world.worker():
        wait_until(lambda: marked(world) == missed and not world.ask("SELECT FROM outbox"))

    assert set(world.ask("SELECT id, status, version FROM appointments WHERE id <> ALL (%s)", [missed])) == {
        *[(id, status, 1) for status, id in others.items()],
        (early, "booked", 1),
    }
    assert world.ask("SELECT kind, subject_id, actor_id, request_id FROM audit_entries") == [
        ("appointment.missed", missed[0], None, "worker")
    ]


def test_who_is_overdue_from_now_on_is_marked_at_the_next_look(world: World) -> None:
    first = appointments(world, overdue_by=MINUTE)
    with world.worker():
        wait_until(lambda: marked(world) == first)
        (missed,) = appointments(world, overdue_by=-SECOND)
        wait_until(lambda: bool(world.ask("SELECT FROM audit_entries WHERE subject_id = %s", [missed])))

    ((after,),) = world.ask(
        "SELECT e.at - a.ends_at FROM audit_entries e JOIN appointments a ON a.id = e.subject_id WHERE a.id = %s",
        [missed],
    )
    assert isinstance(after, timedelta)
    assert MISSED_AFTER <= after <= MISSED_AFTER + (MARK_NO_SHOWS_EVERY + ALLOWANCE) * SECOND


def test_it_goes_on_when_postgresql_is_back_that_was_away_in_the_middle(world: World) -> None:
    everybody = appointments(world, MANY, overdue_by=MINUTE)
    with proxy_to(str(world.postgres["host"]), int(world.postgres["port"])) as line:
        world.overrides = {"POSTGRES_PORT": str(line.port)}
        with world.worker():
            wait_until(lambda: bool(marked(world)))
            line.swallow()
            wait_until(lambda: said(world, "worker.failed") > 0)
            before = marked(world)
            line.heal()
            wait_until(lambda: len(marked(world)) == len(everybody) and not world.ask("SELECT FROM outbox"))

    assert len(before) < len(everybody), "it was done before"
    assert said(world, "worker.recovered") == 1
    marked_once(world, everybody)


def test_of_two_workers_one_marks_each_of_them(world: World) -> None:
    everybody = appointments(world, MANY, overdue_by=MINUTE)

    with world.process("worker-0", ["worker"]), world.process("worker-1", ["worker"]):
        wait_until(lambda: len(marked(world)) == len(everybody) and not world.ask("SELECT FROM outbox"))

    marked_once(world, everybody)
    assert "worker.failed" not in world.log("worker-0") + world.log("worker-1")


def test_a_worker_whose_clock_is_ahead_marks_nobody_early(world: World) -> None:
    """It finds those who are still being waited for, and PostgreSQL's clock says that they are."""
    missed, (waited_for,) = appointments(world, overdue_by=MINUTE), appointments(world, overdue_by=-60 * MINUTE)

    with a_worker_that_is_ahead(world):
        wait_until(lambda: bool(marked(world)))

    assert marked(world) == missed
    assert world.ask("SELECT status, version FROM appointments WHERE id = %s", [waited_for]) == [("booked", 1)]
    assert world.ask("SELECT DISTINCT subject_id FROM audit_entries") in ([], [(missed[0],)])


def test_told_to_stop_it_ends_in_the_middle_and_the_next_one_marks_the_rest(world: World) -> None:
    everybody = appointments(world, MANY, overdue_by=MINUTE)
    with world.worker() as worker:
        wait_until(lambda: bool(marked(world)))
        assert ends(worker) < STOP_WITHIN
    before = marked(world)

    with world.worker():
        wait_until(lambda: len(marked(world)) == len(everybody) and not world.ask("SELECT FROM outbox"))

    assert len(before) < len(everybody), "it was done before it was told"
    marked_once(world, everybody)


def test_told_to_stop_it_ends_in_time_though_postgresql_does_not_answer(world: World) -> None:
    appointments(world, MANY, overdue_by=MINUTE)
    with proxy_to(str(world.postgres["host"]), int(world.postgres["port"])) as line:
        world.overrides = {"POSTGRES_PORT": str(line.port)}
        with world.worker() as worker:
            wait_until(lambda: bool(marked(world)))
            line.swallow()

            assert ends(worker) < STOP_WITHIN + ALLOWANCE


def appointments(world: World, number: int = 1, *, overdue_by: timedelta, status: str = "booked") -> list[UUID]:
    """Add appointments of one doctor, in order of end; the last one has been missed for so long."""
    (doctor,) = world.add_doctors(1)
    patients = world.add_users("patient", number)
    last = datetime.now(UTC) - MISSED_AFTER - overdue_by - 5 * MINUTE
    slots = world.add_slots(doctor, [last - place * 5 * MINUTE for place in reversed(range(number))], 5)
    ids = [uuid4() for _ in slots]
    with world.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO appointments (id, slot_id, doctor_id, patient_id, starts_at, ends_at,"
            " fee_amount, fee_currency, status, version, cancellation_reason)"
            " SELECT %s, id, doctor_id, %s, starts_at, ends_at, 4900, 'EUR', %s, 1, 'none' FROM slots WHERE id = %s",
            [(id, patient, status, slot) for id, patient, slot in zip(ids, patients, slots, strict=True)],
        )
    return ids


def marked(world: World) -> list[object]:
    """Return who has been, in order of end."""
    return [id for (id,) in world.ask("SELECT id FROM appointments WHERE status = 'noshow' ORDER BY ends_at")]


def marked_once(world: World, appointments: Sequence[UUID]) -> None:
    """Each has been changed once, and each change was recorded once."""
    assert world.ask("SELECT DISTINCT status, version FROM appointments") == [("noshow", 2)]
    assert world.ask("SELECT count(*), count(DISTINCT subject_id) FROM audit_entries") == [(len(appointments),) * 2]


def said(world: World, event: str) -> int:
    """Return how often the worker has said this about no-shows."""
    lines = [json.loads(line) for line in world.log("worker").splitlines() if line.endswith("}")]
    return sum((line["event"], line.get("about")) == (event, "no-shows") for line in lines)


def ends(worker: "subprocess.Popen[bytes]") -> float:
    """Tell it to stop, and return how many seconds that took."""
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    return time.monotonic() - began


@contextmanager
def a_worker_that_is_ahead(world: World) -> Iterator[None]:
    """Run a worker that believes it is two hours later."""
    with subprocess.Popen([sys.executable, "-c", TWO_HOURS_AHEAD], env=os.environ | world.environment) as worker:
        try:
            yield
        finally:
            worker.terminate()


def wait_until(fact: Callable[[], bool]) -> None:
    """Wait for something that is about to be so."""
    end = time.monotonic() + 60
    while not fact():
        assert time.monotonic() < end
        time.sleep(0.05)
