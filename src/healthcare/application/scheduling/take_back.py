"""Taking a free slot back."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.searches import touching
from healthcare.application.uow import Begin
from healthcare.domain.kernel import Actor, NotFound, SlotId
from healthcare.domain.policy import Action, permit, require_relation
from healthcare.domain.scheduling.model import Touched
from healthcare.domain.scheduling.ports import SearchCache


@dataclass(frozen=True, slots=True)
class TakeSlotBack:
    """A doctor takes a slot back while it is free. The row stays: appointments may refer to it."""

    action: ClassVar = Action.TAKE_SLOT_BACK
    begin: Begin
    cache: SearchCache

    async def __call__(self, *, actor: Actor, slot: SlotId) -> None:
        """Withdraw the slot."""
        async with touching(self.cache) as touched, self.begin() as uow:
            role = await uow.users.role(actor.user)
            permit(self.action, actor, role, subject=slot)
            if (found := await uow.slots.lock(slot)) is None:
                raise NotFound
            require_relation(self.action, actor, role, doctor=found.doctor.id, subject=slot)
            found.withdraw()
            touched.add(Touched.by(found))
            await uow.slots.withdraw(slot)
