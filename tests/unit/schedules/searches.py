"""Whether searches told the truth: nothing from before a change that was told, and nothing older than 5 seconds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import product

from healthcare.adapters.memory.cache import LONGEST_KEPT
from healthcare.domain.scheduling.asks import Booking
from healthcare.domain.scheduling.model import TimeRange
from healthcare.domain.scheduling.status import AppointmentStatus
from tests.builders import DAY, TOMORROW
from tests.unit.schedules.commands import CancelDay, Look
from tests.unit.schedules.record import Commit, Try
from tests.unit.schedules.scene import Call, Outcome, Scene


def lies(scene: Scene, tries: list[Try], commits: list[Commit]) -> Iterator[str]:
    """A search shows nothing that was taken before it began, and hides nothing that was free all the time."""
    news = [one for one in news_of(scene, tries, commits) if one.call.outcome is Outcome.DONE]
    looks = [call for call in scene.history if isinstance(call.command, Look) and call.outcome is Outcome.DONE]
    for look in looks:
        assert isinstance(look.answer, frozenset)
        day = day_of(look)
        others = [one for one in looks if day_of(one) == day and one.begun < look.ended and look.begun < one.ended]
        told = [one.place for one in news if one.day == day and one.call.ended < look.begun]
        states = scene.states[max(oldest(scene, look, others), *told, 0) : look.last + 1]
        slots = {id: row for id, row in states[-1].slots.items() if row.time.start.date() == day}
        if not look.answer <= slots.keys():
            yield "a search showed what was not searched for"
        for slot, row in slots.items():
            # Time goes on between the look at the clock and the look at the slots.
            to_come = row.time.start > states[0].now + scene.ahead
            if slot in look.answer and not (to_come and any(state.unclaimed(slot) for state in states)):
                yield "a search showed a slot that was taken"
            if slot not in look.answer and all(state.free(slot, ahead=scene.ahead) for state in states):
                yield "a search hid a slot that was free"


def day_of(look: Call) -> date:
    """Return the day that was searched."""
    assert isinstance(look.command, Look)
    return (TOMORROW + look.command.later * DAY).date()


def oldest(scene: Scene, look: Call, others: Sequence[Call]) -> int:
    """Return the place of the oldest state that an answer may show, unless somebody had been told of a later one.

    The answer may have been kept for 5 seconds, or have been asked for by others who were waiting for it when the look
    began.
    """
    begun = scene.states[look.first].now
    kept = next(place for place, state in enumerate(scene.states) if begun < state.now + LONGEST_KEPT)
    return min([kept, *(one.first for one in others)])


@dataclass(frozen=True, slots=True)
class News:
    """A call after whose answer no search of a day may show what was before."""

    day: date
    call: Call
    place: int
    """Of the state that it told the searches of, before it was answered."""


def news_of(scene: Scene, tries: list[Try], commits: list[Commit]) -> Iterator[News]:
    """Go through the calls that told searches of something; a booking that is repeated tells them once more."""
    for commit in commits:
        news = product([time.start.date() for time in touched(commit)], commit.calls)
        yield from (News(day, call, commit.place) for day, call in news)
    for one in tries:
        if (told := one.told) and isinstance(one.ask, Booking):
            kept = next((place for place, state in enumerate(scene.states) if told.id in state.appointments), 0)
            yield News(told.time.start.date(), one.call, max(kept, one.call.first))


def touched(commit: Commit) -> Iterator[TimeRange]:
    """Return the times of which searches are told after a commit.

    They are not told that a hold ran out or that care began, nor of the appointments of a day: its slots had been taken
    back.
    """
    before, after = commit.before, commit.after
    days = any(isinstance(call.command, CancelDay) for call in commit.calls)
    for change in commit.changes():
        silent = change.expired or change.new.status is AppointmentStatus.FULFILLED
        if not silent and not (days and before.slots[change.new.slot].withdrawn):
            yield from (row.time for row in (change.old, change.new) if row)
    for id, slot in after.slots.items():
        if before.slots.get(id) != slot or before.role(slot.doctor) is not after.role(slot.doctor):
            yield slot.time
