"""What people ask, as HTTP says it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx

from healthcare.domain.scheduling.status import AppointmentStatus
from tests.integration.faults.journal import Kind, Seen, Try

ROUTES: Mapping[Kind, tuple[str, str]] = {
    Kind.SEARCH: ("GET", "/booking/slots/search?specialty={subject}&date={date}&limit=500"),
    Kind.LIST: ("GET", "/booking/doctor/slots?limit=500"),
    Kind.READ: ("GET", "/booking/appointments/{subject}"),
    Kind.HOLD: ("POST", "/booking/slots/{subject}/hold"),
    Kind.RELEASE: ("DELETE", "/booking/slots/{subject}/hold"),
    Kind.BOOK: ("POST", "/booking/slots/book"),
    Kind.RESCHEDULE: ("POST", "/booking/appointments/{subject}/reschedule"),
    Kind.CANCEL: ("POST", "/booking/appointments/{subject}/cancel"),
    Kind.CANCEL_DAY: ("POST", "/booking/doctor/day/cancel"),
    Kind.PUBLISH: ("POST", "/booking/doctor/availability"),
}
ON_APPOINTMENTS = frozenset({Kind.READ, Kind.HOLD, Kind.BOOK, Kind.RESCHEDULE, Kind.CANCEL})
"""What is answered with an appointment, or with a hold."""


@dataclass(frozen=True, slots=True)
class Day:
    """The one day that everything is about."""

    start: datetime
    length: timedelta
    """Of a slot."""
    slots: int

    @property
    def starts(self) -> Sequence[datetime]:
        """When slots begin."""
        return [self.start + place * self.length for place in range(self.slots)]

    @property
    def date(self) -> str:
        """As calendars write it."""
        return self.start.date().isoformat()


def request_of(client: httpx.AsyncClient, one: Try, day: Day, signature: Mapping[str, str]) -> httpx.Request:
    """Write a request."""
    headers = {**signature, "X-Request-Id": one.request}
    if one.kind is Kind.BOOK:
        headers["Idempotency-Key"] = one.wish
    if one.match:
        headers["If-Match"] = one.match
    method, _ = ROUTES[one.kind]
    return client.build_request(method, path_of(one.kind, one.subject, day), json=body_of(one, day), headers=headers)


def path_of(kind: Kind, subject: str, day: Day) -> str:
    """Write where it goes to."""
    _, path = ROUTES[kind]
    return path.format(subject=subject, date=day.date)


def body_of(one: Try, day: Day) -> object:
    """Write what is in it, if anything."""
    match one.kind:
        case Kind.BOOK | Kind.RESCHEDULE:
            return {"slot_id": one.slot}
        case Kind.CANCEL:
            return {"reason": "no", "reason_code": one.reason_code}
        case Kind.CANCEL_DAY:
            return {"date": day.date, "reason": "no"}
        case Kind.PUBLISH:
            end = day.start + day.slots * day.length
            minutes = day.length // timedelta(minutes=1)
            return {"start": day.start.isoformat(), "end": end.isoformat(), "slot_minutes": minutes}
    return None


def understand(one: Try, response: httpx.Response) -> None:
    """Read an answer."""
    one.status, one.retry_after = response.status_code, response.headers.get("retry-after")
    if response.is_error:
        one.code = response.json()["code"]
    elif one.kind in ON_APPOINTMENTS:
        answer = response.json()
        one.answer, one.tag, one.appointment = response.content, response.headers["etag"], answer["id"]
        slot = answer["slot"]["id"] if one.kind is Kind.HOLD else answer["slot_id"]
        one.seen = Seen(int(one.tag.strip('"')), answer.get("status", AppointmentStatus.PENDING), slot)
    elif one.kind is Kind.CANCEL_DAY:
        items = response.json()["items"]
        one.cancelled = [item["appointment_id"] for item in items if item["outcome"] == "cancelled"]
    elif one.kind is Kind.LIST:
        one.listed = [slot["id"] for slot in response.json()["items"]]
