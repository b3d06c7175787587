"""Whatever is killed, frozen, cut off or full: what was acknowledged is kept, and every answer comes in time."""

import asyncio
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random
from time import monotonic, sleep

import pytest
from redis import Redis
from redis.exceptions import OutOfMemoryError

from tests.examples import examples
from tests.figures import Figures
from tests.integration.faults.check import violations
from tests.integration.faults.journal import Kind, Try
from tests.integration.faults.load import Load
from tests.integration.faults.ward import APIS, WORKERS, Ward, a_ward
from tests.integration.proxy import Moment

FROZEN_FOR = 5
"""Seconds."""
LONGER_THAN_ANY_DEADLINE = 3.5
A_WHILE = 1.5
FLUSHES = 10
RESETS = 8
STALE_FOR = 5.5
"""Seconds for which a search may be wrong where Redis did not hear of a change."""
SOON = 20
"""Seconds for what a fault waits for before it can strike, a commit or an event, and for what must follow from it."""


@dataclass(frozen=True, slots=True)
class Struck:
    """What came of a fault."""

    times: int
    healed: float
    """When, of `time.monotonic`."""
    felt: float | None = None
    """Seconds from then to the first success, where that is not a booking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that goes wrong and is put right again."""

    name: str
    strike: Callable[[Ward, Load], Struck]
    hidden: bool
    """No request fails."""
    unanswered: bool = False
    """Requests may be left without an answer: who had them is gone."""
    untold: bool = True
    """Redis may not hear of every change, so that searches may be wrong for some seconds."""


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """One system for all faults."""
    with a_ward(tmp_path_factory.mktemp("ward")) as ward:
        yield ward


def kill_an_api(ward: Ward, load: Load) -> Struck:
    """Kill one that has not yet heard that PostgreSQL kept its bookings; the other one answers to their keys."""
    at = load.random.randrange(len(APIS))
    with ward.lines[APIS[at]].going_silent(Moment.AFTER_A_COMMIT):
        began = monotonic()  # what began before may still be answered
        wait_until(lambda: bool(kept_and_untold(ward, load, at, since=began)))
        untold = kept_and_untold(ward, load, at, since=began)
        ward.kill(APIS[at])
        killed = monotonic()

    wait_until(lambda: all(one.ended for one, _ in untold))
    assert [one.status for one, _ in untold] == [None] * len(untold)
    wait_until(lambda: {one.wish for one, _ in untold} <= told(load).keys())
    assert [told(load)[one.wish] for one, _ in untold] == [appointment for _, appointment in untold]
    return Struck(len(untold), killed)


def kept_and_untold(ward: Ward, load: Load, at: int, since: float) -> list[tuple[Try, str]]:
    """Return the requests to book that one API has not answered, and the appointments that came of them."""
    asked = {
        (str(one.caller), one.subject): one
        for one in load.journal
        if one.kind is Kind.BOOK and one.api == at and one.began > since and not one.ended
    }
    rows = ward.world.ask("SELECT patient_id::text, slot_id::text, id::text FROM appointments WHERE status = 'booked'")
    known = set(told(load).values())
    return [
        (one, str(id))
        for patient, slot, id in rows
        if id not in known and (one := asked.get((str(patient), str(slot))))
    ]


def told(load: Load) -> dict[str, str]:
    """Return the appointments that were acknowledged, by key."""
    return {one.wish: one.appointment for one in list(load.journal) if one.kind is Kind.BOOK and one.kept}


def kill_a_worker(ward: Ward, load: Load) -> Struck:
    """Kill one that has taken events out and written entries, before its commit; the other one writes them anew."""
    name = load.random.choice(WORKERS)
    line = ward.lines[name]
    before = line.withheld
    with line.going_silent(Moment.BEFORE_A_DELETION_IS_KEPT):
        wait_until(lambda: line.withheld > before)
        ward.kill(name)
        killed = monotonic()
    entries = recorded(ward)
    wait_until(lambda: recorded(ward) > entries)
    return Struck(line.withheld - before, killed, monotonic() - killed)


def recorded(ward: Ward) -> int:
    """Return how many audit entries there are."""
    ((number,),) = ward.world.ask("SELECT count(*) FROM audit_entries")
    assert isinstance(number, int)
    return number


def kill_postgres(ward: Ward, load: Load) -> Struck:
    """Kill all of its processes: the commits of one API have not reached it, and the other's answers are on the way."""
    sending, hearing = (ward.lines[name] for name in APIS)
    before = sending.withheld, hearing.withheld
    with sending.going_silent(Moment.BEFORE_A_COMMIT), hearing.going_silent(Moment.AFTER_A_COMMIT):
        wait_until(lambda: sending.withheld > before[0] and hearing.withheld > before[1])
        ward.kill_postgres()
    sleep(load.random.random())
    ward.postgres.start()
    return Struck(1, monotonic())


def freeze_postgres(ward: Ward, load: Load) -> Struck:
    with ward.frozen_postgres():
        sleep(FROZEN_FOR)
    return Struck(1, monotonic())


def freeze_redis(ward: Ward, load: Load) -> Struck:
    ward.redis.pause()
    sleep(FROZEN_FOR)
    ward.redis.resume()
    return Struck(1, monotonic())


def kill_redis(ward: Ward, load: Load) -> Struck:
    ward.redis.kill()
    sleep(A_WHILE)
    ward.redis.start()
    return Struck(1, monotonic())


def flush_redis(ward: Ward, load: Load) -> Struck:
    with Redis(host=ward.redis.address.host, port=ward.redis.address.port) as client:
        for _ in range(FLUSHES):
            client.flushall()
            sleep(load.random.uniform(0, 0.2))
    return Struck(FLUSHES, monotonic())


def fill_redis(ward: Ward, load: Load) -> Struck:
    with Redis(host=ward.redis.address.host, port=ward.redis.address.port) as client:
        client.config_set("maxmemory", 1)
        with pytest.raises(OutOfMemoryError):
            client.set("one more", "thing")
        sleep(A_WHILE)
        client.config_set("maxmemory", 0)
    return Struck(1, monotonic())


def reset_lines_to_postgres(ward: Ward, load: Load) -> Struck:
    lines = 0
    for _ in range(RESETS):
        lines += sum(line.reset() for line in ward.lines.values())
        sleep(load.random.uniform(0, 0.4))
    assert lines
    return Struck(lines, monotonic())


def reset_lines_to_redis(ward: Ward, load: Load) -> Struck:
    lines = 0
    for _ in range(RESETS):
        lines += ward.redis_lines.reset()
        sleep(load.random.uniform(0, 0.4))
    assert lines
    return Struck(lines, monotonic())


def lose_postgres(ward: Ward, load: Load) -> Struck:
    lines = sum(line.swallow() for line in ward.lines.values())
    assert lines
    sleep(LONGER_THAN_ANY_DEADLINE)
    for line in ward.lines.values():
        line.heal()
    return Struck(lines, monotonic())


def lose_redis(ward: Ward, load: Load) -> Struck:
    lines = ward.redis_lines.swallow()
    assert lines
    sleep(A_WHILE)
    ward.redis_lines.heal()
    return Struck(lines, monotonic())


FAULTS = (
    Fault(name="an API is killed between commit and answer", strike=kill_an_api, hidden=False, unanswered=True),
    Fault(name="a worker is killed between effect and commit", strike=kill_a_worker, hidden=True, untold=False),
    Fault(name="PostgreSQL is killed", strike=kill_postgres, hidden=False),
    Fault(name="PostgreSQL is frozen", strike=freeze_postgres, hidden=False),
    Fault(name="lines to PostgreSQL are reset", strike=reset_lines_to_postgres, hidden=False),
    Fault(name="lines to PostgreSQL swallow what is sent", strike=lose_postgres, hidden=False),
    Fault(name="Redis is killed", strike=kill_redis, hidden=True),
    Fault(name="Redis is frozen", strike=freeze_redis, hidden=True),
    Fault(name="Redis is full", strike=fill_redis, hidden=True),
    Fault(name="Redis is flushed", strike=flush_redis, hidden=True, untold=False),
    Fault(name="lines to Redis are reset", strike=reset_lines_to_redis, hidden=True),
    Fault(name="lines to Redis swallow what is sent", strike=lose_redis, hidden=True),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_what_was_acknowledged_is_kept_and_every_answer_comes_in_time(
    ward: Ward, fault: Fault, seed: int, figures: Figures
) -> None:
    """Patients come and go while a fault strikes; afterwards their journal is held against what is there."""
    random = Random(f"{seed} {fault.name}")  # noqa: S311 - moments and choices, no secrets
    for _ in range(examples(1)):
        load = Load(ward.world, ward.urls, random)
        struck = asyncio.run(load.run(partial(fault.strike, ward)))
        ward.restore()
        asyncio.run(load.ask_again())
        state = load.state(stale_for=STALE_FOR if fault.untold else 0)

        felt = load.first_booking_after(struck.healed) - struck.healed if struck.felt is None else struck.felt
        figures.add(f"fault: {fault.name}", operations=len(load.journal), faults=struck.times, healed=felt)
        assert felt < math.inf
        assert fault.hidden or any(not one.settled for one in load.journal), "nobody has felt it"
        assert violations(load.journal, state, unanswered=fault.unanswered, hidden=fault.hidden) == []


def wait_until(fact: Callable[[], bool]) -> None:
    """Wait for something that is about to be so."""
    end = monotonic() + SOON
    while not fact():
        assert monotonic() < end
        sleep(0.02)
