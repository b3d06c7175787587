"""How whatever is asked of slots and appointments is decided."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from healthcare.application.searches import touching
from healthcare.application.together import Together
from healthcare.application.uow import Begin, OutcomeUnknown, Read, Unavailable
from healthcare.domain.kernel import Happened, Refusal, SlotId
from healthcare.domain.scheduling.asks import Ask
from healthcare.domain.scheduling.diary import Diary
from healthcare.domain.scheduling.errors import SlotTaken
from healthcare.domain.scheduling.model import Appointment, Slot
from healthcare.domain.scheduling.ports import SearchCache

Decide = Callable[[Ask], Awaitable[Appointment]]
"""What the use case of one command is given: it returns what has become of an appointment, or raises a refusal."""

MOST_ALTERNATIVES: Final = 3


@dataclass(frozen=True, slots=True)
class DecideTogether:
    """Those who ask at the same moment are decided in one transaction, in order of arrival."""

    begin: Begin
    cache: SearchCache
    happened: Happened

    async def __call__(self, asked: Sequence[Ask]) -> list[Appointment | Slot | Refusal]:
        """Return for each what came of it. The diary asks the policy table first: it knows the roles."""
        if not asked:
            return []
        async with touching(self.cache) as touched, self.begin() as uow:
            diary = await uow.bookings.lock(asked)
            diary.sweep(self.happened, request=asked[0].actor.request, asked=asked)
            answers = [self._decide(diary, one) for one in asked]
            touched.update(diary.touched)
            await uow.bookings.keep(diary)
        return answers

    def _decide(self, diary: Diary, ask: Ask) -> Appointment | Slot | Refusal:
        try:
            return diary.decide(ask, self.happened)
        except Refusal as refusal:
            return refusal


class TakenForNow(SlotTaken):
    """Somebody has already booked this slot, or holds it."""

    def __init__(self, alternatives: Sequence[Slot]) -> None:
        """Say what there is instead: it was free after the refusal, and may be nothing."""
        super().__init__()
        self.alternatives = alternatives


@dataclass(frozen=True, slots=True)
class LookForOthers:
    """Those who come too late at the same moment are looked for in one transaction: most wanted the same slot."""

    read: Read

    async def __call__(self, taken: Sequence[SlotId]) -> Sequence[Sequence[Slot]]:
        """Return for each the next free slots of the same doctor."""
        async with self.read() as uow:
            found = await uow.slots.alternatives(set(taken), MOST_ALTERNATIVES)
        return [found.get(slot, ()) for slot in taken]


@dataclass(frozen=True, slots=True)
class DecideOne:
    """The same for one; whoever comes too late for a slot is told what there is instead."""

    together: Together[Ask, Appointment | Slot]
    others: Together[SlotId, Sequence[Slot]]

    async def __call__(self, ask: Ask) -> Appointment:
        """Decide."""
        try:
            answer = await self.together(ask)
        except SlotTaken:
            if ask.slot is None:
                raise
            raise TakenForNow(await self._alternatives(ask.slot)) from None
        if isinstance(answer, Slot):
            raise TypeError(ask)
        return answer

    async def _alternatives(self, slot: SlotId) -> Sequence[Slot]:
        try:
            return await self.others(slot)
        except (Unavailable, OutcomeUnknown):
            return ()  # the refusal stands all the same
