"""A command whose commit is not answered: nobody is told that it failed, and who asks again learns that it was done."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, cast

import httpx

from healthcare.domain.kernel import UserId
from tests.integration.proxy import Proxy, proxy_to
from tests.integration.world import Api, World

SOON = timedelta(minutes=10)
"""Until the first slot starts: late enough to be cancelled, and early enough to check in."""

Who = Literal["patient", "doctor"]


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody asks; `{slot}`, `{other}`, `{appointment}` and `{day}` stand for what there is."""

    who: Who
    request: str
    body: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """What was learned."""

    lost: tuple[int, str]
    """The status and the code of the first answer."""
    again: tuple[int, str | None]
    """Those of the second."""
    left: tuple[str, str, int]
    """The status of the appointment in the end, where it stands, and its version."""
    events: int
    """Of the appointment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A command that is done and not answered."""

    before: tuple[Command, ...] = ()
    lost: Command
    again: tuple[int, str | None]
    left: tuple[str, str, int]

    @property
    def told(self) -> Told:
        """What has to be learned: each version has its event."""
        return Told((503, "outcome-unknown"), self.again, self.left, self.left[2])


HOLD = Command("patient", "POST /booking/slots/{slot}/hold")
RELEASE = Command("patient", "DELETE /booking/slots/{slot}/hold")
BOOK = Command("patient", "POST /booking/slots/book", {"slot_id": "{slot}"}, {"Idempotency-Key": "the-key"})
MOVE = Command(
    "patient", "POST /booking/appointments/{appointment}/reschedule", {"slot_id": "{other}"}, {"If-Match": '"1"'}
)
MOVE_ANYWAY = Command(
    "patient", "POST /booking/appointments/{appointment}/reschedule", {"slot_id": "{other}"}, {"If-Match": "*"}
)
CANCEL = Command("patient", "POST /booking/appointments/{appointment}/cancel", {"reason": "better"})
CANCEL_DAY = Command("doctor", "POST /booking/doctor/day/cancel", {"date": "{day}", "reason": "ill"})
CHECK_IN = Command("patient", "POST /booking/appointments/{appointment}/check-in")
UNDO = Command("doctor", "POST /booking/appointments/{appointment}/undo")

CASES = {
    "a hold": Case(lost=HOLD, again=(200, None), left=("pending", "slot", 2)),
    "a hold for longer": Case(before=(HOLD,), lost=HOLD, again=(409, "hold-extended"), left=("pending", "slot", 2)),
    "a release": Case(before=(HOLD,), lost=RELEASE, again=(404, "not-found"), left=("cancelled", "slot", 2)),
    "a booking": Case(lost=BOOK, again=(201, None), left=("booked", "slot", 1)),
    "the booking of a hold": Case(before=(HOLD,), lost=BOOK, again=(201, None), left=("booked", "slot", 2)),
    "a move": Case(before=(BOOK,), lost=MOVE, again=(412, "version-stale"), left=("booked", "other", 2)),
    "a move of any version": Case(before=(BOOK,), lost=MOVE_ANYWAY, again=(200, None), left=("booked", "other", 3)),
    "a cancellation": Case(
        before=(BOOK,), lost=CANCEL, again=(409, "appointment-not-booked"), left=("cancelled", "slot", 2)
    ),
    "the taking back of a day": Case(before=(BOOK,), lost=CANCEL_DAY, again=(200, None), left=("cancelled", "slot", 2)),
    "a check-in": Case(before=(BOOK,), lost=CHECK_IN, again=(200, None), left=("checked-in", "slot", 2)),
    "a correction": Case(
        before=(BOOK, CHECK_IN), lost=UNDO, again=(409, "nothing-to-undo"), left=("booked", "slot", 3)
    ),
}


def test_it_is_unknown_what_became_of_it_until_it_is_asked_again(world: World) -> None:
    """The line is cut between PostgreSQL's commit and the API: it was done once, and nothing is done twice unasked."""
    with proxy_to(str(world.postgres["host"]), int(world.postgres["port"])) as line:
        world.overrides = {"POSTGRES_PORT": str(line.port)}
        with world.apis() as (api,):
            told = {name: Visit(world, api).lose(case, line) for name, case in CASES.items()}

    assert told == {name: case.told for name, case in CASES.items()}
    assert line.cut == len(CASES)


class Visit:
    """A patient, a doctor, and two slots."""

    def __init__(self, world: World, api: Api) -> None:
        self.world, self.api = world, api
        ((patient,), (doctor,)) = world.add_users("patient", 1), world.add_doctors(1)
        start = datetime.now(UTC) + SOON
        slot, other = world.add_slots(doctor, [start, start + timedelta(hours=1)])
        self.people: dict[Who, UserId] = {"patient": patient, "doctor": doctor}
        self.names = {"slot": str(slot), "other": str(other), "day": start.date().isoformat()}

    def lose(self, case: Case, line: Proxy) -> Told:
        """Ask for what is done and not answered, and then again."""
        for one in case.before:
            assert self.ask(one).is_success
        line.commits_to_cut = 1
        lost = self.ask(case.lost)
        again = self.ask(case.lost)
        ((id, status, slot, version),) = self.appointments()
        where = next(name for name, its in self.names.items() if its == slot)
        ((events,),) = self.world.ask("SELECT count(*)::int FROM outbox WHERE subject_id = %s", [id])
        return Told(
            (lost.status_code, lost.json()["code"]),
            (again.status_code, again.json().get("code")),
            (str(status), where, cast("int", version)),
            cast("int", events),
        )

    def ask(self, command: Command) -> httpx.Response:
        """Send a command."""
        names = self.names | {"appointment": "".join(str(id) for id, *_ in self.appointments())}
        body = {name: value.format(**names) for name, value in command.body.items()} if command.body else None
        request = command.request.format(**names)
        return self.world.send(self.api, self.people[command.who], request, body, command.headers)

    def appointments(self) -> list[tuple[object, ...]]:
        """Return what the patient has."""
        return self.world.ask(
            "SELECT id, status, slot_id::text, version FROM appointments WHERE patient_id = %s",
            [self.people["patient"]],
        )
