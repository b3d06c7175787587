"""What people ask of a clinic when it comes to care, and what must come of it."""

from dataclasses import dataclass, replace
from datetime import datetime

from tests.integration.http.claims import ChangeAppointment
from tests.integration.http.commands import CARED, DOCTORS, Command, invalid
from tests.integration.http.model import NEW, Answer, Consultation, Json, Model, Refused, User, not_found, written


@dataclass(frozen=True, kw_only=True)
class Start(ChangeAppointment):
    """Begin the care."""

    template, roles = "/consultation/start", DOCTORS

    @property
    def body(self) -> Json:
        """Of which appointment."""
        return {"appointment_id": self.target}

    def decide(self, clinic: Model, caller: User) -> Answer:
        """At any time; to start again changes nothing."""
        found = self.found(clinic, caller, patient_too=False)
        if existing := next((one for one in clinic.consultations.values() if one.appointment == found.id), None):
            return Answer(200, existing.body)
        if found.status not in {"booked", "checked-in"}:
            raise Refused(409, "appointment-not-booked")
        new = Consultation(NEW, found.id, clinic.now)

        def keep(ids: list[str]) -> None:
            (id,) = ids
            clinic.appointments[found.id] = found.become("fulfilled")
            clinic.consultations[id] = replace(new, id=id)

        return Answer(201, new.body, (("consultation.started", caller.id, NEW),), keep)

    def expect(self, clinic: Model) -> Answer:
        """Where no care begins, nothing at all is kept."""
        answer = super().expect(clinic)
        return answer if answer.status == 201 else replace(answer, expired=())


@dataclass(frozen=True, kw_only=True)
class OfConsultation(Command):
    """What is asked of a consultation."""

    target: str

    def found(self, clinic: Model, caller: User, *, patient_too: bool = True) -> Consultation:
        """Return it, if it is the caller's."""
        if (found := clinic.consultations.get(self.target)) is None:
            raise not_found()
        clinic.require_theirs(found.id, caller, patient_too=patient_too)
        return found


@dataclass(frozen=True, kw_only=True)
class Prescribe(OfConsultation):
    """Order medicines."""

    method, template, roles = "POST", "/consultation/{id}/prescription", DOCTORS
    medicine: str

    @property
    def body(self) -> Json:
        """One medicine."""
        rest = dict.fromkeys(("dose", "route", "frequency", "duration"), "as said")
        return {"items": [{"medicine": self.medicine, **rest, "instructions": ""}]}

    def fault(self, now: datetime) -> Refused | None:
        """It must have a name."""
        return invalid(not self.medicine.strip())

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Once and for all."""
        found = self.found(clinic, caller, patient_too=False)
        if found.ended:
            raise Refused(409, "prescription-issued")
        slot, patient = clinic.people_of(found.id)
        assert slot
        assert patient
        body = {
            "id": NEW,
            "consultation_id": found.id,
            "doctor": clinic.doctor_body(slot),
            "patient": clinic.patient_body(patient),
            "items": self.body["items"],
            "issued_at": written(clinic.now),
        }

        def keep(ids: list[str]) -> None:
            (id,) = ids
            clinic.consultations[found.id] = replace(found, ended=clinic.now)
            clinic.prescriptions[found.id] = body | {"id": id}

        return Answer(201, body, (("prescription.issued", caller.id, NEW),), keep)


@dataclass(frozen=True, kw_only=True)
class ReadPrescription(OfConsultation):
    """See what was ordered."""

    template, roles = "/consultation/{id}/prescription", CARED

    def decide(self, clinic: Model, caller: User) -> Answer:
        """Names are those of the day of issue, and who reads is remembered."""
        found = self.found(clinic, caller)
        if (prescription := clinic.prescriptions.get(found.id)) is None:
            raise not_found()
        return Answer(200, prescription, (("prescription.read", caller.id, prescription["id"]),))
