"""Programs that Hypothesis draws, sent over HTTP: each answer is foreseen, and what must always hold does.

After each step, by the tables themselves and through the cache of searches:

* no slot has two live appointments, and nobody is in two places;
* what was acknowledged is kept, what was refused left nothing, and nothing else is there;
* every change, and every access refused to somebody known, has exactly one event, and once the worker has worked
  exactly one audit entry, and the outbox is empty;
* a key has one effect and one answer;
* a search says what is free, whatever is in the cache;
* an answer is one of those that the API's description names for its route.

Faults, lost answers and deadlines are elsewhere: faults/ and system/ beside this folder, and tests/unit/schedules.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import combinations, permutations
from typing import ClassVar, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from structlog.testing import capture_logs

from tests.builders import HOUR
from tests.examples import examples
from tests.figures import Figures
from tests.integration.http.model import (
    OUTSIDERS,
    PASSWORD,
    QUARTER,
    Book,
    Caller,
    Cancel,
    ChangeRole,
    Command,
    KeepProfile,
    ListAppointments,
    ListSlots,
    ListSpecialties,
    LogIn,
    Model,
    Prescribe,
    Publish,
    ReadAppointment,
    ReadPrescription,
    ReadSelf,
    Register,
    Search,
    SearchAudit,
    Start,
    TakeBack,
    Who,
)
from tests.integration.http.stage import DAYS, LATE, SPECIALTIES, Said, Stage, in_memory, on_servers
from tests.unit.schedules.sabotage import WithoutLocks, database_with


def one_of(kind: str) -> st.SearchStrategy[str]:
    """Name one that there is, whosever it is, the first ones most often; now and then another thing, or nothing."""
    names = [f"{kind} {number}" for number in (*range(6), *range(6), *range(16))]
    return st.sampled_from([*names, "users 0", "nothing 0"])


CALLERS = [Who.DOCTOR, Who.PATIENT, Who.ADMIN, *(f"users {number}" for number in range(6)), "nothing 0", *OUTSIDERS]


def by(likely: Who) -> st.SearchStrategy[Caller]:
    """Name who asks: half of the time somebody who may."""
    return st.sampled_from([*[likely] * len(CALLERS), *CALLERS])


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
    KeepProfile, who=by(Who.DOCTOR), specialty=st.sampled_from([*SPECIALTIES, "Magic"]), fee=st.integers(0, 2)
)
PUBLISH = st.builds(Publish, who=by(Who.DOCTOR), start=STARTS, quarters=st.integers(1, 5), minutes=LENGTHS)
TAKE_BACK = st.builds(TakeBack, who=by(Who.DOCTOR), target=one_of("slots"))
SEARCH = st.builds(
    Search, who=by(Who.NOBODY), specialty=st.sampled_from(SPECIALTIES), day=st.sampled_from(DAYS), zone=ZONES
)
BOOK = st.builds(Book, who=by(Who.PATIENT), target=one_of("slots"), key=KEYS)
CANCEL = st.builds(Cancel, who=by(Who.PATIENT), target=one_of("appointments"), reason=WORDS)
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
        self.model = self.stage.empty()
        for number, specialty in enumerate(
            SPECIALTIES, start=1
        ):  # the doctors are users 1 and 3, their patients 2 and 4
            for role in ("doctor", "patient"):
                self.ask(Register(who=Who.NOBODY, email=f"{role}.{number}@example.org", password=PASSWORD))
            doctor = f"users {2 * number - 1}"
            self.ask(ChangeRole(who=Who.ADMIN, target=doctor, role="doctor"))
            self.ask(KeepProfile(who=doctor, specialty=specialty, fee=number))
            self.ask(Publish(who=doctor, start=EVENING + 5 * QUARTER, quarters=6, minutes=30))
        for who, slot, key in (("users 2", "slots 0", "a"), ("users 2", "slots 1", "b"), ("users 4", "slots 4", "a")):
            self.ask(Book(who=who, target=slot, key=key))
        self.ask(Start(who=Who.DOCTOR, target="appointments 0"))
        self.do(Prescribe(who=Who.DOCTOR, target="consultations 0", medicine="fever"))

    def do(self, *commands: Command) -> None:
        """Send commands one after the other, and see that everything holds."""
        for command in commands:
            self.ask(command)
        self.check()

    def ask(self, command: Command) -> None:
        """Send one command, whose answer is known before."""
        command = self.model.meant(command)
        expected = command.expect(self.model)
        (said,) = self.stage.ask(command)
        if said.turned_away:
            return
        assert (said.status, said.body) == (expected.status, expected.body), command
        self.model.accept(expected, said.body, said.request)

    def do_at_once(self, commands: list[Command]) -> None:
        """Send several at once: what is answered and kept must be as if they had come in some order."""
        answers = self.stage.ask(*(self.model.meant(command) for command in commands))
        kept, _ = self.stage.look()
        for order in permutations(answers):
            clinic = self.model.copy()
            if all(follows(clinic, said) for said in order) and clinic.rows() == kept:
                self.model = clinic
                self.check()
                return
        raise AssertionError(f"no order explains {answers}")

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

    @rule(command=CANCEL)
    def cancel(self, command: Command) -> None:
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

    @rule(commands=several(BOOK, CANCEL, TAKE_BACK, SEARCH))
    def several_want_slots(self, commands: list[Command]) -> None:
        self.do_at_once(commands)

    @rule(commands=several(START, CANCEL, PRESCRIBE))
    def several_want_care(self, commands: list[Command]) -> None:
        self.do_at_once(commands)

    @rule(commands=several(PUBLISH, KEEP_PROFILE, TAKE_BACK) | several(REGISTER, CHANGE_ROLE))
    def several_change(self, commands: list[Command]) -> None:
        self.do_at_once(commands)

    @rule(duration=st.sampled_from([timedelta(seconds=4), QUARTER, QUARTER, HOUR, 25 * HOUR]))
    def wait(self, duration: timedelta) -> None:
        self.stage.clinic.clock.wait(duration)
        self.model.now += duration
        self.check()

    @rule()
    def the_worker_works(self) -> None:
        self.stage.work()
        self.model.record()
        self.check()

    def check(self) -> None:
        """See that everything holds; no @invariant, because each of its calls would be printed."""
        (kept, found), known = self.stage.look(), self.model.rows()
        assert {table: differences(kept[table], known[table]) for table in known if kept[table] != known[table]} == {}
        cancelled = {id for id, _, status, *_ in kept["states"] if status == "cancelled"}
        live = [one for row in kept["appointments"] if (one := Claim._make(row)).id not in cancelled]
        assert [(one, other) for one, other in combinations(live, 2) if one.clashes(other)] == []
        assert found == {where: self.model.free(*where, "UTC") for where in found}


def differences(kept: Counter[tuple[object, ...]], known: Counter[tuple[object, ...]]) -> dict[str, object]:
    return {"is there": list((kept - known).elements()), "should be": list((known - kept).elements())}


def follows(clinic: Model, said: Said) -> bool:
    """Say whether this could be the next answer of this clinic; if so, it is now."""
    if said.turned_away:
        return True
    expected = said.command.expect(clinic)
    if (said.status, said.body) != (expected.status, expected.body):
        return False
    clinic.accept(expected, said.body, said.request)
    return True


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
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A clinic behind its API."""
    if request.param == "in memory":
        opened = in_memory()
    else:
        opened = on_servers(request.getfixturevalue("postgres"), request.getfixturevalue("redis_address"))
    with capture_logs(), opened as stage:
        yield stage


def test_every_answer_is_foreseen_and_what_must_hold_does(
    stage: Stage, figures: Figures, request: pytest.FixtureRequest
) -> None:
    kind = request.node.callspec.params["stage"]
    programs = examples(100 if kind == "in memory" else 40)

    LifeOfAClinic.stage = stage
    run_state_machine_as_test(
        LifeOfAClinic,
        settings=settings(max_examples=programs, stateful_step_count=20, suppress_health_check=[HealthCheck.too_slow]),
    )

    assert stage.turned_away <= (0 if kind == "in memory" else stage.sent / 200)
    figures.add(f"programs over HTTP, {kind}", operations=stage.sent, faults=stage.turned_away)


def test_without_guards_no_order_explains_what_is_answered() -> None:
    """What is asked at once does race, and the machine sees who was let in twice."""
    with capture_logs(), in_memory(database_with(bookings=WithoutLocks)) as stage:
        LifeOfAClinic.stage = stage
        clinic = LifeOfAClinic()
        with pytest.raises(AssertionError, match="no order explains"):
            clinic.do_at_once([Book(who=patient, target="slots 2", key="x") for patient in ("users 2", "users 4")])
