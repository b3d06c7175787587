"""What a doctor says of themselves, so that patients can choose."""

import re
from dataclasses import dataclass

from healthcare.domain.kernel import Invalid, Money, UserId, check_text
from healthcare.domain.zones import check_zone

LONGEST_SPECIALTY = 64
SPECIALTY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MOST_LANGUAGES = 20
LANGUAGE = re.compile(
    r"[A-Za-z]{2,3}(-[A-Za-z]{3}){0,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?"
    r"(-([A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*(-[0-9A-WY-Za-wy-z](-[A-Za-z0-9]{2,8})+)*(-[xX](-[A-Za-z0-9]{1,8})+)?"
)
"""A language tag as RFC 5646 §2.1 writes it (BCP 47), without the registered irregular ones."""
LONGEST_LANGUAGE = 35
"""Characters; RFC 5646 §4.4.1."""
LONGEST_REGISTRATION = 64
MOST_NOTICE = 168
"""Hours; a week."""


def check_specialty(slug: str, path: str = "specialty") -> None:
    """Raise Invalid unless this is a lower-case slug, such as `general-practice`."""
    if len(slug) > LONGEST_SPECIALTY or not SPECIALTY.fullmatch(slug):
        raise Invalid.because(path, "slug", "must be lower-case words joined by hyphens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A doctor's own description."""

    doctor: UserId
    specialty: str
    languages: tuple[str, ...]
    fee: Money
    time_zone: str
    registration_number: str
    notice_hours: int = 0
    """How long before an appointment patients are asked to cancel at the latest."""

    def __post_init__(self) -> None:
        """Raise Invalid where a value is none."""
        check_specialty(self.specialty)
        if not 1 <= len(self.languages) <= MOST_LANGUAGES:
            raise Invalid.because("languages", "length", f"must be 1 to {MOST_LANGUAGES} languages")
        for place, tag in enumerate(self.languages):
            if len(tag) > LONGEST_LANGUAGE or not LANGUAGE.fullmatch(tag):
                raise Invalid.because(("languages", place), "language", "is not a BCP 47 language tag")
        check_zone(self.time_zone, "time_zone")
        check_text(self.registration_number, "registration_number", most=LONGEST_REGISTRATION)
        if not 0 <= self.notice_hours <= MOST_NOTICE:
            raise Invalid.because("notice_hours", "range", f"must be 0 to {MOST_NOTICE} hours")
