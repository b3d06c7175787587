"""A practice in full swing, served by a real API process: what requests can name, of one's own and of others'."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, cycle, product
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
    others: Iterator[UUID]
    """What they can name besides: free slots, one after the other, round and round."""

    def headers(self, caller: str) -> dict[str, str]:
        """Return what signs a caller's requests, for a quarter of an hour."""
        return {} if caller == NOBODY else self.world.headers(self.callers[caller])


@contextmanager
def practice(world: World) -> Iterator[Practice]:
    """Open the doors: there is free time, and with each doctor care that is held, booked, begun, finished, given up."""
    now = datetime.now(UTC)
    doctors, patients = world.add_doctors(2), world.add_users("patient", 2)
    admin, _ = world.add_users("admin", 2)
    others = world.add_users("patient", 10)
    past, start = now - timedelta(hours=2), tomorrow_at(24 * 10)
    times = [past, *(start + timedelta(minutes=30 * place) for place in range(100))]
    slots = [world.add_slots(doctor, times) for doctor in doctors]
    soon = [world.add_slots(doctor, [now + timedelta(minutes=more) for more in (8, 14)], 5) for doctor in doctors]
    (of_the_day,) = world.add_slots(doctors[0], [(now + timedelta(days=3)).replace(hour=12, minute=0)])
    with world.apis() as (api,), httpx.Client(base_url=api.url) as client:
        good = {route.template: route.body for route in routes(now) if route.body}

        def post(user: UserId | None, path: str, body: Json = None) -> UUID:
            headers = {"Idempotency-Key": uuid4().hex} | (world.headers(user) if user else {})
            response = client.post(path, json=body, headers=headers)
            assert response.is_success, response.text
            return UUID(response.json()["id"])

        def book(patient: UserId, slot: UUID) -> UUID:
            return post(patient, "/booking/slots/book", {"slot_id": str(slot)})

        post(None, "/auth/register", good["/auth/register"])
        appointments, consultations, free = [], [], count(1)
        for (doctor, own), patient in product(zip(doctors, slots, strict=True), patients):
            booked = [book(patient, own[next(free)]) for _ in range(8)]
            begun = [post(doctor, "/consultation/start", {"appointment_id": str(id)}) for id in booked[:4]]
            for id in begun[:2]:
                post(doctor, f"/consultation/{id}/prescription", good["/consultation/{id}/prescription"])
            post(patient, f"/booking/appointments/{booked[-1]}/cancel", {"reason": "better already"})
            appointments += booked
            consultations += begun
        book(patients[1], of_the_day)
        (held, *open_slots), there = slots[0][-40:], book(patients[0], soon[0][0])
        post(patients[0], f"/booking/slots/{held}/hold")
        with patient_for_once(world, doctors[0]):
            with_a_colleague = book(doctors[0], soon[1][0])
        came = book(patients[1], soon[0][1])
        post(patients[1], f"/booking/appointments/{came}/check-in")
        every_slot = [id for own in slots for id in own]
        yield Practice(
            world,
            api,
            {Role.PATIENT: patients[0], Role.DOCTOR: doctors[0], Role.ADMIN: admin},
            {
                "/auth/admin/role": list(others),
                "/booking/doctor/slots/{id}": every_slot,
                "/booking/slots/book": every_slot,
                "/booking/slots/{id}/hold": [held, open_slots[0], *open_slots],
                "/booking/appointments/{id}": appointments,
                "/booking/appointments/{id}/reschedule": appointments,
                "/booking/appointments/{id}/cancel": appointments,
                "/booking/appointments/{id}/check-in": [there, with_a_colleague, *appointments],
                "/booking/appointments/{id}/undo": [came, *appointments],
                "/consultation/start": appointments,
                "/consultation/{id}/prescription": consultations,
            },
            cycle(open_slots[10:]),
        )


@contextmanager
def patient_for_once(world: World, doctor: UserId) -> Iterator[None]:
    """Let a doctor do what only patients can; what they have then remains theirs."""
    change = "UPDATE users SET role = %s WHERE id = %s"
    with world.connect() as connection:
        connection.execute(change, [Role.PATIENT, doctor])
        yield
        connection.execute(change, [Role.DOCTOR, doctor])
