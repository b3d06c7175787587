"""People on their way through the system: in every right way, in many wrong ones, and while servers fail."""

import asyncio
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from random import Random
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

import httpx

from tests.examples import examples
from tests.integration.canaries import sinks
from tests.integration.canaries.canaries import Canary, of_token
from tests.integration.canaries.misuse import WAYS, Stage, prescription
from tests.integration.world import World, tomorrow_at

AT_ONCE: Final = 8
"""Fewer than may wait for a password to be hashed."""
WAYS_OF_EACH: Final = 3
"""For each canary, drawn anew in each run; all in `make test-long`."""
PRESCRIBED: Final = 30
GIVEN_UP: Final = 35
"""The first appointments lead to a prescription. The next ones are moved and then cancelled by their patients, with a
reason. With the others, the doctor gives a whole day up for a reason, for each another day."""
MOST_SECONDS: Final = 15

Headers = dict[str, str]
T = TypeVar("T")


@dataclass(slots=True)
class Person:
    """A patient."""

    name: Canary
    email: Canary
    password: Canary
    token: Canary = field(init=False)
    """The one that the API issues."""
    id: UUID = field(init=False)

    @property
    def headers(self) -> Headers:
        """Signs their requests."""
        return {"Authorization": f"Bearer {self.token.value}"}

    @property
    def credentials(self) -> dict[str, str]:
        """Signs them in."""
        return {"email": self.email.value, "password": self.password.value}


@dataclass(slots=True)
class Show:
    """Everybody, and what goes wrong in the servers meanwhile."""

    world: World
    client: httpx.AsyncClient
    people: Sequence[Person]
    care: Sequence[Canary]
    """What is prescribed to each, or why they or their doctor cancel."""
    spare: list[UUID] = field(default_factory=list)
    """Slots for those who move."""
    seen: dict[str, bytes] = field(default_factory=dict)
    """What PostgreSQL told of its sessions in the middle of something."""

    @property
    def canaries(self) -> list[Canary]:
        """Everything that is watched, once everybody has signed in."""
        return [
            *[one.name for one in self.people],
            *[one.email for one in self.people],
            *[one.password for one in self.people],
            *self.care,
            *[one.token for one in self.people],
        ]

    async def go_right(self) -> Stage:
        """Serve everybody; leave behind a slot, an appointment and a consultation that are still open."""
        world, (first, second, *_) = self.world, self.people
        doctor, other_doctor = world.add_doctors(2)
        (stranger,) = world.add_users("patient", 1)
        signed = world.headers(doctor)
        starts = [tomorrow_at(0, 20 * place) for place in range(GIVEN_UP + 3)]
        days = [tomorrow_at(24 * place) for place in range(1, len(self.people) - GIVEN_UP + 2)]
        consulted, booked, free, *slots = world.add_slots(doctor, starts, 20)
        *given_up, last_day = world.add_slots(doctor, days, 20)
        (there,) = world.add_slots(doctor, [datetime.now(UTC) + timedelta(minutes=10)], 20)
        self.spare = world.add_slots(
            doctor, [tomorrow_at(18, 20 * place) for place in range(GIVEN_UP - PRESCRIBED)], 20
        )
        await at_once([self.sign_in(person) for person in self.people])
        await at_once([self.serve(*one, signed) for one in zip(self.people, self.care, slots + given_up, strict=True)])
        await self.book(second, last_day)
        await self.be_there(first, there, signed)
        search = f"/booking/slots/search?specialty=cardiology&date={starts[0]:%Y-%m-%d}"
        await self.ask(200, "GET", search, {})
        return Stage(
            signed=signed,
            stranger=world.headers(stranger),
            doctor=world.headers(other_doctor),
            free=free,
            taken=booked,
            appointment=await self.book(first, booked),
            consultation=await self.consult(await self.book(first, consulted), signed),
            search=search,
            day=f"{days[-1]:%Y-%m-%d}",
        )

    async def serve(self, person: Person, text: Canary, slot: UUID, doctor: Headers) -> None:
        """Book; then prescribe something that both read, or cancel for a reason that both read."""
        appointment = await self.book(person, slot)
        if text.number >= PRESCRIBED:
            await self.cancel(person, text, appointment, doctor)
            return
        path = f"/consultation/{await self.consult(appointment, doctor)}/prescription"
        await self.ask(201, "POST", path, doctor, **prescription(text.value))
        for reader in (person.headers, doctor):
            assert (await self.ask(200, "GET", path, reader))["items"][0]["medicine"] == text.value

    async def cancel(self, person: Person, text: Canary, appointment: UUID, doctor: Headers) -> None:
        """Let a patient cancel, who has moved before, or a doctor the whole day."""
        path = f"/booking/appointments/{appointment}"
        found = await self.ask(200, "GET", path, person.headers)
        if text.number < GIVEN_UP:
            seen = person.headers | {"If-Match": f'"{found["version"]}"'}
            await self.ask(200, "POST", f"{path}/reschedule", seen, slot_id=str(self.spare.pop()))
            await self.ask(200, "POST", f"{path}/cancel", person.headers, reason=text.value, reason_code="pat-dec")
        else:
            day = {"date": found["start"][:10], "reason": text.value}
            items = (await self.ask(200, "POST", "/booking/doctor/day/cancel", doctor, **day))["items"]
            assert items == [{"appointment_id": str(appointment), "outcome": "cancelled"}]
        for reader in (person.headers, doctor):
            assert (await self.ask(200, "GET", path, reader))["cancellation"]["reason"] == text.value

    async def be_there(self, person: Person, slot: UUID, doctor: Headers) -> None:
        """Check in, which was a mistake."""
        path = f"/booking/appointments/{await self.book(person, slot)}"
        for what, who in {"check-in": person.headers, "undo": doctor}.items():
            await self.ask(200, "POST", f"{path}/{what}", who)

    async def go_wrong(self, stage: Stage, random: Random) -> None:
        """Put each canary where it does not belong; every way gets some of every kind."""
        ways, each = cycle(WAYS.values()), min(examples(WAYS_OF_EACH), len(WAYS))
        drawn = random.sample(self.canaries, len(self.canaries))
        sendings = [way(canary, stage) for canary in drawn for way in islice(ways, each)]
        answers = await at_once([one.send(self.client) for one in sendings])
        assert [answer.text for answer in answers if answer.status_code >= 500] == []

    async def meet_failures(self, stage: Stage) -> None:
        """Be refused by PostgreSQL itself, and be cut off by it, in the middle of something."""
        one, two, three, four, five, *_ = self.people
        order, reason = prescription(self.care[0].value), {"reason": self.care[1].value}
        day = {"date": stage.day, "reason": self.care[2].value}
        key = five.headers | {"Idempotency-Key": "refused"}
        answers = [
            await self.collide(one, "unique.", then="COMMIT"),
            await self.collide(two, "cut.", then="SELECT pg_terminate_backend({waiting})"),
            await self.collide(three, "late."),
        ]
        with self.refusing("users", "prescriptions", "appointments"):
            answers += [
                await self.register(four, "refused."),
                await self.client.post(
                    f"/consultation/{stage.consultation}/prescription", json=order, headers=stage.signed
                ),
                await self.client.post(
                    f"/booking/appointments/{stage.appointment}/cancel", json=reason, headers=one.headers
                ),
                await self.client.post("/booking/slots/book", json={"slot_id": str(stage.free)}, headers=key),
                await self.client.post(f"/booking/slots/{stage.free}/hold", headers=five.headers),
                await self.client.post("/booking/doctor/day/cancel", json=day, headers=stage.signed),
            ]
        assert [one.json()["code"] for one in answers] == [
            *("email-taken", "unavailable", "busy"),
            *("internal", "internal", "internal", "internal", "internal", "internal"),
        ]

    async def be_recorded(self) -> None:
        """Wait until a worker has recorded all events, and then has found one that it cannot record."""
        await eventually(self.world, "SELECT WHERE NOT EXISTS (SELECT FROM outbox)")
        with self.poison():
            await self.ask(200, "POST", "/auth/login", {}, **self.people[0].credentials)
            # Its next failure shall be the last one.
            await eventually(self.world, "WITH hurried AS (UPDATE outbox SET tries = 4) SELECT FROM dead_letters")

    async def ask(self, status: int, method: str, path: str, headers: Headers, **body: object) -> Any:  # noqa: ANN401 - JSON is anything
        """Ask for something that is in order."""
        response = await self.client.request(method, path, headers=headers, json=body or None)
        assert response.status_code == status, response.text
        return response.json()

    async def sign_in(self, person: Person) -> None:
        """Register one person; some mistake their password once."""
        registered = await self.register(person)
        assert registered.status_code == 201, registered.text
        if not person.name.number % 4:
            wrong = person.credentials | {"password": f"{person.password.value}?"}
            await self.ask(401, "POST", "/auth/login", {}, **wrong)
        signed = await self.ask(200, "POST", "/auth/login", {}, **person.credentials)
        person.id, person.token = UUID(registered.json()["id"]), of_token(person.name.number, signed["access_token"])
        assert (await self.ask(200, "GET", "/auth/me", person.headers))["full_name"] == person.name.value

    async def register(self, person: Person, prefix: str = "") -> httpx.Response:
        """Register a person, perhaps once more with another address."""
        email = prefix + person.email.value
        body = person.credentials | {"email": email, "full_name": person.name.value, "time_zone": "UTC"}
        return await self.client.post("/auth/register", json=body)

    async def book(self, person: Person, slot: UUID) -> UUID:
        """Book a slot, and ask again with the same key; some hold it first."""
        if person.name.number % 2:
            await self.ask(201, "POST", f"/booking/slots/{slot}/hold", person.headers)
        headers = person.headers | {"Idempotency-Key": uuid4().hex}
        first, again = [await self.ask(201, "POST", "/booking/slots/book", headers, slot_id=str(slot)) for _ in "12"]
        assert first == again
        await self.ask(200, "GET", "/booking/appointments", person.headers)
        return UUID(first["id"])

    async def consult(self, appointment: UUID, doctor: Headers) -> UUID:
        """Start the consultation."""
        started = await self.ask(201, "POST", "/consultation/start", doctor, appointment_id=str(appointment))
        return UUID(started["id"])

    async def collide(self, person: Person, prefix: str, *, then: str = "") -> httpx.Response:
        """Register an address that somebody adds at this moment without queueing; then do something to either.

        Where nothing is done, the lock is not had in time, and there is time to look at the sessions.
        """
        with self.world.connect() as other:
            other.execute("BEGIN")
            other.execute(
                """
                INSERT INTO users
                SELECT gen_random_uuid(), email, %s || email_key, full_name, role, time_zone, password_hash
                  FROM users WHERE id = %s
                """,
                [prefix, person.id],
            )
            asking = asyncio.create_task(self.register(person, prefix))
            ((waiting,),) = await eventually(
                self.world,
                "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT INTO users%'",
            )
            if then:
                other.execute(then.format(waiting=waiting).encode())
            else:
                self.seen = {f"{name}, meanwhile": text for name, text in sinks.statistics(self.world).items()}
            return await asking

    @contextmanager
    def refusing(self, *tables: str) -> Iterator[None]:
        """Let PostgreSQL refuse whatever is written to some tables: of such a row it quotes every column."""
        with self.world.connect() as connection:
            for table in tables:
                connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT not_now CHECK (false) NOT VALID".encode())
            yield
            for table in tables:
                connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT not_now".encode())

    @contextmanager
    def poison(self) -> Iterator[None]:
        """Let PostgreSQL refuse audit entries, and quote everybody in its reason."""
        with self.world.connect() as connection:
            connection.execute(
                """
                CREATE FUNCTION quote_people() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    RAISE EXCEPTION 'not this one'
                      USING DETAIL = (SELECT string_agg(format('%s <%s>', full_name, email), ', ') FROM users);
                END $$
                """
            )
            connection.execute(
                "CREATE TRIGGER poison BEFORE INSERT ON audit_entries FOR EACH ROW EXECUTE FUNCTION quote_people()"
            )
            yield
            connection.execute("DROP FUNCTION quote_people() CASCADE")


async def at_once(asked: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Do all, a few at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def do(one: Coroutine[Any, Any, T]) -> T:
        async with places:
            return await one

    return await asyncio.gather(*map(do, asked))


async def eventually(world: World, query: str) -> list[tuple[object, ...]]:
    """Wait until a query finds something."""
    end = time.monotonic() + MOST_SECONDS
    with world.connect() as connection:
        while not (rows := connection.execute(query.encode()).fetchall()):
            assert time.monotonic() < end, query
            await asyncio.sleep(0.01)
    return rows
