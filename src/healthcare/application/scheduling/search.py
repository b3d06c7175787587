"""Finding free slots."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.uow import Read
from healthcare.domain.kernel import Actor, Clock, Page
from healthcare.domain.policy import Action, permit
from healthcare.domain.scheduling.model import Slot
from healthcare.domain.scheduling.ports import Found, SearchCache
from healthcare.domain.scheduling.search import Search

Render = Callable[[Search, Page[Slot]], bytes]
"""How a driver writes an answer down."""


@dataclass(frozen=True, slots=True)
class SearchSlots:
    """Anybody can search. The same question is asked far more often than its answer changes."""

    action: ClassVar = Action.SEARCH_SLOTS
    read: Read
    cache: SearchCache
    clock: Clock

    async def __call__(self, *, actor: Actor, search: Search) -> Page[Slot]:
        """Return the free slots that are searched for, by start."""
        permit(self.action, actor)
        async with self.read() as uow:
            return await uow.slots.free(search, now=self.clock.now())

    async def written(self, *, actor: Actor, search: Search, render: Render) -> bytes:
        """Return the same as `render` writes it, made anew only if something has changed."""
        permit(self.action, actor)

        async def make() -> Found:
            page = await self(actor=actor, search=search)
            return Found(render(search, page), page.items[0].time.start if page.items else None)

        return await self.cache.answer(search, make)
