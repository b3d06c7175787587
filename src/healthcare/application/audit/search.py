"""Asking what happened."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.uow import Begin
from healthcare.domain.audit.model import Entry, Question
from healthcare.domain.kernel import Actor, Page, Paging
from healthcare.domain.policy import Action, permit


@dataclass(frozen=True, slots=True)
class SearchAudit:
    """Admins can see who did what to whose data."""

    action: ClassVar = Action.SEARCH_AUDIT
    begin: Begin

    async def __call__(self, *, actor: Actor, question: Question, paging: Paging) -> Page[Entry]:
        """Return the entries that are asked for, the newest first."""
        async with self.begin() as uow:
            permit(self.action, actor, await uow.users.role(actor.user))
            return await uow.entries.find(question, paging)
