"""Programs that Hypothesis draws, sent over HTTP: each answer is foreseen, and what must always hold does.

After each step, by the tables themselves and through the cache of searches:

* no slot has two live appointments, nobody is in two places, and nobody holds more than three slots;
* what was acknowledged is kept, what was refused left nothing, and nothing else is there;
* a status follows another only where the table says so, and a hold expires once;
* every change, and every access refused to somebody known, has exactly one event, and once the worker has worked
  exactly one audit entry, and the outbox is empty;
* a key has one effect and one answer;
* a search says what is free, whatever is in the cache;
* an answer is one of those that the API's description names for its route.

Faults, lost answers and deadlines are elsewhere: faults/ and system/ beside this folder, and tests/unit/schedules.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import combinations
from typing import ClassVar, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from structlog.testing import capture_logs

from healthcare.adapters.memory import transaction
from healthcare.adapters.memory.scheduling import MemoryBookings
from healthcare.entrypoints.api.observed import SECONDS_TO_WRITE
from tests.builders import HOUR, SYSTEM
from tests.examples import examples
from tests.figures import Figures
from tests.integration.http.care import Prescribe, ReadPrescription, Start
from tests.integration.http.claims import (
    MOST_HOLDS,
    Book,
    Cancel,
    CancelDay,
    CheckIn,
    Hold,
    ListAppointments,
    ReadAppointment,
    Release,
    Reschedule,
    Undo,
)
from tests.integration.http.commands import (
    ChangeRole,
    Command,
    KeepProfile,
    ListSlots,
    ListSpecialties,
    LogIn,
    Publish,
    ReadSelf,
    Register,
    Search,
    SearchAudit,
    TakeBack,
)
from tests.integration.http.model import (
    ANSWERS_ARE_KEPT,
    HELD_FOR,
    MISSED_AFTER,
    OUTSIDERS,
    PASSWORD,
    QUARTER,
    Caller,
    Expect,
    Model,
    Told,
    Who,
)
from tests.integration.http.stage import DAYS, LATE, SPECIALTIES, Said, Stage, in_memory, on_servers
from tests.unit.schedules.sabotage import (
    WithoutHolds,
    WithoutLocks,
    WithoutQueue,
    WithoutSweep,
    WithoutVersions,
    database_with,
    deciding,
)

BECOMES = {
    "pending": {"booked", "cancelled"},
    "booked": {"checked-in", "fulfilled", "cancelled", "noshow"},
    "checked-in": {"booked", "fulfilled", "cancelled"},
    "noshow": {"checked-in"},
}
"""What else each status can become by what people and the worker do."""


def one_of(kind: str) -> st.SearchStrategy[str]:
    """Name one that there is, whosever it is, the first ones most often; now and then another thing, or nothing."""
    names = [f"{kind} {number}" for number in (*range(6), *range(6), *range(16))]
    return st.sampled_from([*names, "users 0", "nothing 0"])


CALLERS = [
    Who.DOCTOR,
    Who.PATIENT,
    Who.HOLDER,
    Who.ADMIN,
    *(f"users {number}" for number in range(6)),
    "nothing 0",
    *OUTSIDERS,
]


def by(*likely: Who) -> st.SearchStrategy[Caller]:
    """Name who asks: at least half of the time somebody who may."""
    return st.sampled_from([*likely * len(CALLERS), *CALLERS])


EMAILS = st.sampled_from(["ada@example.org", "ADA@example.org", "patient.1@example.org", "ida@example.org"])
PASSWORDS = st.sampled_from([PASSWORD, PASSWORD, "too short"])
WORDS = st.sampled_from(["fever", "cough", "pain", "rash", "ache", " "])
EVENING = LATE.replace(minute=45, second=0) - HOUR
STARTS = st.sampled_from([*range(3, 16), *range(103, 111)]).map(lambda number: EVENING + number * QUARTER)
LENGTHS = st.sampled_from([15, 20, 30, 45, 3])
KEYS = st.sampled_from([*"abcdefgh", ""])
ZONES = st.sampled_from(["UTC", "Asia/Kolkata", "America/Los_Angeles", "Mars/Olympus"])

REGISTER = st.builds(Register, who=by(Who.NOBODY), email=EMAILS, password=PASSWORDS)
LOG_IN = st.builds(LogIn, who=by(Who.NOBODY), email=EMAILS, password=PASSWORDS)
CHANGE_ROLE = st.builds(
    ChangeRole,
    who=by(Who.ADMIN),
    target=st.sampled_from([*["users 0"] * 4, *(f"users {number}" for number in range(8)), "nothing 0"]),
    role=st.sampled_from(["patient", "doctor", "admin", "root"]),
)
KEEP_PROFILE = st.builds(
    KeepProfile,
    who=by(Who.DOCTOR),
    specialty=st.sampled_from([*SPECIALTIES, "Magic"]),
    fee=st.integers(0, 2),
    notice=st.sampled_from([0, 1, 24, -1]),
    zone=st.sampled_from(["UTC", "Asia/Kolkata"]),
)
PUBLISH = st.builds(Publish, who=by(Who.DOCTOR), start=STARTS, quarters=st.integers(1, 5), minutes=LENGTHS)
TAKE_BACK = st.builds(TakeBack, who=by(Who.DOCTOR), target=one_of("slots"))
SEARCH = st.builds(
    Search, who=by(Who.NOBODY), specialty=st.sampled_from(SPECIALTIES), day=st.sampled_from(DAYS), zone=ZONES
)
WANTED = one_of("slots") | one_of("openings") | one_of("holds")
HOLD = st.builds(Hold, who=by(Who.PATIENT, Who.HOLDER), target=WANTED)
RELEASE = st.builds(Release, who=by(Who.HOLDER), target=one_of("holds") | one_of("slots"))
BOOK = st.builds(Book, who=by(Who.PATIENT, Who.HOLDER), target=WANTED, key=KEYS)
VERSIONS = st.sampled_from(
    [*['"{}"'] * 6, "*", "*", '"0"', 'W/"{}"', '"7", "{}"', '"of another"', "", "{}", '"{}', '*, "{}"']
)
BOOKED = one_of("booked") | one_of("appointments")
RESCHEDULE = st.builds(
    Reschedule, who=by(Who.PATIENT), target=BOOKED, to=one_of("openings") | one_of("slots"), versions=VERSIONS
)
CODES = st.sampled_from([None, None, None, "pat-dec", "prov-pers", "oth-weath", "no-code"])
CANCEL = st.builds(Cancel, who=by(Who.PATIENT, Who.DOCTOR), target=BOOKED, reason=WORDS, code=CODES)
CANCEL_DAY = st.builds(CancelDay, who=by(Who.DOCTOR), day=st.sampled_from(DAYS[:2]), reason=WORDS)
CHECK_IN = st.builds(CheckIn, who=by(Who.PATIENT), target=BOOKED)
UNDO = st.builds(Undo, who=by(Who.DOCTOR), target=one_of("noted") | one_of("appointments"))
START = st.builds(Start, who=by(Who.DOCTOR), target=one_of("appointments"))
PRESCRIBE = st.builds(Prescribe, who=by(Who.DOCTOR), target=one_of("consultations"), medicine=WORDS)


def looks(who: Caller, number: int) -> list[Command]:
    """Return all the ways of looking at things of this number, whosever they are."""
    return [
        ReadSelf(who=who),
        ListSpecialties(who=who),
        ListSlots(who=who),
        ListAppointments(who=who),
        ReadAppointment(who=who, target=f"appointments {number}"),
        ReadPrescription(who=who, target=f"consultations {number}"),
        *(SearchAudit(who=who, subject=f"{kind} {number}") for kind in ("users", "slots", "appointments")),
    ]


def several(*commands: st.SearchStrategy[Command]) -> st.SearchStrategy[list[Command]]:
    """Draw what is asked at the same moment: different things, or one thing twice."""
    one = st.one_of(*commands)
    return st.one_of(st.lists(one, min_size=2, max_size=3), one.map(lambda drawn: [drawn, drawn]))


class LifeOfAClinic(RuleBasedStateMachine):
    """People do what they may, and what they may not, one after the other and at once; time passes, a worker works."""

    stage: ClassVar[Stage]

    def __init__(self) -> None:
        super().__init__()
        self.statuses: dict[object, tuple[str, int]] = {}
        self.model = self.stage.begin(self.prepare)

    def prepare(self, model: Model) -> Model:
        """Let there be people, free time, and all that can become of it; return what is known then."""
        self.model = model
        # The doctors are users 1 and 3, their patients 2 and 4, their slots 0 to 4 and 5 to 9.
        for number, specialty in enumerate(SPECIALTIES, start=1):
            for role in ("doctor", "patient"):
                self.ask(Register(who=Who.NOBODY, email=f"{role}.{number}@example.org", password=PASSWORD))
            doctor = f"users {2 * number - 1}"
            self.ask(ChangeRole(who=Who.ADMIN, target=doctor, role="doctor"))
            self.ask(KeepProfile(who=doctor, specialty=specialty, fee=number, notice=number - 1, zone="UTC"))
            self.ask(Publish(who=doctor, start=EVENING + 5 * QUARTER, quarters=10, minutes=30))
        for who, slot, key in (("users 2", "slots 0", "a"), ("users 2", "slots 1", "b"), ("users 4", "slots 6", "a")):
            self.ask(Book(who=who, target=slot, key=key))
        self.ask(Hold(who="users 4", target="slots 3"))
        self.ask(KeepProfile(who="users 1", specialty=SPECIALTIES[0], fee=3, notice=2, zone="UTC"))
        self.ask(Start(who=Who.DOCTOR, target="appointments 0"))
        self.do(Prescribe(who=Who.DOCTOR, target="consultations 0", medicine="fever"))
        return self.model

    def do(self, *commands: Command) -> None:
        """Send commands one after the other, and see that everything holds."""
        for command in commands:
            self.ask(command)
        self.check()

    def ask(self, command: Command) -> None:
        """Send one command, whose answer is known before."""
        command = command.meant(self.model)
        expects: list[Expect] = [command.expect]
        (said,) = self.stage.ask(command)
        if said.turned_away:
            self.explain([said])
            return
        for told in said.told:
            expected = expects.pop(0)(self.model)
            assert told == expected.told, command
            self.model.accept(expected, told.body, said.request)
            expects += expected.then
        assert expects == []

    def do_at_once(self, commands: list[Command]) -> None:
        """Send several at once."""
        self.explain(self.stage.ask(*(command.meant(self.model) for command in commands)))
        self.check()

    def explain(self, answers: list[Said]) -> None:
        """Find out how it went: what was answered and kept must be as if transactions had come in some order."""
        kept, _ = self.stage.look()
        known = next((one for one in orders(self.model, tuple(map(Going.on, answers))) if one.rows() == kept), None)
        assert known, f"no order explains {answers}"
        self.model = known

    @rule(command=st.one_of(REGISTER, LOG_IN))
    def somebody_comes(self, command: Command) -> None:
        self.do(command)

    @rule(command=CHANGE_ROLE)
    def change_role(self, command: Command) -> None:
        self.do(command)

    @rule(command=KEEP_PROFILE)
    def keep_profile(self, command: Command) -> None:
        self.do(command)

    @rule(command=st.one_of(PUBLISH, TAKE_BACK))
    def offer(self, command: Command) -> None:
        self.do(command)

    @rule(command=BOOK)
    def book(self, command: Command) -> None:
        self.do(command)

    @rule(
        number=st.integers(0, 9),
        who=st.one_of(st.none(), st.none(), one_of("users")),
        slot=st.one_of(st.none(), st.none(), one_of("slots")),
    )
    def book_again(self, number: int, who: str | None, slot: str | None) -> None:
        """The same key again: from the same patient or another, for the same slot or another."""
        if self.model.receipts:
            (user, key), receipt = list(self.model.receipts.items())[number % len(self.model.receipts)]
            self.do(Book(who=who or user, target=slot or receipt.slot, key=key))

    @rule(command=st.one_of(HOLD, HOLD, RELEASE))
    def hold(self, command: Command) -> None:
        self.do(command)

    @rule(
        who=st.sampled_from(["users 2", "users 4"]),
        numbers=st.lists(st.integers(0, 7), min_size=3, max_size=4),
        at_once=st.booleans(),
    )
    def hold_many(self, who: str, numbers: list[int], at_once: bool) -> None:
        """Somebody cannot decide."""
        commands: list[Command] = [Hold(who=who, target=f"openings {number}") for number in numbers]
        self.do_at_once(commands) if at_once else self.do(*commands)

    @rule(command=RESCHEDULE)
    def reschedule(self, command: Command) -> None:
        self.do(command)

    @rule(command=CANCEL)
    def cancel(self, command: Command) -> None:
        self.do(command)

    @rule(command=CANCEL_DAY)
    def cancel_day(self, command: Command) -> None:
        self.do(command)

    @rule(command=st.one_of(CHECK_IN, CHECK_IN, UNDO))
    def say_who_is_there(self, command: Command) -> None:
        self.do(command)

    @rule(command=START)
    def start(self, command: Command) -> None:
        self.do(command)

    @rule(command=PRESCRIBE)
    def prescribe(self, command: Command) -> None:
        self.do(command)

    @rule(command=SEARCH)
    def search(self, command: Command) -> None:
        self.do(command)

    @rule(who=st.sampled_from(CALLERS), number=st.integers(0, 9))
    def look(self, who: Caller, number: int) -> None:
        self.do(*looks(who, number))

    @rule(commands=several(HOLD, RELEASE, BOOK, RESCHEDULE, CANCEL, TAKE_BACK, SEARCH))
    def several_want_slots(self, commands: list[Command]) -> None:
        self.do_at_once(commands)

    @rule(commands=several(START, CANCEL, PRESCRIBE, CHECK_IN, UNDO))
    def several_want_care(self, commands: list[Command]) -> None:
        self.do_at_once(commands)

    @rule(commands=several(PUBLISH, KEEP_PROFILE, TAKE_BACK, CANCEL_DAY) | several(REGISTER, CHANGE_ROLE))
    def several_change(self, commands: list[Command]) -> None:
        self.do_at_once(commands)

    @rule(
        day=CANCEL_DAY, commands=st.lists(st.one_of(RESCHEDULE, BOOK, HOLD, CANCEL, CHECK_IN), min_size=1, max_size=2)
    )
    def a_day_is_cancelled_meanwhile(self, day: Command, commands: list[Command]) -> None:
        self.do_at_once([day, *commands])

    @rule(duration=st.sampled_from([timedelta(seconds=4), HELD_FOR, HELD_FOR, QUARTER, QUARTER, 2 * HOUR, 25 * HOUR]))
    def wait(self, duration: timedelta) -> None:
        self.pass_time(duration)
        self.check()

    @rule()
    def the_worker_works(self) -> None:
        self.work()
        self.check()

    @rule(number=st.integers(0, 3), just_before=st.booleans(), undo=st.none() | UNDO)
    def nobody_comes(self, number: int, just_before: bool, undo: Command | None) -> None:
        """A worker works just when an appointment is missed, or a moment before; then somebody may know better."""
        if booked := self.model.booked:
            end = self.model.slots[self.model.appointments[booked[number % len(booked)]].slot].end
            moment = end + MISSED_AFTER - timedelta(seconds=just_before)
            self.pass_time(max(moment - self.model.now, timedelta(0)))
            self.work()
            self.do(*([undo] if undo else []))

    def pass_time(self, duration: timedelta) -> None:
        """Let time pass. Searches may show a hold that has run out for as long as an answer is kept, but not after."""
        ends = [one.expires for one in self.model.appointments.values() if one.expires]
        if any(self.model.now < end <= self.model.now + duration for end in ends):
            duration = max(duration, ANSWERS_ARE_KEPT)
        self.stage.clinic.clock.wait(duration)
        self.model.now += duration

    def work(self) -> None:
        """Let the worker do all that it has to do."""
        self.stage.work()
        self.model.mark_no_shows(SYSTEM.request)
        self.model.record()

    def check(self) -> None:
        """See that everything holds; no @invariant, because each of its calls would be printed."""
        (kept, found), known = self.stage.look(), self.model.rows()
        assert {table: differences(kept[table], known[table]) for table in known if kept[table] != known[table]} == {}
        states = {state.id: state for row in kept["states"] for state in [State._make(row)]}
        live = [one for row in kept["appointments"] if states[(one := Claim._make(row)).id].status != "cancelled"]
        assert [(one, other) for one, other in combinations(live, 2) if one.clashes(other)] == []
        holders = Counter(one.patient for one in live if (end := states[one.id].expires_at) and end > self.model.now)
        assert max(holders.values(), default=0) <= MOST_HOLDS
        self.follow(states)
        expired = {one.id for one in states.values() if one.reason == "expired"}
        ends = [
            subject
            for _, kind, _, subject, *_ in (kept["outbox"] + kept["entries"]).elements()
            if kind == "hold.expired"
        ]
        assert Counter(ends) == Counter(expired)
        assert found == {where: self.model.free(*where, "UTC") for where in found}

    def follow(self, states: dict[str, "State"]) -> None:
        """See that what has become of each appointment is in the table, in as many steps as its version says."""
        for state in states.values():
            status, version = self.statuses.get(state.id, (None, 0))
            reached = {status} if status else {"pending", "booked"}
            for _ in range(state.version - (version or 1)):
                reached |= {other for one in reached for other in BECOMES.get(one, ())}
            assert state.status in reached, (status, state)
        self.statuses = {id: (state.status, state.version) for id, state in states.items()}


def differences(kept: Counter[tuple[object, ...]], known: Counter[tuple[object, ...]]) -> dict[str, object]:
    return {"is there": list((kept - known).elements()), "should be": list((known - kept).elements())}


@dataclass(frozen=True)
class Going:
    """What is still to come of a request."""

    request: str
    expects: tuple[Expect, ...]
    told: tuple[Told, ...] | None
    """None: nobody was told, as it was turned away. It may have got as far as any of its transactions but the last."""

    @classmethod
    def on(cls, said: Said) -> "Going":
        """Begin."""
        return cls(said.request, (said.command.expect,), None if said.turned_away else tuple(said.told))

    def next(self, clinic: Model) -> Iterator[tuple[Model, tuple["Going", ...]]]:
        """Yield what this clinic can be after the next transaction, and what is to come then."""
        if self.told is None:
            yield clinic, ()
        after = clinic.copy()
        expected = self.expects[0](after)
        expects = self.expects[1:] + expected.then
        if self.told is None:
            if expects:
                after.accept(expected, expected.body, self.request)
                yield after, (Going(self.request, expects, None),)
        elif self.told[0] == expected.told and len(self.told) - 1 == len(expects):
            after.accept(expected, self.told[0].body, self.request)
            yield after, (Going(self.request, expects, self.told[1:]),) if expects else ()


def orders(clinic: Model, going: Sequence[Going]) -> Iterator[Model]:
    """Yield what a clinic can have become, one transaction after the other, whosever comes next."""
    if not going:
        yield clinic
    for place, one in enumerate(going):
        for after, rest in one.next(clinic):
            yield from orders(after, [*going[:place], *rest, *going[place + 1 :]])


class State(NamedTuple):
    """A row of what has become of appointments."""

    id: str
    status: str
    version: int
    fee: int
    notice_hours: int
    expires_at: datetime | None
    extended: bool
    reason: str | None
    code: str | None
    late: bool


class Claim(NamedTuple):
    """A row of the appointments."""

    id: str
    slot: str
    doctor: str
    patient: str
    start: datetime
    end: datetime

    def clashes(self, other: "Claim") -> bool:
        """Say whether only one of the two can be."""
        shared = self.doctor == other.doctor or self.patient == other.patient
        return self.slot == other.slot or (shared and self.start < other.end and other.start < self.end)


@pytest.fixture(params=["in memory", "on PostgreSQL and Redis"])
def stage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A clinic behind its API."""
    if request.param == "in memory":
        # As long as the whole request: a machine that stands still for a moment must not look like a deadlock.
        monkeypatch.setattr(transaction, "LOCK_TIMEOUT", SECONDS_TO_WRITE)
        opened = in_memory()
    else:
        opened = on_servers(request.getfixturevalue("postgres"), request.getfixturevalue("redis_address"))
    with capture_logs(), opened as stage:
        yield stage


def test_every_answer_is_foreseen_and_what_must_hold_does(
    stage: Stage, figures: Figures, request: pytest.FixtureRequest
) -> None:
    kind = request.node.callspec.params["stage"]
    programs = examples(150 if kind == "in memory" else 60)

    LifeOfAClinic.stage = stage
    run_state_machine_as_test(
        LifeOfAClinic,
        settings=settings(max_examples=programs, stateful_step_count=20, suppress_health_check=[HealthCheck.too_slow]),
    )

    assert stage.turned_away <= stage.sent / 200
    figures.add(f"programs over HTTP, {kind}", operations=stage.sent, faults=stage.turned_away)


TWO = ("users 2", "users 4")
MOVE = Reschedule(who="users 2", target="appointments 1", to="slots 2", versions='"{}"')


@pytest.mark.parametrize(
    ("bookings", "commands"),
    [
        (WithoutLocks, [Book(who=patient, target="slots 2", key="x") for patient in TWO]),
        (WithoutLocks, [Hold(who=patient, target="slots 2") for patient in TWO]),
        (WithoutLocks, [Hold(who="users 2", target="slots 2"), Book(who="users 4", target="slots 2", key="x")]),
        (WithoutLocks, [MOVE, Book(who="users 4", target="slots 2", key="x")]),
        (WithoutLocks, [MOVE, replace(MOVE, to="slots 4")]),
        (WithoutLocks, [MOVE, Cancel(who=Who.DOCTOR, target="appointments 1", reason="fever", code=None)]),
        (WithoutLocks, [Release(who=Who.HOLDER, target="slots 3"), Book(who="users 4", target="slots 3", key="x")]),
        (WithoutQueue, [Hold(who="users 4", target=f"slots {number}") for number in (2, 4, 5)]),
        (WithoutHolds, [Book(who="users 2", target="slots 3", key="x")]),
        (deciding(WithoutVersions), [replace(MOVE, versions='"0"')]),
    ],
)
def test_without_guards_no_order_explains_what_is_answered(
    bookings: type[MemoryBookings], commands: list[Command]
) -> None:
    """What is asked at once does race, and the machine sees who was let in who should not have been."""
    with capture_logs(), in_memory(database_with(bookings=bookings)) as stage:
        LifeOfAClinic.stage = stage
        clinic = LifeOfAClinic()
        with pytest.raises(AssertionError, match="no order explains"):
            clinic.do_at_once(commands)


@pytest.mark.parametrize(
    "command",
    [
        Hold(who="users 2", target="slots 3"),
        Book(who="users 2", target="slots 3", key="x"),
        TakeBack(who=Who.DOCTOR, target="slots 3"),
        Reschedule(who="users 2", target="appointments 1", to="slots 3", versions="*"),
    ],
)
def test_a_hold_that_nobody_ends_is_seen(command: Command) -> None:
    with capture_logs(), in_memory(database_with(bookings=deciding(WithoutSweep))) as stage:
        LifeOfAClinic.stage = stage
        clinic = LifeOfAClinic()
        clinic.wait(HELD_FOR)
        with pytest.raises(AssertionError):
            clinic.do(command)
