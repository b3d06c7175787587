"""Trying again what nobody could record."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.uow import Begin
from healthcare.domain.kernel import Actor, EventId, EventKind, Happened, NotFound
from healthcare.domain.policy import Action, permit


@dataclass(frozen=True, slots=True)
class RequeueEvents:
    """An operator puts dead letters back once the reason is gone, and that is an event itself."""

    action: ClassVar = Action.REQUEUE_EVENTS
    begin: Begin
    happened: Happened

    async def __call__(self, *, actor: Actor, letters: Sequence[EventId]) -> None:
        """Put all of them back, or none.

        Raises:
            NotFound: says which of them are no dead letters.
        """
        permit(self.action, actor)
        async with self.begin() as uow:
            back = await uow.outbox.requeue(letters)
            if unknown := set(letters).difference(back):
                raise NotFound(
                    f"none was put back, as these are no dead letters: {' '.join(sorted(map(str, unknown)))}"
                )
            await uow.outbox.add(*[self.happened(EventKind.EVENT_REQUEUED, actor, letter) for letter in back])
