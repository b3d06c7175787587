"""Requests that nobody means well with, for every route: what each of them must be answered, whoever sends it.

Nothing here knows how the server runs: the same corpus goes to the app in this process and to a real server.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import httpx

Json = Any
Steps = tuple[str | int, ...]

MOST_BYTES = 64 * 1024
UNKNOWN_ID = UUID("11111111-1111-4111-8111-111111111111")
OTHER_ID = UUID("22222222-2222-4222-8222-222222222222")
"""Of what a request names besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route, and a request that is well-formed in every way."""

    method: str
    path: str
    body: Json = None
    query: Mapping[str, str] = field(default_factory=dict)
    keyed: bool = False
    conditional: bool = False
    """Whether it says which version the caller has seen."""
    anyone: bool = False
    optional: frozenset[str] = frozenset()
    """The fields of the body that may be missing."""

    @property
    def template(self) -> str:
        return self.path.replace(str(UNKNOWN_ID), "{id}")

    def __str__(self) -> str:
        return f"{self.method} {self.template}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """A request, and the status it must be answered with."""

    name: str
    route: Route
    status: int
    content: bytes | None = None
    query: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    chunked: bool = False

    async def send(self, client: httpx.AsyncClient, credentials: Mapping[str, str]) -> httpx.Response:
        """Send it, signed or not."""
        own = {name.lower() for name, _ in self.headers}
        more = [(b"authorization", value.encode()) for value in credentials.values() if b"authorization" not in own]
        if self.content is not None and b"content-type" not in own:
            more.append((b"content-type", b"application/json"))
        if self.route.keyed and b"idempotency-key" not in own:
            more.append((b"idempotency-key", uuid4().hex.encode()))
        if self.route.conditional and b"if-match" not in own:
            more.append((b"if-match", b"*"))
        return await client.request(
            self.route.method,
            self.route.path + (f"?{self.query}" if self.query else ""),
            headers=[header for header in (*self.headers, *more) if header[1] != b"(absent)"],
            content=in_pieces(self.content or b"") if self.chunked else self.content,
        )


ABSENT = b"(absent)"


def routes(now: datetime) -> list[Route]:
    """Return every route that drives a use case."""
    start = (now + timedelta(days=3)).replace(hour=8, minute=0, second=0, microsecond=0)
    item = {
        "medicine": "Amoxicillin",
        "dose": "500 mg",
        "route": "oral",
        "frequency": "three times a day",
        "duration": "7 days",
        "instructions": "after meals",
    }
    person = {
        "email": "hostile@example.org",
        "password": "correct horse battery staple",
        "full_name": "Mallory",
        "time_zone": "Europe/Vienna",
    }
    profile = {
        "specialty": "cardiology",
        "languages": ["en"],
        "fee": {"amount": 4900, "currency": "EUR"},
        "time_zone": "Europe/Vienna",
        "registration_number": "AT-1",
        "notice_hours": 24,
    }
    free_time = {
        "start": start.isoformat(),
        "end": (start + timedelta(hours=2)).isoformat(),
        "slot_minutes": 30,
    }
    day = start.date().isoformat()
    id = UNKNOWN_ID
    return [
        Route(method="POST", path="/auth/register", anyone=True, body=person),
        Route(method="POST", path="/auth/login", anyone=True, body={key: person[key] for key in ("email", "password")}),
        Route(method="POST", path="/auth/admin/role", body={"user_id": str(id), "role": "doctor"}),
        Route(method="GET", path="/auth/me"),
        Route(method="POST", path="/booking/doctor/profile", body=profile, optional=frozenset({"notice_hours"})),
        Route(method="POST", path="/booking/doctor/availability", body=free_time),
        Route(method="GET", path="/booking/doctor/slots", query={"limit": "10"}),
        Route(method="DELETE", path=f"/booking/doctor/slots/{id}"),
        Route(method="POST", path="/booking/doctor/day/cancel", body={"date": day, "reason": "fever"}),
        Route(method="GET", path="/booking/specialties", anyone=True),
        Route(
            method="GET",
            path="/booking/slots/search",
            anyone=True,
            query={"specialty": "cardiology", "date": day, "tz": "Europe/Vienna", "limit": "10"},
        ),
        Route(method="POST", path=f"/booking/slots/{id}/hold"),
        Route(method="DELETE", path=f"/booking/slots/{id}/hold"),
        Route(method="POST", path="/booking/slots/book", keyed=True, body={"slot_id": str(id)}),
        Route(method="GET", path="/booking/appointments", query={"limit": "10"}),
        Route(method="GET", path=f"/booking/appointments/{id}"),
        Route(
            method="POST",
            path=f"/booking/appointments/{id}/reschedule",
            conditional=True,
            body={"slot_id": str(OTHER_ID)},
        ),
        Route(
            method="POST",
            path=f"/booking/appointments/{id}/cancel",
            body={"reason": "fever", "reason_code": "pat"},
            optional=frozenset({"reason_code"}),
        ),
        Route(method="POST", path=f"/booking/appointments/{id}/check-in"),
        Route(method="POST", path=f"/booking/appointments/{id}/undo"),
        Route(method="POST", path="/consultation/start", body={"appointment_id": str(id)}),
        Route(method="POST", path=f"/consultation/{id}/prescription", body={"items": [item, item]}),
        Route(method="GET", path=f"/consultation/{id}/prescription"),
        Route(
            method="GET",
            path="/audit",
            query={"actor": str(id), "subject": str(id), "kind": "role.changed", "from": "2026-01-01T00:00:00Z"},
        ),
    ]


def hostile(route: Route) -> Iterator[Hostile]:
    """Return everything that is sent to one route."""
    yield from bad_queries(route)
    yield from bad_paths(route)
    yield from bad_methods(route)
    yield from bad_bodies(route) if route.body is not None else bodies_nobody_reads(route)
    yield from bad_headers(route)


UNREADABLE = {
    "nothing but space": b" \n",
    "cut off": b'{"a',
    "no JSON": b"hello",
    "a form": b"a=1&b=2",
    "XML": b"<?xml version='1.0'?><a/>",
    "single quotes": b"{'a': 1}",
    "a comment": b"// a\n{}",
    "a comma too many": b'{"a": 1,}',
    "a number from nowhere": b'{"a": NaN}',
    "an endless number": b'{"a": Infinity}',
    "an endless number below": b'{"a": -Infinity}',
    "a number with a zero before": b'{"a": 01}',
    "a number without a digit before the point": b'{"a": .5}',
    "two documents": b"{} {}",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "no UTF-8": b'{"a": "\xff"}',
    "no UTF-8 in a name": b'{"\xff": 1}',
    "UTF-8 of half a surrogate pair": b'{"a": "\xed\xa0\x80"}',
    "overlong UTF-8": b'{"a": "\xc0\xaf"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "half of a surrogate pair": b'{"a": "\\ud800"}',
    "the other half first": b'{"a": "\\udc00\\ud800"}',
    "half of a surrogate pair in a name": b'{"\\ud800": 1}',
    "NUL in the open": b"\0",
    "NUL in a text, unescaped": b'{"a": "\0"}',
    "a line end in a text, unescaped": b'{"a": "\n"}',
    "deep lists": b"[" * 50_000,
    "deep lists, closed": b"[" * 30_000 + b"]" * 30_000,
    "deep objects": b'{"a":' * 10_000,
    "deep objects, closed": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
}

NOT_AN_OBJECT = {
    "null": b"null",
    "a list": b"[]",
    "a number": b"1",
    "a text": b'"x"',
    "true": b"true",
    "an empty object": b"{}",
    "a huge number": b"9" * 5000,
    "a number out of range": b'{"a": 1e999}',
    "a number of 400 digits": b'{"a": ' + b"9" * 400 + b"}",
    "a deep value in an unknown field": b'{"a": ' + b"[" * 50 + b"]" * 50 + b"}",
    "an empty name": b'{"": 1}',
    "a name of pointers' own letters": b'{"~/`$.a[0]": 1}',
    "a name with NUL": b'{"\\u0000": 1}',
    "a name of Python's": b'{"__class__": 1, "__struct_config__": 1}',
    "a name of JavaScript's": b'{"__proto__": {"role": "admin"}}',
}

WRONG_TYPES: tuple[Json, ...] = (None, True, 7.5, [], {}, [[]], {"a": 1}, [None])
"""Of these, no field takes any but `NULLABLE` ones null; what each does not take besides is in `WRONG_VALUES`."""
NULLABLE = {"reason_code"}

TEXTS = ("", " ", "\t\n", "\0", "a\0b", "\x1b[31m", "\x7f", "x" * 201, "😀" * 201, 5)
ZONES = ("", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "europe/vienna", "UTC\0", "+02:00", "UTC ", 5)
INSTANTS = (
    "",
    "tomorrow",
    "2026-12-01",
    "2030-12-01T10:00:00",
    "2030-13-01T00:00:00Z",
    "2030-02-30T00:00:00Z",
    "2030-01-01T25:00:00Z",
    "2030-01-01T00:00:61Z",
    "2030-01-01T00:00:00+99:00",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "10000-01-01T00:00:00Z",
    "-2030-01-01T00:00:00Z",
    "2030-W01-1T00:00:00Z",
    "\u0662\u0660\u0663\u0660-01-01T00:00:00Z",
    "2030-01-01T00:00:00Z\0",
    "2030-01-01T00:00:00[UTC]",
    "1893456000",
)
IDS = ("", "1", "me", "null", "../../audit", f"{UNKNOWN_ID}\0", f"{UNKNOWN_ID}x", str(UNKNOWN_ID)[:-1], "' OR 1=1 --")

WRONG_VALUES: dict[str, tuple[Json, ...]] = {
    "email": (*TEXTS, "x", "@", "a@", "@b.c", "a b@c.d", "a@b\0.c", "a@b@c.d", "a" * 65 + "@b.c", "a@" + "b" * 260),
    "password": (None, 5, ["x"]),
    "full_name": TEXTS,
    "time_zone": ZONES,
    "user_id": (*IDS, 1),
    "role": ("", "root", "PATIENT", "admin ", "admin\0", 0),
    "specialty": (*TEXTS, "Cardiology", "-", "a--b", "a_b", "cardiology\n", "kardiología", "x" * 65),
    "languages": ((), ("",), ("en_US",), ("x" * 36,), ("en\n",), ("en\0",), (5,), ("en",) * 21, "en"),
    "fee": (4900, "4900 EUR", {"amount": 1}, {"currency": "EUR"}),
    "amount": (-1, 2**53, 2**63, 10**300, 49.5, "4900"),
    "currency": ("", "eur", "EURO", "€", "EU\0", "EUR\n", 978),
    "registration_number": (*TEXTS, "x" * 65),
    "notice_hours": (-1, 169, 2**31, 2**63, 10**300, 1.5, "24"),
    "date": (
        *("", "today", "2030-13-01", "2030-02-30", "2030-1-1", "20300101", "2030-01-01T00:00:00Z", "2030-W01-1"),
        *(
            "0000-01-01",
            "0001-01-01",
            "1969-12-31",
            "3000-01-01",
            "9999-12-31",
            "10000-01-01",
            "2030-01-01\0",
            20300101,
        ),
    ),
    "start": (*INSTANTS, 1893456000, 1e300),
    "end": (*INSTANTS, 1893456000, 1e300),
    "slot_minutes": (4, 241, 0, -30, 2**31, 2**63, 10**300, 30.5, "30"),
    "slot_id": (*IDS, 1),
    "appointment_id": (*IDS, 1),
    "reason": TEXTS,
    "reason_code": ("", " ", "PAT", "pat ", "pat\0", "no-code", "x" * 201, 0),
    "items": ((), "medicine", 5, {"0": "medicine"}),
    **dict.fromkeys(("medicine", "dose", "route", "frequency", "duration"), TEXTS),
    "instructions": tuple(text for text in TEXTS if text not in {"", " ", "\t\n"}),
}

LOGIN_TAKES = ("password",)


def bad_bodies(route: Route) -> Iterator[Hostile]:
    """Return what is wrong in itself, and what is wrong for this route."""
    for name, content in UNREADABLE.items():
        yield Hostile(name=f"body: {name}", route=route, status=400, content=content)
    for name, content in NOT_AN_OBJECT.items():
        yield Hostile(name=f"body: {name}", route=route, status=422, content=content)
    yield Hostile(name="body: none", route=route, status=400, headers=((b"content-type", ABSENT),))
    yield Hostile(name="body: empty", route=route, status=400, content=b"")
    valid = json.dumps(route.body).encode()
    yield Hostile(name="body: valid, and more", route=route, status=400, content=valid + b"x")
    yield Hostile(name="body: wrong, and then no JSON", route=route, status=400, content=b'{"a": 1, ' + valid)
    yield from bad_sizes(route, valid)
    yield from bad_types(route, valid)
    for steps, body in spoiled(route):
        yield Hostile(name=f"body: {steps}", route=route, status=422, content=json.dumps(body).encode())


def spoiled(route: Route) -> Iterator[tuple[str, Json]]:
    """Return bodies in which one thing is wrong."""
    valid = route.body
    for steps in places(valid):
        name = next((str(step) for step in reversed(steps) if isinstance(step, str)), "")
        at_name = bool(steps) and isinstance(steps[-1], str)
        if isinstance(found := at(valid, steps), dict):
            yield f"an unknown field in {steps}", put(valid, (*steps, "surprise"), 1)
            yield f"an id in {steps}", put(valid, (*steps, "id"), str(UNKNOWN_ID))
        if at_name and name not in route.optional:
            yield f"no {steps}", drop(valid, steps)
        if not steps:
            continue
        taken = list if isinstance(found, list) else type(None) if name in NULLABLE else ()
        wrong = [value for value in WRONG_TYPES if not isinstance(value, taken)]
        for value in (*wrong, *(WRONG_VALUES[name] if at_name else ())):
            yield f"{steps} is {ascii(value)[:40]}", put(valid, steps, value)


def bad_sizes(route: Route, valid: bytes) -> Iterator[Hostile]:
    """Return bodies that are too large, one byte too many among them."""
    large = valid + b" " * (MOST_BYTES + 1 - len(valid))
    for chunked in (False, True):
        how = "in chunks" if chunked else "announced"
        yield Hostile(name=f"64 KB and a byte, {how}", route=route, status=413, content=large, chunked=chunked)
        yield Hostile(
            name=f"a megabyte of nonsense, {how}", route=route, status=413, content=b"[" * 2**20, chunked=chunked
        )
    huge_type = ((b"content-type", b"text/plain"),)
    yield Hostile(name="64 KB and a byte of text", route=route, status=413, content=large, headers=huge_type)


def bad_types(route: Route, valid: bytes) -> Iterator[Hostile]:
    """Return bodies that say they are something else."""
    for media_type in (
        ABSENT,
        b"",
        b"text/plain",
        b"text/json",
        b"application/xml",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=x",
        b"multipart/form-data",
        b"application/msgpack",
        b"application/merge-patch+json",
        b"application/jsonx",
        b"application/json, text/plain",
        b"application/json; charset=utf-16",
        b"application/json; charset=\xff",
        b"application/json; charset=",
        b"application/json;;",
        b"*/*",
        b"\xff",
    ):
        name = f"content type {media_type.decode('latin-1')}"
        yield Hostile(name=name, route=route, status=415, content=valid, headers=((b"content-type", media_type),))
    twice = ((b"content-type", b"application/json"), (b"content-type", b"text/plain"))
    yield Hostile(name="two content types", route=route, status=415, content=valid, headers=twice)
    packed = ((b"content-encoding", b"gzip"),)
    yield Hostile(name="packed", route=route, status=415, content=b"\x1f\x8b\x08", headers=packed)


BAD_PARAMETERS: dict[str, tuple[str, ...]] = {
    "specialty": ("", "%00", "a%00b", "+", "x" * 201, "%1b%5b31m", "%7f"),
    "date": (
        *("", "today", "2030-13-01", "2030-02-30", "2030-1-1", "20300101", "1893456000", "2030-01-01T00:00:00Z"),
        *("0000-01-01", "0001-01-01", "1969-12-31", "9999-12-31", "10000-01-01", "2030-01-01%00", "%D9%A2030-01-01"),
    ),
    "tz": ("", "Mars/Olympus", "..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Flocaltime", "UTC%00", "europe/vienna", "%2B02:00"),
    "limit": (
        *("", "0", "-1", "501", "1.0", "1e2", "ten", "%2B10", "+10", "0x10", "1_0", "%D9%A1", "10%00", "null", "true"),
        *("9" * 18, "9" * 19, "9" * 400, "9" * 5000, "NaN", "Infinity"),
    ),
    "cursor": (
        *("", "x", "%00", "null", "A" * 31, "A" * 33, "A" * 32 + "%0A", "A" * 31 + "=", "A" * 31 + "%2F"),
        *("f" + "_" * 31, "gAAAAAAAAAA" + "A" * 21, "%C3%A9" * 32, "../../.."),
    ),
    "actor": ("", "me", "1", "%00", f"{UNKNOWN_ID}%00", f"{UNKNOWN_ID}x", "'%20OR%201=1%20--"),
    "subject": ("", "me", "1", "%00", f"{UNKNOWN_ID}%00"),
    "kind": ("", "everything", "ROLE.CHANGED", "role.changed%00", "%25"),
    "from": tuple(urlencode({"": str(instant)})[1:] for instant in INSTANTS),
    "to": tuple(urlencode({"": str(instant)})[1:] for instant in INSTANTS),
}
PAGED = ("/booking/doctor/slots", "/booking/slots/search", "/booking/appointments", "/audit")
REQUIRED = ("specialty", "date")


def bad_queries(route: Route) -> Iterator[Hostile]:
    """Return queries with a fault; the rest of the request is as it should be."""
    well = replace_content(route)
    known = set(route.query)
    if route.path in PAGED:
        known |= {"limit", "cursor"}
    if route.path == "/audit":
        known |= {"to"}
    for name in known:
        others = urlencode({key: value for key, value in route.query.items() if key != name})
        for value in BAD_PARAMETERS[name]:
            yield replace(well, name=f"query: {name}={value[:40]}", status=422, query=f"{others}&{name}={value}")
        twice = f"{others}&{name}=a&{name}=a"
        yield replace(well, name=f"query: {name} twice", status=422, query=twice)
        yield replace(well, name=f"query: {name} without a value", status=422, query=f"{others}&{name}")
        if name in REQUIRED:
            yield replace(well, name=f"query: no {name}", status=422, query=others or "limit=10")
    valid = urlencode(route.query)
    for name, surprise in {
        "an unknown parameter": "surprise=1",
        "a typo": "speciality=cardiology",
        "another case": "Limit=10",
        "an unknown parameter without a value": "surprise",
        "a parameter without a name": "=1",
        "a parameter of another kind": "limit%5B%5D=10",
        "a parameter named with NUL": "%00=1",
        "somebody's id": f"user_id={UNKNOWN_ID}",
    }.items():
        yield replace(well, name=f"query: {name}", status=422, query=f"{valid}&{surprise}")
    for name, nonsense in {
        "no UTF-8": "surprise=%ff",
        "no UTF-8 in a name": "%ff=1",
        "UTF-8 of half a surrogate pair": "surprise=%ed%a0%80",
        "very many parameters": "&".join(f"a{number}=1" for number in range(1000)),
    }.items():
        yield replace(well, name=f"query: {name}", status=400, query=f"{valid}&{nonsense}")


def replace_content(route: Route) -> Hostile:
    """Return the well-formed request, to spoil it elsewhere."""
    content = None if route.body is None else json.dumps(route.body).encode()
    return Hostile(name="", route=route, status=0, content=content, query=urlencode(route.query))


def bad_paths(route: Route) -> Iterator[Hostile]:
    """Return paths that lead nowhere."""
    well = replace_content(route)
    for id in (
        "1",
        "me",
        "null",
        "%00",
        "%ff",
        "%ed%a0%80",
        "x" * 2000,
        f"{UNKNOWN_ID}x",
        f"{UNKNOWN_ID}%00",
        "%2e%2e",
    ):
        if str(UNKNOWN_ID) in route.path:
            path = route.path.replace(str(UNKNOWN_ID), id)
            yield replace(well, name=f"id {id[:40]}", status=404, route=replace(route, path=path))
            other = "PUT" if route.method != "PUT" else "PATCH"
            wrong = replace(route, path=path, method=other)
            yield replace(well, name=f"id {id[:40]} and another method", status=404, route=wrong)
    for more in ("/x", "/%00", "/%ff", ".json", "%20", "/..%2f..%2fetc%2fpasswd"):
        path = route.path + more
        yield replace(well, name=f"path and {more}", status=404, route=replace(route, path=path))
    upper = replace(route, path=route.path.upper())
    yield replace(well, name="path in capitals", status=404, route=upper)


def bad_methods(route: Route) -> Iterator[Hostile]:
    """Return methods that the path does not take."""
    well = replace_content(route)
    for method in ("PUT", "PATCH", "HEAD", "TRACE", "PROPFIND", "X" * 200):
        yield replace(well, name=f"method {method[:40]}", status=405, route=replace(route, method=method))


def bodies_nobody_reads(route: Route) -> Iterator[Hostile]:
    """Return nothing: where a route takes no body, one that is sent is left unread and harms nobody."""
    yield from ()


BAD_KEYS = {
    "none": ABSENT,
    "empty": b"",
    "a space": b"a b",
    "a tab": b"a\tb",
    "not ASCII": b"\xc3\xa9",
    "no UTF-8": b"\xff",
    "too long": b"x" * 256,
}


BAD_VERSIONS = {
    "no tag": b"1",
    "a name": b"latest",
    "single quotes": b"'1'",
    "open in front": b'1"',
    "open at the end": b'"1',
    "a quote in it": b'"a"b"',
    "a space in it": b'"a b"',
    "weak without a tag": b"W/1",
    "weak in small letters": b'w/"1"',
    "two without a comma": b'"1" "2"',
    "a semicolon": b'"1";',
    "two asterisks": b"**",
    "a tag, then an asterisk": b'"1", *',
    "an asterisk, then a tag": b'*, "1"',
    "an asterisk in quotes, and more": b'"*" *',
    "very many, then none": b'"1", ' * 500 + b"1",
}


def bad_headers(route: Route) -> Iterator[Hostile]:
    """Return headers with a fault."""
    well = replace_content(route)
    if route.keyed:
        for name, key in BAD_KEYS.items():
            yield replace(well, name=f"key: {name}", status=400, headers=((b"idempotency-key", key),))
        twice = ((b"idempotency-key", b"a"), (b"idempotency-key", b"b"))
        yield replace(well, name="key: two", status=400, headers=twice)
    if route.conditional:
        for name, tags in {"none": ABSENT, "empty": b""}.items():
            yield replace(well, name=f"version: {name}", status=428, headers=((b"if-match", tags),))
        for name, tags in BAD_VERSIONS.items():
            yield replace(well, name=f"version: {name}", status=400, headers=((b"if-match", tags),))
        twice = ((b"if-match", b'"1"'), (b"if-match", b"*"))
        yield replace(well, name="version: two", status=400, headers=twice)
    if not route.anyone:
        for credentials in (
            *(b"", b"Bearer", b"bearer x", b"Basic eDp5", b"Bearer a b", b"Bearer \xff", b"\xff"),
            *(b"Bearer " + b"x" * 5000, b"Bearer ..", b"Bearer null", b"Negotiate", b"Bearer,Bearer"),
        ):
            name = f"credentials: {credentials[:20].decode('latin-1')}"
            yield replace(well, name=name, status=401, headers=((b"authorization", credentials),))


def places(value: Json, steps: Steps = ()) -> Iterator[Steps]:
    """Return where values stand in a body, itself first."""
    yield steps
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in inner:
        yield from places(part, (*steps, step))


def at(value: Json, steps: Steps) -> Json:
    """Return what stands there."""
    for step in steps:
        value = value[step]
    return value


def put(value: Json, steps: Steps, part: Json) -> Json:
    """Return the body with something else there."""
    changed = deepcopy(value)
    at(changed, steps[:-1])[steps[-1]] = part
    return changed


def drop(value: Json, steps: Steps) -> Json:
    """Return the body with nothing there."""
    changed = deepcopy(value)
    del at(changed, steps[:-1])[steps[-1]]
    return changed


async def in_pieces(content: bytes) -> AsyncIterator[bytes]:
    """Send without saying how much will come."""
    for start in range(0, len(content), 10_000):
        yield content[start : start + 10_000]
