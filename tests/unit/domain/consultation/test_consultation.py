"""How care ends with a prescription."""

import pytest

from healthcare.domain.consultation.errors import PrescriptionIssued
from healthcare.domain.consultation.model import MOST_ITEMS, ConsultationStatus, check_items
from healthcare.domain.kernel import LONGEST_TEXT, Invalid, PrescriptionId
from tests.builders import HOUR, NOW, a_consultation, a_user_id, an_item

ID = PrescriptionId(a_user_id())


def test_a_prescription_finishes_the_consultation() -> None:
    consultation = a_consultation()

    finished, _ = consultation.prescribe((an_item(),), id=ID, now=NOW + HOUR)

    assert (finished.status, finished.ended_at) == (ConsultationStatus.FINISHED, NOW + HOUR)
    assert (finished.id, finished.started_at) == (consultation.id, consultation.started_at)


def test_a_prescription_names_its_people_and_its_time() -> None:
    consultation, items = a_consultation(), (an_item(), an_item(medicine="Ibuprofen"))

    _, prescription = consultation.prescribe(items, id=ID, now=NOW + HOUR)

    assert (prescription.id, prescription.consultation, prescription.items) == (ID, consultation.id, items)
    assert (prescription.doctor, prescription.patient) == (consultation.doctor, consultation.patient)
    assert prescription.issued_at == NOW + HOUR


def test_a_second_prescription_is_refused() -> None:
    finished, _ = a_consultation().prescribe((an_item(),), id=ID, now=NOW)

    with pytest.raises(PrescriptionIssued):
        finished.prescribe((an_item(),), id=ID, now=NOW)


@pytest.mark.parametrize("number", [1, MOST_ITEMS])
def test_a_prescription_has_one_to_fifty_items(number: int) -> None:
    check_items((an_item(),) * number)


@pytest.mark.parametrize("number", [0, MOST_ITEMS + 1])
def test_other_numbers_of_items_are_refused(number: int) -> None:
    with pytest.raises(Invalid) as refused:
        check_items((an_item(),) * number)

    assert refused.value.faults[0].path == ("items",)


@pytest.mark.parametrize("field", ["medicine", "dose", "route", "frequency", "duration", "instructions"])
@pytest.mark.parametrize("text", ["x" * (LONGEST_TEXT + 1), "\x00", "\ud800"])
def test_a_text_that_cannot_be_kept_is_refused_with_its_place(field: str, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_items((an_item(), an_item(**{field: text})))

    assert refused.value.faults[0].path == ("items", 1, field)


@pytest.mark.parametrize("field", ["medicine", "dose", "route", "frequency", "duration"])
@pytest.mark.parametrize("text", ["", "  "])
def test_everything_but_instructions_has_to_be_said(field: str, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_items((an_item(**{field: text}),))

    assert refused.value.faults[0].path == ("items", 0, field)


def test_instructions_may_be_left_out() -> None:
    check_items((an_item(instructions=""),))
