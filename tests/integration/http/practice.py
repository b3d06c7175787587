"""A practice in full swing, served by a real API process: what requests can name, of one's own and of others'."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, product
from uuid import UUID, uuid4

import httpx

from healthcare.domain.kernel import Role, UserId
from tests.integration.http.corpus import Json, routes
from tests.integration.world import Api, World, tomorrow_at

NOBODY = "nobody"
CALLERS = (NOBODY, *Role)


@dataclass(frozen=True, slots=True)
class Practice:
    """Doctors and patients in the middle of their work, and an admin."""

    world: World
    api: Api
    callers: Mapping[str, UserId]
    """One of each role; there are others."""
    ids: Mapping[str, list[UUID]]
    """What requests can name, by the path that takes it."""

    def headers(self, caller: str) -> dict[str, str]:
        """Return what signs a caller's requests, for a quarter of an hour."""
        return {} if caller == NOBODY else self.world.headers(self.callers[caller])


@contextmanager
def practice(world: World) -> Iterator[Practice]:
    """Open the doors: there is free time, and care that is booked, cancelled, begun and finished, with each doctor."""
    doctors, patients = world.add_doctors(2), world.add_users("patient", 2)
    admin, _ = world.add_users("admin", 2)
    others = world.add_users("patient", 10)
    past, start = datetime.now(UTC) - timedelta(hours=2), tomorrow_at(24 * 10)
    times = [past, *(start + timedelta(minutes=30 * place) for place in range(100))]
    slots = [world.add_slots(doctor, times) for doctor in doctors]
    with world.apis() as (api,), httpx.Client(base_url=api.url) as client:
        good = {route.template: route.body for route in routes(datetime.now(UTC)) if route.body}

        def post(user: UserId | None, path: str, body: Json) -> UUID:
            headers = {"Idempotency-Key": uuid4().hex} | (world.headers(user) if user else {})
            response = client.post(path, json=body, headers=headers)
            assert response.is_success, response.text
            return UUID(response.json()["id"])

        post(None, "/auth/register", good["/auth/register"])
        appointments, consultations, free = [], [], count(1)
        for (doctor, own), patient in product(zip(doctors, slots, strict=True), patients):
            booked = [post(patient, "/booking/slots/book", {"slot_id": str(own[next(free)])}) for _ in range(8)]
            begun = [post(doctor, "/consultation/start", {"appointment_id": str(id)}) for id in booked[:4]]
            for id in begun[:2]:
                post(doctor, f"/consultation/{id}/prescription", good["/consultation/{id}/prescription"])
            post(patient, f"/booking/appointments/{booked[-1]}/cancel", {"reason": "better already"})
            appointments += booked
            consultations += begun
        every_slot = [id for own in slots for id in own]
        yield Practice(
            world,
            api,
            {Role.PATIENT: patients[0], Role.DOCTOR: doctors[0], Role.ADMIN: admin},
            {
                "/auth/admin/role": list(others),
                "/booking/doctor/slots/{id}": every_slot,
                "/booking/slots/book": every_slot,
                "/booking/appointments/{id}": appointments,
                "/booking/appointments/{id}/cancel": appointments,
                "/consultation/start": appointments,
                "/consultation/{id}/prescription": consultations,
            },
        )
