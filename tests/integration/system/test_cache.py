"""No search shows what a command took, or hides what it gave back, once the answer to it has been given."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from itertools import cycle
from typing import Any
from uuid import uuid4

import httpx

from healthcare.domain.kernel import UserId
from tests.integration.clients import client_of
from tests.integration.world import Api, World, tomorrow_at

DAY = tomorrow_at(0).date().isoformat()


class Clinic:
    """Two API processes, with a client for each."""

    def __init__(self, world: World, apis: Sequence[Api]) -> None:
        self.world = world
        self.clients = [client_of(api) for api in apis]

    async def close(self) -> None:
        for client in self.clients:
            await client.aclose()

    async def free(self, at: int, specialty: str = "cardiology") -> set[str]:
        """Return the slots that one of the processes shows."""
        response = await self.clients[at].get(
            "/booking/slots/search", params={"specialty": specialty, "date": DAY, "limit": 500}
        )
        assert response.status_code == 200, response.text
        return {slot["id"] for slot in response.json()["items"]}

    async def both(self, specialty: str = "cardiology") -> list[set[str]]:
        """Ask both processes at once."""
        return list(await asyncio.gather(*[self.free(at, specialty) for at in range(len(self.clients))]))

    async def post(self, user: UserId, path: str, body: object, at: int = 0, **headers: str) -> httpx.Response:
        """Send a command to one of the processes."""
        return await self.clients[at].post(path, json=body, headers=self.world.headers(user) | headers)

    async def book(self, patient: UserId, slot: str, at: int = 0) -> httpx.Response:
        """Book with a new key."""
        return await self.post(
            patient, "/booking/slots/book", {"slot_id": slot}, at, **{"Idempotency-Key": str(uuid4())}
        )


def test_a_search_on_either_process_shows_every_change_at_once(world: World) -> None:
    """Booking, cancelling, publishing, taking back, a new specialty, another role: 20 rounds on a warm cache."""

    async def story(clinic: Clinic) -> None:
        (patient,) = world.add_users("patient", 1)
        (admin,) = world.add_users("admin", 1)
        for number in range(20):
            at = number % 2
            (doctor,) = world.add_doctors(1)
            before = await clinic.both()
            assert before[0] == before[1]

            range_ = {"start": tomorrow_at(9).isoformat(), "end": tomorrow_at(10).isoformat(), "slot_minutes": 30}
            published = await clinic.post(doctor, "/booking/doctor/availability", range_, at)
            assert published.status_code == 201, published.text
            first, second = [slot["id"] for slot in published.json()["items"]]
            assert await clinic.both() == [before[0] | {first, second}] * 2

            booked = await clinic.book(patient, first, at)
            assert booked.status_code == 201, booked.text
            assert await clinic.both() == [before[0] | {second}] * 2

            path = f"/booking/appointments/{booked.json()['id']}/cancel"
            assert (await clinic.post(doctor, path, {"reason": "ill"}, 1 - at)).status_code == 200
            assert await clinic.both() == [before[0] | {first, second}] * 2

            deleted = await clinic.clients[at].delete(f"/booking/doctor/slots/{second}", headers=world.headers(doctor))
            assert deleted.status_code == 204
            assert await clinic.both() == [before[0] | {first}] * 2

            profile = {
                "specialty": "neurology",
                "languages": ["en"],
                "fee": {"amount": 1, "currency": "EUR"},
                "time_zone": "UTC",
                "registration_number": "1",
            }
            assert (await clinic.post(doctor, "/booking/doctor/profile", profile, at)).status_code == 200
            assert await clinic.both() == before
            shown = await clinic.both("neurology")
            assert shown[0] == shown[1] >= {first}

            role = {"user_id": str(doctor), "role": "patient"}
            assert (await clinic.post(admin, "/auth/admin/role", role, 1 - at)).status_code == 200
            assert [first in one for one in await clinic.both("neurology")] == [False, False]
            assert (await clinic.book(patient, first, at)).status_code == 404

    run(world, story)


def test_a_search_on_either_process_shows_what_holds_moves_and_cancelled_days_take_and_free(world: World) -> None:
    """Ten rounds on a warm cache; each command goes to the process that has not taken the one before."""

    async def story(clinic: Clinic) -> None:
        (patient,), (doctor,) = world.add_users("patient", 1), world.add_doctors(1)
        (colleague,) = world.add_doctors(1, "neurology")

        async def shows(*cardiology: str, neurology: Sequence[str] = ()) -> None:
            assert await clinic.both() == [set(cardiology)] * 2
            assert await clinic.both("neurology") == [set(neurology)] * 2

        async def told(user: UserId, path: str, body: object = None, **headers: str) -> dict[str, Any]:
            response = await clinic.post(user, path, body, at=next(turns), **headers)
            assert response.is_success, response.text
            answer: dict[str, Any] = response.json()
            return answer

        turns = cycle([0, 1])
        for _ in range(10):
            hour = {"start": tomorrow_at(9).isoformat(), "end": tomorrow_at(10).isoformat()}
            await shows()
            published = await told(doctor, "/booking/doctor/availability", {**hour, "slot_minutes": 30})
            first, second = [slot["id"] for slot in published["items"]]
            published = await told(colleague, "/booking/doctor/availability", {**hour, "slot_minutes": 60})
            (third,) = [slot["id"] for slot in published["items"]]
            await shows(first, second, neurology=[third])

            await told(patient, f"/booking/slots/{first}/hold")
            await shows(second, neurology=[third])
            await told(patient, f"/booking/slots/{first}/hold")
            await shows(second, neurology=[third])
            released = await clinic.clients[next(turns)].delete(
                f"/booking/slots/{first}/hold", headers=world.headers(patient)
            )
            assert released.status_code == 204
            await shows(first, second, neurology=[third])

            await told(patient, f"/booking/slots/{first}/hold")
            booked = await told(patient, "/booking/slots/book", {"slot_id": first}, **{"Idempotency-Key": str(uuid4())})
            await shows(second, neurology=[third])

            move = f"/booking/appointments/{booked['id']}/reschedule"
            await told(patient, move, {"slot_id": second}, **{"If-Match": "*"})
            await shows(first, neurology=[third])
            await told(patient, move, {"slot_id": third}, **{"If-Match": "*"})
            await shows(first, second)
            await told(patient, move, {"slot_id": first}, **{"If-Match": "*"})
            await shows(second, neurology=[third])

            await told(doctor, "/booking/doctor/day/cancel", {"date": DAY, "reason": "ill"})
            await shows(neurology=[third])
            await told(patient, f"/booking/slots/{third}/hold")
            await told(colleague, "/booking/doctor/day/cancel", {"date": DAY, "reason": "ill"})

    run(world, story)


def test_a_slot_whose_hold_ran_out_is_found_within_five_seconds(world: World) -> None:
    """Nobody says that it did: what was kept before runs out as well."""
    (patient,), (doctor,) = world.add_users("patient", 1), world.add_doctors(1)
    (slot,) = world.add_slots(doctor, [tomorrow_at(9)])

    async def story(clinic: Clinic) -> None:
        assert (await clinic.post(patient, f"/booking/slots/{slot}/hold", None)).status_code == 201
        assert await clinic.both() == [set()] * 2
        with world.connect() as connection:
            connection.execute("UPDATE appointments SET expires_at = clock_timestamp()")
        ended = time.monotonic()

        for asked in iter(time.monotonic, None):
            if await clinic.both() == [{str(slot)}] * 2:
                break
            assert asked < ended + 5
            await asyncio.sleep(0.1)

    run(world, story)


def test_no_search_is_stale_while_patients_book_and_others_search(world: World) -> None:
    """Searchers keep the cache warm all the time; each booker looks at once after its answer."""
    patients = world.add_users("patient", 40)
    slots = [
        world.add_slots(doctor, [tomorrow_at(8) + place * timedelta(minutes=30) for place in range(4)])
        for doctor in world.add_doctors(10)
    ]
    wanted = [str(slot) for of_doctor in slots for slot in of_doctor]

    async def story(clinic: Clinic) -> None:
        done = asyncio.Event()

        async def keep_warm(at: int) -> int:
            searches = 0
            while not done.is_set():
                await clinic.free(at)
                searches += 1
            return searches

        async def book_and_look(place: int) -> None:
            booked = await clinic.book(patients[place], wanted[place], place % 2)
            assert booked.status_code == 201, booked.text
            assert wanted[place] not in await clinic.free(1 - place % 2)
            cancelled = await clinic.post(
                patients[place], f"/booking/appointments/{booked.json()['id']}/cancel", {"reason": "no"}, place % 2
            )
            assert cancelled.status_code == 200
            assert wanted[place] in await clinic.free(1 - place % 2)

        warmers = [asyncio.ensure_future(keep_warm(at)) for at in (0, 1, 0, 1)]
        try:
            for start in range(0, len(patients), 4):
                await asyncio.gather(*[book_and_look(place) for place in range(start, start + 4)])
        finally:
            done.set()
        assert all(searches > 10 for searches in await asyncio.gather(*warmers))

    run(world, story)


def test_a_storm_on_a_cold_day_runs_one_query_in_each_process(world: World) -> None:
    """100 searches at once; PostgreSQL counts how often it was asked."""
    (doctor,) = world.add_doctors(1)
    world.add_slots(doctor, [tomorrow_at(8) + place * timedelta(minutes=30) for place in range(16)])
    with world.connect() as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")

    async def story(clinic: Clinic) -> None:
        before = searches_in_postgresql(world)
        answers = await asyncio.gather(*[clinic.free(place % 2) for place in range(100)])
        assert len(answers[0]) == 16
        assert all(answer == answers[0] for answer in answers)
        assert 1 <= searches_in_postgresql(world) - before <= 2

    run(world, story)


def searches_in_postgresql(world: World) -> int:
    """Return how often free slots were looked for in this database."""
    (row,) = world.ask(
        """
        SELECT coalesce(sum(calls), 0)::int
          FROM pg_stat_statements JOIN pg_database ON oid = dbid
         WHERE datname = current_database() AND query LIKE '%s.specialty = %' AND query LIKE '%NOT%EXISTS%'
        """
    )
    assert isinstance(row[0], int)
    return row[0]


def run(world: World, story: Callable[[Clinic], Awaitable[None]]) -> None:
    """Run a story with two API processes."""

    async def tell(apis: list[Api]) -> None:
        clinic = Clinic(world, apis)
        try:
            await story(clinic)
        finally:
            await clinic.close()

    with world.apis(2) as apis:
        asyncio.run(tell(apis))
