"""Ways to put a value where it does not belong: every part of a request, and every kind of refusal."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import httpx

from tests.integration.canaries.canaries import Canary

TOO_MANY_BYTES: Final = 70_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What there is to stumble over."""

    signed: Mapping[str, str]
    """Signs the requests of the doctor whose all this is."""
    stranger: Mapping[str, str]
    """Likewise, of a patient to whom nothing here belongs."""
    doctor: Mapping[str, str]
    """Likewise, of such a doctor."""
    free: UUID
    """A slot."""
    taken: UUID
    """Another."""
    appointment: UUID
    consultation: UUID
    search: str
    """The path of a search that has been answered before."""
    day: str
    """On which the doctor has an appointment."""


@dataclass(frozen=True, slots=True)
class Sending:
    """One request."""

    method: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content: bytes | None = None

    async def send(self, client: httpx.AsyncClient) -> httpx.Response:
        """Send it as it is."""
        return await client.request(self.method, self.path, headers=self.headers, content=self.content)


Way = Callable[[Canary, Stage], Sending]


def get(path: str, headers: Mapping[str, str] | None = None, **more: str) -> Sending:
    """Ask; an underscore in the name of a header stands for a hyphen."""
    return Sending("GET", path, raw({**(headers or {}), **more}))


def post(path: str, body: object, headers: Mapping[str, str] | None = None, **more: str) -> Sending:
    """Send JSON, or bytes that claim to be."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Sending("POST", path, raw({**(headers or {}), "Content-Type": "application/json", **more}), content)


def raw(headers: Mapping[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    """Write headers in UTF-8, which no rule forbids and no library does."""
    return tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())


def log_in(**fields: Any) -> Sending:  # noqa: ANN401 - whatever is wrong
    """Sign in with something wrong in it."""
    return post("/auth/login", {"email": "nobody@test.example", "password": "x", **fields})


def register(**fields: Any) -> Sending:  # noqa: ANN401 - whatever is wrong
    """Register with something wrong in it, so that no hash is made."""
    person = {"email": "new@test.example", "password": "long enough to be one", "full_name": "N", "time_zone": "UTC"}
    return post("/auth/register", person | fields)


def book(stage: Stage, body: object, key: str = "k", **headers: str) -> Sending:
    """Book with something wrong in it."""
    return post("/booking/slots/book", body, stage.stranger, Idempotency_Key=key, **headers)


def prescription(text: str) -> dict[str, Any]:
    """Order something."""
    item = dict.fromkeys(("medicine", "dose", "route", "frequency", "duration", "instructions"), text)
    return {"items": [item]}


def move(stage: Stage, version: str, **headers: str) -> Sending:
    """Move an appointment to which one has no right."""
    path = f"/booking/appointments/{stage.appointment}/reschedule"
    return post(path, {"slot_id": str(stage.free)}, stage.stranger, If_Match=version, **headers)


def give_up(who: Mapping[str, str], day: str, reason: str) -> Sending:
    """Give a day up that one does not have."""
    return post("/booking/doctor/day/cancel", {"date": day, "reason": reason}, who)


SEARCH: Final = "/booking/slots/search?specialty=cardiology&date=2030-01-01"

WAYS: Final[Mapping[str, Way]] = {
    # In the query.
    "specialty": lambda c, s: get(s.search.replace("cardiology", quote(c.value))),
    "day": lambda c, _: get(f"/booking/slots/search?specialty=cardiology&date={quote(c.value)}"),
    "zone": lambda c, _: get(f"{SEARCH}&tz={quote(c.value)}"),
    "limit": lambda c, _: get(f"{SEARCH}&limit={quote(c.value)}"),
    "cursor": lambda c, _: get(f"{SEARCH}&cursor={quote(c.value)}"),
    "name of a parameter": lambda c, _: get(f"{SEARCH}&{quote(c.value)}=1"),
    # A refusal names a field or a parameter that could be one: so it is promised. No name here could.
    "repeated parameter": lambda c, _: get(f"{SEARCH}&{c.word}.={c.word}&{c.word}.={c.word}"),
    "query that is not UTF-8": lambda c, _: get(f"{SEARCH}&{c.word}.=%ff"),
    # In the path.
    "path": lambda c, _: get(f"/{quote(c.value, safe='')}"),
    "id of an appointment": lambda c, s: get(f"/booking/appointments/{quote(c.value, safe='')}", s.stranger),
    "id of a slot": lambda c, s: Sending("DELETE", f"/booking/doctor/slots/{c.word}", raw(s.doctor)),
    "id of a slot to hold": lambda c, s: post(f"/booking/slots/{quote(c.value, safe='')}/hold", b"", s.stranger),
    "file": lambda c, _: get(f"/docs/{quote(c.value, safe='')}"),
    "method": lambda c, _: Sending(c.word, "/auth/me"),
    # In a header.
    "credentials": lambda c, _: get("/auth/me", Authorization=f"Bearer {c.value}"),
    "altered token": lambda c, _: get("/auth/me", Authorization=f"Bearer x{c.value}"),
    "basic credentials": lambda c, _: get(
        "/auth/me", Authorization=f"Basic {b64encode(f'me:{c.value}'.encode()).decode()}"
    ),
    "no scheme": lambda c, _: get("/auth/me", Authorization=c.value),
    "key": lambda c, s: book(s, {"slot_id": str(s.taken)}, key=c.value),
    "key of letters": lambda c, s: book(s, {"slot_id": str(s.taken)}, key=c.word),
    "endless key": lambda c, s: book(s, {"slot_id": str(s.taken)}, key=c.word * 40),
    "version": lambda c, s: move(s, c.value),
    "version of letters": lambda c, s: move(s, f'"{c.word}"'),
    "many versions": lambda c, s: move(s, f'"{c.word}", W/"{c.word}", "{c.value}"'),
    # An id of letters, digits and ".-_" would be taken, and be in the log: so it is promised. No value here is one.
    "id of the request": lambda c, _: get("/auth/me", X_Request_Id=c.value),
    "media type": lambda c, s: book(s, b"{}", Content_Type=f"text/{c.value}"),
    "what browsers say": lambda c, _: get(
        "/auth/me", User_Agent=c.value, Referer=f"https://{c.value}/", Cookie=f"a={c.value}", Accept=c.value
    ),
    "what proxies say": lambda c, _: get("/auth/me", X_Forwarded_For=c.value, Forwarded=f"for={c.value}"),
    "tag": lambda c, _: get("/openapi.json", If_None_Match=c.value),
    "header": lambda c, _: get("/auth/me", {f"X-{c.word}": c.value}),
    # In the body.
    "unknown field": lambda c, _: log_in(**{c.value: 1}),
    "value of an unknown field": lambda c, _: log_in(surprise=c.value),
    "unknown field in a list": lambda c, s: post(
        f"/consultation/{s.consultation}/prescription", {"items": [{c.value: c.value}]}, s.doctor
    ),
    "object for a text": lambda c, _: log_in(email={c.value: c.value}),
    "list for a text": lambda c, _: log_in(password=[c.value]),
    "no e-mail address": lambda c, _: log_in(email=f"{c.value} at home", password=c.value),
    "half of a surrogate pair": lambda c, _: log_in(email=f"{c.value}\ud800@test.example"),
    "endless text": lambda c, _: register(full_name=c.value * 100),
    "zero": lambda c, _: register(full_name=f"{c.value}\0"),
    "short password": lambda c, _: register(password=c.value[:14], full_name=c.value),
    "zone of a person": lambda c, _: register(time_zone=c.value),
    "role": lambda c, s: post("/auth/admin/role", {"user_id": str(s.taken), "role": c.value}, s.stranger),
    "id of a user": lambda c, s: post("/auth/admin/role", {"user_id": c.value, "role": "admin"}, s.stranger),
    "time": lambda c, s: post(
        "/booking/doctor/availability", {"start": c.value, "end": c.value, "slot_minutes": 30}, s.doctor
    ),
    "slug": lambda c, s: post(
        "/booking/doctor/profile",
        {
            "specialty": c.value,
            "languages": [c.value],
            "fee": {"amount": 1, "currency": c.value},
            "time_zone": c.value,
            "registration_number": c.value,
        },
        s.doctor,
    ),
    "code of a reason": lambda c, s: post(
        f"/booking/appointments/{s.appointment}/cancel", {"reason": c.value[:200], "reason_code": c.value}, s.stranger
    ),
    "day to give up": lambda c, s: give_up(s.doctor, c.value, c.value[:200]),
    "body that nobody reads": lambda c, s: post(
        f"/booking/appointments/{s.appointment}/check-in", {"reason": c.value, c.word: c.word}, s.stranger
    ),
    "no JSON": lambda c, _: post("/auth/login", f'{{"email": "{c.word}", {c.value}'.encode()),
    "not UTF-8": lambda c, _: post("/auth/login", b'{"email": "' + c.value.encode() + b'\xff"}'),
    "large body": lambda c, _: log_in(password=c.value * (TOO_MANY_BYTES // len(c.value))),
    # Where the request is well-formed, and refused for what it asks.
    "unknown address": lambda c, _: log_in(email=f"{c.word}@nobody.example", password=c.value),
    "taken slot": lambda c, s: book(s, {"slot_id": str(s.taken)}, User_Agent=c.value),
    "slot to hold": lambda c, s: post(f"/booking/slots/{s.taken}/hold", b"", s.stranger, User_Agent=c.value),
    "foreign hold": lambda c, s: Sending(
        "DELETE", f"/booking/slots/{s.taken}/hold", raw({**s.stranger, "Cookie": c.value})
    ),
    "foreign move": lambda c, s: move(s, "*", User_Agent=c.value),
    "nobody's day": lambda c, s: give_up(s.stranger, s.day, c.value[:200]),
    "free day": lambda c, s: give_up(s.doctor, s.day, c.value[:200]),
    "foreign appointment": lambda c, s: post(
        f"/booking/appointments/{s.appointment}/cancel", {"reason": c.value[:200]}, s.stranger
    ),
    "foreign consultation": lambda c, s: post(
        f"/consultation/{s.consultation}/prescription", prescription(c.value[:200]), s.doctor
    ),
    "no doctor": lambda c, s: post(
        f"/consultation/{s.consultation}/prescription", prescription(c.value[:200]), s.stranger
    ),
    "foreign prescription": lambda c, s: get(
        f"/consultation/{s.consultation}/prescription?{c.word}.", s.stranger, Cookie=c.value
    ),
}
