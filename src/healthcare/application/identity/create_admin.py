"""Making the first admin, from the command line."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.identity.enrolment import Enrolment
from healthcare.domain.identity.model import Email, User
from healthcare.domain.kernel import Actor, EventKind, Role
from healthcare.domain.policy import Action, permit


@dataclass(frozen=True, slots=True)
class CreateAdmin:
    """Whoever operates the system can make an admin: somebody must be the first."""

    action: ClassVar = Action.CREATE_ADMIN
    enrolment: Enrolment

    async def __call__(self, *, actor: Actor, email: Email, password: str, full_name: str, time_zone: str) -> User:
        """Register an admin."""
        permit(self.action, actor)
        id = self.enrolment.new_user_id()
        user = User(id=id, email=email, full_name=full_name, role=Role.ADMIN, time_zone=time_zone)
        await self.enrolment.keep(user, password, EventKind.USER_REGISTERED, EventKind.ROLE_CHANGED, actor=actor)
        return user
