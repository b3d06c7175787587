"""/auth: registering, signing in, roles."""

from typing import Annotated, Final, Literal, Self
from uuid import UUID

from litestar import Controller, get, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from healthcare.application.identity.change_role import ChangeRole
from healthcare.application.identity.log_in import LogIn, SignedIn
from healthcare.application.identity.read_self import ReadSelf
from healthcare.application.identity.register import RegisterPatient
from healthcare.domain.identity.errors import EmailTaken, HashingQueueFull, LastAdmin, SignInFailed
from healthcare.domain.identity.model import LONGEST_EMAIL, LONGEST_PASSWORD, SHORTEST_PASSWORD, Email, User
from healthcare.domain.kernel import NotFound, Role, UserId
from healthcare.entrypoints.api.bodies import Text, Zone
from healthcare.entrypoints.api.request import ApiRequest
from healthcare.entrypoints.api.shape import NoQuery
from healthcare.entrypoints.api.wiring import Use

LOG_IN_PATH: Final = "/auth/login"

Address = Annotated[str, Meta(max_length=LONGEST_EMAIL, extra_json_schema={"format": "email"})]
Password = Annotated[str, Meta(min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD)]


class RegisterRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Who wants to be a patient."""

    email: Address
    password: Password
    full_name: Text
    time_zone: Zone


class LogInRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """An e-mail address, and the password that goes with it."""

    email: Address
    password: str


class RoleRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A user, and the role that they are to have."""

    user_id: UUID
    role: Role


class UserBody(Struct, frozen=True):
    """A user, as they see themselves."""

    id: UUID
    email: str
    full_name: str
    role: Role
    time_zone: str

    @classmethod
    def of(cls, user: User) -> Self:
        """Write the user down."""
        return cls(user.id, user.email.value, user.full_name, user.role, user.time_zone)


class SignedInBody(Struct, frozen=True):
    """An access token (RFC 6750), and whose it is."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    """Seconds."""
    user: UserBody

    @classmethod
    def of(cls, signed_in: SignedIn) -> Self:
        """Write the token down."""
        return cls(signed_in.token, "Bearer", signed_in.lifetime, UserBody.of(signed_in.user))


class IdentityController(Controller):
    """Who people are."""

    path = "/auth"
    tags = ("identity",)

    @post("/register", summary="Register as a patient", refuses=(EmailTaken, HashingQueueFull))
    async def register(
        self,
        request: ApiRequest[NoQuery],
        data: JSONBody[RegisterRequest],
        register_patient: Use[RegisterPatient],
    ) -> UserBody:
        """Become a patient; e-mail addresses that differ only in case are the same."""
        user = await register_patient(
            actor=request.user,
            email=Email(data.email),
            password=data.password,
            full_name=data.full_name,
            time_zone=data.time_zone,
        )
        return UserBody.of(user)

    @post(
        LOG_IN_PATH.removeprefix("/auth"), status_code=200, summary="Sign in", refuses=(SignInFailed, HashingQueueFull)
    )
    async def log_in(
        self, request: ApiRequest[NoQuery], data: JSONBody[LogInRequest], log_in: Use[LogIn]
    ) -> SignedInBody:
        """Get an access token; an unknown address and a wrong password get the same answer."""
        return SignedInBody.of(await log_in(actor=request.user, email=Email(data.email), password=data.password))

    @get("/me", summary="See who you are")
    async def me(self, request: ApiRequest[NoQuery], read_self: Use[ReadSelf]) -> UserBody:
        """Return the user whom the access token names."""
        return UserBody.of(await read_self(actor=request.user))

    @post("/admin/role", status_code=200, summary="Give a user a role", refuses=(NotFound, LastAdmin))
    async def change_role(
        self, request: ApiRequest[NoQuery], data: JSONBody[RoleRequest], change_role: Use[ChangeRole]
    ) -> UserBody:
        """Change what a user may do, from their next request on."""
        return UserBody.of(await change_role(actor=request.user, user=UserId(data.user_id), role=data.role))
