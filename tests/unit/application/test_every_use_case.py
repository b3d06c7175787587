"""What holds for every use case: its name in the policy table, and whom it turns away before it looks at anything."""

import pkgutil
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from inspect import getmembers, isclass
from typing import Final, get_type_hints
from uuid import UUID, uuid4

import pytest

import healthcare.application
from healthcare.application.scheduling.decide import DecideOne, DecideTogether, LookForOthers
from healthcare.application.use_cases import UseCases
from healthcare.domain.audit.model import Question
from healthcare.domain.kernel import (
    Actor,
    AppointmentId,
    ConsultationId,
    EventKind,
    Forbidden,
    Outcome,
    Paging,
    Role,
    SlotId,
    Unauthenticated,
    UserId,
)
from healthcare.domain.policy import POLICY, Action
from healthcare.domain.scheduling import diary
from healthcare.domain.scheduling.asks import Ask
from healthcare.domain.scheduling.search import Search
from tests.builders import (
    NOBODY,
    NOW,
    PASSWORD,
    SYSTEM,
    a_booking,
    a_profile,
    a_publication,
    an_actor,
    an_email,
    an_item,
)
from tests.clinic import Clinic

pytestmark = pytest.mark.anyio

SUBJECT: Final = uuid4()
"""Nothing has this id: whoever is turned away learns nothing of what there is."""

Call = Callable[[UseCases, Actor], Awaitable[object]]

CALLS: Final[Mapping[Action, Call]] = {
    Action.REGISTER: lambda can, who: can.register_patient(
        actor=who, email=an_email(), password=PASSWORD, full_name="Ada", time_zone="UTC"
    ),
    Action.CREATE_ADMIN: lambda can, who: can.create_admin(
        actor=who, email=an_email(), password=PASSWORD, full_name="Ada", time_zone="UTC"
    ),
    Action.LOG_IN: lambda can, who: can.log_in(actor=who, email=an_email("a@example.org"), password="their password"),
    Action.READ_SELF: lambda can, who: can.read_self(actor=who),
    Action.CHANGE_ROLE: lambda can, who: can.change_role(actor=who, user=UserId(SUBJECT), role=Role.ADMIN),
    Action.KEEP_PROFILE: lambda can, who: can.keep_profile(actor=who, profile=a_profile(who.user)),
    Action.LIST_SPECIALTIES: lambda can, who: can.list_specialties(actor=who),
    Action.PUBLISH_SLOTS: lambda can, who: can.publish_slots(actor=who, publication=a_publication()),
    Action.LIST_SLOTS: lambda can, who: can.list_slots(actor=who, paging=Paging()),
    Action.TAKE_SLOT_BACK: lambda can, who: can.take_slot_back(actor=who, slot=SlotId(SUBJECT)),
    Action.SEARCH_SLOTS: lambda can, who: can.search_slots(actor=who, search=Search("cardiology", NOW.date())),
    Action.HOLD_SLOT: lambda can, who: can.hold_slot(actor=who, slot=SlotId(SUBJECT)),
    Action.RELEASE_HOLD: lambda can, who: can.release_hold(actor=who, slot=SlotId(SUBJECT)),
    Action.BOOK_APPOINTMENT: lambda can, who: can.book_appointment(a_booking(who, SlotId(SUBJECT))),
    Action.LIST_APPOINTMENTS: lambda can, who: can.list_appointments(actor=who, paging=Paging()),
    Action.READ_APPOINTMENT: lambda can, who: can.read_appointment(actor=who, appointment=AppointmentId(SUBJECT)),
    Action.RESCHEDULE_APPOINTMENT: lambda can, who: can.reschedule_appointment(
        actor=who, appointment=AppointmentId(SUBJECT), slot=SlotId(uuid4())
    ),
    Action.CANCEL_APPOINTMENT: lambda can, who: can.cancel_appointment(
        actor=who, appointment=AppointmentId(SUBJECT), reason="ill"
    ),
    Action.CANCEL_DAY: lambda can, who: can.cancel_day(actor=who, day=NOW.date(), reason="ill"),
    Action.CHECK_IN: lambda can, who: can.check_in(actor=who, appointment=AppointmentId(SUBJECT)),
    Action.MARK_NO_SHOWS: lambda can, who: can.mark_no_shows(actor=who),
    Action.UNDO_STATUS: lambda can, who: can.undo_status(actor=who, appointment=AppointmentId(SUBJECT)),
    Action.FORGET_KEYS: lambda can, who: can.forget_keys(actor=who),
    Action.START_CONSULTATION: lambda can, who: can.start_consultation(actor=who, appointment=AppointmentId(SUBJECT)),
    Action.ISSUE_PRESCRIPTION: lambda can, who: can.issue_prescription(
        actor=who, consultation=ConsultationId(SUBJECT), items=(an_item(),)
    ),
    Action.READ_PRESCRIPTION: lambda can, who: can.read_prescription(actor=who, consultation=ConsultationId(SUBJECT)),
    Action.RECORD_EVENTS: lambda can, who: can.record_events(actor=who),
    Action.LIST_DEAD_LETTERS: lambda can, who: can.list_dead_letters(actor=who, paging=Paging()),
    Action.REQUEUE_EVENTS: lambda can, who: can.requeue_events(actor=who, letters=[]),
    Action.SEARCH_AUDIT: lambda can, who: can.search_audit(actor=who, question=Question(), paging=Paging()),
}

HAVE_A_SUBJECT: Final = {
    Action.CHANGE_ROLE,
    Action.TAKE_SLOT_BACK,
    Action.HOLD_SLOT,
    Action.RELEASE_HOLD,
    Action.BOOK_APPOINTMENT,
    Action.READ_APPOINTMENT,
    Action.RESCHEDULE_APPOINTMENT,
    Action.CANCEL_APPOINTMENT,
    Action.CHECK_IN,
    Action.UNDO_STATUS,
    Action.START_CONSULTATION,
    Action.ISSUE_PRESCRIPTION,
    Action.READ_PRESCRIPTION,
}

BY_SYSTEM: Final = {action for action, rule in POLICY.items() if rule.system}
BY_ROLE: Final = {action for action, rule in POLICY.items() if rule.roles}
TURNED_AWAY: Final = [
    (action, role) for action in Action for role in Role if action in BY_ROLE and role not in POLICY[action].roles
]


def use_cases() -> dict[type, object]:
    """Return every class of a context's use cases that can be called, and its action."""
    found: dict[type, object] = {}
    for module in pkgutil.walk_packages(healthcare.application.__path__, "healthcare.application."):
        if module.name.count(".") == 3:
            members = getmembers(import_module(module.name), isclass)
            found |= {one: getattr(one, "action", None) for _, one in members if _is_use_case(one, module.name)}
    return found


def _is_use_case(one: type, module: str) -> bool:
    return one.__module__ == module and "__call__" in vars(one)


def test_every_use_case_is_named_in_the_policy_table() -> None:
    """But for how several of them are decided: there each command brings its own name."""
    unnamed = {one for one, action in use_cases().items() if action not in POLICY}

    assert unnamed == {DecideOne, DecideTogether, LookForOthers}


def test_every_action_has_one_use_case() -> None:
    by_action = {action: [one for one, its in use_cases().items() if its is action] for action in Action}

    assert {action: len(classes) for action, classes in by_action.items()} == dict.fromkeys(Action, 1)


def test_every_command_of_the_diary_has_the_name_of_its_own_use_case() -> None:
    names = [one.action for _, one in getmembers(diary, isclass) if issubclass(one, Ask) and one is not Ask]

    assert set(names) <= set(use_cases().values())
    assert len(names) == len(set(names))


def test_drivers_are_handed_one_use_case_for_every_action() -> None:
    handed = [one.action for one in get_type_hints(UseCases).values()]

    assert sorted(handed) == sorted(Action)


def test_every_action_is_tried_here() -> None:
    assert set(CALLS) == set(Action)


@pytest.mark.parametrize(("action", "role"), TURNED_AWAY)
async def test_the_wrong_role_is_turned_away_before_anything_is_looked_up(
    clinic: Clinic, action: Action, role: Role
) -> None:
    user = await clinic.user(role)

    with pytest.raises(Forbidden):
        await CALLS[action](clinic.can, an_actor(user.id))


@pytest.mark.parametrize(("action", "role"), TURNED_AWAY)
async def test_that_the_wrong_role_was_turned_away_is_recorded_once_and_nothing_else(
    clinic: Clinic, action: Action, role: Role
) -> None:
    actor = an_actor((await clinic.user(role)).id, request="request-7")

    with pytest.raises(Forbidden):
        await CALLS[action](clinic.can, actor)

    (event,) = await clinic.events()
    subject: UUID | None = SUBJECT if action in HAVE_A_SUBJECT else None
    assert (event.kind, event.outcome) == (EventKind.ACCESS_REFUSED, Outcome.REFUSED)
    assert (event.actor, event.subject, event.request, event.at) == (actor.user, subject, "request-7", NOW)


@pytest.mark.parametrize("action", sorted(BY_ROLE | BY_SYSTEM))
@pytest.mark.parametrize("who", [NOBODY, an_actor()], ids=["nobody", "a stranger"])
async def test_whoever_has_not_signed_in_has_to_and_that_is_not_recorded(
    clinic: Clinic, action: Action, who: Actor
) -> None:
    with pytest.raises(Unauthenticated):
        await CALLS[action](clinic.can, who)

    assert await clinic.events() == []


@pytest.mark.parametrize("action", sorted(BY_ROLE))
async def test_the_system_does_not_do_what_people_do(clinic: Clinic, action: Action) -> None:
    with pytest.raises(Unauthenticated):
        await CALLS[action](clinic.can, SYSTEM)


@pytest.mark.parametrize("action", sorted(BY_SYSTEM))
async def test_the_system_does_its_own_work(clinic: Clinic, action: Action) -> None:
    await CALLS[action](clinic.can, SYSTEM)
