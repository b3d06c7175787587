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
from tests.builders import DAY, NOW, PASSWORD, FakePasswords, FakeTokens, a_user_id
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
    appointment = await clinic.booked()
    other_patient, other_doctor = await api.as_(Role.PATIENT), await api.as_(Role.DOCTOR)
    path = "/booking/appointments"
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


async def test_a_slot_that_has_started_is_a_fault_of_the_slot(api: Api) -> None:
    slot = await api.clinic.slot(start=NOW - DAY)
    signed = await api.as_(Role.PATIENT) | {"Idempotency-Key": "k"}

    problem = (await send(api, signed, json={"slot_id": str(slot.id)})).json()

    assert (problem["status"], problem["code"]) == (422, "slot-in-the-past")
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
