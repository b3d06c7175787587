"""One key, one effect, one answer: however often it is sent, and whatever is lost on the way."""

import asyncio
import random
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from healthcare.adapters.postgres.scheduling import bookings
from healthcare.domain.kernel import Actor, SlotId, UserId
from healthcare.domain.scheduling.asks import Booking
from healthcare.domain.scheduling.model import MOST_HOLDS
from tests.figures import Figures
from tests.integration.clients import client_of
from tests.integration.proxy import proxy_to
from tests.integration.races.offices import wired
from tests.integration.world import Api, World, tomorrow_at

KEYS = 200
TIMES = 10
PATIENTS = 20


def book_now(api: Api, world: World, patient: UserId, slot: UUID, key: str) -> httpx.Response:
    """Send one booking and wait for the answer."""
    return world.send(api, patient, "POST /booking/slots/book", {"slot_id": str(slot)}, {"Idempotency-Key": key})


def hold_now(api: Api, world: World, patient: UserId, slot: UUID) -> httpx.Response:
    """Hold a slot."""
    return world.send(api, patient, f"POST /booking/slots/{slot}/hold")


async def book(client: httpx.AsyncClient, world: World, patient: UserId, slot: UUID, key: str) -> httpx.Response:
    """Send one booking."""
    return await client.post(
        "/booking/slots/book",
        json={"slot_id": str(slot)},
        headers=world.headers(patient) | {"Idempotency-Key": key},
    )


def test_a_key_that_is_sent_ten_times_at_once_has_one_effect_and_one_answer(world: World, figures: Figures) -> None:
    """200 keys of 20 patients, in random order, to two API processes."""
    patients = world.add_users("patient", PATIENTS)
    (doctor,) = world.add_doctors(1)
    slots = world.add_slots(doctor, [tomorrow_at(0) + place * timedelta(minutes=15) for place in range(KEYS)], 15)
    wishes = [(patients[place % PATIENTS], slot, f"key-{place}") for place, slot in enumerate(slots)]

    with world.apis(2) as apis:
        answers = asyncio.run(send_all(world, apis, wishes))
    figures.add("a key sent ten times at once", operations=KEYS * TIMES)

    for wish, responses in answers.items():
        assert [one.status_code for one in responses] == [201] * TIMES, (wish, [one.text for one in responses])
        assert len({one.content for one in responses}) == 1
        assert len({one.headers["location"] for one in responses}) == 1
        assert len({one.headers["x-request-id"] for one in responses}) == TIMES
    assert world.ask("SELECT count(*), count(DISTINCT slot_id) FROM appointments") == [(KEYS, KEYS)]
    assert world.ask("SELECT count(*), sum(replays) FROM idempotency_keys") == [(KEYS, KEYS * (TIMES - 1))]
    assert world.ask("SELECT count(*) FROM outbox WHERE kind = 'appointment.booked'") == [(KEYS,)]


async def send_all(
    world: World, apis: list[Api], wishes: list[tuple[UserId, UUID, str]]
) -> dict[tuple[UserId, UUID, str], list[httpx.Response]]:
    clients = [client_of(api) for api in apis]
    at_once = asyncio.Semaphore(40)

    async def send_one(number: int, wish: tuple[UserId, UUID, str]) -> httpx.Response:
        async with at_once:
            return await book(clients[number % len(clients)], world, *wish)

    sendings = [(number, wish) for wish in wishes for number in range(TIMES)]
    # Neighbours in this order run at once: blocks of wishes are mixed, so that most equal ones meet.
    blocks = [sendings[start : start + 40] for start in range(0, len(sendings), 40)]
    for block in blocks:
        random.Random(len(block)).shuffle(block)  # noqa: S311 - an order, not a secret
    sendings = [one for block in blocks for one in block]
    responses = await asyncio.gather(*[send_one(number, wish) for number, wish in sendings])
    for client in clients:
        await client.aclose()
    answers: dict[tuple[UserId, UUID, str], list[httpx.Response]] = {wish: [] for wish in wishes}
    for (_, wish), response in zip(sendings, responses, strict=True):
        answers[wish].append(response)
    return answers


def test_a_key_that_books_a_hold_ten_times_at_once_turns_it_into_one_appointment(
    world: World, figures: Figures
) -> None:
    """As many holds as 20 patients may have, held at one API process and booked at two."""
    patients = world.add_users("patient", PATIENTS)
    (doctor,) = world.add_doctors(1)
    number = PATIENTS * MOST_HOLDS
    slots = world.add_slots(doctor, [tomorrow_at(0) + place * timedelta(minutes=15) for place in range(number)], 15)
    wishes = [(patients[place % PATIENTS], slot, f"key-{place}") for place, slot in enumerate(slots)]

    with world.apis(2) as apis:
        holds = {slot: hold_now(apis[0], world, patient, slot).json() for patient, slot, _ in wishes}
        answers = asyncio.run(send_all(world, apis, wishes))
    figures.add("a key sent ten times at once", operations=number * TIMES)

    for wish, responses in answers.items():
        assert [one.status_code for one in responses] == [201] * TIMES, (wish, [one.text for one in responses])
        assert len({one.content for one in responses}) == 1
        booked = responses[0].json()
        assert (booked["id"], booked["status"], booked["version"]) == (holds[wish[1]]["id"], "booked", 2)
    assert world.ask("SELECT count(*), count(DISTINCT slot_id), max(version) FROM appointments") == [
        (number, number, 2)
    ]
    assert world.ask("SELECT count(*), sum(replays) FROM idempotency_keys") == [(number, number * (TIMES - 1))]
    assert world.ask("SELECT kind, count(*) FROM outbox GROUP BY kind ORDER BY kind") == [
        ("appointment.booked", number),
        ("slot.held", number),
    ]


def test_a_key_is_refused_for_another_slot_and_means_nothing_to_another_patient(world: World) -> None:
    """The same key of two patients is two keys."""
    anna, ben = world.add_users("patient", 2)
    (doctor,) = world.add_doctors(1)
    first, second, third = world.add_slots(doctor, [tomorrow_at(9), tomorrow_at(10), tomorrow_at(11)])

    with world.apis() as (api,):
        booked = book_now(api, world, anna, first, "the-key")
        other_body = book_now(api, world, anna, second, "the-key")
        other_patient = book_now(api, world, ben, first, "the-key")
        own = book_now(api, world, ben, third, "the-key")
        again = book_now(api, world, anna, first, "the-key")

    assert booked.status_code == 201
    assert (other_body.status_code, other_body.json()["code"]) == (422, "key-reused")
    assert (other_patient.status_code, other_patient.json()["code"]) == (409, "slot-taken")
    assert own.status_code == 201
    assert own.json()["patient"]["id"] == str(ben)
    assert (again.status_code, again.content) == (201, booked.content)
    assert world.ask("SELECT count(*) FROM appointments") == [(2,)]


def test_a_refusal_is_not_kept_and_the_key_can_be_used_once_the_way_is_free(world: World) -> None:
    """Only what happened is answered again."""
    anna, ben = world.add_users("patient", 2)
    (doctor,) = world.add_doctors(1)
    (slot,) = world.add_slots(doctor, [tomorrow_at(9)])

    async def story(api: Api) -> list[int]:
        async with client_of(api) as client:
            taken = await book(client, world, anna, slot, "a")
            refused = await book(client, world, ben, slot, "b")
            cancelled = await client.post(
                f"/booking/appointments/{taken.json()['id']}/cancel",
                json={"reason": "better"},
                headers=world.headers(anna),
            )
            tried_again = await book(client, world, ben, slot, "b")
            return [one.status_code for one in (taken, refused, cancelled, tried_again)]

    with world.apis() as (api,):
        assert asyncio.run(story(api)) == [201, 409, 200, 201]


def test_a_booking_whose_commit_is_not_answered_is_unknown_until_the_key_is_sent_again(world: World) -> None:
    """The line is cut between PostgreSQL's commit and the API: no refusal, no second booking, nothing lost."""
    (patient,) = world.add_users("patient", 1)
    (doctor,) = world.add_doctors(1)
    (slot,) = world.add_slots(doctor, [tomorrow_at(9)])
    key = str(uuid4())

    with proxy_to(str(world.postgres["host"]), int(world.postgres["port"])) as proxy:
        world.overrides = {"POSTGRES_PORT": str(proxy.port)}
        with world.apis() as (api,):
            proxy.commits_to_cut = 1
            lost = book_now(api, world, patient, slot, key)
            kept = world.ask("SELECT id::text FROM appointments")
            found = book_now(api, world, patient, slot, key)

    assert proxy.cut == 1
    assert (lost.status_code, lost.json()["code"]) == (503, "outcome-unknown")
    assert int(lost.headers["retry-after"]) >= 1
    assert found.status_code == 201
    assert kept == [(found.json()["id"],)]
    assert world.ask("SELECT count(*) FROM appointments") == [(1,)]


@pytest.mark.parametrize("held", [False, True], ids=["booked at once", "held first"])
def test_a_key_gets_its_first_answer_whatever_has_become_of_the_appointment_since(world: World, held: bool) -> None:
    """At either of two API processes; and nothing happens again."""
    with world.apis(2) as (here, elsewhere):
        for since in (
            "moved",
            "moved to another doctor",
            "cancelled",
            "cancelled for another",
            "cancelled with its day",
        ):
            patient, rival = world.add_users("patient", 2)
            doctor, other = world.add_doctors(2)
            slot, later = world.add_slots(doctor, [tomorrow_at(9), tomorrow_at(10)])
            (there,) = world.add_slots(other, [tomorrow_at(9)])
            if held:
                hold_now(here, world, patient, slot)
            booked = book_now(here, world, patient, slot, "the-key")
            appointment, seen = f"/booking/appointments/{booked.json()['id']}", {"If-Match": booked.headers["etag"]}
            match since:
                case "moved" | "moved to another doctor":
                    target = {"slot_id": str(later if since == "moved" else there)}
                    changed = world.send(elsewhere, patient, f"POST {appointment}/reschedule", target, seen)
                case "cancelled" | "cancelled for another":
                    changed = world.send(elsewhere, patient, f"POST {appointment}/cancel", {"reason": "better"})
                case _:
                    day = {"date": tomorrow_at(0).date().isoformat(), "reason": "ill"}
                    changed = world.send(elsewhere, doctor, "POST /booking/doctor/day/cancel", day)
            assert changed.status_code == 200, since
            if since == "cancelled for another":
                assert book_now(elsewhere, world, rival, slot, "the-key").status_code == 201
            before = everything(world)

            again = [book_now(api, world, patient, slot, "the-key") for api in (here, elsewhere)]
            stale = world.send(here, patient, f"POST {appointment}/reschedule", {"slot_id": str(later)}, seen)

            assert [(one.status_code, one.content) for one in again] == [(201, booked.content)] * 2, since
            assert [one.headers["etag"] for one in again] == [booked.headers["etag"]] * 2, since
            assert (stale.status_code, stale.json()["code"]) == (412, "version-stale"), since
            assert everything(world) == before, since


def everything(world: World) -> list[tuple[object, ...]]:
    """Return all appointments, and what was told of them."""
    return world.ask(
        "SELECT id, slot_id, status, version FROM appointments"
        " UNION ALL SELECT id, subject_id, kind, 0 FROM outbox ORDER BY id"
    )


def test_without_locks_and_constraints_one_key_has_several_effects(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guard that cannot fail guards nothing: the same key, sent at once, then books more than once."""
    with world.connect() as connection:
        connection.execute("DROP INDEX one_live_appointment_per_slot")
        connection.execute("ALTER TABLE appointments DROP CONSTRAINT patient_is_in_one_place")
        connection.execute("ALTER TABLE idempotency_keys DROP CONSTRAINT one_effect_per_key")
    monkeypatch.setattr(bookings, "LOCK", "SELECT %(slots)s::uuid[], %(patients)s::uuid[]")
    (patient,) = world.add_users("patient", 1)
    (doctor,) = world.add_doctors(1)
    slots = world.add_slots(doctor, [tomorrow_at(0) + place * timedelta(minutes=30) for place in range(40)])

    async def send_each_at_once() -> None:
        async with wired(world, TIMES) as processes:
            for slot in slots:
                booking = Booking(actor=Actor(patient, "race"), slot=SlotId(slot), key=str(slot))
                await asyncio.gather(*[one.book_appointment(booking) for one in processes], return_exceptions=True)

    asyncio.run(send_each_at_once())

    assert world.ask("SELECT count(*) > count(DISTINCT slot_id) FROM appointments") == [(True,)]
