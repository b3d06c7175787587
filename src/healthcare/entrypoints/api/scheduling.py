"""/booking: free time, and who has claimed it."""

from datetime import UTC, date, tzinfo
from typing import Annotated, Literal, Self
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.datastructures import ResponseHeader
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct, field

from healthcare.application.scheduling.book import BookAppointment
from healthcare.application.scheduling.cancel import CancelAppointment
from healthcare.application.scheduling.list_appointments import ListAppointments
from healthcare.application.scheduling.list_slots import ListSlots
from healthcare.application.scheduling.publish import PublishSlots
from healthcare.application.scheduling.read_appointment import ReadAppointment
from healthcare.application.scheduling.search import SearchSlots
from healthcare.application.scheduling.take_back import TakeSlotBack
from healthcare.domain import kernel
from healthcare.domain.directory.errors import ProfileMissing
from healthcare.domain.kernel import AppointmentId, NotFound, SlotId
from healthcare.domain.scheduling.errors import (
    AppointmentNotBooked,
    AppointmentStarted,
    KeyReused,
    PatientBusy,
    SlotInThePast,
    SlotsOverlap,
    SlotTaken,
)
from healthcare.domain.scheduling.model import (
    LONGEST_SLOT,
    SHORTEST_SLOT,
    Appointment,
    AppointmentStatus,
    Booking,
    Publication,
    Search,
    Slot,
    TimeRange,
)
from healthcare.entrypoints.api.bodies import DoctorBody, Instant, Items, MoneyBody, PatientBody, Text, Zone
from healthcare.entrypoints.api.headers import revalidated
from healthcare.entrypoints.api.paging import Page, PageRequest
from healthcare.entrypoints.api.request import ApiRequest
from healthcare.entrypoints.api.shape import NoQuery
from healthcare.entrypoints.api.wiring import Use


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


class BookRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Which slot is wanted."""

    slot_id: UUID


class CancelRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Why an appointment is given up."""

    reason: Text


class SlotBody(Struct, frozen=True):
    """A bookable range of one doctor, and what it costs."""

    id: UUID
    doctor: DoctorBody
    start: Instant
    end: Instant
    fee: MoneyBody

    @classmethod
    def of(cls, slot: Slot, zone: tzinfo = UTC) -> Self:
        """Write the slot down, with the zone's offset from UTC."""
        return cls(
            slot.id,
            DoctorBody.of(slot.doctor),
            slot.time.start.astimezone(zone),
            slot.time.end.astimezone(zone),
            MoneyBody.of(slot.fee),
        )


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


class AppointmentBody(Struct, frozen=True):
    """A patient's claim on a slot."""

    id: UUID
    slot_id: UUID
    doctor: DoctorBody
    patient: PatientBody
    start: Instant
    end: Instant
    fee: MoneyBody
    status: AppointmentStatus
    version: int

    @classmethod
    def of(cls, appointment: Appointment) -> Self:
        """Write the appointment down."""
        return cls(
            appointment.id,
            appointment.slot,
            DoctorBody.of(appointment.doctor),
            PatientBody.of(appointment.patient),
            appointment.time.start,
            appointment.time.end,
            MoneyBody.of(appointment.fee),
            appointment.status,
            appointment.version,
        )


def render(search: Search, page: kernel.Page[Slot]) -> bytes:
    """Write an answer to a search down, as it is kept and sent."""
    zone = ZoneInfo(search.zone)
    return msgspec.json.encode(Page.of(page, lambda slot: SlotBody.of(slot, zone)))


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

    @get(
        "/slots/search",
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


class AppointmentController(Controller):
    """Claims on free time."""

    path = "/booking"
    tags = ("scheduling",)

    @post(
        "/slots/book",
        summary="Book a slot",
        keyed=True,
        refuses=(NotFound, SlotTaken, PatientBusy, SlotInThePast, KeyReused),
        response_headers=[ResponseHeader("Location", documentation_only=True, description="Of the appointment.")],
    )
    async def book(
        self, request: ApiRequest[NoQuery], data: JSONBody[BookRequest], book_appointment: Use[BookAppointment]
    ) -> Response[AppointmentBody]:
        """Book a free slot; the same key again gets the same answer again."""
        booking = Booking(actor=request.user, slot=SlotId(data.slot_id), key=request.key)
        body = AppointmentBody.of(await book_appointment(booking))
        return Response(body, headers={"Location": f"/booking/appointments/{body.id}"})

    @get("/appointments", summary="List your appointments")
    async def list_appointments(
        self, request: ApiRequest[PageRequest], list_appointments: Use[ListAppointments]
    ) -> Page[AppointmentBody]:
        """Return the appointments in which you are the patient or the doctor, by start."""
        page = await list_appointments(actor=request.user, paging=request.query.paging)
        return Page.of(page, AppointmentBody.of)

    @get("/appointments/{id:uuid}", summary="See an appointment", refuses=(NotFound,))
    async def read_appointment(
        self, request: ApiRequest[NoQuery], id: FromPath[UUID], read_appointment: Use[ReadAppointment]
    ) -> AppointmentBody:
        """Return one of your own appointments."""
        return AppointmentBody.of(await read_appointment(actor=request.user, appointment=AppointmentId(id)))

    @post(
        "/appointments/{id:uuid}/cancel",
        status_code=200,
        summary="Cancel an appointment",
        refuses=(NotFound, AppointmentNotBooked, AppointmentStarted),
    )
    async def cancel(
        self,
        request: ApiRequest[NoQuery],
        id: FromPath[UUID],
        data: JSONBody[CancelRequest],
        cancel_appointment: Use[CancelAppointment],
    ) -> AppointmentBody:
        """Give an appointment up before it starts; the slot is free again."""
        cancelled = await cancel_appointment(actor=request.user, appointment=AppointmentId(id), reason=data.reason)
        return AppointmentBody.of(cancelled)
