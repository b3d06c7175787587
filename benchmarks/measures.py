"""What is measured, beside its limit in the same run: contestants take turns, and ratios are taken round by round."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain, cycle, islice, product, repeat
from multiprocessing import Process
from statistics import median
from time import perf_counter, sleep
from typing import Final
from uuid import uuid4

import httpx
import uvloop

from benchmarks.load import MOST_LINES, Flooded, Load, Request, flood, get, load, post
from benchmarks.pgbench import SQL, pgbench, write_down
from benchmarks.processes import cpu_of_nice, memory, pin
from benchmarks.results import Report, Row, Sample, compared, quantiles
from benchmarks.stage import SERVED, Measured, Stage, Wish, wishes
from benchmarks.stage import stage as set_up
from healthcare.adapters.postgres.scheduling.slots import FREE
from healthcare.adapters.security.passwords import PATIENT


@dataclass(frozen=True, slots=True)
class Pace:
    """How long and how often."""

    seconds: float
    rounds: int
    days: int
    """Of slots, with which most is measured."""
    warm_up: float = 1.0


FULL: Final = Pace(seconds=8, rounds=5, days=200)
QUICK: Final = Pace(seconds=1, rounds=3, days=45, warm_up=0.5)
CONNECTIONS: Final = 32
AT_HAND: Final = 4000
"""Requests per second that are made beforehand."""
GROWTH_DAYS, MOST_WISHES = 31, 80_000
NO_MORE_THAN_THE_HASH: Final = 1.053
"""A twentieth of a sign-in may be something else than the hash."""
LONGEST: Final = 120.0
"""Seconds for a worker to empty the outbox."""

Contestant = Callable[[float], Sample]


def in_turns(pace: Pace, *contestants: Contestant) -> list[list[Sample]]:
    """Let each run in every round, in one order and then in the other, after a warm-up."""
    samples: list[list[Sample]] = [[] for _ in contestants]
    for one in contestants:
        one(pace.warm_up)
    for number in range(pace.rounds):
        places = range(len(contestants))
        for place in places if number % 2 == 0 else reversed(places):
            samples[place].append(contestants[place](pace.seconds))
    return samples


def asking(
    stage: Stage,
    served: Measured,
    requests: Iterator[Request],
    *,
    connections: int = CONNECTIONS,
    allowed: Sequence[int] = (),
) -> Contestant:
    """Return what asks a process so many things at a time."""

    def run(seconds: float) -> Sample:
        nonlocal requests
        # Written down before the clock starts: PostgreSQL shares its processor with whoever asks.
        requests = chain(list(islice(requests, int(seconds * AT_HAND))), requests)
        cpu, database = served.cpu(), stage.postgres.cpu()
        done = uvloop.run(load(served.port, requests, connections=connections, seconds=seconds, allowed=allowed))
        return Sample.of(done, served.cpu() - cpu, stage.postgres.cpu() - database)

    return run


def search_path(stage: Stage, *, day: int = 0, specialty: int = 0, limit: int = 500) -> str:
    """Return a search of one day."""
    date = (stage.data.first_day + timedelta(days=day)).date()
    return f"/booking/slots/search?specialty=specialty-{specialty}&date={date}&tz=UTC&limit={limit}"


def fetched(served: Measured, path: str) -> bytes:
    """Return a body as it is served."""
    response = httpx.get(f"http://127.0.0.1:{served.port}{path}", timeout=10)
    response.raise_for_status()
    return response.content


def cached_search(stage: Stage, pace: Pace, report: Report) -> None:
    """A search whose answer is at hand, beside a bare ASGI app that sends the same bytes."""
    with stage.api() as api:
        for name, limit, goal in (("cached search", 500, 2.6), ("cached search, a page of 20", 20, None)):
            path = search_path(stage, limit=limit)
            body = fetched(api, path)
            with stage.bare(body) as bare:
                ours, theirs = in_turns(
                    pace,
                    asking(stage, api, repeat(Request(get(path), 200, len(body)))),
                    asking(stage, bare, repeat(Request(get("/"), 200, len(body)))),
                )
            row = compared(
                name, ours, theirs, by=lambda one: one.cpu, limit="CPU to bare ASGI", goal=goal, at_most=True
            )
            row.note = f"{len(body):,} bytes"
            report.add(row)
        many, few = in_turns(
            pace,
            *(
                asking(stage, api, repeat(Request(get(path))), connections=number)
                for number in (MOST_LINES, CONNECTIONS)
            ),
        )
        report.add(
            compared(
                f"cached search, {MOST_LINES} at a time",
                many,
                few,
                by=lambda one: one.rate,
                limit=f"to {CONNECTIONS} at a time",
                goal=0.8,
            )
        )


def uncached_search(stage: Stage, pace: Pace, report: Report) -> None:
    """Searches that all ask something else, beside pgbench running the same query."""
    script = stage.folder / "search.sql"
    script.write_text(search_sql(stage), encoding="utf-8")
    with stage.api() as api:
        ours, theirs = in_turns(
            pace,
            asking(stage, api, searches(stage), connections=8),
            lambda seconds: pgbench(stage, script, clients=8, seconds=seconds),
        )
    report.add(compared("uncached search", ours, theirs, by=lambda one: one.rate, limit="to pgbench", goal=0.6))


def searches(stage: Stage) -> Iterator[Request]:
    """Ask something else each time."""
    # The limit is part of what an answer is kept under: each value makes the same search another one.
    days, specialties = range(stage.data.days), range(stage.data.specialties)
    for limit, day, specialty in product(range(500, 330, -1), days, specialties):
        yield Request(get(search_path(stage, day=day, specialty=specialty, limit=limit)))


def search_sql(stage: Stage) -> str:
    """Return the product's own query as a script of pgbench."""
    start = stage.data.first_day
    values = {
        "specialty": "'specialty-' || :specialty",
        "start": f"'{start}'::timestamptz + :day * interval '1 day'",
        "end": f"'{start}'::timestamptz + (:day + 1) * interval '1 day'",
        "now": "now()",
        "after": "'-infinity'::timestamptz",
        "after_id": "'00000000-0000-0000-0000-000000000000'::uuid",
        "most": "500",
    }
    lines = (FREE % {name: f"({value})" for name, value in values.items()}).splitlines()
    query = " ".join(one.strip() for one in lines if one.strip())
    last_day, last_specialty = stage.data.days - 1, stage.data.specialties - 1
    return f"\\set day random(0, {last_day})\n\\set specialty random(0, {last_specialty})\n{query};\n"


def bookings(stage: Stage, wished: Sequence[Wish]) -> Iterator[Request]:
    """Let one patient after the other book what they wish."""
    patients = list({patient for _, patient in wished})
    bearers = dict(zip(patients, stage.bearers(patients), strict=True))
    for slot, patient in wished:
        body = json.dumps({"slot_id": str(slot)}).encode()
        yield Request(
            post("/booking/slots/book", body, authorization=bearers[patient], idempotency_key=str(uuid4())), 201
        )


def booking(stage: Stage, pace: Pace, report: Report) -> None:
    """Bookings of distinct slots, beside pgbench with the same tables."""
    wished = wishes(stage, stage.data.slots)
    third = len(wished) // 3
    write_down(stage, wished[third:])
    mine = bookings(stage, wished[:third])
    with stage.api() as api:
        ours, checked, bare, naive = in_turns(
            pace,
            asking(stage, api, mine),
            *(
                lambda seconds, script=script: pgbench(stage, script, clients=CONNECTIONS, seconds=seconds)
                for script in (SQL / "book_checked.sql", SQL / "book_bare.sql", SQL / "book_naive.sql")
            ),
        )
        rate: Callable[[Sample], float] = lambda one: one.rate  # noqa: E731 - of a sample
        report.add(compared("booking, 32 at a time", ours, checked, by=rate, limit="to pgbench, same checks", goal=0.9))
        report.add(compared("booking, 32 at a time", ours, bare, by=rate, limit="to pgbench, bare", goal=0.6))
        report.add(
            compared(
                "booking, PostgreSQL's CPU",
                ours,
                naive,
                by=lambda one: one.database_cpu,
                limit="to a naive transaction",
                goal=0.25,
                at_most=True,
            )
        )
        (alone,) = in_turns(pace, asking(stage, api, mine, connections=1))
        report.add(plain("booking, one at a time", alone))


def race(stage: Stage, pace: Pace, report: Report) -> None:
    """64 patients want one slot at once; how long until all are answered, and whether one has it."""
    wished = wishes(stage, 10 * pace.rounds)
    bearers = stage.bearers(stage.data.patients[500:564])
    took, wrong = list[float](), 0
    with stage.api() as api:
        for slot, _ in wished:
            body = json.dumps({"slot_id": str(slot)}).encode()
            requests = [
                Request(post("/booking/slots/book", body, authorization=one, idempotency_key=str(uuid4())), 201)
                for one in bearers
            ]
            done = uvloop.run(load(api.port, iter(requests), connections=64, seconds=10, allowed=[409]))
            took.append(done.seconds)
            wrong += done.wrong.total() + (done.statuses[201] != 1)
    report.add(
        Row(
            "64 want one slot",
            f"{median(took) * 1000:.0f} ms ({min(took) * 1000:.0f}..{max(took) * 1000:.0f})",
            wrong=wrong,
        )
    )


def mixed(stage: Stage, pace: Pace, report: Report) -> None:
    """Nine searches for each booking; what was booked disappears from them."""
    mine = bookings(stage, wishes(stage, stage.data.slots))

    def requests() -> Iterator[Request]:
        for number in cycle(range(10)):
            day, specialty = number % stage.data.days, number % stage.data.specialties
            yield next(mine) if number == 0 else Request(get(search_path(stage, day=day, specialty=specialty)))

    with stage.api() as api:
        (samples,) = in_turns(pace, asking(stage, api, requests()))
        report.add(plain("90 % searches, 10 % bookings", samples))


def sign_in(stage: Stage, pace: Pace, report: Report) -> None:
    """Sign-ins at full rate, beside the hash alone; and what searches notice of them."""
    email, password = "sign-in@bench.example", "a long and private password"
    register = {"email": email, "password": password, "full_name": "Somebody", "time_zone": "UTC"}
    body = json.dumps({"email": email, "password": password}).encode()
    path = search_path(stage, limit=20)
    with stage.api() as api:
        httpx.post(f"http://127.0.0.1:{api.port}/auth/register", json=register, timeout=10).raise_for_status()
        ask = asking(stage, api, repeat(Request(post("/auth/login", body))), connections=2)
        times: list[float] = []

        def sign_ins(seconds: float) -> Sample:
            all_of_it, hashed = api.cpu(), cpu_of_nice(api.pid, PATIENT)
            sample = ask(seconds)
            times.append((api.cpu() - all_of_it) / (cpu_of_nice(api.pid, PATIENT) - hashed))
            return sample

        ours, hashes = in_turns(pace, sign_ins, hashing)
        row = compared("sign-in", ours, hashes, by=lambda one: one.cpu, limit="CPU to the hash alone", goal=None)
        report.add(row)
        del times[0]  # of the warm-up
        report.add(
            Row(
                "sign-in, with what is not the hash",
                row.value,
                ratio=median(times),
                spread=(min(times), max(times)),
                limit="CPU to that of the threads that hash",
                goal=NO_MORE_THAN_THE_HASH,
                at_most=True,
            )
        )

        searches = asking(stage, api, repeat(Request(get(path))), connections=1)
        (idle,) = in_turns(pace, searches)
        beside = Process(target=keep_signing_in, args=(api.port, body, pace.seconds * pace.rounds * 2 + 5))
        beside.start()
        try:
            (busy,) = in_turns(pace, searches)
        finally:
            beside.terminate()
            beside.join()
        row = plain("search during sign-ins", busy)
        quiet = plain("search", idle)
        if row.quantiles and quiet.quantiles:
            row.ratio, row.limit = row.quantiles[2] / quiet.quantiles[2], "p99 to that of an idle server"
            row.goal, row.at_most = 3, True
        report.add(row)


def keep_signing_in(port: int, body: bytes, seconds: float) -> None:
    """Sign in over and over, for a process of its own."""
    uvloop.run(load(port, repeat(Request(post("/auth/login", body))), connections=4, seconds=seconds))


def hashing(seconds: float) -> Sample:
    """Verify one password over and over, on the processor and on as many threads as sign-ins have."""
    command = [sys.executable, "-m", "benchmarks.hashing", str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
        pin(process.pid, SERVED)
        said, _ = process.communicate()
    number, cpu = said.split()
    return Sample(rate=int(number) / seconds, cpu=float(cpu) / int(number))


def outbox(stage: Stage, pace: Pace, report: Report) -> None:
    """How many events a worker turns into audit entries in a second."""
    number = 5_000 * pace.rounds
    with stage.connect() as connection:
        connection.execute("TRUNCATE outbox")
        connection.execute(
            "INSERT INTO outbox (id, kind, at, outcome, request_id)"
            " SELECT gen_random_uuid(), 'appointment.booked', now(), 'success', 'bench' FROM generate_series(1, %s)",
            [number],
        )
        with stage.worker() as worker:
            while connection.execute("SELECT count(*) FROM outbox").fetchone() == (number,):
                sleep(0.01)
            begun, cpu, database = perf_counter(), worker.cpu(), stage.postgres.cpu()
            while (left := connection.execute("SELECT count(*) FROM outbox").fetchone()) != (0,):
                if perf_counter() - begun > LONGEST:
                    raise RuntimeError(f"{left} events are left")
                sleep(0.02)
            seconds = perf_counter() - begun
            report.add(
                Row(
                    "events to audit entries",
                    f"{number / seconds:,.0f}/s",
                    cpu=(worker.cpu() - cpu) / number * 1e6,
                    database_cpu=(stage.postgres.cpu() - database) / number * 1e6,
                )
            )


TIMES: Final = 10
"""How much more than a process can do is asked of it."""
AS_ALWAYS, IN_A_ROW = 0.02, 20
"""Seconds for a search; so many of them."""
PAUSE: Final = 1.0
"""Seconds until everything has been answered that a flood has left waiting."""


def flooded(stage: Stage, pace: Pace, report: Report) -> None:
    """Ten times as much as a process can do, for each kind of work; then one who asks as always."""
    email, password = "flood@bench.example", "a long and private password"
    register = {"email": email, "password": password, "full_name": "Somebody", "time_zone": "UTC"}
    body = json.dumps({"email": email, "password": password}).encode()
    with stage.api() as api:
        httpx.post(f"http://127.0.0.1:{api.port}/auth/register", json=register, timeout=10).raise_for_status()
        kinds: dict[str, tuple[Iterator[Request], int]] = {
            "sign-ins": (repeat(Request(post("/auth/login", body))), 4),
            "uncached searches": (searches(stage), 8),
            "bookings": (bookings(stage, wishes(stage, stage.data.slots)), CONNECTIONS),
        }
        for name, (requests, connections) in kinds.items():
            peaks, floods, recovered = list[Load](), list[Flooded](), list[float]()
            before = memory(api.pid)
            for _ in range(min(3, pace.rounds)):
                sleep(PAUSE)
                peaks.append(uvloop.run(load(api.port, requests, connections=connections, seconds=pace.seconds)))
                rate = TIMES * peaks[-1].rate
                floods.append(uvloop.run(flood(api.port, requests, rate=rate, seconds=pace.seconds)))
                recovered.append(until_it_is_as_always(api.port, search_path(stage, limit=20)))
            more = (memory(api.pid) - before) / 2**20
            report.add(flood_row(name, peaks, floods, f"as always after {max(recovered):.1f} s, {more:+.0f} MB"))


def flood_row(name: str, peaks: Sequence[Load], floods: Sequence[Flooded], note: str) -> Row:
    """Tell of what a process could do, and what it did under floods of ten times as much."""
    pairs = list(zip(floods, peaks, strict=True))
    ratios = [one.rate / peak.rate for one, peak in pairs]
    asked = median((one.statuses.total() + one.given_up) / one.seconds / peak.rate for one, peak in pairs)
    refusals = [refusal for one in floods for refusal in one.refusals]
    late = quantiles(refusals)[1] if refusals else 0.0
    latencies = [latency for one in floods for latency in one.latencies]
    given_up = sum(one.given_up for one in floods)
    return Row(
        f"flood of {name}",
        f"{median(one.rate for one in floods):,.0f}/s of {median(one.rate for one in peaks):,.0f}/s",
        ratio=median(ratios),
        spread=(min(ratios), max(ratios)),
        goal=0.8,
        limit="to what it can do",
        quantiles=quantiles(latencies) if latencies else None,
        wrong=sum(one.wrong.total() for one in [*peaks, *floods]),
        note=(
            f"asked {asked:.1f} times as much, {given_up:,} not even sent, 95 % of {len(refusals):,} refused within "
            f"{late:.0f} ms, {note}"
        ),
    )


def until_it_is_as_always(port: int, path: str) -> float:
    """Return the seconds until searches in a row are answered as quickly as ever."""
    begun, row = perf_counter(), 0
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        while row < IN_A_ROW and perf_counter() - begun < LONGEST:
            asked = perf_counter()
            answer = client.get(path)
            row = row + 1 if answer.is_success and perf_counter() - asked < AS_ALWAYS else 0
    return perf_counter() - begun


def resident(stage: Stage, pace: Pace, report: Report) -> None:
    """Memory of a process at rest, and after many requests."""
    requests = 1_000_000 if pace is FULL else 20_000
    with stage.api() as api:
        path = search_path(stage, limit=20)
        uvloop.run(load(api.port, islice(repeat(Request(get(path))), 20_000), connections=CONNECTIONS, seconds=60))
        before = memory(api.pid)
        done = uvloop.run(
            load(api.port, islice(repeat(Request(get(path))), requests), connections=CONNECTIONS, seconds=1200)
        )
        after = memory(api.pid)
        report.add(
            Row(
                f"memory after {requests:,} searches",
                f"{after / 2**20:.0f} MB, was {before / 2**20:.0f} MB",
                ratio=after / before,
                goal=1.05,
                at_most=True,
                wrong=done.wrong.total(),
                limit="to the first 20,000",
            )
        )


def growth(_stage: Stage, pace: Pace, report: Report) -> None:
    """What a search and a booking cost in clinics of ten and a hundred times the size, beside the usual one."""
    if pace is not FULL:
        return  # to load ten million slots takes a quarter of an hour
    with ExitStack() as stack:
        clinics = [stack.enter_context(set_up(GROWTH_DAYS, size=size)) for size in (1, 10, 100)]
        served = [(one, stack.enter_context(one.api())) for one in clinics]
        for name, contestants in {
            "uncached search": [asking(one, api, searches(one), connections=8) for one, api in served],
            "booking": [asking(one, api, bookings(one, wishes(one, MOST_WISHES))) for one, api in served],
        }.items():
            usual, *larger = in_turns(pace, *contestants)
            report.add(plain(f"{name}, {clinics[0].data.slots:,} slots", usual))
            for clinic, samples in zip(clinics[1:], larger, strict=True):
                report.add(
                    compared(
                        f"{name}, {clinic.data.slots:,} slots",
                        samples,
                        usual,
                        by=lambda one: one.cpu + one.database_cpu,
                        limit="CPU to the usual one",
                        goal=1.5,
                        at_most=True,
                    )
                )


def plain(measure: str, samples: Sequence[Sample]) -> Row:
    """Tell of a measure that has no limit beside it."""
    rates = [one.rate for one in samples]
    latencies = [latency for one in samples for latency in one.latencies]
    return Row(
        measure,
        f"{median(rates):,.0f}/s ({min(rates):,.0f}..{max(rates):,.0f})",
        cpu=median(one.cpu for one in samples) * 1e6,
        database_cpu=median(one.database_cpu for one in samples) * 1e6 or None,
        quantiles=quantiles(latencies),
        wrong=sum(one.wrong for one in samples),
    )


ALL: Final = (cached_search, uncached_search, booking, race, mixed, sign_in, outbox, flooded, resident, growth)
