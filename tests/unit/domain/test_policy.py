"""Who may do what."""

from uuid import uuid4

import pytest

from healthcare.domain.kernel import Forbidden, NotYours, Role, Unauthenticated
from healthcare.domain.policy import POLICY, Action, Relation, permit, require_relation
from tests.builders import NOBODY, SYSTEM, a_user_id, an_actor

OPEN = {action for action, rule in POLICY.items() if rule.anyone}
SYSTEMS = {action for action, rule in POLICY.items() if rule.system}
RELATED = [action for action, rule in POLICY.items() if rule.relation]


def test_every_action_has_a_row() -> None:
    assert set(POLICY) == set(Action)


def test_every_row_lets_somebody_in() -> None:
    assert all(rule.anyone or rule.system or rule.roles for rule in POLICY.values())


def test_what_anybody_may_do_is_short() -> None:
    assert sorted(OPEN) == ["list-specialties", "log-in", "register", "search-slots"]


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("role", Role)
def test_a_role_may_do_what_the_table_says_and_nothing_else(action: Action, role: Role) -> None:
    rule = POLICY[action]

    if rule.anyone or role in rule.roles:
        permit(action, an_actor(), role)
    else:
        with pytest.raises(Forbidden):
            permit(action, an_actor(), role)


@pytest.mark.parametrize("action", Action)
def test_nobody_may_do_only_what_is_open(action: Action) -> None:
    if action in OPEN:
        permit(action, NOBODY)
    else:
        with pytest.raises(Unauthenticated):
            permit(action, NOBODY)


@pytest.mark.parametrize("action", Action)
def test_the_system_may_do_its_own_work_and_what_is_open(action: Action) -> None:
    if action in OPEN | SYSTEMS:
        permit(action, SYSTEM)
    else:
        with pytest.raises(Unauthenticated):
            permit(action, SYSTEM)


@pytest.mark.parametrize("action", sorted(set(Action) - OPEN))
def test_somebody_whom_we_do_not_know_has_to_sign_in(action: Action) -> None:
    with pytest.raises(Unauthenticated):
        permit(action, an_actor(), None)


@pytest.mark.parametrize("action", sorted(set(Action) - OPEN))
def test_a_role_without_a_user_is_nobody(action: Action) -> None:
    with pytest.raises(Unauthenticated):
        permit(action, NOBODY, Role.ADMIN)


def test_who_is_turned_away_is_remembered_with_what_they_wanted() -> None:
    actor, subject = an_actor(), uuid4()

    with pytest.raises(Forbidden) as refused:
        permit(Action.CHANGE_ROLE, actor, Role.PATIENT, subject=subject)

    assert (refused.value.actor, refused.value.subject) == (actor, subject)


@pytest.mark.parametrize("action", RELATED)
def test_strangers_are_told_that_the_thing_does_not_exist(action: Action) -> None:
    actor, subject = an_actor(), uuid4()

    with pytest.raises(NotYours) as refused:
        require_relation(action, actor, Role.DOCTOR, doctor=a_user_id(), patient=a_user_id(), subject=subject)

    assert (refused.value.actor, refused.value.subject) == (actor, subject)


@pytest.mark.parametrize("action", RELATED)
def test_its_doctor_does_only_where_the_table_says_so(action: Action) -> None:
    doctor = a_user_id()

    if POLICY[action].relation in {Relation.ITS_DOCTOR, Relation.ITS_DOCTOR_OR_PATIENT}:
        require_relation(action, an_actor(doctor), Role.DOCTOR, doctor=doctor, patient=a_user_id(), subject=uuid4())
    else:
        with pytest.raises(NotYours):
            require_relation(action, an_actor(doctor), Role.DOCTOR, doctor=doctor, patient=a_user_id(), subject=uuid4())


@pytest.mark.parametrize("action", RELATED)
def test_its_patient_does_only_where_the_table_says_so(action: Action) -> None:
    patient = a_user_id()
    actor = an_actor(patient)

    if POLICY[action].relation in {Relation.ITS_PATIENT, Relation.ITS_DOCTOR_OR_PATIENT}:
        require_relation(action, actor, Role.PATIENT, doctor=a_user_id(), patient=patient, subject=uuid4())
    else:
        with pytest.raises(NotYours):
            require_relation(action, actor, Role.PATIENT, doctor=a_user_id(), patient=patient, subject=uuid4())


def test_how_somebody_must_stand_to_a_thing_is_this() -> None:
    relations = {action: rule.relation for action, rule in POLICY.items() if rule.relation}

    assert relations == {
        Action.KEEP_PROFILE: Relation.ITS_DOCTOR,
        Action.TAKE_SLOT_BACK: Relation.ITS_DOCTOR,
        Action.READ_APPOINTMENT: Relation.ITS_DOCTOR_OR_PATIENT,
        Action.RESCHEDULE_APPOINTMENT: Relation.ITS_PATIENT,
        Action.CANCEL_APPOINTMENT: Relation.ITS_DOCTOR_OR_PATIENT,
        Action.CHECK_IN: Relation.ITS_PATIENT,
        Action.UNDO_STATUS: Relation.ITS_DOCTOR,
        Action.START_CONSULTATION: Relation.ITS_DOCTOR,
        Action.ISSUE_PRESCRIPTION: Relation.ITS_DOCTOR,
        Action.READ_PRESCRIPTION: Relation.ITS_DOCTOR_OR_PATIENT,
    }


def test_admins_cancel_whosever_appointment_it_is_and_nothing_else_is_free_of_its_relation() -> None:
    assert {action for action, rule in POLICY.items() if rule.whosever} == {Action.CANCEL_APPOINTMENT}

    permit(Action.CANCEL_APPOINTMENT, an_actor(), Role.ADMIN)
    require_relation(
        Action.CANCEL_APPOINTMENT,
        an_actor(),
        Role.ADMIN,
        doctor=a_user_id(),
        patient=a_user_id(),
        subject=uuid4(),
    )


def test_whoever_is_let_in_whosever_thing_it_is_may_ask_at_all() -> None:
    assert all(rule.whosever <= rule.roles for rule in POLICY.values())


def test_what_the_system_alone_may_do_is_this() -> None:
    assert sorted(SYSTEMS) == [
        *("create-admin", "forget-keys", "list-dead-letters", "mark-no-shows", "record-events", "requeue-events"),
    ]
    assert not any(POLICY[action].roles for action in SYSTEMS)


def test_nobody_does_not_stand_to_a_thing_without_a_patient() -> None:
    with pytest.raises(NotYours):
        require_relation(Action.READ_APPOINTMENT, NOBODY, None, doctor=a_user_id(), subject=uuid4())


def test_where_the_table_demands_no_relation_anybody_who_was_let_in_goes_on() -> None:
    require_relation(Action.SEARCH_AUDIT, an_actor(), Role.ADMIN, doctor=a_user_id(), subject=uuid4())


@pytest.mark.parametrize(
    ("action", "role"),
    [(one, role) for one in RELATED for role in (Role.PATIENT, Role.ADMIN) if role not in POLICY[one].whosever],
)
def test_who_is_no_doctor_any_more_is_nobodys_doctor(action: Action, role: Role) -> None:
    doctor = a_user_id()

    with pytest.raises(NotYours):
        require_relation(action, an_actor(doctor), role, doctor=doctor, patient=a_user_id(), subject=uuid4())


@pytest.mark.parametrize(
    "action", [Action.READ_APPOINTMENT, Action.CANCEL_APPOINTMENT, Action.CHECK_IN, Action.READ_PRESCRIPTION]
)
def test_a_patient_who_became_a_doctor_keeps_what_is_theirs(action: Action) -> None:
    patient = a_user_id()

    permit(action, an_actor(patient), Role.DOCTOR)
    require_relation(action, an_actor(patient), Role.DOCTOR, doctor=a_user_id(), patient=patient, subject=uuid4())
