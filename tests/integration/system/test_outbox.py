"""Every committed event gets exactly one audit entry, whatever happens to Redis."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from healthcare.adapters.embedded.servers import valkey
from tests.integration.clients import client_of
from tests.integration.world import Api, World, healthcare, tomorrow_at

BOOKINGS = 60


def test_every_event_is_recorded_once_without_any_redis(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A Redis that is stopped for the whole run: entries come a second later, and none is missing."""
    with valkey(tmp_path_factory.mktemp("stopped-redis")) as redis:
        world.redis = (redis.address.host, redis.address.port)
        redis.stop()
        with world.apis(2) as apis, world.worker():
            asyncio.run(book_all(world, apis))
            recorded_exactly_once(world)
            # Prometheus is told: of the three, PostgreSQL is there, and its pool is open.
            assert [api.metric("dependency_up") for api in apis] == [1, 1]
            assert [api.metric("postgres_pool_connections") for api in apis] == [8, 8]


def test_with_redis_an_entry_is_there_sooner_than_the_workers_next_look(world: World) -> None:
    """The doorbell works: the median of ten delays is shorter than the second between two looks."""
    patients = world.add_users("patient", 10)
    (doctor,) = world.add_doctors(1)
    slots = world.add_slots(doctor, [tomorrow_at(8) + place * timedelta(minutes=30) for place in range(10)])
    delays = []
    with world.apis() as (api,), world.worker() as worker:
        wait_for_worker(world, api, worker.pid)
        for patient, slot in zip(patients, slots, strict=True):
            response = httpx.post(
                f"{api.url}/booking/slots/book",
                json={"slot_id": str(slot)},
                headers=world.headers(patient) | {"Idempotency-Key": str(uuid4())},
            )
            assert response.status_code == 201
            start = time.monotonic()
            while not world.ask("SELECT FROM audit_entries WHERE subject_id = %s", [response.json()["id"]]):
                assert time.monotonic() < start + 10
            delays.append(time.monotonic() - start)
    assert sorted(delays)[len(delays) // 2] < 0.5


def test_an_event_that_cannot_be_recorded_is_put_aside_until_an_operator_puts_it_back(world: World) -> None:
    """After five tries it is a dead letter with its reason, and the others flow on."""
    bad, good = uuid4(), uuid4()
    with world.connect() as connection:
        connection.execute(f"ALTER TABLE audit_entries ADD CONSTRAINT choosy CHECK (id <> '{bad}')".encode())
        for event in (bad, good):
            connection.execute(
                "INSERT INTO outbox (id, kind, at, outcome, request_id)"
                " VALUES (%s, 'user.registered', now(), 'success', 'test')",
                [event],
            )
    with world.worker():
        wait_for(
            world,
            "SELECT id, split_part(reason, ' at ', 1) FROM dead_letters",
            [(bad, "psycopg.errors.CheckViolation")],
        )
        assert world.ask("SELECT id FROM audit_entries") == [(good,)]
        assert world.ask("SELECT FROM outbox") == []

        with world.connect() as connection:
            connection.execute("ALTER TABLE audit_entries DROP CONSTRAINT choosy")
        assert healthcare("outbox", "requeue", str(bad), environment=world.environment).returncode == 0

        wait_for(
            world, "SELECT kind FROM audit_entries ORDER BY at", [("user.registered",)] * 2 + [("event.requeued",)]
        )
    assert world.ask("SELECT FROM outbox") == []
    assert world.ask("SELECT FROM dead_letters") == []
    assert world.ask("SELECT subject_id, request_id FROM audit_entries WHERE kind = 'event.requeued'") == [
        (bad, "command-line")
    ]


async def book_all(world: World, apis: list[Api]) -> None:
    """Let patients book, half of them in vain."""
    patients = world.add_users("patient", BOOKINGS)
    doctors = world.add_users("doctor", 2)
    (doctor,) = world.add_doctors(1)
    slots = world.add_slots(
        doctor, [tomorrow_at(8) + place * timedelta(minutes=10) for place in range(BOOKINGS // 2)], 10
    )
    clients = [client_of(api) for api in apis]
    for place, patient in enumerate(patients):
        response = await clients[place % 2].post(
            "/booking/slots/book",
            json={"slot_id": str(slots[place % len(slots)])},
            headers=world.headers(patient) | {"Idempotency-Key": str(uuid4())},
        )
        assert response.status_code == (201 if place < len(slots) else 409), response.text
    for one in doctors:
        refused = await clients[0].post(
            "/booking/slots/book",
            json={"slot_id": str(slots[0])},
            headers=world.headers(one) | {"Idempotency-Key": "k"},
        )
        assert refused.status_code == 403
    for client in clients:
        await client.aclose()


def recorded_exactly_once(world: World) -> None:
    """Wait until the outbox is empty, and compare the entries with what was committed."""
    end = time.monotonic() + 15
    while world.ask("SELECT FROM outbox LIMIT 1"):
        assert time.monotonic() < end, "the outbox is not emptied"
        time.sleep(0.1)
    assert world.ask("SELECT FROM dead_letters") == []
    assert world.ask("SELECT kind, count(*) FROM audit_entries GROUP BY kind ORDER BY kind") == [
        ("access.refused", 2),
        ("appointment.booked", BOOKINGS // 2),
    ]
    assert (
        world.ask(
            """
            SELECT a.id FROM appointments a
              FULL JOIN (SELECT * FROM audit_entries WHERE kind = 'appointment.booked') e ON e.subject_id = a.id
             WHERE a.id IS NULL OR e.id IS NULL OR e.actor_id <> a.patient_id OR e.outcome <> 'success'
            """
        )
        == []
    )


def wait_for(world: World, query: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Wait until a query returns these rows."""
    end = time.monotonic() + 30
    while (found := world.ask(query)) != rows:
        assert time.monotonic() < end, found
        time.sleep(0.1)


def wait_for_worker(world: World, api: Api, worker: int) -> None:
    """Wait until the worker has recorded something: it is up then."""
    httpx.post(f"{api.url}/auth/login", json={"email": f"{worker}@test.example", "password": "x" * 20})
    end = time.monotonic() + 20
    while not world.ask("SELECT FROM audit_entries"):
        assert time.monotonic() < end
        time.sleep(0.05)
