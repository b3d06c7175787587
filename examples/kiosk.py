"""A kiosk in a clinic's hall: somebody signs in at its terminal and books. A second driver, which knows no HTTP.

python examples/kiosk.py            on PostgreSQL, with the settings of the API
python examples/kiosk.py --memory   on sample data that are gone afterwards
"""

import asyncio
import sys
from collections.abc import Sequence
from datetime import date
from getpass import getpass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4
from zoneinfo import ZoneInfo

from healthcare.adapters.security.keys import create_key
from healthcare.application.uow import OutcomeUnknown, Unavailable
from healthcare.application.use_cases import UseCases
from healthcare.domain.identity.model import Email
from healthcare.domain.kernel import Actor, Clock, Refusal, Role
from healthcare.domain.scheduling.asks import Booking
from healthcare.domain.scheduling.search import Search
from healthcare.entrypoints.cli import sample
from healthcare.entrypoints.cli.operate import OPERATOR
from healthcare.entrypoints.container import Container, opened
from healthcare.entrypoints.settings import Settings, read


async def visit(use_cases: UseCases) -> str:
    """Let one person sign in and book. Each use case asks the policy table itself: nothing here decides who may."""
    email, password = Email(input("E-mail: ")), getpass() if sys.stdin.isatty() else input("Password: ")
    user = (await use_cases.log_in(actor=Actor(None, "kiosk"), email=email, password=password)).user
    actor, zone = Actor(user.id, f"kiosk-{uuid4()}"), ZoneInfo(user.time_zone)
    specialties = await use_cases.list_specialties(actor=actor)
    specialty = specialties[choose("Specialty", specialties)]
    search = Search(specialty, date.fromisoformat(input("Day (YYYY-MM-DD): ")), user.time_zone)
    free = (await use_cases.search_slots(actor=actor, search=search)).items
    slot = free[choose("Time", [f"{one.time.start.astimezone(zone):%H:%M}  {one.doctor.full_name}" for one in free])]
    booking = Booking(actor=actor, slot=slot.id, key=str(uuid4()))
    try:
        booked = await use_cases.book_appointment(booking)
    except OutcomeUnknown:  # the answer was lost: the same key asks what became of it
        booked = await use_cases.book_appointment(booking)
    return f"Booked: {booked.time.start.astimezone(zone):%Y-%m-%d %H:%M} with {booked.doctor.full_name}"


def choose(what: str, offered: Sequence[str]) -> int:
    """Return the place of what somebody chooses by its number."""
    print(*(f"{number:4}  {one}" for number, one in enumerate(offered, 1)), sep="\n")
    return range(1, len(offered) + 1).index(int(input(f"{what}, by number: ")))


async def furnish(use_cases: UseCases, clock: Clock) -> None:
    """Make sample people, one of whom offers time, and say how the patient signs in."""
    people = sample.new_sign_ins()
    [_ async for _ in sample.make_people(use_cases, OPERATOR, people, {})]
    patient, first = people[Role.PATIENT], people[Role.DOCTOR]
    doctor = (await use_cases.log_in(actor=OPERATOR, email=Email(first.email), password=first.password)).user
    [_ async for _ in sample.publish(use_cases, clock, {(doctor.id, doctor.time_zone): ()})]
    print(f"{patient.email} signs in with {patient.password}; in cardiology somebody is free")


async def main(*, memory: bool, folder: Path) -> str:
    """Serve one visitor, and return the farewell."""
    if memory:
        create_key(folder / "key.pem")
    nobody = Settings(postgres_user="", postgres_password="", postgres_db="", signing_key_file=folder / "key.pem")
    container = Container(settings=nobody, backend="memory") if memory else Container(settings=read())
    async with opened(container) as use_cases:
        if memory:
            await furnish(use_cases, container.clock())
        try:
            return await visit(use_cases)
        except (Refusal, Unavailable, OutcomeUnknown, ValueError) as reason:
            return f"Not booked: {reason}"


with TemporaryDirectory() as folder:
    print(asyncio.run(main(memory="--memory" in sys.argv, folder=Path(folder))))
