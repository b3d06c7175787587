"""A doctor's own profile."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.searches import touching
from healthcare.application.uow import Begin
from healthcare.domain.directory.model import Profile
from healthcare.domain.kernel import Actor, Clock
from healthcare.domain.policy import Action, permit, require_relation
from healthcare.domain.scheduling.ports import SearchCache
from healthcare.domain.scheduling.search import Touched


@dataclass(frozen=True, slots=True)
class KeepProfile:
    """A doctor says what they do; slots that have not started follow to the new specialty."""

    action: ClassVar = Action.KEEP_PROFILE
    begin: Begin
    cache: SearchCache
    clock: Clock

    async def __call__(self, *, actor: Actor, profile: Profile) -> Profile:
        """Keep the profile, which must be the caller's own, in place of an earlier one."""
        async with touching(self.cache) as touched, self.begin() as uow:
            role = await uow.users.role(actor.user)
            permit(self.action, actor, role)
            require_relation(self.action, actor, role, doctor=profile.doctor, subject=profile.doctor)
            await uow.profiles.lock(profile.doctor)
            before = await uow.profiles.get(profile.doctor)
            touched |= {Touched(one.specialty) for one in (before, profile) if one}
            await uow.profiles.put(profile)
            if before and before.specialty != profile.specialty:
                await uow.slots.move(profile.doctor, profile.specialty, now=self.clock.now())
        return profile
