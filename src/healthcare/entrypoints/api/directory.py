"""/booking: what doctors say of themselves, and the specialties that makes."""

from typing import Annotated, Self

from litestar import Controller, Response, get, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from healthcare.application.directory.keep_profile import KeepProfile
from healthcare.application.directory.list_specialties import ListSpecialties
from healthcare.domain.directory.model import (
    LONGEST_LANGUAGE,
    LONGEST_REGISTRATION,
    LONGEST_SPECIALTY,
    MOST_LANGUAGES,
    MOST_NOTICE,
    SPECIALTY,
    Profile,
)
from healthcare.domain.kernel import CURRENCY, MOST_MONEY, Actor, Money
from healthcare.entrypoints.api.bodies import Items, MoneyBody, Zone
from healthcare.entrypoints.api.headers import PUBLIC
from healthcare.entrypoints.api.request import ApiRequest
from healthcare.entrypoints.api.shape import NoQuery
from healthcare.entrypoints.api.wiring import Use

Slug = Annotated[
    str, Meta(max_length=LONGEST_SPECIALTY, pattern=f"^{SPECIALTY.pattern}$", examples=["general-practice"])
]
Language = Annotated[str, Meta(max_length=LONGEST_LANGUAGE, description="A BCP 47 tag.", examples=["en", "de-AT"])]


class MoneyRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """An amount in minor units of a currency (ISO 4217): 4900 EUR are 49.00 euros."""

    amount: Annotated[int, Meta(ge=0, le=MOST_MONEY)]
    currency: Annotated[str, Meta(pattern=f"^{CURRENCY.pattern}$", examples=["EUR"])]


class ProfileRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a doctor says of themselves."""

    specialty: Slug
    languages: Annotated[list[Language], Meta(min_length=1, max_length=MOST_LANGUAGES)]
    fee: MoneyRequest
    time_zone: Zone
    registration_number: Annotated[str, Meta(min_length=1, max_length=LONGEST_REGISTRATION)]
    notice_hours: Annotated[int, Meta(ge=0, le=MOST_NOTICE)] = 0

    def by(self, actor: Actor) -> Profile:
        """Return the profile that the caller describes."""
        return Profile(
            doctor=actor.known,
            specialty=self.specialty,
            languages=tuple(self.languages),
            fee=Money(self.fee.amount, self.fee.currency),
            time_zone=self.time_zone,
            registration_number=self.registration_number,
            notice_hours=self.notice_hours,
        )


class ProfileBody(Struct, frozen=True):
    """What a doctor has said of themselves."""

    specialty: str
    languages: list[str]
    fee: MoneyBody
    time_zone: str
    registration_number: str
    notice_hours: int
    """How long before an appointment patients are asked to cancel at the latest."""

    @classmethod
    def of(cls, profile: Profile) -> Self:
        """Write the profile down."""
        return cls(
            profile.specialty,
            list(profile.languages),
            MoneyBody.of(profile.fee),
            profile.time_zone,
            profile.registration_number,
            profile.notice_hours,
        )


class DirectoryController(Controller):
    """Whom patients can choose from."""

    path = "/booking"
    tags = ("directory",)

    @post("/doctor/profile", status_code=200, summary="Keep your profile")
    async def keep_profile(
        self, request: ApiRequest[NoQuery], data: JSONBody[ProfileRequest], keep_profile: Use[KeepProfile]
    ) -> ProfileBody:
        """Create the profile, or replace it; slots that have not started follow to the new specialty."""
        return ProfileBody.of(await keep_profile(actor=request.user, profile=data.by(request.user)))

    @get("/specialties", summary="List the specialties")
    async def list_specialties(
        self, request: ApiRequest[NoQuery], list_specialties: Use[ListSpecialties]
    ) -> Response[Items[str]]:
        """Return those that have a doctor, in alphabetical order."""
        return Response(Items(await list_specialties(actor=request.user)), headers=PUBLIC)
