"""Small scenes of a few people and slots in PostgreSQL: what may stand there, what can be asked, and how they end."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID, uuid4

from healthcare.application.consultation.start import Started
from healthcare.domain.kernel import AccessRefused, Actor, AppointmentId, Conflict, NotFound, SlotId, UserId
from healthcare.domain.scheduling.asks import Booking
from healthcare.domain.scheduling.model import HELD_FOR, Appointment, TimeRange
from healthcare.domain.scheduling.publication import Publication
from tests.builders import MINUTE
from tests.clinic import Clinic
from tests.integration.races.orders import Watcher


class Who(StrEnum):
    """Everybody in a scene."""

    ANNA = "Anna, a patient"
    BEN = "Ben, a patient"
    DOCTOR = "the doctor"
    COLLEAGUE = "another doctor"


class Place(StrEnum):
    """Where slots are. All start so soon that one can check in."""

    HERE = "here"
    THERE = "there"
    """At the same doctor's, later."""
    ACROSS = "across"
    """At the colleague's, in part at the same time as `here`."""
    NOWHERE = "nowhere"
    """A time at which the doctor offers nothing."""


ANNA, BEN, DOCTOR, COLLEAGUE = Who
HERE, THERE, ACROSS, NOWHERE = Place

STARTS: Final = {HERE: 3 * MINUTE, THERE: 8 * MINUTE, ACROSS: 5 * MINUTE, NOWHERE: 13 * MINUTE}
"""After the next whole minute. Each lasts five."""

KEPT: Final = """
    SELECT 'appointment', id, patient_id, slot_id,
           concat_ws(', ', status, 'version ' || version, cancellation_reason, cancellation_code,
                     CASE WHEN extended THEN 'extended' END)
      FROM appointments WHERE patient_id = ANY(%(people)s)
     UNION ALL
    SELECT 'slot', NULL, doctor_id, id, CASE WHEN withdrawn_at IS NULL THEN 'offered' ELSE 'withdrawn' END
      FROM slots WHERE doctor_id = ANY(%(people)s)
     UNION ALL
    SELECT 'consultation', appointment_id, a.patient_id, a.slot_id, c.status
      FROM consultations c JOIN appointments a ON a.id = appointment_id WHERE a.patient_id = ANY(%(people)s)
     UNION ALL
    SELECT 'receipt', NULL, user_id, NULL, action FROM idempotency_keys WHERE user_id = ANY(%(people)s)
     UNION ALL
    SELECT 'event', NULL, actor_id, NULL, kind FROM outbox WHERE request_id = %(request)s
"""
"""All that came of a scene, one thing a row: what, which, whose, where, how."""

FAILED: Final = "failed:"
"""Begins what is neither an answer nor a refusal that one may get in a scene."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An appointment that stands from the beginning."""

    who: Who
    place: Place
    status: str = "booked"
    held_for: timedelta | None = None


def booked(who: Who, place: Place = HERE) -> Claim:
    """Let somebody have an appointment."""
    return Claim(who, place)


def checked_in(who: Who, place: Place = HERE) -> Claim:
    """Let somebody be there."""
    return Claim(who, place, "checked-in")


def held(who: Who, place: Place = HERE) -> Claim:
    """Let somebody hold a slot."""
    return Claim(who, place, "pending", HELD_FOR)


def run_out(who: Who, place: Place = HERE) -> Claim:
    """Let there be a hold whose time is over, and upon which nobody has come yet."""
    return Claim(who, place, "pending", -MINUTE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a scene ended, by the names of people and places, so that one can be compared with another."""

    answers: tuple[str, ...]
    kept: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene whose people and slots are in no other."""

    clinic: Clinic
    request: str
    """In which everything happens, so that its events can be told from others."""
    people: dict[Who, UserId]
    times: dict[Place, TimeRange]
    slots: dict[Place, SlotId]
    claims: dict[Place, AppointmentId]
    """By where they stood in the beginning."""

    @classmethod
    async def set(cls, clinic: Clinic, connection: Watcher, claims: Collection[Claim]) -> "Scene":
        """Put everything into the tables."""
        now = datetime.now(UTC)
        clinic.clock.set(now)
        soon = now.replace(second=0, microsecond=0) + MINUTE
        scene = cls(
            clinic,
            str(uuid4()),
            people={who: UserId(uuid4()) for who in Who},
            times={place: TimeRange(soon + start, soon + start + 5 * MINUTE) for place, start in STARTS.items()},
            slots={place: SlotId(uuid4()) for place in (HERE, THERE, ACROSS)},
            claims={claim.place: AppointmentId(uuid4()) for claim in claims},
        )
        doctors = {HERE: scene.people[DOCTOR], THERE: scene.people[DOCTOR], ACROSS: scene.people[COLLEAGUE]}
        async with connection.transaction(), connection.cursor() as cursor:
            await cursor.executemany(
                "INSERT INTO users (id, email, email_key, full_name, role, time_zone, password_hash)"
                " VALUES (%(id)s, %(email)s, %(email)s, %(who)s, %(role)s, 'UTC', '!')",
                [
                    {
                        "id": id,
                        "email": f"{id}@test.example",
                        "who": who,
                        "role": "patient" if who in {ANNA, BEN} else "doctor",
                    }
                    for who, id in scene.people.items()
                ],
            )
            await cursor.executemany(
                "INSERT INTO doctor_profiles VALUES (%s, 'cardiology', '{en}', 4900, 'EUR', 'UTC', '1')",
                [[scene.people[who]] for who in (DOCTOR, COLLEAGUE)],
            )
            await cursor.executemany(
                "INSERT INTO slots (id, doctor_id, specialty, starts_at, ends_at)"
                " VALUES (%s, %s, 'cardiology', %s, %s)",
                [
                    [id, doctors[place], scene.times[place].start, scene.times[place].end]
                    for place, id in scene.slots.items()
                ],
            )
            await cursor.executemany(
                "INSERT INTO appointments (id, slot_id, doctor_id, patient_id, starts_at, ends_at,"
                " fee_amount, fee_currency, status, version, expires_at)"
                " SELECT %s, id, doctor_id, %s, starts_at, ends_at, 4900, 'EUR', %s, 1, clock_timestamp() + %s"
                " FROM slots WHERE id = %s",
                [
                    [scene.claims[one.place], scene.people[one.who], one.status, one.held_for, scene.slots[one.place]]
                    for one in claims
                ],
            )
        return scene

    def by(self, who: Who) -> Actor:
        """Let somebody ask."""
        return Actor(self.people[who], self.request)

    async def outcome(self, answers: Sequence[object], connection: Watcher) -> Outcome:
        """Write down what was told, and what is kept."""
        cursor = await connection.execute(KEPT, {"people": list(self.people.values()), "request": self.request})
        kept = [tuple(self._name(value) for value in row) for row in await cursor.fetchall()]
        return Outcome(tuple(self._told(one) for one in answers), tuple(sorted(kept)))

    def _told(self, answer: object) -> str:
        match answer:
            case Conflict() | NotFound() if not isinstance(answer, AccessRefused):
                return answer.code
            case Appointment():
                return f"{answer.status} {self._name(answer.slot)}, version {answer.version}"
            case Started():
                return "started" if answer.new else "started before"
            case BaseException():
                return f"{FAILED} {answer!r}"
        return "done"

    def _name(self, value: object) -> str:
        if not isinstance(value, UUID):
            return str(value)
        names: dict[UUID, str] = {
            **{id: who for who, id in self.people.items()},
            **{id: place for place, id in self.slots.items()},
            **{id: f"from {place}" for place, id in self.claims.items()},
        }
        return names.get(value, "new")


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody asks in a scene."""

    kind: str
    ask: Callable[[Scene], Awaitable[object]]


def publish(place: Place = HERE) -> Command:
    """Let the doctor offer the time of a slot once more, or a new one."""

    def ask(scene: Scene) -> Awaitable[object]:
        publication = Publication(scene.times[place], 5)
        return scene.clinic.can.publish_slots(actor=scene.by(DOCTOR), publication=publication)

    return Command("publish", ask)


def take_back(place: Place = HERE) -> Command:
    return Command(
        "take back", lambda scene: scene.clinic.can.take_slot_back(actor=scene.by(DOCTOR), slot=scene.slots[place])
    )


def book(who: Who, place: Place = HERE, *, kind: str = "book") -> Command:
    def ask(scene: Scene) -> Awaitable[object]:
        booking = Booking(actor=scene.by(who), slot=scene.slots[place], key=str(uuid4()))
        return scene.clinic.can.book_appointment(booking)

    return Command(kind, ask)


def book_hold(who: Who, place: Place = HERE) -> Command:
    """Let somebody book what they hold."""
    return book(who, place, kind="book a hold")


def expire(who: Who, place: Place = HERE) -> Command:
    """Let somebody come upon a hold that has run out: they book its slot, or had it themselves."""
    return book(who, place, kind="expire")


def hold(who: Who, place: Place = HERE) -> Command:
    return Command("hold", lambda scene: scene.clinic.can.hold_slot(actor=scene.by(who), slot=scene.slots[place]))


def release(who: Who, place: Place = HERE) -> Command:
    return Command("release", lambda scene: scene.clinic.can.release_hold(actor=scene.by(who), slot=scene.slots[place]))


def cancel(who: Who, place: Place = HERE) -> Command:
    return Command(
        "cancel",
        lambda scene: scene.clinic.can.cancel_appointment(
            actor=scene.by(who), appointment=scene.claims[place], reason="no"
        ),
    )


def reschedule(who: Who, place: Place, to: Place) -> Command:
    return Command(
        "reschedule",
        lambda scene: scene.clinic.can.reschedule_appointment(
            actor=scene.by(who), appointment=scene.claims[place], slot=scene.slots[to]
        ),
    )


def check_in(who: Who, place: Place = HERE) -> Command:
    return Command(
        "check-in", lambda scene: scene.clinic.can.check_in(actor=scene.by(who), appointment=scene.claims[place])
    )


def start(place: Place = HERE) -> Command:
    return Command(
        "start",
        lambda scene: scene.clinic.can.start_consultation(actor=scene.by(DOCTOR), appointment=scene.claims[place]),
    )


def undo(place: Place = HERE) -> Command:
    return Command(
        "undo", lambda scene: scene.clinic.can.undo_status(actor=scene.by(DOCTOR), appointment=scene.claims[place])
    )
