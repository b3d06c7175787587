"""/booking: appointments, from the claim to the day."""

from typing import Final, Self
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.datastructures import ResponseHeader
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from healthcare.application.scheduling.book import BookAppointment
from healthcare.application.scheduling.cancel import CancelAppointment
from healthcare.application.scheduling.check_in import CheckIn
from healthcare.application.scheduling.list_appointments import ListAppointments
from healthcare.application.scheduling.read_appointment import ReadAppointment
from healthcare.application.scheduling.reschedule import RescheduleAppointment
from healthcare.application.scheduling.undo_status import UndoStatus
from healthcare.domain.kernel import AppointmentId, NotFound, SlotId
from healthcare.domain.scheduling.asks import Booking
from healthcare.domain.scheduling.cancellation import Cancellation, ReasonCode
from healthcare.domain.scheduling.errors import (
    AppointmentNotBooked,
    AppointmentStarted,
    CheckInTooEarly,
    KeyReused,
    NothingToUndo,
    PatientBusy,
    SlotInThePast,
    SlotTaken,
    VersionStale,
)
from healthcare.domain.scheduling.model import Appointment
from healthcare.domain.scheduling.status import AppointmentStatus
from healthcare.entrypoints.api.bodies import DoctorBody, Instant, MoneyBody, PatientBody, Text
from healthcare.entrypoints.api.headers import TAG, version_tag
from healthcare.entrypoints.api.paging import Page, PageRequest
from healthcare.entrypoints.api.request import ApiRequest
from healthcare.entrypoints.api.shape import NoQuery
from healthcare.entrypoints.api.wiring import Use

BOOK_PATH: Final = "/booking/slots/book"


class BookRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Which slot is wanted."""

    slot_id: UUID


class RescheduleRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Which slot is wanted in place of the one there is."""

    slot_id: UUID


class CancelRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Why an appointment is given up: in one's own words, and by a code (FHIR R4 appointment-cancellation-reason)."""

    reason: Text
    reason_code: ReasonCode | None = None


class CancellationBody(Struct, frozen=True):
    """Why an appointment was given up, and whether its patient did that later than its doctor asks."""

    reason: str
    reason_code: ReasonCode
    late: bool

    @classmethod
    def of(cls, cancellation: Cancellation) -> Self:
        """Write the reason down."""
        return cls(cancellation.reason, cancellation.code, cancellation.late)


class AppointmentBody(Struct, frozen=True):
    """A patient's claim on a slot."""

    id: UUID
    slot_id: UUID
    doctor: DoctorBody
    patient: PatientBody
    start: Instant
    end: Instant
    fee: MoneyBody
    notice_hours: int
    status: AppointmentStatus
    version: int
    expires_at: Instant | None
    cancellation: CancellationBody | None

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
            appointment.notice_hours,
            appointment.status,
            appointment.version,
            appointment.expires_at,
            CancellationBody.of(appointment.cancellation) if appointment.cancellation else None,
        )


def tagged(appointment: Appointment) -> Response[AppointmentBody]:
    """Send an appointment, and its version as its tag."""
    return Response(AppointmentBody.of(appointment), headers={"ETag": version_tag(appointment.version)})


def headers_of_new(appointment: Appointment) -> dict[str, str]:
    """Return the version of an appointment that has just been made, as its tag, and where it is."""
    return {"ETag": version_tag(appointment.version), "Location": f"/booking/appointments/{appointment.id}"}


class AppointmentController(Controller):
    """Claims on free time."""

    path = "/booking"
    tags = ("scheduling",)

    @post(
        BOOK_PATH.removeprefix("/booking"),
        summary="Book a slot",
        keyed=True,
        refuses=(NotFound, SlotTaken, PatientBusy, SlotInThePast, KeyReused),
        response_headers=[
            ResponseHeader("Location", documentation_only=True, description="Of the appointment."),
            TAG,
        ],
    )
    async def book(
        self, request: ApiRequest[NoQuery], data: JSONBody[BookRequest], book_appointment: Use[BookAppointment]
    ) -> Response[AppointmentBody]:
        """Book a free slot, or the one you hold; the same key again gets the same answer again."""
        booked = await book_appointment(Booking(actor=request.user, slot=SlotId(data.slot_id), key=request.key))
        return Response(AppointmentBody.of(booked), status_code=201, headers=headers_of_new(booked))

    @get("/appointments", summary="List your appointments")
    async def list_appointments(
        self, request: ApiRequest[PageRequest], list_appointments: Use[ListAppointments]
    ) -> Page[AppointmentBody]:
        """Return the appointments in which you are the patient or the doctor, by start."""
        page = await list_appointments(actor=request.user, paging=request.query.paging)
        return Page.of(page, AppointmentBody.of)

    @get("/appointments/{id:uuid}", summary="See an appointment", refuses=(NotFound,), response_headers=[TAG])
    async def read_appointment(
        self, request: ApiRequest[NoQuery], id: FromPath[UUID], read_appointment: Use[ReadAppointment]
    ) -> Response[AppointmentBody]:
        """Return one of your own appointments. A hold that has run out is shown as cancelled."""
        return tagged(await read_appointment(actor=request.user, appointment=AppointmentId(id)))

    @post(
        "/appointments/{id:uuid}/reschedule",
        status_code=200,
        summary="Move an appointment",
        conditional=True,
        refuses=(
            NotFound,
            VersionStale,
            AppointmentNotBooked,
            AppointmentStarted,
            SlotTaken,
            PatientBusy,
            SlotInThePast,
        ),
        response_headers=[TAG],
    )
    async def reschedule(
        self,
        request: ApiRequest[NoQuery],
        id: FromPath[UUID],
        data: JSONBody[RescheduleRequest],
        reschedule_appointment: Use[RescheduleAppointment],
    ) -> Response[AppointmentBody]:
        """Move your appointment to another slot, of another doctor too; if that fails, it stays where it is."""
        moved = await reschedule_appointment(
            actor=request.user,
            appointment=AppointmentId(id),
            slot=SlotId(data.slot_id),
            versions=request.versions,
        )
        return tagged(moved)

    @post(
        "/appointments/{id:uuid}/cancel",
        status_code=200,
        summary="Cancel an appointment",
        refuses=(NotFound, AppointmentNotBooked, AppointmentStarted),
        response_headers=[TAG],
    )
    async def cancel(
        self,
        request: ApiRequest[NoQuery],
        id: FromPath[UUID],
        data: JSONBody[CancelRequest],
        cancel_appointment: Use[CancelAppointment],
    ) -> Response[AppointmentBody]:
        """Give an appointment up before it starts; the slot is free again. Later than its doctor asks is marked."""
        cancelled = await cancel_appointment(
            actor=request.user, appointment=AppointmentId(id), reason=data.reason, code=data.reason_code
        )
        return tagged(cancelled)

    @post(
        "/appointments/{id:uuid}/check-in",
        status_code=200,
        summary="Check in",
        refuses=(NotFound, AppointmentNotBooked, CheckInTooEarly),
        response_headers=[TAG],
    )
    async def check_in(
        self, request: ApiRequest[NoQuery], id: FromPath[UUID], check_in: Use[CheckIn]
    ) -> Response[AppointmentBody]:
        """Say that you are there, from 15 minutes before the start; a second time changes nothing."""
        return tagged(await check_in(actor=request.user, appointment=AppointmentId(id)))

    @post(
        "/appointments/{id:uuid}/undo",
        status_code=200,
        summary="Undo a check-in or a no-show",
        refuses=(NotFound, NothingToUndo),
        response_headers=[TAG],
    )
    async def undo(
        self, request: ApiRequest[NoQuery], id: FromPath[UUID], undo_status: Use[UndoStatus]
    ) -> Response[AppointmentBody]:
        """Correct a mistake: who was checked in is booked again, who was marked as a no-show is checked in."""
        return tagged(await undo_status(actor=request.user, appointment=AppointmentId(id)))
