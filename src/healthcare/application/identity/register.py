"""Registering as a patient."""

from dataclasses import dataclass
from typing import ClassVar

from healthcare.application.identity.enrolment import Enrolment
from healthcare.domain.identity.model import Email, User
from healthcare.domain.kernel import Actor, EventKind, Role
from healthcare.domain.policy import Action, permit


@dataclass(frozen=True, slots=True)
class RegisterPatient:
    """Anybody can become a patient; other roles are given."""

    action: ClassVar = Action.REGISTER
    enrolment: Enrolment

    async def __call__(self, *, actor: Actor, email: Email, password: str, full_name: str, time_zone: str) -> User:
        """Register somebody."""
        permit(self.action, actor)
        id = self.enrolment.new_user_id()
        user = User(id=id, email=email, full_name=full_name, role=Role.PATIENT, time_zone=time_zone)
        await self.enrolment.keep(user, password, EventKind.USER_REGISTERED, actor=actor, by=id)
        return user
