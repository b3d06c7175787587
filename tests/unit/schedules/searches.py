"""Whether searches told the truth: nothing from before a change that was told, and nothing older than 5 seconds."""

from collections.abc import Iterator, Sequence
from datetime import date

from healthcare.adapters.memory.cache import LONGEST_KEPT
from healthcare.domain.scheduling.diary import Booking
from healthcare.domain.scheduling.model import AppointmentStatus
from tests.builders import DAY, TOMORROW
from tests.unit.schedules.commands import Look
from tests.unit.schedules.record import Commit, Try
from tests.unit.schedules.scene import Call, Outcome, Scene


def lies(scene: Scene, tries: list[Try], commits: list[Commit]) -> Iterator[str]:
    """A search shows nothing that was taken before it began, and hides nothing that was free all the time."""
    news = [(day, call) for day, call in news_of(tries, commits) if call.outcome is Outcome.DONE]
    looks = [call for call in scene.history if isinstance(call.command, Look) and call.outcome is Outcome.DONE]
    for look in looks:
        assert isinstance(look.answer, frozenset)
        day = day_of(look)
        others = [one for one in looks if day_of(one) == day and one.begun < look.ended and look.begun < one.ended]
        told = [call for news_day, call in news if news_day == day and call.ended < look.begun]
        states = scene.states[oldest(scene, look, others, told) : look.last + 1]
        slots = {id for id, row in states[-1].slots.items() if row.time.start.date() == day}
        if not look.answer <= slots:
            yield "a search showed what was not searched for"
        for slot in slots:
            free = {state.free(slot, ahead=scene.ahead) for state in states}
            if slot in look.answer and True not in free:
                yield "a search showed a slot that was taken"
            if slot not in look.answer and False not in free:
                yield "a search hid a slot that was free"


def day_of(look: Call) -> date:
    """Return the day that was searched."""
    assert isinstance(look.command, Look)
    return (TOMORROW + look.command.later * DAY).date()


def oldest(scene: Scene, look: Call, others: Sequence[Call], told: Sequence[Call]) -> int:
    """Return the place of the oldest state that an answer may show.

    The answer may have been kept for 5 seconds, or have been asked for by others who were waiting for it when the look
    began. But it is no older than whatever anybody had been told by then.
    """
    begun = scene.states[look.first].now
    kept = next(place for place, state in enumerate(scene.states) if begun < state.now + LONGEST_KEPT)
    return max(min([kept, *(one.first for one in others)]), *(one.last for one in told), 0)


def news_of(tries: list[Try], commits: list[Commit]) -> Iterator[tuple[date, Call]]:
    """Name the calls that let no search show what was before, once they are answered, and the days that they touch.

    A booking that is repeated is one of them. That a hold ran out, or that care began, is told to no search.
    """
    for commit in commits:
        for change in commit.changes():
            if not change.expired and change.new.status is not AppointmentStatus.FULFILLED:
                yield from ((row.time.start.date(), commit.call) for row in (change.old, change.new) if row)
        before, after = commit.before, commit.after
        for id, slot in after.slots.items():
            if before.slots.get(id) != slot or before.role(slot.doctor) is not after.role(slot.doctor):
                yield slot.time.start.date(), commit.call
    for one in tries:
        if one.told and isinstance(one.ask, Booking):
            yield one.told.time.start.date(), one.call
