"""What must hold after any program in any schedule, told from what was answered and from what is kept."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from uuid import UUID

from healthcare.adapters.memory.tables import Kept
from healthcare.application.consultation.start import Started
from healthcare.domain.consultation.model import Prescription
from healthcare.domain.kernel import AccessRefused, AppointmentId, EventKind, Refusal, Role, SlotId, UserId
from healthcare.domain.scheduling.errors import PatientBusy, SlotTaken
from healthcare.domain.scheduling.model import Appointment, AppointmentStatus
from tests.unit.schedules.programs import (
    Book,
    Call,
    Cancel,
    ChangeRole,
    Look,
    Outcome,
    Prescribe,
    Scene,
    Start,
    TakeBack,
    Wish,
)

MAYBE = frozenset({Outcome.DONE, Outcome.UNKNOWN})


def violations(scene: Scene, *, calm: bool) -> Iterator[str]:
    """Say what does not hold; `calm` means that no fault could strike."""
    history, kept = scene.history, scene.database.kept
    tries = list(tries_of(scene))
    yield from clashes(kept)
    yield from losses(kept, history, tries)
    yield from ghosts(scene, tries)
    yield from keys(kept, tries)
    yield from strangers(scene, tries)
    yield from records(scene, tries, calm=calm)
    yield from inventions(tries)
    for call in history:
        if isinstance(call.command, Look) and call.outcome is Outcome.DONE:
            yield from lies(scene, tries, call)
    yield from (f"an error that says nothing: {call.answer!r}" for call in history if call.outcome is Outcome.BROKEN)
    if history[-1].answer != scene.free:
        yield "the last search, of which nothing was kept any more, differs from the database"
    if calm and not all(call.outcome in {Outcome.DONE, Outcome.REFUSED} for call in history):
        yield "somebody gave up waiting, though nothing was slow"


@dataclass(frozen=True, slots=True)
class Try:
    """One wish of one call, and what it was answered."""

    wish: Wish
    patient: UserId
    call: Call
    outcome: Outcome
    answer: object

    @property
    def key(self) -> tuple[UserId, str]:
        """What its receipt is kept under."""
        return self.patient, self.wish.key


def tries_of(scene: Scene) -> Iterator[Try]:
    """Take calls apart that asked for several slots: each wish was answered by itself."""
    for call in scene.history:
        if isinstance(call.command, Book):
            wishes = call.command.wishes
            answers = call.answer if isinstance(call.answer, list) else [None] * len(wishes)
            for wish, answer in zip(wishes, answers, strict=True):
                outcome = Outcome.REFUSED if isinstance(answer, Refusal) else call.outcome
                yield Try(wish, scene.people[wish.who].id, call, outcome, answer)


def clashes(kept: Kept) -> Iterator[str]:
    """No slot has two live appointments, nobody is in two places, no doctor offers overlapping time."""
    for one, other in combinations((row for row in kept.appointments.values() if row.live), 2):
        if one.slot == other.slot:
            yield "a slot is booked twice"
        elif one.time.overlaps(other.time) and (one.patient == other.patient or one.doctor == other.doctor):
            yield "somebody is in two places"
    for slot, another in combinations((row for row in kept.slots.values() if not row.withdrawn), 2):
        if slot.doctor == another.doctor and slot.time.overlaps(another.time):
            yield "a doctor offers overlapping slots"
    if not any(one.user.role is Role.ADMIN for one in kept.accounts.values()):
        yield "no admin is left"
    cared_for = Counter(one.appointment for one in kept.consultations.values())
    fulfilled = Counter(row.id for row in kept.appointments.values() if row.status is AppointmentStatus.FULFILLED)
    if cared_for != fulfilled:
        yield "fulfilled appointments and consultations differ"


def losses(kept: Kept, history: list[Call], tries: list[Try]) -> Iterator[str]:
    """What was acknowledged is there."""
    for one in tries:
        if isinstance(one.answer, Appointment):
            row = kept.appointments.get(one.answer.id)
            if row is None or row.patient != one.patient:
                yield "an acknowledged booking is lost"
    for call in history:
        match call.answer:
            case Appointment() as cancelled if kept.appointments[cancelled.id].live:
                yield "an acknowledged cancellation is lost"
            case Started(consultation) if consultation.id not in kept.consultations:
                yield "an acknowledged start is lost"
            case Prescription() as issued if kept.prescriptions.get(issued.consultation) is None:
                yield "an acknowledged prescription is lost"


def ghosts(scene: Scene, tries: list[Try]) -> Iterator[str]:
    """What is there was asked for, by somebody who was not told that it did not happen."""
    kept = scene.database.kept
    if not set(kept.receipts) <= {one.key for one in tries if one.outcome in MAYBE}:
        yield "a booking that did not happen left something"
    if {row.receipt.appointment.id for row in kept.receipts.values()} != set(kept.appointments):
        yield "appointments and receipts differ"
    cancelled_on = {call.command.slot for call in scene.history if isinstance(call.command, Cancel) and maybe(call)}
    may_be_cancelled = {scene.slots[slot].id for slot in cancelled_on}
    for row in kept.appointments.values():
        if row.status is AppointmentStatus.CANCELLED and row.slot not in may_be_cancelled:
            yield "an appointment was cancelled by nobody"


def keys(kept: Kept, tries: list[Try]) -> Iterator[str]:
    """A key has one effect, and one answer however often it is sent."""
    answers: dict[tuple[UserId, str], set[AppointmentId]] = defaultdict(set)
    for one in tries:
        if isinstance(one.answer, Appointment):
            answers[one.key].add(one.answer.id)
    for key, ids in answers.items():
        if ids != ({kept.receipts[key].receipt.appointment.id} if key in kept.receipts else set()):
            yield "a key had two effects"


def strangers(scene: Scene, tries: list[Try]) -> Iterator[str]:
    """Nobody did anything with what is not theirs. Who was a doctor may have become somebody's patient."""
    kept = scene.database.kept
    for call in scene.history:
        match call.command, call.answer:
            case Cancel(by=by), Appointment() as cancelled:
                row = kept.appointments[cancelled.id]
                actor, allowed = by.of(scene, row.doctor, row.patient), {row.doctor, row.patient}
            case Start(by=by), Started(consultation):
                row = kept.appointments[consultation.appointment]
                actor, allowed = by.of(scene, row.doctor, row.patient), {row.doctor}
            case Prescribe(by=by), Prescription() as issued:
                actor, allowed = by.of(scene, issued.doctor.id, issued.patient.id), {issued.doctor.id}
            case TakeBack(by=by), UUID() as slot:
                doctor = kept.slots[SlotId(slot)].doctor
                actor, allowed = by.of(scene, doctor), {doctor}
            case _:
                continue
        if actor.user not in allowed:
            yield "a stranger was let in"
    if any(isinstance(one.answer, Appointment) and one.answer.patient.id != one.patient for one in tries):
        yield "somebody booked for another"


def records(scene: Scene, tries: list[Try], *, calm: bool) -> Iterator[str]:
    """Every change has exactly one audit entry, and so has every refused access."""
    kept = scene.database.kept
    if kept.outbox or kept.dead_letters:
        yield "an event was never recorded"
    changes = Counter[tuple[EventKind, object]]()
    for row in kept.appointments.values():
        changes[EventKind.APPOINTMENT_BOOKED, row.id] += 1
        changes[EventKind.APPOINTMENT_CANCELLED, row.id] += row.status is AppointmentStatus.CANCELLED
    changes.update((EventKind.CONSULTATION_STARTED, one) for one in kept.consultations)
    changes.update((EventKind.PRESCRIPTION_ISSUED, one.id) for one in kept.prescriptions.values())
    added = set(kept.slots) - {slot.id for slot in scene.slots}
    changes.update((EventKind.SLOTS_PUBLISHED, doctor) for doctor in {kept.slots[slot].doctor for slot in added})
    entries = Counter((entry.kind, entry.subject) for entry in kept.entries.values())
    others = {EventKind.ACCESS_REFUSED, EventKind.ROLE_CHANGED}
    if Counter({key: times for key, times in entries.items() if key[0] not in others}) != +changes:
        yield "changes and audit entries differ"
    answers = [one.answer for one in scene.history] + [one.answer for one in tries]
    told = sum(isinstance(answer, AccessRefused) for answer in answers)
    recorded = sum(times for (kind, _), times in entries.items() if kind is EventKind.ACCESS_REFUSED)
    if recorded < told or (calm and recorded > told):
        yield "refused accesses and audit entries differ"


def inventions(tries: list[Try]) -> Iterator[str]:
    """Nobody is refused for a booking that nobody else can have made."""
    for one in tries:
        rivals = [it for it in tries if it is not one and it.outcome in MAYBE and it.call.begun < one.call.ended]
        if isinstance(one.answer, SlotTaken) and not any(it.wish.slot == one.wish.slot for it in rivals):
            yield "a slot was called taken that nobody wanted"
        if isinstance(one.answer, PatientBusy) and not any(it.patient == one.patient for it in rivals):
            yield "a patient was called busy who was not"


def lies(scene: Scene, tries: list[Try], look: Call) -> Iterator[str]:
    """A search shows nothing that was taken before it began, and hides nothing that was free all the time."""
    assert isinstance(look.answer, frozenset)
    gone = any(isinstance(call.command, TakeBack | ChangeRole) and before(call, look) for call in scene.history)
    for place, slot in enumerate(scene.slots):
        cancels = [
            call
            for call in scene.history
            if isinstance(call.command, Cancel) and call.command.slot == place and before(call, look)
        ]
        over = {call.answer.id for call in cancels if isinstance(call.answer, Appointment) and call.ended < look.begun}
        mine = [one for one in tries if one.wish.slot == place and one.outcome in MAYBE and one.call.begun < look.ended]
        taken = [one for one in mine if isinstance(one.answer, Appointment) and one.call.ended < look.begun]
        if slot.id in look.answer and taken and not cancels:
            yield "a search showed a slot that was taken"
        wanted = [one for one in mine if not isinstance(one.answer, Appointment) or one.answer.id not in over]
        if slot.id not in look.answer and not wanted and not gone:
            yield "a search hid a slot that was free"


def maybe(call: Call) -> bool:
    """Say whether it did or may have done something."""
    return call.outcome in MAYBE


def before(call: Call, look: Call) -> bool:
    """Say whether the call may have done something that the search saw."""
    return maybe(call) and call.begun < look.ended
