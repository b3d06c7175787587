"""Why requests are refused: which refusal comes first, what it says, and what it does not tell."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from structlog.testing import capture_logs

from healthcare.application.identity.read_self import ReadSelf
from healthcare.application.uow import Busy, OutcomeUnknown, Unavailable, UnitOfWork
from healthcare.domain.identity.errors import HashingQueueFull
from healthcare.domain.kernel import Role
from tests.builders import DAY, HOUR, MINUTE, NOW, PASSWORD, TOMORROW, FakePasswords, FakeTokens, a_user_id
from tests.clinic import Clinic
from tests.integration.http.conftest import Api, client_of

pytestmark = pytest.mark.anyio

UNKNOWN = UUID("11111111-1111-4111-8111-111111111111")
LARGE = b" " * (64 * 1024 + 1)


async def send(
    api: Api,
    credentials: Mapping[str, str],
    path: str = "/booking/slots/book",
    *,
    method: str = "POST",
    **options: Any,  # noqa: ANN401 - as httpx has them
) -> httpx.Response:
    headers = {**credentials, "Content-Type": "application/json", **options.pop("headers", {})}
    return await api.client.request(method, path, headers=headers, **options)


async def test_each_refusal_gives_way_to_those_before_it(api: Api) -> None:
    """One request that is wrong in every way, put right from the first refusal to the last."""
    clinic = api.clinic
    slot = await clinic.slot()
    await clinic.booked(slot)
    nobody: dict[str, str] = {}
    admin, patient = await api.as_(Role.ADMIN), await api.as_(Role.PATIENT)
    text = {"Content-Type": "text/plain"}
    key = {"Idempotency-Key": "k"}
    unknown, taken = {"slot_id": str(UNKNOWN)}, {"slot_id": str(slot.id)}
    steps = [
        await send(api, nobody, "/booking/slots/nowhere?x=1", method="PUT", headers=text, content=LARGE),
        await send(api, nobody, "/booking/slots/book?x=1", method="PUT", headers=text, content=LARGE),
        await send(api, nobody, "/booking/slots/book?x=1", headers=text, content=LARGE),
        await send(api, admin, "/booking/slots/book?x=1", headers=text, content=LARGE),
        await send(api, admin, "/booking/slots/book?x=1", headers=text, content=b"no JSON"),
        await send(api, admin, "/booking/slots/book?x=1", content=b"no JSON"),
        await send(api, admin, "/booking/slots/book?x=1", content=b"{}"),
        await send(api, admin, "/booking/slots/book?x=1", headers=key, content=b"{"),
        await send(api, admin, "/booking/slots/book?x=1", headers=key, content=b'{"slot_id": 1'),
        await send(api, admin, "/booking/slots/book?x=1", headers=key, content=b'{"slot_id": 1}'),
        await send(api, admin, headers=key, content=b'{"slot_id": 1}'),
        await send(api, admin, headers=key, json=unknown),
        await send(api, patient, headers=key, json=unknown),
        await send(api, patient, headers=key, json=taken),
    ]

    assert [step.status_code for step in steps] == [
        *(404, 405, 401, 413, 415, 400, 400, 400, 400, 422, 422, 403, 404, 409)
    ]


async def test_whoever_moves_an_appointment_learns_first_what_is_wrong_in_the_request(api: Api) -> None:
    clinic = api.clinic
    slot = await clinic.slot()
    appointment = await clinic.booked(slot)
    started = await clinic.slot(start=NOW - HOUR)
    path = f"/booking/appointments/{appointment.id}/reschedule"
    doctor, other, patient = api.signed(slot.doctor.id), await api.as_(Role.PATIENT), api.signed(appointment.patient.id)
    text, unquoted = {"Content-Type": "text/plain"}, {"If-Match": "1"}
    stale, seen = {"If-Match": '"7"'}, {"If-Match": '"1"'}
    unknown = {"slot_id": str(UNKNOWN)}
    steps = [
        await send(api, {}, f"{path}?x=1", headers=text, content=LARGE),
        await send(api, doctor, f"{path}?x=1", headers=text, content=LARGE),
        await send(api, doctor, f"{path}?x=1", headers=text, content=b"no JSON"),
        await send(api, doctor, f"{path}?x=1", content=b""),
        await send(api, doctor, f"{path}?x=1", content=b"no JSON"),
        await send(api, doctor, f"{path}?x=1", headers=unquoted, content=b"no JSON"),
        await send(api, doctor, f"{path}?x=1", headers=stale, content=b"no JSON"),
        await send(api, doctor, f"{path}?x=1", headers=stale, content=b"{}"),
        await send(api, doctor, f"{path}?x=1", headers=stale, json=unknown),
        await send(api, doctor, path, headers=stale, json=unknown),
        await send(api, other, path, headers=stale, json=unknown),
        await send(api, patient, path, headers=stale, json=unknown),
        await send(api, patient, path, headers=seen, json=unknown),
        await send(api, patient, path, headers=seen, json={"slot_id": str(started.id)}),
        await send(api, patient, path, headers=seen, json={"slot_id": str(slot.id)}),
    ]

    assert [step.status_code for step in steps] == [
        *(401, 413, 415, 400, 428, 400, 400, 422, 422, 403, 404, 412, 404, 422, 200)
    ]


@pytest.mark.parametrize(
    ("given", "status", "code", "field"),
    [
        ([], 428, "precondition-required", None),
        ([""], 428, "precondition-required", None),
        (["1"], 400, "unreadable", "If-Match"),
        (['"1'], 400, "unreadable", "If-Match"),
        (['"1"', "*"], 400, "unreadable", "If-Match"),
        ([","], 400, "unreadable", "If-Match"),
        (['"1" "2"'], 400, "unreadable", "If-Match"),
        (['"2"'], 412, "version-stale", None),
        (['W/"1"'], 412, "version-stale", None),
        (['"01x"'], 412, "version-stale", None),
        (['""'], 412, "version-stale", None),
        ([f'"{"1" * 400}"'], 412, "version-stale", None),
        (['"1"'], 200, None, None),
        (['"7", "1"'], 200, None, None),
        (['"7"', '"1"'], 200, None, None),
        ([' W/"1" ,\t"1" '], 200, None, None),
        ([',, "7",', ',"1" ,'], 200, None, None),
        (["*"], 200, None, None),
    ],
)
async def test_an_appointment_is_moved_by_whoever_has_seen_it_as_it_is(
    api: Api, given: list[str], status: int, code: str | None, field: str | None
) -> None:
    first, second = await api.clinic.slots(await api.clinic.doctor(), TOMORROW, TOMORROW + HOUR)
    appointment = await api.clinic.booked(first)
    headers = [*api.signed(appointment.patient.id).items(), *(("If-Match", one) for one in given)]

    response = await api.client.post(
        f"/booking/appointments/{appointment.id}/reschedule", json={"slot_id": str(second.id)}, headers=headers
    )

    answer = response.json()
    assert (response.status_code, answer.get("code")) == (status, code)
    assert [(one["field"], one["rule"]) for one in answer.get("errors", [])] == [(field, "entity-tag")] * bool(field)
    assert response.headers.get("etag") == (None if code else '"2"')


class Endless(httpx.AsyncByteStream):
    """A body that does not end."""

    def __init__(self, pause: float) -> None:
        self.pause = pause
        self.pieces = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.pieces += 1
            yield b" " * 65536
            await asyncio.sleep(self.pause)


@pytest.mark.parametrize("role", [None, Role.PATIENT])
async def test_whoever_sends_too_much_is_heard_out_for_a_while_and_told_why(api: Api, role: Role | None) -> None:
    """A connection that is cut while the client is sending would not let them see the answer."""
    credentials = {} if role is None else await api.as_(role)
    quick, slow = Endless(0), Endless(60)

    first = await send(api, credentials, content=quick)
    begun = asyncio.get_running_loop().time()
    second = await send(api, credentials, "/nowhere", content=slow)

    assert (first.status_code, second.status_code) == (413 if role else 401, 404)
    assert 32 <= quick.pieces <= 34
    assert slow.pieces == 1
    assert asyncio.get_running_loop().time() - begun < 1.5


async def test_whoever_asks_before_they_send_is_not_heard_out(api: Api) -> None:
    body = Endless(0)
    response = await send(api, {"Expect": "100-continue"}, content=body)

    assert (response.status_code, body.pieces) == (401, 0)


async def test_64_kb_are_not_too_many(api: Api) -> None:
    body = b'{"reason": "fever"}'
    signed = await api.as_(Role.PATIENT)
    whole = body + b" " * (64 * 1024 - len(body))

    response = await send(api, signed, f"/booking/appointments/{UNKNOWN}/cancel", content=whole)

    assert response.status_code == 404


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        " application/json ; charset=UTF-8 ",
    ],
)
async def test_json_may_say_that_it_is_utf_8(api: Api, media_type: str) -> None:
    signed = await api.as_(Role.DOCTOR)
    response = await send(
        api, signed, "/consultation/start", headers={"Content-Type": media_type}, json={"appointment_id": str(UNKNOWN)}
    )
    assert response.status_code == 404


async def test_all_that_is_not_there_is_not_there_in_the_same_words(api: Api) -> None:
    """A path, an id that is none, an unknown id and what belongs to others; only the request's own id differs."""
    clinic = api.clinic
    appointment, hold = await clinic.booked(), await clinic.held()
    other_patient, other_doctor = await api.as_(Role.PATIENT), await api.as_(Role.DOCTOR)
    admin = await api.as_(Role.ADMIN)
    path, wish = "/booking/appointments", {"slot_id": str(UNKNOWN)}
    id = {"X-Request-Id": "same"}
    answers = [
        await api.client.get("/nowhere", headers=id),
        await api.client.get("/booking", headers=id),
        await api.client.get(f"{path}/nonsense", headers=id),
        await api.client.get(f"{path}/nonsense", headers=other_patient | id),
        await api.client.put(f"{path}/nonsense", headers=id),
        await api.client.get(f"{path}/urn:uuid:{appointment.id.hex}", headers=id),
        await api.client.get(f"{path}/{appointment.id.hex}", headers=api.signed(appointment.patient.id) | id),
        await api.client.get(f"{path}/{UNKNOWN}", headers=other_patient | id),
        await api.client.get(f"{path}/{appointment.id}", headers=other_patient | id),
        await api.client.get(f"{path}/{appointment.id}", headers=other_doctor | id),
        await send(api, other_patient | id, f"{path}/{appointment.id}/cancel", json={"reason": "fever"}),
        await send(api, other_doctor | id, "/consultation/start", json={"appointment_id": str(appointment.id)}),
        await send(api, other_doctor | id, "/consultation/start", json={"appointment_id": str(UNKNOWN)}),
        await api.client.delete(f"/booking/doctor/slots/{appointment.slot}", headers=other_doctor | id),
        await send(api, other_patient | id, f"/booking/slots/{UNKNOWN}/hold"),
        await send(api, other_patient | id, f"/booking/slots/{hold.slot}/hold", method="DELETE"),
        await send(api, other_patient | id, f"/booking/slots/{UNKNOWN}/hold", method="DELETE"),
        await send(
            api, other_patient | id, f"{path}/{appointment.id}/reschedule", json=wish, headers={"If-Match": "*"}
        ),
        await send(api, other_patient | id, f"{path}/{appointment.id}/check-in"),
        await send(api, api.signed(appointment.doctor.id) | id, f"{path}/{appointment.id}/check-in"),
        await send(api, other_doctor | id, f"{path}/{appointment.id}/undo"),
        await send(api, admin | id, f"{path}/{UNKNOWN}/cancel", json={"reason": "fever"}),
        await api.client.get(f"/consultation/{UNKNOWN}/prescription", headers=other_patient | id),
        await api.client.get("/docs/nothing", headers=id),
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(answer.headers.items()) for answer in answers}) == 1
    assert answers[0].json() == {
        "type": "urn:healthcare:not-found",
        "title": "Not found",
        "status": 404,
        "detail": "There is no such thing.",
        "code": "not-found",
        "request_id": "same",
        "errors": [],
    }


async def test_a_path_says_which_methods_it_takes(api: Api) -> None:
    response = await api.client.delete(f"/consultation/{UNKNOWN}/prescription")

    assert (response.status_code, response.json()["code"]) == (405, "method-not-allowed")
    assert response.headers["allow"] == "GET, OPTIONS, POST"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/auth/me", "GET, OPTIONS"), (f"/consultation/{UNKNOWN}/prescription", "GET, OPTIONS, POST")],
)
async def test_options_are_told_to_anybody(api: Api, path: str, allowed: str) -> None:
    response = await api.client.options(path)

    assert (response.status_code, response.content, response.headers["allow"]) == (204, b"", allowed)
    assert not {name for name in response.headers if name.startswith("access-control")}


@pytest.mark.parametrize(
    ("credentials", "code", "challenge"),
    [
        (None, "unauthenticated", "Bearer"),
        ("Bearer nonsense", "invalid-token", 'Bearer error="invalid_token"'),
        ("Basic eDp5", "invalid-token", 'Bearer error="invalid_token"'),
    ],
)
async def test_whoever_is_not_signed_in_is_told_how_to(
    api: Api, credentials: str | None, code: str, challenge: str
) -> None:
    headers = {"Authorization": credentials} if credentials else {}
    response = await api.client.get("/auth/me", headers=headers)

    assert (response.status_code, response.json()["code"]) == (401, code)
    assert response.headers["www-authenticate"] == challenge


async def test_a_token_runs_out(api: Api) -> None:
    signed = await api.as_(Role.PATIENT)
    assert (await api.client.get("/auth/me", headers=signed)).status_code == 200
    api.clinic.clock.wait(DAY)

    response = await api.client.get("/auth/me", headers=signed)

    assert (response.status_code, response.json()["code"]) == (401, "invalid-token")


async def test_a_token_of_somebody_who_is_gone_signs_nobody_in(api: Api) -> None:
    response = await api.client.get("/auth/me", headers=api.signed(a_user_id()))

    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")


async def test_two_tokens_are_one_too_many(api: Api) -> None:
    (value,) = (await api.as_(Role.PATIENT)).values()
    response = await api.client.get("/auth/me", headers=[("Authorization", value), ("Authorization", value)])

    assert response.status_code == 401


@pytest.mark.parametrize("credentials", ["", "Bearer nonsense", "Basic eDp5"])
async def test_where_anybody_may_ask_credentials_do_not_matter(api: Api, credentials: str) -> None:
    response = await api.client.get("/booking/specialties", headers={"Authorization": credentials})
    assert response.status_code == 200


async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(api: Api) -> None:
    user = await api.clinic.user()
    id = {"X-Request-Id": "same"}
    wrong, unknown = [
        await send(api, id, "/auth/login", json={"email": email, "password": PASSWORD})
        for email in (user.email.value, "nobody@example.org")
    ]

    assert (wrong.status_code, wrong.json()["code"]) == (401, "sign-in-failed")
    assert (wrong.content, wrong.headers) == (unknown.content, unknown.headers)
    assert wrong.headers["www-authenticate"] == "Bearer"


PROFILE = {
    "specialty": "cardiology",
    "languages": ["en"],
    "fee": {"amount": 4900, "currency": "EUR"},
    "time_zone": "UTC",
    "registration_number": "AT-1",
}
FAULTS: list[tuple[tuple[str, str, Any], str, str]] = [
    (("POST", "/auth/register", {}), "/email", "required"),
    (("POST", "/auth/login", {"email": "x", "password": "y"}), "/email", "email"),
    (("POST", "/auth/login", {"email": 5, "password": "y"}), "/email", "type"),
    (("POST", "/auth/login", {"email": "a@b.c", "password": "y", "a/b~": 1}), "", "unknown"),
    (("POST", "/auth/login", b"[]"), "", "type"),
    (("POST", "/auth/admin/role", {"user_id": "x", "role": "admin"}), "/user_id", "format"),
    (("POST", "/auth/admin/role", {"user_id": str(UNKNOWN), "role": "root"}), "/role", "choice"),
    (("POST", "/consultation/start", {"appointment_id": str(UNKNOWN), "id": "x"}), "/id", "unknown"),
    (("POST", f"/consultation/{UNKNOWN}/prescription", {"items": []}), "/items", "length"),
    (("POST", f"/consultation/{UNKNOWN}/prescription", {"items": [{}]}), "/items/0/medicine", "required"),
    (("POST", f"/booking/appointments/{UNKNOWN}/cancel", {"reason": "a\0b"}), "/reason", "characters"),
    (("POST", f"/booking/appointments/{UNKNOWN}/cancel", {"reason": "x" * 201}), "/reason", "length"),
    (
        ("POST", f"/booking/appointments/{UNKNOWN}/cancel", {"reason": "x", "reason_code": "PAT"}),
        "/reason_code",
        "choice",
    ),
    (("POST", f"/booking/appointments/{UNKNOWN}/cancel", {"reason_code": "pat"}), "/reason", "required"),
    (("POST", "/booking/doctor/day/cancel", {"date": "today", "reason": "x"}), "/date", "format"),
    (("POST", "/booking/doctor/day/cancel", {"date": "1969-12-31", "reason": "x"}), "/date", "range"),
    (("POST", "/booking/doctor/day/cancel", {"date": "2030-01-08", "reason": " "}), "/reason", "length"),
    (("POST", "/booking/doctor/profile", PROFILE | {"notice_hours": 169}), "/notice_hours", "range"),
    (("POST", f"/booking/slots/{UNKNOWN}/hold?minutes=60", {}), "minutes", "unknown"),
    (("GET", "/booking/slots/search", {}), "specialty", "required"),
    (("GET", "/booking/slots/search?specialty=a&date=x", {}), "date", "format"),
    (("GET", "/booking/slots/search?specialty=a&date=2030-01-01&tz=Mars", {}), "tz", "time-zone"),
    (("GET", "/booking/slots/search?specialty=a&date=2030-01-01&speciality=b", {}), "speciality", "unknown"),
    (("GET", "/booking/slots/search?specialty=a&date=2030-01-01&limit=501", {}), "limit", "range"),
    (("GET", "/booking/slots/search?specialty=a&date=2030-01-01&limit=ten", {}), "limit", "type"),
    (("GET", "/booking/slots/search?specialty=a&date=2030-01-01&limit=1&limit=2", {}), "limit", "repeated"),
    (("GET", "/booking/slots/search?specialty=a&date=2030-01-01&cursor=x", {}), "cursor", "pattern"),
    (("GET", f"/booking/slots/search?specialty=a&date=2030-01-01&cursor=f{'_' * 31}", {}), "cursor", "cursor"),
    (("GET", "/audit?from=2030-01-01T00:00:00", {}), "from", "offset"),
    (("POST", "/auth/login?x=1", {"email": "a@b.c", "password": "y"}), "x", "unknown"),
]


@pytest.mark.parametrize(("sent", "field", "rule"), FAULTS)
async def test_a_fault_says_where_it_is_and_what_rule_it_breaks(
    api: Api, sent: tuple[str, str, Any], field: str, rule: str
) -> None:
    method, path, body = sent
    signed = await api.as_(Role.ADMIN)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = await send(api, signed, path, method=method, content=content)

    (error,) = response.json()["errors"]
    assert (response.status_code, error["field"], error["rule"]) == (422, field, rule)
    assert error["detail"]


async def test_a_key_belongs_to_one_request(api: Api) -> None:
    one, other = await api.clinic.slot(), await api.clinic.slot()
    signed = await api.as_(Role.PATIENT) | {"Idempotency-Key": "k"}
    assert (await send(api, signed, json={"slot_id": str(one.id)})).status_code == 201

    response = await send(api, signed, json={"slot_id": str(other.id)})

    assert (response.status_code, response.json()["code"]) == (422, "key-reused")
    assert response.json()["errors"][0]["field"] == "Idempotency-Key"


async def refused(api: Api, who: Mapping[str, str], path: str, **options: Any) -> tuple[int, str]:  # noqa: ANN401 - as httpx has them
    """Return why something is refused."""
    problem = (await send(api, who, path, **options)).json()
    return problem["status"], problem["code"]


async def test_a_hold_is_extended_once_and_nobody_holds_more_than_three_slots(api: Api) -> None:
    slots = await api.clinic.slots(await api.clinic.doctor(), *(TOMORROW + number * HOUR for number in range(5)))
    paths = [f"/booking/slots/{slot.id}/hold" for slot in slots]
    patient, other = await api.as_(Role.PATIENT), await api.as_(Role.PATIENT)

    held = [(await send(api, patient, path)).status_code for path in (*paths[:3], paths[0])]

    assert held == [201, 201, 201, 200]
    assert await refused(api, patient, paths[0]) == (409, "hold-extended")
    assert await refused(api, patient, paths[3]) == (409, "too-many-holds")
    assert await refused(api, other, paths[0]) == (409, "slot-taken")
    assert (await send(api, patient, paths[1], method="DELETE")).status_code == 204
    assert (await send(api, patient, paths[3])).status_code == 201
    api.clinic.clock.wait(5 * MINUTE)
    assert (await send(api, patient, paths[4])).status_code == 201


async def test_whoever_is_somewhere_else_can_neither_hold_nor_move(api: Api) -> None:
    clinic, patient = api.clinic, await api.clinic.user()
    signed = api.signed(patient.id)
    appointment, elsewhere = await clinic.booked(patient=patient), await clinic.slot(start=TOMORROW + 15 * MINUTE)
    other = await clinic.booked(await clinic.slot(start=TOMORROW + HOUR), patient)
    move: dict[str, Any] = {"json": {"slot_id": str(elsewhere.id)}, "headers": {"If-Match": "*"}}

    assert await refused(api, signed, f"/booking/slots/{elsewhere.id}/hold") == (409, "patient-busy")
    assert await refused(api, signed, f"/booking/appointments/{other.id}/reschedule", **move) == (409, "patient-busy")
    response = await send(api, signed, f"/booking/appointments/{appointment.id}/reschedule", **move)
    assert response.status_code == 200


async def test_what_has_come_to_an_end_is_neither_moved_nor_cancelled(api: Api) -> None:
    clinic = api.clinic
    doctor = await clinic.doctor()
    soon, later = await clinic.slots(doctor, NOW + 20 * MINUTE, TOMORROW)
    appointment = await clinic.booked(soon)
    path, patient = f"/booking/appointments/{appointment.id}", api.signed(appointment.patient.id)
    move: dict[str, Any] = {"json": {"slot_id": str(later.id)}, "headers": {"If-Match": "*"}}

    assert await refused(api, api.signed(doctor.id), f"{path}/undo") == (409, "nothing-to-undo")
    assert await refused(api, patient, f"{path}/check-in") == (409, "check-in-too-early")
    clinic.clock.wait(20 * MINUTE)
    patient, its_doctor = api.signed(appointment.patient.id), api.signed(doctor.id)
    assert await refused(api, patient, f"{path}/reschedule", **move) == (409, "appointment-started")
    assert await refused(api, patient, f"{path}/cancel", json={"reason": "fever"}) == (409, "appointment-started")
    assert (await send(api, patient, f"{path}/check-in")).status_code == 200
    assert await refused(api, patient, f"{path}/reschedule", **move) == (409, "appointment-not-booked")
    start = {"appointment_id": str(appointment.id)}
    assert (await send(api, its_doctor, "/consultation/start", json=start)).status_code == 201
    assert await refused(api, its_doctor, f"{path}/undo") == (409, "nothing-to-undo")
    assert await refused(api, patient, f"{path}/check-in") == (409, "appointment-not-booked")
    assert await refused(api, patient, f"{path}/cancel", json={"reason": "fever"}) == (409, "appointment-not-booked")


async def test_a_day_is_cancelled_by_a_doctor_who_has_one(api: Api) -> None:
    day = {"date": "2030-01-08", "reason": "fever"}
    path = "/booking/doctor/day/cancel"

    assert await refused(api, await api.as_(Role.PATIENT), path, json=day) == (403, "forbidden")
    assert await refused(api, await api.as_(Role.ADMIN), path, json=day) == (403, "forbidden")
    assert await refused(api, await api.as_(Role.DOCTOR), path, json=day) == (409, "profile-missing")


async def test_whoever_comes_too_late_is_told_of_the_doctors_next_three_slots(api: Api) -> None:
    """Whether they book, hold or move; whoever takes a slot back is told of none."""
    clinic, patient = api.clinic, await api.clinic.user()
    doctor = await clinic.doctor()
    early, wanted, held, *free = await clinic.slots(doctor, *(TOMORROW + number * HOUR for number in range(7)))
    await clinic.slot(doctor, start=NOW - HOUR)
    await clinic.slot(start=TOMORROW)
    await clinic.booked(wanted)
    await clinic.held(held)
    mine = await clinic.booked(await clinic.slot(start=TOMORROW + DAY), patient)
    signed, body = api.signed(patient.id), {"slot_id": str(wanted.id)}

    problems = [
        await send(api, signed | {"Idempotency-Key": "k"}, json=body),
        await send(api, signed, f"/booking/slots/{wanted.id}/hold"),
        await send(api, signed, f"/booking/appointments/{mine.id}/reschedule", json=body, headers={"If-Match": "*"}),
    ]
    taking_back = await send(api, api.signed(doctor.id), f"/booking/doctor/slots/{wanted.id}", method="DELETE")

    alternatives = [
        {
            "id": str(slot.id),
            "doctor": {"id": str(doctor.id), "full_name": doctor.full_name, "specialty": doctor.specialty},
            "start": slot.time.start.isoformat().replace("+00:00", "Z"),
            "end": slot.time.end.isoformat().replace("+00:00", "Z"),
            "fee": {"amount": 4900, "currency": "EUR"},
        }
        for slot in (early, *free[:2])
    ]
    assert [(one.status_code, one.json()["code"]) for one in problems] == [(409, "slot-taken")] * 3
    assert [one.json()["alternatives"] for one in problems] == [alternatives] * 3
    assert (taking_back.status_code, taking_back.json()["code"]) == (409, "slot-taken")
    assert "alternatives" not in taking_back.json()


async def test_where_there_is_nothing_else_whoever_comes_too_late_is_told_so(api: Api) -> None:
    slot = await api.clinic.slot()
    await api.clinic.held(slot)

    problem = (await send(api, await api.as_(Role.PATIENT), f"/booking/slots/{slot.id}/hold")).json()

    assert (problem["code"], problem["alternatives"]) == ("slot-taken", [])


async def test_a_slot_that_has_started_is_a_fault_of_the_slot(api: Api) -> None:
    slot = await api.clinic.slot(start=NOW - DAY)
    signed = await api.as_(Role.PATIENT) | {"Idempotency-Key": "k"}

    problem = (await send(api, signed, json={"slot_id": str(slot.id)})).json()
    held = await refused(api, signed, f"/booking/slots/{slot.id}/hold")

    assert (problem["status"], problem["code"]) == held == (422, "slot-in-the-past")
    assert problem["errors"][0]["field"] == "/slot_id"


class FullQueue(FakePasswords):
    """Passwords that nobody gets to."""

    async def verify(self, *_: object, **__: object) -> bool:
        raise HashingQueueFull


async def test_whoever_comes_when_the_hashing_queue_is_full_comes_again_later(clinic: Clinic) -> None:
    log_in = replace(clinic.can.log_in, passwords=FullQueue())
    async with client_of(clinic, use_cases=replace(clinic.can, log_in=log_in)) as client:
        response = await client.post("/auth/login", json={"email": "a@b.c", "password": PASSWORD})

    assert (response.status_code, response.json()["code"]) == (429, "hashing-queue-full")
    assert response.headers["retry-after"] == "1"


async def answer_to(clinic: Clinic, error: Exception) -> httpx.Response:
    """What is answered when beginning a transaction ends like this."""

    def begin() -> AbstractAsyncContextManager[UnitOfWork]:
        raise error

    async with client_of(clinic, use_cases=replace(clinic.can, read_self=ReadSelf(begin))) as client:
        token = clinic.tokens.issue(a_user_id(), now=clinic.clock.now())
        return await client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unavailable("secret-canary"), "unavailable"),
        (Busy("secret-canary"), "busy"),
        (OutcomeUnknown("secret-canary"), "outcome-unknown"),
    ],
)
async def test_a_failure_says_when_to_come_again(clinic: Clinic, error: Exception, code: str) -> None:
    response = await answer_to(clinic, error)

    assert (response.status_code, response.json()["code"], response.headers["retry-after"]) == (503, code, "1")
    assert response.headers["content-type"] == "application/problem+json"
    assert "secret-canary" not in response.text


async def test_a_mistake_of_ours_is_noted_and_nothing_of_it_told(clinic: Clinic) -> None:
    with capture_logs() as logs:
        response = await answer_to(clinic, RuntimeError("secret-canary"))

    assert response.status_code == 500
    assert response.json() == {
        "type": "urn:healthcare:internal",
        "title": "Internal",
        "status": 500,
        "detail": "Something is wrong on our side; it has been noted.",
        "code": "internal",
        "request_id": response.headers["x-request-id"],
        "errors": [],
    }
    assert "secret-canary" not in response.text + str(response.headers)
    assert [(line["event"], line["log_level"]) for line in logs] == [("request failed", "error"), ("request", "info")]


async def test_a_strange_host_is_refused(api: Api) -> None:
    response = await api.client.get("/auth/me", headers=[(b"host", b"a b")])

    assert (response.status_code, response.json()["code"]) == (400, "unreadable")


async def test_a_client_that_hangs_up_in_the_middle_of_a_body_is_not_our_mistake(api: Api) -> None:
    messages: Iterator[dict[str, Any]] = iter(
        [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    )
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/auth/login",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "scheme": "http",
    }

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def keep(message: MutableMapping[str, Any]) -> None:
        sent.append(dict(message))

    transport = api.client._transport  # noqa: SLF001 - no client of ours hangs up
    assert isinstance(transport, httpx.ASGITransport)
    await transport.app(scope, receive, keep)

    assert sent[0]["status"] == 400


async def test_ids_that_callers_make_up_are_taken_if_they_are_harmless(api: Api) -> None:
    for given in ("abc-DEF_1.2", "x" * 64, str(uuid4())):
        response = await api.client.get("/health/live", headers={"X-Request-Id": given})
        assert response.headers["x-request-id"] == given
    for given in ("", "x" * 65, "a b", "a\tb", "é", "<script>", "a\u00a0"):
        headers = [(b"x-request-id", given.encode("latin-1"))]
        response = await api.client.get("/health/live", headers=headers)
        assert UUID(response.headers["x-request-id"]).version == 4
    twice = await api.client.get("/health/live", headers=[("X-Request-Id", "a"), ("X-Request-Id", "b")])
    assert UUID(twice.headers["x-request-id"]).version == 4


async def test_the_caller_is_known_only_to_their_own_request(api: Api) -> None:
    """Tokens are read anew each time; nothing of the last caller is left for the next."""
    assert isinstance(api.clinic.tokens, FakeTokens)
    assert (await api.client.get("/auth/me", headers=await api.as_(Role.PATIENT))).status_code == 200
    assert (await api.client.get("/auth/me")).status_code == 401
