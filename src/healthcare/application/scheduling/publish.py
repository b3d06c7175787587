"""Offering free time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.searches import touching
from healthcare.application.uow import Begin
from healthcare.domain.directory.errors import ProfileMissing
from healthcare.domain.kernel import Actor, Doctor, EventKind, Happened, SlotId, Unauthenticated
from healthcare.domain.policy import Action, permit
from healthcare.domain.scheduling.model import Slot
from healthcare.domain.scheduling.ports import SearchCache
from healthcare.domain.scheduling.publication import Publication
from healthcare.domain.scheduling.search import Touched


@dataclass(frozen=True, slots=True)
class PublishSlots:
    """A doctor offers a range of time: all of its slots, or none."""

    action: ClassVar = Action.PUBLISH_SLOTS
    begin: Begin
    cache: SearchCache
    happened: Happened

    async def __call__(self, *, actor: Actor, publication: Publication) -> Sequence[Slot]:
        """Keep the slots, and return them in order."""
        publication.check(now=self.happened.clock.now())
        async with touching(self.cache) as touched, self.begin() as uow:
            if (user := await uow.users.get(actor.known)) is None:
                raise Unauthenticated
            permit(self.action, actor, user.role)
            await uow.profiles.lock(user.id)
            if (profile := await uow.profiles.get(user.id)) is None:
                raise ProfileMissing
            doctor = Doctor(user.id, user.full_name, profile.specialty)
            publication.check_room(await uow.slots.times(user.id, publication.time))
            slots = [
                Slot(
                    id=SlotId(self.happened.new_id()),
                    doctor=doctor,
                    time=time,
                    fee=profile.fee,
                    notice_hours=profile.notice_hours,
                )
                for time in publication.slots()
            ]
            touched |= {Touched.by(slot) for slot in slots}
            await uow.slots.add(slots)
            await uow.outbox.add(self.happened(EventKind.SLOTS_PUBLISHED, actor, user.id))
        return slots
