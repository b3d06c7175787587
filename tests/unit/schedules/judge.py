"""What must hold after any program in any schedule, told from what was answered and from what is kept."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Final

from healthcare.adapters.memory.scheduling import row_of
from healthcare.adapters.memory.tables import Kept
from healthcare.application.consultation.start import Started
from healthcare.domain.consultation.model import Prescription
from healthcare.domain.kernel import AccessRefused, AppointmentId, EventKind, Role, UserId
from healthcare.domain.scheduling.asks import (
    Ask,
    Booking,
    Cancelling,
    CheckingIn,
    Holding,
    Release,
    Rescheduling,
    Undoing,
    Withdrawal,
)
from healthcare.domain.scheduling.model import Appointment
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.unit.schedules.changes import BECOMES, misdeeds
from tests.unit.schedules.commands import LetGo, MarkNoShows
from tests.unit.schedules.record import ENDED, Commit, Try, commits_of, tries_of
from tests.unit.schedules.refusals import alternatives, inventions, strangers
from tests.unit.schedules.scene import Outcome, Scene
from tests.unit.schedules.searches import lies


def violations(scene: Scene, *, calm: bool) -> Iterator[str]:
    """Say what does not hold; `calm` means that no fault could strike."""
    history, kept = scene.history, scene.database.kept
    tries = list(tries_of(scene))
    commits = list(commits_of(scene, tries))
    yield from clashes(kept)
    yield from losses(scene, tries, commits)
    yield from ghosts(kept, tries)
    yield from keys(kept, tries)
    yield from misdeeds(scene, commits)
    yield from strangers(scene, tries)
    yield from records(scene, tries, commits, calm=calm)
    yield from inventions(scene, tries, commits)
    yield from alternatives(scene, tries)
    yield from lies(scene, tries, commits)
    yield from (f"an error that says nothing: {call.answer!r}" for call in history if call.outcome is Outcome.BROKEN)
    if scene.database.constraints_refused:
        yield "a constraint had to refuse"
    if history[-1].answer != scene.free:
        yield "the last search, of which nothing was kept any more, differs from the database"
    if calm and not all(call.outcome in {Outcome.DONE, Outcome.REFUSED} for call in history):
        yield "somebody gave up waiting, though nothing was slow"


def clashes(kept: Kept) -> Iterator[str]:
    """In the end no doctor offers overlapping time, and care, admins and appointments belong together."""
    for slot, another in combinations((row for row in kept.slots.values() if not row.withdrawn), 2):
        if slot.doctor == another.doctor and slot.time.overlaps(another.time):
            yield "a doctor offers overlapping slots"
    if not any(one.user.role is Role.ADMIN for one in kept.accounts.values()):
        yield "no admin is left"
    cared_for = Counter(one.appointment for one in kept.consultations.values())
    fulfilled = Counter(row.id for row in kept.appointments.values() if row.status is AppointmentStatus.FULFILLED)
    if cared_for != fulfilled:
        yield "fulfilled appointments and consultations differ"


NAMES: Final[Mapping[type[Ask], str]] = {
    Holding: "hold",
    Release: "release",
    Booking: "booking",
    Rescheduling: "move",
    Cancelling: "cancellation",
    CheckingIn: "check-in",
    Undoing: "correction",
}


def losses(scene: Scene, tries: list[Try], commits: list[Commit]) -> Iterator[str]:
    """What was acknowledged is there: as it was told, or as it has become since."""
    kept = scene.database.kept
    written = {(row.id, row.version): row for commit in commits for row in commit.after.appointments.values()}
    for one in tries:
        if told := one.told:
            row, then = kept.appointments.get(told.id), written.get((told.id, told.version), row_of(told))
            if row is None or row.patient != told.patient.id or row.version < told.version or then != row_of(told):
                yield f"an acknowledged {NAMES[type(one.ask)]} is lost"
            yield from misfits(one.ask, told)
        elif one.outcome is Outcome.DONE and not kept_so(kept, one.ask):
            yield "an acknowledged withdrawal, or an appointment of a day, is lost"
    missed = Counter(
        call.begun
        for commit in commits
        for change in commit.changes()
        if change.kind is EventKind.APPOINTMENT_MISSED
        for call in commit.calls
    )
    released = {call.begun for one in commits for change in one.changes() if change.released for call in one.calls}
    for call in scene.history:
        match call.command, call.answer:
            case MarkNoShows(), int(number) if number != missed[call.begun]:
                yield "an acknowledged no-show is lost"
            case LetGo(), None if call.outcome is Outcome.DONE and call.begun not in released:
                yield "an acknowledged release is lost"
            case _, Started(consultation) if consultation.id not in kept.consultations:
                yield "an acknowledged start is lost"
            case _, Prescription() as issued if kept.prescriptions.get(issued.consultation) is None:
                yield "an acknowledged prescription is lost"


def kept_so(kept: Kept, ask: Ask) -> bool:
    """Say whether what was acknowledged without an appointment is there."""
    match ask:
        case Withdrawal(slot=slot):
            return kept.slots[slot].withdrawn
        case Cancelling(appointment=id, only_on=slot):
            return kept.appointments[id].status is AppointmentStatus.CANCELLED and kept.appointments[id].slot == slot
    return True


def misfits(ask: Ask, told: Appointment) -> Iterator[str]:
    """Whoever is told of an appointment is told of the one they asked for, and that it is as they wanted it."""
    if told.status not in BECOMES[type(ask)] or ask.appointment not in {None, told.id}:
        yield "an answer is about something else"
    if ask.slot not in {None, told.slot}:
        yield "an answer is about another slot"
    if isinstance(ask, Rescheduling) and ask.versions is not None and told.version - 1 not in ask.versions:
        yield "an appointment was moved that had changed since it was seen"
    why = told.cancellation
    if isinstance(ask, Cancelling) and (why is None or why.reason != ask.reason or ask.code not in {None, why.code}):
        yield "a cancellation is not for the reason that was given"


def ghosts(kept: Kept, tries: list[Try]) -> Iterator[str]:
    """What is there was asked for, by somebody who was not told that it did not happen; see also `misdeeds`."""
    asked = {(one.user, one.ask.key) for one in tries if one.maybe and isinstance(one.ask, Booking)}
    if not set(kept.receipts) <= asked:
        yield "a booking that did not happen left something"
    booked = Counter(entry.subject for entry in kept.entries.values() if entry.kind is EventKind.APPOINTMENT_BOOKED)
    if booked != Counter(row.receipt.appointment.id for row in kept.receipts.values()):
        yield "appointments and receipts differ"


def keys(kept: Kept, tries: list[Try]) -> Iterator[str]:
    """A key has one effect, and one answer however often it is sent."""
    answers: dict[tuple[UserId, str], set[AppointmentId]] = defaultdict(set)
    for one in tries:
        if one.told and one.ask.key:
            answers[one.user, one.ask.key].add(one.told.id)
    for key, ids in answers.items():
        if ids != ({kept.receipts[key].receipt.appointment.id} if key in kept.receipts else set()):
            yield "a key had two effects"


OF_APPOINTMENTS: Final = frozenset(
    {
        EventKind.SLOT_HELD,
        EventKind.HOLD_EXTENDED,
        EventKind.HOLD_RELEASED,
        EventKind.HOLD_EXPIRED,
        EventKind.APPOINTMENT_BOOKED,
        EventKind.APPOINTMENT_RESCHEDULED,
        EventKind.APPOINTMENT_CANCELLED,
        EventKind.APPOINTMENT_CHECKED_IN,
        EventKind.APPOINTMENT_MISSED,
        EventKind.APPOINTMENT_UNDONE,
    }
)
"""Each stands for one version of an appointment; so does the start of a consultation, which is named by its own id."""

ENDS: Final = frozenset(
    {
        EventKind.HOLD_EXTENDED,
        EventKind.HOLD_RELEASED,
        EventKind.HOLD_EXPIRED,
        EventKind.APPOINTMENT_BOOKED,
        EventKind.APPOINTMENT_CANCELLED,
        EventKind.CONSULTATION_STARTED,
        EventKind.PRESCRIPTION_ISSUED,
        EventKind.SLOTS_PUBLISHED,
        EventKind.SLOT_WITHDRAWN,
    }
)
"""What can be told from what is kept in the end; the others only from one step to the next."""
PUBLISHED: Final = 2
"""So many slots at a time."""


def records(scene: Scene, tries: list[Try], commits: list[Commit], *, calm: bool) -> Iterator[str]:
    """Every change has exactly one audit entry, and so has every refused access."""
    kept = scene.database.kept
    if kept.outbox or kept.dead_letters:
        yield "an event was never recorded"
    entries = Counter((entry.kind, entry.subject) for entry in kept.entries.values())
    if Counter({key: times for key, times in entries.items() if key[0] in ENDS}) != +ends_of(scene):
        yield "changes and audit entries differ"
    steps = Counter((change.kind, change.new.id) for commit in commits for change in commit.changes() if change.kind)
    if not steps <= entries:
        yield "a change and its audit entry differ"
    versions = Counter(entry.subject for entry in kept.entries.values() if entry.kind in OF_APPOINTMENTS)
    versions.update(one.appointment for one in kept.consultations.values())
    if versions != {row.id: row.version for row in kept.appointments.values()}:
        yield "versions and audit entries differ"
    answers = [one.answer for one in tries] + [call.answer for call in scene.history if not call.asked]
    told = sum(isinstance(answer, AccessRefused) for answer in answers)
    recorded = sum(times for (kind, _), times in entries.items() if kind is EventKind.ACCESS_REFUSED)
    if recorded < told or (calm and recorded > told):
        yield "refused accesses and audit entries differ"


def ends_of(scene: Scene) -> Counter[tuple[EventKind, object]]:
    """Count what must have happened, for all that is kept to be as it is."""
    kept, ends = scene.database.kept, Counter[tuple[EventKind, object]]()
    for row in kept.appointments.values():
        ends[EventKind.HOLD_EXTENDED, row.id] += row.extended
        if row.status is AppointmentStatus.CANCELLED:
            ends[ENDED.get(row.cancellation, EventKind.APPOINTMENT_CANCELLED), row.id] += 1
    ends.update((EventKind.APPOINTMENT_BOOKED, row.receipt.appointment.id) for row in kept.receipts.values())
    ends.update((EventKind.CONSULTATION_STARTED, one) for one in kept.consultations)
    ends.update((EventKind.PRESCRIPTION_ISSUED, one.id) for one in kept.prescriptions.values())
    ends.update((EventKind.SLOT_WITHDRAWN, slot.id) for slot in kept.slots.values() if slot.withdrawn)
    added = Counter(kept.slots[id].doctor for id in set(kept.slots) - {slot.id for slot in scene.slots})
    ends.update({(EventKind.SLOTS_PUBLISHED, doctor): slots // PUBLISHED for doctor, slots in added.items()})
    return ends
