"""What each role may do, in one table. What is not in it, nobody may do."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

from healthcare.domain.kernel import Actor, Forbidden, NotYours, Role, Unauthenticated, UserId


class Action(StrEnum):
    """Every use case has one of these names, and none has the name of another."""

    REGISTER = "register"
    LOG_IN = "log-in"
    READ_SELF = "read-self"
    CHANGE_ROLE = "change-role"
    CREATE_ADMIN = "create-admin"
    KEEP_PROFILE = "keep-profile"
    LIST_SPECIALTIES = "list-specialties"
    PUBLISH_SLOTS = "publish-slots"
    LIST_SLOTS = "list-slots"
    TAKE_SLOT_BACK = "take-slot-back"
    SEARCH_SLOTS = "search-slots"
    HOLD_SLOT = "hold-slot"
    RELEASE_HOLD = "release-hold"
    BOOK_APPOINTMENT = "book-appointment"
    LIST_APPOINTMENTS = "list-appointments"
    READ_APPOINTMENT = "read-appointment"
    RESCHEDULE_APPOINTMENT = "reschedule-appointment"
    CANCEL_APPOINTMENT = "cancel-appointment"
    CANCEL_DAY = "cancel-day"
    CHECK_IN = "check-in"
    MARK_NO_SHOWS = "mark-no-shows"
    UNDO_STATUS = "undo-status"
    FORGET_KEYS = "forget-keys"
    START_CONSULTATION = "start-consultation"
    ISSUE_PRESCRIPTION = "issue-prescription"
    READ_PRESCRIPTION = "read-prescription"
    RECORD_EVENTS = "record-events"
    LIST_DEAD_LETTERS = "list-dead-letters"
    REQUEUE_EVENTS = "requeue-events"
    SEARCH_AUDIT = "search-audit"


class Relation(StrEnum):
    """How the caller must stand to the thing they ask for."""

    ITS_DOCTOR = "its-doctor"
    ITS_PATIENT = "its-patient"
    ITS_DOCTOR_OR_PATIENT = "its-doctor-or-patient"


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may do something."""

    roles: frozenset[Role] = frozenset()
    anyone: bool = False
    """Also callers who are not signed in."""
    system: bool = False
    """The worker, and operators at the command line."""
    relation: Relation | None = None
    whosever: frozenset[Role] = frozenset()
    """Of these roles whoever asks, however they stand to the thing."""


ANYONE: Final = Rule(anyone=True)
SYSTEM: Final = Rule(system=True)


def only(*roles: Role, relation: Relation | None = None, whosever: Role | None = None) -> Rule:
    """Let these roles in, and of them only those who stand so to the thing; one more role for whosever thing it is."""
    free = frozenset({whosever} if whosever else ())
    return Rule(frozenset(roles) | free, relation=relation, whosever=free)


POLICY: Mapping[Action, Rule] = MappingProxyType(
    {
        Action.REGISTER: ANYONE,
        Action.LOG_IN: ANYONE,
        Action.READ_SELF: only(*Role),
        Action.CHANGE_ROLE: only(Role.ADMIN),
        Action.CREATE_ADMIN: SYSTEM,
        Action.KEEP_PROFILE: only(Role.DOCTOR, relation=Relation.ITS_DOCTOR),
        Action.LIST_SPECIALTIES: ANYONE,
        Action.PUBLISH_SLOTS: only(Role.DOCTOR),
        Action.LIST_SLOTS: only(Role.DOCTOR),
        Action.TAKE_SLOT_BACK: only(Role.DOCTOR, relation=Relation.ITS_DOCTOR),
        Action.SEARCH_SLOTS: ANYONE,
        Action.HOLD_SLOT: only(Role.PATIENT),
        Action.RELEASE_HOLD: only(Role.PATIENT),
        Action.BOOK_APPOINTMENT: only(Role.PATIENT),
        Action.LIST_APPOINTMENTS: only(Role.PATIENT, Role.DOCTOR),
        Action.READ_APPOINTMENT: only(Role.PATIENT, Role.DOCTOR, relation=Relation.ITS_DOCTOR_OR_PATIENT),
        Action.RESCHEDULE_APPOINTMENT: only(Role.PATIENT, relation=Relation.ITS_PATIENT),
        Action.CANCEL_APPOINTMENT: only(
            Role.PATIENT, Role.DOCTOR, relation=Relation.ITS_DOCTOR_OR_PATIENT, whosever=Role.ADMIN
        ),
        Action.CANCEL_DAY: only(Role.DOCTOR),
        Action.CHECK_IN: only(Role.PATIENT, Role.DOCTOR, relation=Relation.ITS_PATIENT),
        Action.MARK_NO_SHOWS: SYSTEM,
        Action.UNDO_STATUS: only(Role.DOCTOR, relation=Relation.ITS_DOCTOR),
        Action.FORGET_KEYS: SYSTEM,
        Action.START_CONSULTATION: only(Role.DOCTOR, relation=Relation.ITS_DOCTOR),
        Action.ISSUE_PRESCRIPTION: only(Role.DOCTOR, relation=Relation.ITS_DOCTOR),
        Action.READ_PRESCRIPTION: only(Role.PATIENT, Role.DOCTOR, relation=Relation.ITS_DOCTOR_OR_PATIENT),
        Action.RECORD_EVENTS: SYSTEM,
        Action.LIST_DEAD_LETTERS: SYSTEM,
        Action.REQUEUE_EVENTS: SYSTEM,
        Action.SEARCH_AUDIT: only(Role.ADMIN),
    }
)


def permit(action: Action, actor: Actor, role: Role | None = None, *, subject: UUID | None = None) -> None:
    """Let the actor go on, or refuse before anything is looked up.

    Raises:
        Unauthenticated: nobody, or nobody we know, asks for what needs a role.
        Forbidden: this role may never do this; `subject` is what they asked for.
    """
    rule = POLICY[action]
    if rule.anyone or (rule.system and actor.system):
        return
    if role is None or actor.user is None:
        raise Unauthenticated
    if role not in rule.roles:
        raise Forbidden(actor, subject)


def require_relation(
    action: Action,
    actor: Actor,
    role: Role | None,
    *,
    doctor: UserId,
    patient: UserId | None = None,
    subject: UUID,
) -> None:
    """Let the actor go on, or refuse as if the thing did not exist.

    Only a doctor is somebody's doctor: who has lost the role no longer sees the patients they had. A patient who has
    become a doctor keeps what is theirs.

    Raises:
        NotYours: the actor does not stand to the thing as the table demands.
    """
    rule = POLICY[action]
    if rule.relation is None or role in rule.whosever:
        return
    is_doctor = rule.relation is not Relation.ITS_PATIENT and role is Role.DOCTOR and actor.user == doctor
    is_patient = rule.relation is not Relation.ITS_DOCTOR and actor.user == patient
    if actor.user is None or not (is_doctor or is_patient):
        raise NotYours(actor, subject)
