"""Every route once, as it is meant: what is answered, to the last member."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from httpx import Response

from healthcare.domain.identity.model import Email
from healthcare.domain.kernel import Actor, Money, Role
from tests.builders import DAY, HOUR, MINUTE, NOW, PASSWORD
from tests.clinic import Clinic
from tests.integration.http.conftest import Api

pytestmark = pytest.mark.anyio

ADA = {"email": "Ada@Example.org", "password": PASSWORD, "full_name": "Ada Lovelace", "time_zone": "Europe/London"}
ITEM = {
    "medicine": "Amoxicillin",
    "dose": "500 mg",
    "route": "oral",
    "frequency": "three times a day",
    "duration": "7 days",
    "instructions": "",
}
PROFILE = {
    "specialty": "cardiology",
    "languages": ["en", "de-AT"],
    "fee": {"amount": 4900, "currency": "EUR"},
    "time_zone": "Europe/Vienna",
    "registration_number": "AT-1",
    "notice_hours": 24,
}
SYSTEM = Actor(None, "setup", system=True)


def said(response: Response, status: int) -> Any:  # noqa: ANN401 - JSON is anything
    """What a good answer says; the headers that every good answer has are checked on the way."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    assert response.headers["x-content-type-options"] == "nosniff"
    return response.json()


async def register(api: Api, email: str = "ada@example.org") -> dict[str, str]:
    return dict(said(await api.client.post("/auth/register", json=ADA | {"email": email}), 201))


async def signed_in(api: Api, email: str) -> dict[str, str]:
    answer = said(await api.client.post("/auth/login", json={"email": email, "password": PASSWORD}), 200)
    return {"Authorization": f"Bearer {answer['access_token']}"}


async def an_admin(clinic: Clinic) -> str:
    await clinic.can.create_admin(
        actor=SYSTEM, email=Email("root@example.org"), password=PASSWORD, full_name="Root", time_zone="UTC"
    )
    return "root@example.org"


async def test_the_whole_journey(api: Api) -> None:  # noqa: PLR0915 - it has many steps
    client = api.client

    patient = said(await client.post("/auth/register", json=ADA), 201)
    assert patient == {
        "id": patient["id"],
        "email": "Ada@Example.org",
        "full_name": "Ada Lovelace",
        "role": "patient",
        "time_zone": "Europe/London",
    }

    response = await client.post("/auth/login", json={"email": "ADA@example.ORG", "password": PASSWORD})
    signed = said(response, 200)
    assert signed == {
        "access_token": signed["access_token"],
        "token_type": "Bearer",
        "expires_in": 900,
        "user": patient,
    }
    assert response.headers["cache-control"] == "no-store"
    as_patient = {"Authorization": f"Bearer {signed['access_token']}"}
    assert said(await client.get("/auth/me", headers=as_patient), 200) == patient

    doctor = await register(api, "doctor@example.org")
    as_admin = await signed_in(api, await an_admin(api.clinic))
    as_doctor = await signed_in(api, "doctor@example.org")
    change = {"user_id": doctor["id"], "role": "doctor"}
    assert said(await client.post("/auth/admin/role", json=change, headers=as_admin), 200) == doctor | {
        "role": "doctor"
    }

    assert said(await client.get("/booking/specialties"), 200) == {"items": []}
    assert said(await client.post("/booking/doctor/profile", json=PROFILE, headers=as_doctor), 200) == PROFILE
    assert said(await client.get("/booking/specialties"), 200) == {"items": ["cardiology"]}

    free_time = {"start": "2030-01-10T09:00:00+01:00", "end": "2030-01-10T10:15:00+01:00", "slot_minutes": 30}
    published = said(await client.post("/booking/doctor/availability", json=free_time, headers=as_doctor), 201)
    as_others_see = {"id": doctor["id"], "full_name": "Ada Lovelace", "specialty": "cardiology"}
    first, second = published["items"]
    assert published == {"items": [first, second]}
    assert first == {
        "id": first["id"],
        "doctor": as_others_see,
        "start": "2030-01-10T08:00:00Z",
        "end": "2030-01-10T08:30:00Z",
        "fee": {"amount": 4900, "currency": "EUR"},
    }
    assert (second["start"], second["end"]) == ("2030-01-10T08:30:00Z", "2030-01-10T09:00:00Z")

    query = {"specialty": "cardiology", "date": "2030-01-10", "tz": "Asia/Kolkata"}
    found = said(await client.get("/booking/slots/search", params=query), 200)
    assert found == {
        "items": [
            first | {"start": "2030-01-10T13:30:00+05:30", "end": "2030-01-10T14:00:00+05:30"},
            second | {"start": "2030-01-10T14:00:00+05:30", "end": "2030-01-10T14:30:00+05:30"},
        ],
        "next_cursor": None,
    }

    key = {"Idempotency-Key": "key-1"}
    response = await client.post("/booking/slots/book", json={"slot_id": first["id"]}, headers=as_patient | key)
    appointment = said(response, 201)
    assert appointment == {
        "id": appointment["id"],
        "slot_id": first["id"],
        "doctor": as_others_see,
        "patient": {"id": patient["id"], "full_name": "Ada Lovelace"},
        "start": "2030-01-10T08:00:00Z",
        "end": "2030-01-10T08:30:00Z",
        "fee": {"amount": 4900, "currency": "EUR"},
        "notice_hours": 24,
        "status": "booked",
        "version": 1,
        "expires_at": None,
        "cancellation": None,
    }
    assert response.headers["etag"] == '"1"'
    assert response.headers["location"] == f"/booking/appointments/{appointment['id']}"
    again = await client.post("/booking/slots/book", json={"slot_id": first["id"]}, headers=as_patient | key)
    assert (again.status_code, again.content, again.headers["location"]) == (
        201,
        response.content,
        response.headers["location"],
    )

    slots = said(await client.get("/booking/doctor/slots", headers=as_doctor), 200)
    assert slots == {"items": [first | {"status": "busy"}, second | {"status": "free"}], "next_cursor": None}
    response = await client.delete(f"/booking/doctor/slots/{second['id']}", headers=as_doctor)
    assert (response.status_code, response.content) == (204, b"")
    for credentials in (as_patient, as_doctor):
        listed = said(await client.get("/booking/appointments", headers=credentials), 200)
        assert listed == {"items": [appointment], "next_cursor": None}
        one = await client.get(f"/booking/appointments/{appointment['id']}", headers=credentials)
        assert said(one, 200) == appointment
        assert one.headers["etag"] == '"1"'

    start = {"appointment_id": appointment["id"]}
    consultation = said(await client.post("/consultation/start", json=start, headers=as_doctor), 201)
    assert consultation == {
        "id": consultation["id"],
        "appointment_id": appointment["id"],
        "status": "in-progress",
        "started_at": "2030-01-07T09:00:00Z",
        "ended_at": None,
    }
    assert said(await client.post("/consultation/start", json=start, headers=as_doctor), 200) == consultation

    path = f"/consultation/{consultation['id']}/prescription"
    prescription = said(await client.post(path, json={"items": [ITEM]}, headers=as_doctor), 201)
    assert prescription == {
        "id": prescription["id"],
        "consultation_id": consultation["id"],
        "doctor": as_others_see,
        "patient": appointment["patient"],
        "items": [ITEM],
        "issued_at": "2030-01-07T09:00:00Z",
    }
    for credentials in (as_patient, as_doctor):
        response = await client.get(path, headers=credentials)
        assert said(response, 200) == prescription
        assert response.headers["cache-control"] == "no-store"
    finished = said(await client.post("/consultation/start", json=start, headers=as_doctor), 200)
    assert finished == consultation | {"status": "finished", "ended_at": "2030-01-07T09:00:00Z"}

    await api.clinic.can.record_events(actor=SYSTEM)
    entries = said(await client.get("/audit", params={"subject": prescription["id"]}, headers=as_admin), 200)
    (issued,) = [one for one in entries["items"] if one["kind"] == "prescription.issued"]
    assert entries["next_cursor"] is None
    assert len(entries["items"]) == 3
    assert issued == {
        "id": issued["id"],
        "at": "2030-01-07T09:00:00Z",
        "actor_id": doctor["id"],
        "kind": "prescription.issued",
        "subject_id": prescription["id"],
        "outcome": "success",
        "request_id": issued["request_id"],
    }


async def test_a_patient_holds_books_moves_and_is_there(api: Api) -> None:
    """One id from the hold to the consultation, and a new version with each step."""
    clinic, client = api.clinic, api.client
    doctor = await clinic.doctor()
    first, second = await clinic.slots(doctor, NOW + 2 * HOUR, NOW + HOUR)
    patient, stranger = await clinic.user(), await api.as_(Role.PATIENT)
    signed, hold = api.signed(patient.id), f"/booking/slots/{first.id}/hold"
    query = {"specialty": doctor.specialty, "date": "2030-01-07"}

    async def findable() -> list[str]:
        found = said(await client.get("/booking/slots/search", params=query), 200)
        return [one["id"] for one in found["items"]]

    async def becomes(status: str, version: int, step: str, who: dict[str, str], **asked: Any) -> Any:  # noqa: ANN401 - JSON is anything
        response = await client.post(f"/booking/appointments/{held['id']}/{step}", headers=who, **asked)
        one = said(response, 200)
        assert (one["id"], one["status"], one["version"]) == (held["id"], status, version)
        assert response.headers["etag"] == f'"{version}"'
        assert said(await client.get(f"/booking/appointments/{held['id']}", headers=signed), 200) == one
        return one

    response = await client.post(hold, headers=signed)
    held = said(response, 201)
    assert held == {
        "id": held["id"],
        "slot": {
            "id": str(first.id),
            "doctor": {"id": str(doctor.id), "full_name": doctor.full_name, "specialty": doctor.specialty},
            "start": "2030-01-07T11:00:00Z",
            "end": "2030-01-07T11:30:00Z",
            "fee": {"amount": 4900, "currency": "EUR"},
        },
        "expires_at": "2030-01-07T09:05:00Z",
    }
    assert response.headers["etag"] == '"1"'
    assert await findable() == [str(second.id)]
    assert (await client.post(hold, headers=stranger)).status_code == 409

    response = await client.post(hold, headers=signed)
    assert said(response, 200) == held | {"expires_at": "2030-01-07T09:10:00Z"}
    assert response.headers["etag"] == '"2"'
    clinic.clock.wait(9 * MINUTE)
    signed = api.signed(patient.id)
    pending = said(await client.get(f"/booking/appointments/{held['id']}", headers=signed), 200)
    assert (pending["status"], pending["expires_at"]) == ("pending", "2030-01-07T09:10:00Z")

    wish = {"slot_id": str(first.id)}
    response = await client.post("/booking/slots/book", json=wish, headers=signed | {"Idempotency-Key": "k"})
    booked = said(response, 201)
    assert booked == pending | {"status": "booked", "version": 3, "expires_at": None}
    assert response.headers["etag"] == '"3"'

    wish = {"slot_id": str(second.id)}
    moved = await becomes("booked", 4, "reschedule", signed | {"If-Match": '"3"'}, json=wish)
    assert moved == booked | wish | {"version": 4, "start": "2030-01-07T10:00:00Z", "end": "2030-01-07T10:30:00Z"}
    assert await findable() == [str(first.id)]

    clinic.clock.wait(36 * MINUTE)
    signed, as_doctor = api.signed(patient.id), api.signed(doctor.id)
    for _ in "12":
        await becomes("checked-in", 5, "check-in", signed)
    await becomes("booked", 6, "undo", as_doctor)
    await becomes("checked-in", 7, "check-in", signed)

    response = await client.post("/consultation/start", json={"appointment_id": held["id"]}, headers=as_doctor)
    assert said(response, 201)["appointment_id"] == held["id"]
    fulfilled = said(await client.get(f"/booking/appointments/{held['id']}", headers=as_doctor), 200)
    assert fulfilled == moved | {"status": "fulfilled", "version": 8}

    await clinic.can.record_events(actor=SYSTEM)
    admin = await api.as_(Role.ADMIN)
    entries = said(await client.get("/audit", params={"subject": held["id"]}, headers=admin), 200)
    assert Counter(one["kind"] for one in entries["items"]) == {
        "slot.held": 1,
        "hold.extended": 1,
        "appointment.booked": 1,
        "appointment.rescheduled": 1,
        "appointment.checked_in": 2,
        "appointment.undone": 1,
    }


async def test_a_hold_ends_by_itself_or_when_it_is_given_back(api: Api) -> None:
    clinic, client = api.clinic, api.client
    slot = await clinic.slot()
    path, patient, other = f"/booking/slots/{slot.id}/hold", await clinic.user(), await api.as_(Role.PATIENT)
    signed = api.signed(patient.id)

    expired = said(await client.post(path, headers=signed), 201)
    clinic.clock.wait(5 * MINUTE)
    seen = said(await client.get(f"/booking/appointments/{expired['id']}", headers=api.signed(patient.id)), 200)
    given_back = said(await client.post(path, headers=other), 201)
    released = await client.delete(path, headers=other)
    again = said(await client.post(path, headers=api.signed(patient.id)), 201)

    assert (seen["status"], seen["expires_at"]) == ("cancelled", None)
    assert seen["cancellation"] == {"reason": "expired", "reason_code": "other", "late": False}
    assert (released.status_code, released.content) == (204, b"")
    assert len({expired["id"], given_back["id"], again["id"]}) == 3
    (one,) = said(await client.get("/booking/appointments", headers=other), 200)["items"]
    assert one["cancellation"] == {"reason": "released", "reason_code": "pat", "late": False}


async def test_who_moves_to_another_doctor_takes_over_their_terms(api: Api) -> None:
    clinic, client = api.clinic, api.client
    here, there = await clinic.doctor(), await clinic.doctor(fee=Money(9900, "CHF"))
    profile = PROFILE | {"fee": {"amount": 9900, "currency": "CHF"}, "notice_hours": 48}
    said(await client.post("/booking/doctor/profile", json=profile, headers=api.signed(there.id)), 200)
    appointment, wanted = await clinic.booked(await clinic.slot(here)), await clinic.slot(there)

    response = await client.post(
        f"/booking/appointments/{appointment.id}/reschedule",
        json={"slot_id": str(wanted.id)},
        headers=api.signed(appointment.patient.id) | {"If-Match": "*"},
    )

    moved = said(response, 200)
    assert (moved["id"], moved["doctor"]["id"]) == (str(appointment.id), str(there.id))
    assert (moved["fee"], moved["notice_hours"]) == ({"amount": 9900, "currency": "CHF"}, 48)


@pytest.mark.parametrize(
    ("who", "asked", "code", "late"),
    [
        (Role.PATIENT, {}, "pat", True),
        (Role.PATIENT, {"reason_code": "pat-dec"}, "pat-dec", True),
        (Role.PATIENT, {"reason_code": None}, "pat", True),
        (Role.DOCTOR, {}, "prov", False),
        (Role.DOCTOR, {"reason_code": "prov-hosp"}, "prov-hosp", False),
        (Role.ADMIN, {}, "other", False),
    ],
)
async def test_a_cancellation_says_who_gave_up_and_whether_a_patient_was_late(
    api: Api, who: Role, asked: dict[str, str | None], code: str, late: bool
) -> None:
    """The doctor wants to know a day before; a patient who says it later may, and that is noted."""
    clinic, client = api.clinic, api.client
    slot = await clinic.slot(start=NOW + 23 * HOUR)
    doctor = api.signed(slot.doctor.id)
    said(await client.post("/booking/doctor/profile", json=PROFILE, headers=doctor), 200)
    appointment = await clinic.booked(slot)
    patient = api.signed(appointment.patient.id)
    signed = {Role.PATIENT: patient, Role.DOCTOR: doctor, Role.ADMIN: await api.as_(Role.ADMIN)}[who]

    response = await client.post(
        f"/booking/appointments/{appointment.id}/cancel", json={"reason": "fever"} | asked, headers=signed
    )

    cancelled = said(response, 200)
    assert (cancelled["status"], cancelled["version"], response.headers["etag"]) == ("cancelled", 2, '"2"')
    assert cancelled["cancellation"] == {"reason": "fever", "reason_code": code, "late": late}


async def test_a_doctor_gives_a_whole_day_up(api: Api) -> None:
    """A day of their own zone: it begins at 23:00 the evening before, in UTC. A repeat finds nothing left to do."""
    clinic, client = api.clinic, api.client
    doctor = await clinic.doctor()
    said(await client.post("/booking/doctor/profile", json=PROFILE, headers=api.signed(doctor.id)), 200)
    midnight = NOW.replace(hour=23)
    before, *of_the_day, after = await clinic.slots(
        doctor, midnight - HOUR, *(midnight + number * HOUR for number in range(4)), midnight + DAY
    )
    booked, held = await clinic.booked(of_the_day[0]), await clinic.held(of_the_day[1])
    started, other = await clinic.booked(of_the_day[2]), await clinic.booked(before)
    signed = api.signed(doctor.id)
    said(await client.post("/consultation/start", json={"appointment_id": str(started.id)}, headers=signed), 201)
    day = {"date": "2030-01-08", "reason": "fever"}

    first = said(await client.post("/booking/doctor/day/cancel", json=day, headers=signed), 200)
    again = said(await client.post("/booking/doctor/day/cancel", json=day, headers=signed), 200)

    assert first == {
        "items": [
            {"appointment_id": str(booked.id), "outcome": "cancelled"},
            {"appointment_id": str(held.id), "outcome": "cancelled"},
        ]
    }
    assert again == {"items": []}
    mine = said(await client.get("/booking/doctor/slots", headers=signed), 200)
    assert [(one["id"], one["status"]) for one in mine["items"]] == [(str(before.id), "busy"), (str(after.id), "free")]
    listed = said(await client.get("/booking/appointments", headers=signed), 200)["items"]
    assert {one["id"]: one["status"] for one in listed} == {
        str(other.id): "booked",
        str(booked.id): "cancelled",
        str(held.id): "cancelled",
        str(started.id): "fulfilled",
    }
    reasons = [one["cancellation"] for one in listed if one["status"] == "cancelled"]
    assert reasons == [{"reason": "fever", "reason_code": "prov", "late": False}] * 2
    query = {"specialty": doctor.specialty, "date": "2030-01-08"}
    found = said(await client.get("/booking/slots/search", params=query), 200)
    assert [one["id"] for one in found["items"]] == [str(after.id)]


async def test_who_did_not_come_is_noted_and_the_doctor_can_say_that_they_did(api: Api) -> None:
    clinic, client = api.clinic, api.client
    appointment = await clinic.booked(await clinic.slot(start=NOW + HOUR))
    path = f"/booking/appointments/{appointment.id}"
    clinic.clock.wait(HOUR + 44 * MINUTE)
    early = await clinic.can.mark_no_shows(actor=SYSTEM)
    clinic.clock.wait(MINUTE)
    doctor, patient = api.signed(appointment.doctor.id), api.signed(appointment.patient.id)

    marked = await clinic.can.mark_no_shows(actor=SYSTEM)
    missed = said(await client.get(path, headers=patient), 200)
    undone = said(await client.post(f"{path}/undo", headers=doctor), 200)
    once_more = await clinic.can.mark_no_shows(actor=SYSTEM)
    started = await client.post("/consultation/start", json={"appointment_id": str(appointment.id)}, headers=doctor)

    assert (early, marked, once_more) == (0, 1, 0)
    assert (missed["status"], missed["version"]) == ("noshow", 2)
    assert (undone["status"], undone["version"]) == ("checked-in", 3)
    assert said(started, 201)["status"] == "in-progress"


async def test_a_cancelled_appointment_gives_its_slot_back(api: Api) -> None:
    slot = await api.clinic.slot(start=NOW + DAY)
    patient = await api.clinic.user()
    booked = await api.clinic.booked(slot, patient)
    signed = api.signed(patient.id)

    response = await api.client.post(
        f"/booking/appointments/{booked.id}/cancel", json={"reason": "fever"}, headers=signed
    )
    cancelled = said(response, 200)

    assert (cancelled["status"], cancelled["version"]) == ("cancelled", 2)
    query = {"specialty": slot.doctor.specialty, "date": (NOW + DAY).date().isoformat()}
    found = said(await api.client.get("/booking/slots/search", params=query), 200)
    assert [one["id"] for one in found["items"]] == [str(slot.id)]
    assert found["items"][0]["start"] == "2030-01-08T09:00:00Z"


@pytest.mark.parametrize(
    ("path", "role"),
    [("/booking/doctor/slots", Role.DOCTOR), ("/booking/appointments", Role.PATIENT), ("/audit", Role.ADMIN)],
)
async def test_lists_are_read_page_by_page(api: Api, path: str, role: Role) -> None:
    """Each thing once, in order, and the last page says that it is the last."""
    clinic = api.clinic
    doctor = await clinic.doctor()
    patient = await clinic.user()
    slots = await clinic.slots(doctor, *(NOW + DAY + number * HOUR for number in range(5)))
    for slot in slots:
        await clinic.booked(slot, patient)
        clinic.clock.wait(timedelta(seconds=1))
    await clinic.can.record_events(actor=SYSTEM)
    signed = api.signed(doctor.id) if role is Role.DOCTOR else api.signed(patient.id)
    if role is Role.ADMIN:
        signed = await api.as_(Role.ADMIN)

    whole = said(await api.client.get(path, headers=signed), 200)
    pages, cursor = [], ""
    while True:
        page = said(await api.client.get(f"{path}?limit=2{cursor}", headers=signed), 200)
        pages.append(page["items"])
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"

    assert whole["next_cursor"] is None
    assert len(whole["items"]) == 5
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [item for page in pages for item in page] == whole["items"]


async def test_searches_are_read_page_by_page(api: Api) -> None:
    doctor = await api.clinic.doctor()
    slots = await api.clinic.slots(doctor, *(NOW + DAY + number * HOUR for number in range(3)))
    query = {"specialty": doctor.specialty, "date": "2030-01-08", "limit": "2"}

    first = said(await api.client.get("/booking/slots/search", params=query), 200)
    last = said(await api.client.get("/booking/slots/search", params=query | {"cursor": first["next_cursor"]}), 200)

    assert [one["id"] for one in first["items"] + last["items"]] == [str(slot.id) for slot in slots]
    assert last["next_cursor"] is None


async def test_a_search_is_sent_again_only_if_it_has_changed(api: Api) -> None:
    slot = await api.clinic.slot(start=NOW + DAY)
    path = f"/booking/slots/search?specialty={slot.doctor.specialty}&date=2030-01-08"

    first = await api.client.get(path)
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        same = await api.client.get(path, headers={"If-None-Match": known})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
        assert same.headers["cache-control"] == first.headers["cache-control"] == "public, no-cache"
    await api.clinic.booked(slot)
    changed = await api.client.get(path, headers={"If-None-Match": tag})

    assert said(changed, 200)["items"] == []
    assert changed.headers["etag"] != tag


@pytest.mark.parametrize("known", ["", ",", '"', "W/", '""', "etag", "\x80", '"' + "x" * 5000])
async def test_nonsense_for_a_tag_matches_nothing(api: Api, known: str) -> None:
    path = "/booking/slots/search?specialty=cardiology&date=2030-01-08"
    response = await api.client.get(path, headers=[(b"if-none-match", known.encode("latin-1"))])
    assert response.status_code == 200


async def test_audit_entries_are_asked_for_by_what_they_hold(api: Api) -> None:
    appointment = await api.clinic.booked()
    await api.clinic.can.record_events(actor=SYSTEM)
    signed = await api.as_(Role.ADMIN)

    async def asked(**query: str) -> list[str]:
        answer = said(await api.client.get("/audit", params=query, headers=signed), 200)
        return [entry["subject_id"] for entry in answer["items"]]

    id = str(appointment.id)
    assert await asked(subject=id) == [id]
    assert await asked(actor=str(appointment.patient.id)) == [id]
    assert await asked(kind="appointment.booked") == [id]
    assert await asked(kind="role.changed") == []
    assert await asked(subject=id, **{"from": "2030-01-07T09:00:00Z", "to": "2030-01-07T09:00:01Z"}) == [id]
    assert await asked(subject=id, **{"from": "2030-01-07T10:00:00.000001+01:00"}) == []
    assert await asked(subject=id, to="2030-01-07T09:00:00Z") == []
