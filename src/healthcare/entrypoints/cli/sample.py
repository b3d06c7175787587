"""Sample data for the demo: made by the use cases, as a real clinic's would be."""

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from healthcare.adapters.system import new_password
from healthcare.application.use_cases import UseCases
from healthcare.domain.directory.model import Profile
from healthcare.domain.identity.model import Email
from healthcare.domain.kernel import Actor, Clock, Money, Role, UserId
from healthcare.domain.scheduling.model import TimeRange
from healthcare.domain.scheduling.publication import Publication

DOCTORS: Final = 60
DAYS_AHEAD: Final = 14
SLOT_MINUTES: Final = 30
OPENS: Final = time(9)
CLOSES: Final = time(17)
"""By the clocks of the doctor's own zone."""

SPECIALTIES: Final = (
    "cardiology",
    "dermatology",
    "general-practice",
    "pediatrics",
    "psychiatry",
    "neurology",
    "endocrinology",
    "gynecology",
    "orthopedics",
    "rheumatology",
)
PRACTICES: Final = (
    ("Europe/Berlin", "EUR", ("de", "en")),
    ("America/New_York", "USD", ("en", "es")),
    ("Asia/Kolkata", "INR", ("hi", "en")),
    ("Europe/London", "GBP", ("en",)),
    ("Africa/Nairobi", "KES", ("sw", "en")),
    ("Asia/Tokyo", "JPY", ("ja",)),
    ("America/Sao_Paulo", "BRL", ("pt-BR",)),
)
FIRST_NAMES: Final = ("Amara", "Bruno", "Chiara", "Dev", "Elif", "Farid", "Greta", "Hiro", "Ines", "Jonas", "Kavya")
LAST_NAMES: Final = ("Okafor", "Silva", "Rossi", "Sharma", "Yilmaz", "Haddad", "Lindqvist", "Tanaka", "Moreau")


@dataclass(frozen=True, slots=True)
class SignIn:
    """What somebody needs to sign in."""

    email: str
    password: str


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody whom an earlier start has made, perhaps without finishing."""

    id: UserId
    has_profile: bool


Progress = AsyncIterator[tuple[str, int, int]]
"""What is being made, how many of it are done, and of how many."""


def new_sign_ins() -> dict[str, SignIn]:
    """Make up how the admin, the patient and the first doctor sign in."""
    return {role: SignIn(f"{role}@demo.example", new_password()) for role in Role}


def as_user(user: UserId) -> Actor:
    """Act as this user."""
    return Actor(user, "demo")


async def make_people(
    use_cases: UseCases, operator: Actor, sign_ins: Mapping[str, SignIn], known: Mapping[str, Known]
) -> Progress:
    """Make those who are missing: an admin, a patient, and the doctors with their profiles."""
    admin, patient, doctor = (sign_ins[role] for role in (Role.ADMIN, Role.PATIENT, Role.DOCTOR))
    if admin.email in known:
        head = known[admin.email].id
    else:
        made = await use_cases.create_admin(
            actor=operator, email=Email(admin.email), password=admin.password, full_name="Ada Admin", time_zone="UTC"
        )
        head = made.id
    if patient.email not in known:
        await register(use_cases, patient, "Pat Patient", "Europe/Berlin")
    names = [f"Dr {first} {last}" for last in LAST_NAMES for first in FIRST_NAMES]
    for number in range(DOCTORS):
        sign_in = SignIn(f"doctor{number}@demo.example", new_password()) if number else doctor
        zone, currency, languages = PRACTICES[number % len(PRACTICES)]
        before = known.get(sign_in.email)
        if before is None or not before.has_profile:
            user = before.id if before else await register(use_cases, sign_in, names[number], zone)
            await use_cases.change_role(actor=as_user(head), user=user, role=Role.DOCTOR)
            profile = Profile(
                doctor=user,
                specialty=SPECIALTIES[number % len(SPECIALTIES)],
                languages=languages,
                fee=Money(3000 + 500 * (number % 9), currency),
                time_zone=zone,
                registration_number=f"DEMO-{number:04}",
            )
            await use_cases.keep_profile(actor=as_user(user), profile=profile)
        yield "doctors", number + 1, DOCTORS


async def register(use_cases: UseCases, sign_in: SignIn, full_name: str, time_zone: str) -> UserId:
    """Register somebody."""
    user = await use_cases.register_patient(
        actor=Actor(None, "demo"),
        email=Email(sign_in.email),
        password=sign_in.password,
        full_name=full_name,
        time_zone=time_zone,
    )
    return user.id


async def publish(
    use_cases: UseCases, clock: Clock, offered: Mapping[tuple[UserId, str], Collection[datetime]]
) -> Progress:
    """Let the doctors offer the next 14 days; on days on which they already offer something they add nothing.

    `offered` holds the starts of the slots by doctor and the doctor's time zone.
    """
    missing = []
    for (doctor, zone_name), starts in offered.items():
        zone = ZoneInfo(zone_name)
        now = clock.now().astimezone(zone)
        taken = {start.astimezone(zone).date() for start in starts}
        for ahead in range(DAYS_AHEAD + 1):
            day = now.date() + timedelta(days=ahead)
            if day not in taken and (hours := working_time(day, zone, now)):
                missing.append((doctor, hours))
    for number, (doctor, hours) in enumerate(missing):
        await use_cases.publish_slots(actor=as_user(doctor), publication=Publication(hours, SLOT_MINUTES))
        yield "working days", number + 1, len(missing)


def working_time(day: date, zone: ZoneInfo, now: datetime) -> TimeRange | None:
    """Return the day's working time; of today, what is left of it from the next half hour on."""
    start, end = datetime.combine(day, OPENS, zone), datetime.combine(day, CLOSES, zone)
    if day == now.date():
        half_hours = (now - datetime.combine(day, time(), zone)) // timedelta(minutes=SLOT_MINUTES) + 1
        start = max(start, datetime.combine(day, time(), zone) + half_hours * timedelta(minutes=SLOT_MINUTES))
    return TimeRange(start, end) if start < end else None
