"""What somebody may be told: in time, understandably, truthfully, and the same for the same key."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from healthcare.domain.kernel import EventKind
from healthcare.domain.scheduling.model import MOST_HOLDS
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.integration.faults.evidence import Claim, Evidence, Version, over
from tests.integration.faults.journal import NOTHING_HAPPENED, OUTCOME_UNKNOWN, QUESTIONS, Kind, Try, by_wish

ALLOWANCE = 0.5
"""Seconds on top of a deadline for a client that shares two cores with everything it asks."""


def one_answer_per_key(journal: Iterable[Try]) -> Iterator[str]:
    """A key gets one answer however often it is sent; two keys are two appointments."""
    keys = Counter[str]()
    for tries in by_wish(one for one in journal if one.kind is Kind.BOOK):
        answers = {one.answer if one.kept else b"refused" for one in tries if one.settled}
        if len(answers) > 1:
            yield f"{len(answers)} answers to one key: {tries}"
        keys.update({one.appointment for one in tries if one.kept})
    for id, number in keys.items():
        if number > 1:
            yield f"one appointment for {number} keys: {id}"


def settled_in_the_end(journal: Iterable[Try]) -> Iterator[str]:
    """Whoever goes on asking is told."""
    for tries in by_wish(journal):
        if not any(one.settled for one in tries):
            yield f"never settled: {tries[-1]}"


def answered_well(one: Try, *, unanswered: bool) -> Iterator[str]:
    """The answer came in time, and is one that the caller can understand."""
    if one.status is None:
        if not unanswered:
            yield f"not answered: {one}"
        return
    if (took := (one.ended or math.inf) - one.began) > one.seconds + ALLOWANCE:
        yield f"answered late, after {took:.2f} s: {one}"
    match one.status:
        case 200 | 201 | 204:
            return
        case 404 | 409 | 412 if one.code in REFUSALS[one.kind]:
            return
        case 503 if one.code in NOTHING_HAPPENED | {OUTCOME_UNKNOWN}:
            if not (one.retry_after or "").isdecimal():
                yield f"not told when to ask again: {one}"
        case _:
            yield f"answered wrongly: {one}"


def answers_are_true(evidence: Evidence) -> Iterator[str]:
    """An appointment is shown as it was: as this request has left it, or not older than what was over before."""
    for one in evidence.journal:
        if one.seen:
            life = evidence.lives.get(one.appointment, [])
            version = life[one.seen.version - 1] if 0 < one.seen.version <= len(life) else None
            if version is None or (version.status, version.slot) != (one.seen.status, one.seen.slot):
                yield f"told what never was: {one}"
            elif one.kind not in QUESTIONS and version.by.wish != one.wish:
                yield f"told what others did: {one}"
            elif one.kind in QUESTIONS and any(over(later.by) < one.began for later in life[one.seen.version :]):
                yield f"told what was no more: {one}"


def refusals_have_reasons(evidence: Evidence) -> Iterator[str]:
    """Nobody is turned away for something that was not so, as far as it can be told from outside."""
    for one in evidence.journal:
        if one.refused and (reason := REFUSALS[one.kind].get(one.code)) and not reason(evidence, one):
            yield f"refused without a reason: {one}"


def taken(evidence: Evidence, one: Try) -> bool:
    """Somebody had the slot, other than the one who asks for what they hold."""
    return any(claim.version.slot == one.slot and not own(claim, one) for claim in rivals(evidence, one))


def busy(evidence: Evidence, one: Try) -> bool:
    """The patient had something else at this time."""
    wanted = evidence.slots[one.slot]
    for claim in rivals(evidence, one):
        there = evidence.slots[claim.version.slot]
        if (
            claim.patient == one.caller
            and there.start < wanted.end
            and wanted.start < there.end
            and not own(claim, one)
        ):
            return True
    return False


def rivals(evidence: Evidence, one: Try) -> Iterator[Claim]:
    """Return who had something meanwhile; the appointment that is moved is in nobody's way."""
    for claim in evidence.claims:
        if claim.since < over(one) and one.began < claim.until and claim.appointment != one.subject:
            yield claim


def own(claim: Claim, one: Try) -> bool:
    """Say whether it is the hold of the one who wants to hold or book the slot."""
    held = claim.version.status is AppointmentStatus.PENDING and claim.patient == one.caller
    return held and one.kind is not Kind.RESCHEDULE and claim.version.slot == one.slot


def holding_enough(evidence: Evidence, one: Try) -> bool:
    """The patient held as much as one can."""
    holds = (claim for claim in rivals(evidence, one) if claim.version.status is AppointmentStatus.PENDING)
    return len({claim.appointment for claim in holds if claim.patient == one.caller}) >= MOST_HOLDS


def taken_back(evidence: Evidence, one: Try) -> bool:
    """The slot is offered no longer."""
    entries = (entry for entry in evidence.state.entries if entry.subject == one.slot)
    return any(before(evidence.asked.get(entry.request), one) for entry in entries)


def extended(evidence: Evidence, one: Try) -> bool:
    """It was done before, by somebody who was not told."""
    mine = (life for life in evidence.lives.values() if life[0].by.caller == one.caller and life[0].slot == one.slot)
    return any(version.kind == EventKind.HOLD_EXTENDED and before(version.by, one) for life in mine for version in life)


def over_and_done(evidence: Evidence, one: Try) -> bool:
    """It was given up before."""
    return any(version.status is AppointmentStatus.CANCELLED for version in earlier(evidence, one))


def changed(evidence: Evidence, one: Try) -> bool:
    """It has a later version than the caller has seen."""
    return one.match != "*" and len(earlier(evidence, one)) > int(one.match.strip('"'))


def published(evidence: Evidence, one: Try) -> bool:
    """It was done before, by somebody who was not told."""
    entries = (entry for entry in evidence.state.entries if entry.kind == EventKind.SLOTS_PUBLISHED)
    return any((by := evidence.asked.get(entry.request)) and by.wish == one.wish for entry in entries)


def earlier(evidence: Evidence, one: Try) -> list[Version]:
    """Return what has become of an appointment by requests that may have come before this one."""
    id = one.appointment if one.kind is Kind.RELEASE else one.subject
    return [version for version in evidence.lives.get(id, ()) if before(version.by, one)]


def before(other: Try | None, one: Try) -> bool:
    """Say whether another request may have come first."""
    return other is not None and other is not one and other.began < over(one)


REFUSALS: Mapping[Kind, Mapping[str, Callable[[Evidence, Try], bool]]] = {
    Kind.SEARCH: {},
    Kind.LIST: {},
    Kind.READ: {},  # they read their own appointments
    Kind.HOLD: {
        "not-found": taken_back,
        "slot-taken": taken,
        "patient-busy": busy,
        "hold-extended": extended,
        "too-many-holds": holding_enough,
    },
    Kind.RELEASE: {"not-found": over_and_done},
    Kind.BOOK: {"not-found": taken_back, "slot-taken": taken, "patient-busy": busy},
    Kind.RESCHEDULE: {
        "not-found": taken_back,
        "slot-taken": taken,
        "patient-busy": busy,
        "appointment-not-booked": over_and_done,
        "version-stale": changed,
    },
    Kind.CANCEL: {"appointment-not-booked": over_and_done},
    Kind.CANCEL_DAY: {},
    Kind.PUBLISH: {"slots-overlap": published},
}
"""What may be told to people who ask for nothing that is wrong, and only where it is so."""
