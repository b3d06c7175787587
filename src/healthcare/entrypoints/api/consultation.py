"""/consultation: the care that an appointment leads to."""

from typing import Annotated, Self
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from healthcare.application.consultation.prescribe import IssuePrescription
from healthcare.application.consultation.read_prescription import ReadPrescription
from healthcare.application.consultation.start import StartConsultation
from healthcare.domain.consultation.errors import PrescriptionIssued
from healthcare.domain.consultation.model import (
    MOST_ITEMS,
    Consultation,
    ConsultationStatus,
    Item,
    Prescription,
)
from healthcare.domain.kernel import AppointmentId, ConsultationId, NotFound
from healthcare.domain.scheduling.errors import AppointmentNotBooked
from healthcare.entrypoints.api.bodies import DoctorBody, Instant, PatientBody, Text, TextOrNothing
from healthcare.entrypoints.api.request import ApiRequest
from healthcare.entrypoints.api.shape import NoQuery
from healthcare.entrypoints.api.wiring import Use


class StartRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The appointment whose time has come."""

    appointment_id: UUID


class ItemRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """One medicine and how it is to be taken."""

    medicine: Text
    dose: Text
    route: Text
    frequency: Text
    duration: Text
    instructions: TextOrNothing

    @property
    def item(self) -> Item:
        """The same, for the use case."""
        return Item(self.medicine, self.dose, self.route, self.frequency, self.duration, self.instructions)


class PrescribeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What the doctor orders."""

    items: Annotated[list[ItemRequest], Meta(min_length=1, max_length=MOST_ITEMS)]


class ConsultationBody(Struct, frozen=True):
    """The care that came of an appointment."""

    id: UUID
    appointment_id: UUID
    status: ConsultationStatus
    started_at: Instant
    ended_at: Instant | None

    @classmethod
    def of(cls, consultation: Consultation) -> Self:
        """Write the consultation down."""
        return cls(
            consultation.id,
            consultation.appointment,
            consultation.status,
            consultation.started_at,
            consultation.ended_at,
        )


class ItemBody(Struct, frozen=True):
    """One medicine and how it is to be taken, in the prescriber's own words."""

    medicine: str
    dose: str
    route: str
    frequency: str
    duration: str
    instructions: str

    @classmethod
    def of(cls, item: Item) -> Self:
        """Write the item down."""
        return cls(item.medicine, item.dose, item.route, item.frequency, item.duration, item.instructions)


class PrescriptionBody(Struct, frozen=True):
    """What the doctor has ordered; it never changes."""

    id: UUID
    consultation_id: UUID
    doctor: DoctorBody
    patient: PatientBody
    items: list[ItemBody]
    issued_at: Instant

    @classmethod
    def of(cls, prescription: Prescription) -> Self:
        """Write the prescription down."""
        return cls(
            prescription.id,
            prescription.consultation,
            DoctorBody.of(prescription.doctor),
            PatientBody.of(prescription.patient),
            [ItemBody.of(item) for item in prescription.items],
            prescription.issued_at,
        )


class ConsultationController(Controller):
    """Care."""

    path = "/consultation"
    tags = ("consultation",)

    @post(
        "/start",
        summary="Start a consultation",
        responses={200: ResponseSpec(ConsultationBody, description="It had been started before.")},
        refuses=(NotFound, AppointmentNotBooked),
    )
    async def start(
        self, request: ApiRequest[NoQuery], data: JSONBody[StartRequest], start_consultation: Use[StartConsultation]
    ) -> Response[ConsultationBody]:
        """Start the consultation of an appointment with you, at any time."""
        started = await start_consultation(actor=request.user, appointment=AppointmentId(data.appointment_id))
        return Response(ConsultationBody.of(started.consultation), status_code=201 if started.new else 200)

    @post("/{id:uuid}/prescription", summary="Prescribe", refuses=(NotFound, PrescriptionIssued))
    async def prescribe(
        self,
        request: ApiRequest[NoQuery],
        id: FromPath[UUID],
        data: JSONBody[PrescribeRequest],
        issue_prescription: Use[IssuePrescription],
    ) -> PrescriptionBody:
        """Issue the prescription, once and for all, and finish the consultation."""
        prescription = await issue_prescription(
            actor=request.user,
            consultation=ConsultationId(id),
            items=tuple(item.item for item in data.items),
        )
        return PrescriptionBody.of(prescription)

    @get("/{id:uuid}/prescription", summary="Read a prescription", refuses=(NotFound,))
    async def read_prescription(
        self, request: ApiRequest[NoQuery], id: FromPath[UUID], read_prescription: Use[ReadPrescription]
    ) -> PrescriptionBody:
        """Return the prescription of a consultation of yours; that you read it is recorded."""
        prescription = await read_prescription(actor=request.user, consultation=ConsultationId(id))
        return PrescriptionBody.of(prescription)
