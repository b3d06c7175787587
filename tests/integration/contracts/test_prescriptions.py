"""What every adapter of `Prescriptions` does."""

from uuid import uuid4

import pytest

from healthcare.domain.consultation.errors import PrescriptionIssued
from healthcare.domain.consultation.model import MOST_ITEMS, Consultation
from healthcare.domain.consultation.ports import Prescriptions
from healthcare.domain.kernel import LONGEST_TEXT, ConsultationId
from tests.builders import a_consultation, a_prescription, an_item
from tests.clinic import Clinic
from tests.integration.contracts.queues import queue

pytestmark = pytest.mark.anyio

PORT = Prescriptions


async def started(clinic: Clinic) -> Consultation:
    consultation = a_consultation(await clinic.booked())
    async with clinic.database.begin() as uow:
        await uow.consultations.add(consultation)
    return consultation


async def test_a_prescription_is_kept_to_the_letter(clinic: Clinic) -> None:
    items = (
        an_item(medicine="Paracétamol 500 mg 🩺", dose="½ to 1", instructions=""),
        an_item(medicine='"quoted" \\ \' %s {} $1', instructions="first\n\tsecond\r\nthird"),
        *(an_item(dose="ß" * LONGEST_TEXT) for _ in range(MOST_ITEMS - 2)),
    )
    prescription = a_prescription(await started(clinic), items=items)

    async with clinic.database.begin() as uow:
        await uow.prescriptions.add(prescription)

    async with clinic.database.begin() as uow:
        assert await uow.prescriptions.of(prescription.consultation) == prescription


async def test_a_consultation_without_one_has_none(clinic: Clinic) -> None:
    consultation = await started(clinic)

    async with clinic.database.begin() as uow:
        assert await uow.prescriptions.of(consultation.id) is None
        assert await uow.prescriptions.of(ConsultationId(uuid4())) is None


async def test_a_consultation_never_has_two(clinic: Clinic) -> None:
    consultation = await started(clinic)
    first = a_prescription(consultation)
    async with clinic.database.begin() as uow:
        await uow.prescriptions.add(first)

    with pytest.raises(PrescriptionIssued):
        async with clinic.database.begin() as uow:
            await uow.prescriptions.add(a_prescription(consultation, items=(an_item(dose="more"),)))

    async with clinic.database.begin() as uow:
        assert await uow.prescriptions.of(consultation.id) == first


async def test_whoever_adds_one_to_a_consultation_that_is_getting_one_waits_and_is_refused(clinic: Clinic) -> None:
    consultation = await started(clinic)

    with pytest.raises(PrescriptionIssued):
        await queue(
            clinic.database,
            lambda uow: uow.prescriptions.add(a_prescription(consultation)),
            lambda uow: uow.prescriptions.add(a_prescription(consultation)),
        )
