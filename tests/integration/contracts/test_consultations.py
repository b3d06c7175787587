"""What every adapter of `Consultations` does."""

from uuid import uuid4

import pytest

from healthcare.application.uow import UnitOfWork
from healthcare.domain.consultation.model import Consultation
from healthcare.domain.consultation.ports import Consultations
from healthcare.domain.kernel import AppointmentId, ConsultationId, PrescriptionId
from tests.builders import HOUR, NOW, a_consultation, an_item
from tests.clinic import Clinic
from tests.integration.contracts.queues import pass_by, queue

pytestmark = pytest.mark.anyio

PORT = Consultations


async def started(clinic: Clinic) -> Consultation:
    consultation = a_consultation(await clinic.booked())
    async with clinic.database.begin() as uow:
        await uow.consultations.add(consultation)
    return consultation


def finished(consultation: Consultation) -> Consultation:
    after, _ = consultation.prescribe((an_item(),), id=PrescriptionId(uuid4()), now=NOW + HOUR)
    return after


async def test_a_consultation_is_kept_as_it_is(clinic: Clinic) -> None:
    consultation = await started(clinic)

    async with clinic.database.begin() as uow:
        assert await uow.consultations.get(consultation.id) == consultation
        assert await uow.consultations.of(consultation.appointment) == consultation
        assert await uow.consultations.lock(consultation.id) == consultation


async def test_a_consultation_that_does_not_exist_is_none(clinic: Clinic) -> None:
    appointment = await clinic.booked()

    async with clinic.database.begin() as uow:
        assert await uow.consultations.get(ConsultationId(uuid4())) is None
        assert await uow.consultations.lock(ConsultationId(uuid4())) is None
        assert await uow.consultations.of(appointment.id) is None
        assert await uow.consultations.of(AppointmentId(uuid4())) is None


async def test_a_change_is_kept(clinic: Clinic) -> None:
    consultation, other = await started(clinic), await started(clinic)

    async with clinic.database.begin() as uow:
        await uow.consultations.put(finished(consultation))

    async with clinic.database.begin() as uow:
        assert await uow.consultations.get(consultation.id) == finished(consultation)
        assert await uow.consultations.get(other.id) == other


async def test_an_appointment_never_has_two(clinic: Clinic) -> None:
    """The domain has no refusal for it, because the appointment's lock makes one unnecessary."""
    appointment = await clinic.booked()
    first, second = a_consultation(appointment), a_consultation(appointment)
    async with clinic.database.begin() as uow:
        await uow.consultations.add(first)

    with pytest.raises(Exception, match="one_consultation_per_appointment"):
        async with clinic.database.begin() as uow:
            await uow.consultations.add(second)

    async with clinic.database.begin() as uow:
        assert await uow.consultations.of(appointment.id) == first
        assert await uow.consultations.get(second.id) is None


async def test_whoever_locks_a_consultation_waits_for_others_who_did_and_sees_what_they_did(clinic: Clinic) -> None:
    consultation = await started(clinic)

    async def finish(uow: UnitOfWork) -> None:
        locked = await uow.consultations.lock(consultation.id)
        assert locked
        await uow.consultations.put(finished(locked))

    seen = await queue(clinic.database, finish, lambda uow: uow.consultations.lock(consultation.id))

    assert seen == finished(consultation)


async def test_other_consultations_are_locked_meanwhile(clinic: Clinic) -> None:
    one, other = await started(clinic), await started(clinic)

    await pass_by(
        clinic.database, lambda uow: uow.consultations.lock(one.id), lambda uow: uow.consultations.lock(other.id)
    )
