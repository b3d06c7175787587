"""/booking: free time, and who keeps it for a while."""

from datetime import date
from functools import cache
from typing import Annotated, Final, Literal, Self
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.datastructures import ResponseHeader
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct, convert, field

from healthcare.application.scheduling.cancel_day import CancelDay, DayItem
from healthcare.application.scheduling.hold import HoldSlot
from healthcare.application.scheduling.list_slots import ListSlots
from healthcare.application.scheduling.publish import PublishSlots
from healthcare.application.scheduling.release import ReleaseHold
from healthcare.application.scheduling.search import SearchSlots
from healthcare.application.scheduling.take_back import TakeSlotBack
from healthcare.domain import kernel
from healthcare.domain.directory.errors import ProfileMissing
from healthcare.domain.kernel import NotFound, SlotId
from healthcare.domain.scheduling.errors import (
    HoldExtended,
    PatientBusy,
    SlotInThePast,
    SlotsOverlap,
    SlotTaken,
    TooManyHolds,
)
from healthcare.domain.scheduling.model import Appointment, Slot, TimeRange
from healthcare.domain.scheduling.publication import LONGEST_SLOT, SHORTEST_SLOT, Publication
from healthcare.domain.scheduling.search import Search
from healthcare.entrypoints.api.bodies import (
    DoctorBody,
    Instant,
    Items,
    MoneyBody,
    SlotBody,
    Text,
    Zone,
)
from healthcare.entrypoints.api.headers import TAG, revalidated, version_tag
from healthcare.entrypoints.api.paging import Page, PageRequest
from healthcare.entrypoints.api.request import ApiRequest
from healthcare.entrypoints.api.shape import NoQuery
from healthcare.entrypoints.api.wiring import Use

SEARCH_PATH: Final = "/booking/slots/search"


class PublishRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A range of free time of at most 24 hours, and the length of the slots in it."""

    start: Instant
    end: Instant
    slot_minutes: Annotated[int, Meta(ge=SHORTEST_SLOT, le=LONGEST_SLOT)]

    @property
    def publication(self) -> Publication:
        """The same, for the use case."""
        return Publication(TimeRange(self.start, self.end), self.slot_minutes)


class SearchRequest(PageRequest, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which free slots are asked for."""

    specialty: Text
    day: date = field(name="date")
    tz: Zone = "UTC"

    @property
    def search(self) -> Search:
        """The same, for the use case."""
        return Search(self.specialty, self.day, self.tz, self.paging)


class CancelDayRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The day on which a doctor cannot come, by the calendar of their own zone, and why."""

    day: date = field(name="date")
    reason: Text


class OwnSlotBody(Struct, frozen=True):
    """A slot, as its doctor sees it."""

    id: UUID
    doctor: DoctorBody
    start: Instant
    end: Instant
    fee: MoneyBody
    status: Literal["free", "busy"]

    @classmethod
    def of(cls, slot: Slot) -> Self:
        """Write the slot down."""
        return cls(
            slot.id,
            DoctorBody.of(slot.doctor),
            slot.time.start,
            slot.time.end,
            MoneyBody.of(slot.fee),
            "busy" if slot.taken else "free",
        )


class HoldBody(Struct, frozen=True):
    """A slot that is kept for a patient, and until when."""

    id: UUID
    slot: SlotBody
    expires_at: Instant

    @classmethod
    def of(cls, hold: Appointment) -> Self:
        """Write the hold down."""
        slot = SlotBody(hold.slot, DoctorBody.of(hold.doctor), hold.time.start, hold.time.end, MoneyBody.of(hold.fee))
        return cls(hold.id, slot, hold.expires_at or hold.time.start)


class DayItemBody(Struct, frozen=True):
    """An appointment of a day that was cancelled: `cancelled`, or why it was not."""

    appointment_id: UUID
    outcome: Literal["cancelled", "appointment-moved", "appointment-not-booked", "appointment-started"]

    @classmethod
    def of(cls, item: DayItem) -> Self:
        """Write the outcome down."""
        return convert({"appointment_id": item.appointment.id, "outcome": item.outcome}, cls)


def render(search: Search, page: kernel.Page[Slot]) -> bytes:
    """Write an answer to a search down, as it is kept and sent."""
    zone = ZoneInfo(search.zone)
    local = cache(lambda instant: instant.astimezone(zone))  # many slots begin at the same time
    return msgspec.json.encode(Page.of(page, lambda slot: SlotBody.of(slot, local)))


class SlotController(Controller):
    """Free time."""

    path = "/booking"
    tags = ("scheduling",)

    @post("/doctor/availability", summary="Offer free time", refuses=(ProfileMissing, SlotsOverlap))
    async def publish(
        self, request: ApiRequest[NoQuery], data: JSONBody[PublishRequest], publish_slots: Use[PublishSlots]
    ) -> Items[SlotBody]:
        """Publish slots of equal length, all or none; a remainder that is shorter is left out."""
        slots = await publish_slots(actor=request.user, publication=data.publication)
        return Items([SlotBody.of(slot) for slot in slots])

    @get("/doctor/slots", summary="List your slots")
    async def list_slots(self, request: ApiRequest[PageRequest], list_slots: Use[ListSlots]) -> Page[OwnSlotBody]:
        """Return your own slots by start, past ones too."""
        return Page.of(await list_slots(actor=request.user, paging=request.query.paging), OwnSlotBody.of)

    @delete("/doctor/slots/{id:uuid}", summary="Take a slot back", refuses=(NotFound, SlotTaken))
    async def take_back(
        self, request: ApiRequest[NoQuery], id: FromPath[UUID], take_slot_back: Use[TakeSlotBack]
    ) -> None:
        """Withdraw a slot of your own while it is free."""
        await take_slot_back(actor=request.user, slot=SlotId(id))

    @post("/doctor/day/cancel", status_code=200, summary="Cancel a day", refuses=(ProfileMissing,))
    async def cancel_day(
        self, request: ApiRequest[NoQuery], data: JSONBody[CancelDayRequest], cancel_day: Use[CancelDay]
    ) -> Items[DayItemBody]:
        """Take all slots of a day back, then cancel its appointments; a repeat finishes what a cut left."""
        items = await cancel_day(actor=request.user, day=data.day, reason=data.reason)
        return Items([DayItemBody.of(item) for item in items])

    @get(
        SEARCH_PATH.removeprefix("/booking"),
        summary="Find free slots",
        responses={
            200: ResponseSpec(Page[SlotBody], description="The slots, with the offset of the zone that was asked for."),
            304: ResponseSpec(None, description="What the caller has is still so."),
        },
        response_headers=[ResponseHeader("ETag", documentation_only=True, description="For If-None-Match.")],
    )
    async def search(
        self, request: ApiRequest[SearchRequest], search_slots: Use[SearchSlots]
    ) -> Response[bytes | None]:
        """Return the free slots of a specialty that start on a calendar day of a time zone, by start."""
        body = await search_slots.written(actor=request.user, search=request.query.search, render=render)
        return revalidated(request, body)

    @post(
        "/slots/{id:uuid}/hold",
        summary="Hold a slot",
        responses={200: ResponseSpec(HoldBody, description="You held it already, and now hold it 5 minutes longer.")},
        refuses=(NotFound, SlotTaken, PatientBusy, SlotInThePast, HoldExtended, TooManyHolds),
        response_headers=[TAG],
    )
    async def hold(
        self, request: ApiRequest[NoQuery], id: FromPath[UUID], hold_slot: Use[HoldSlot]
    ) -> Response[HoldBody]:
        """Have a free slot kept for you for 5 minutes; to book it turns the hold into the appointment."""
        hold = await hold_slot(actor=request.user, slot=SlotId(id))
        headers = {"ETag": version_tag(hold.version)}
        return Response(HoldBody.of(hold), status_code=200 if hold.extended else 201, headers=headers)

    @delete("/slots/{id:uuid}/hold", summary="Give a hold up", refuses=(NotFound,))
    async def release(self, request: ApiRequest[NoQuery], id: FromPath[UUID], release_hold: Use[ReleaseHold]) -> None:
        """Let others have the slot that you hold."""
        await release_hold(actor=request.user, slot=SlotId(id))
