"""The shapes that several routes share."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Generic, Self, TypeVar
from uuid import UUID

from msgspec import Meta, Struct

from healthcare.domain.kernel import LONGEST_TEXT, Doctor, Money, Patient
from healthcare.domain.scheduling.model import Slot

T = TypeVar("T")

Text = Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)]
TextOrNothing = Annotated[str, Meta(max_length=LONGEST_TEXT)]
Instant = Annotated[datetime, Meta(tz=True)]
"""Naive ones name no instant."""
Zone = Annotated[str, Meta(description="The name of an IANA time zone.", examples=["Europe/Vienna"])]


class Items(Struct, Generic[T], frozen=True):
    """A whole list."""

    items: list[T]


class DoctorBody(Struct, frozen=True):
    """A doctor, as other people see them."""

    id: UUID
    full_name: str
    specialty: str

    @classmethod
    def of(cls, doctor: Doctor) -> Self:
        """Write the doctor down."""
        return cls(doctor.id, doctor.full_name, doctor.specialty)


class PatientBody(Struct, frozen=True):
    """A patient, as their doctor sees them."""

    id: UUID
    full_name: str

    @classmethod
    def of(cls, patient: Patient) -> Self:
        """Write the patient down."""
        return cls(patient.id, patient.full_name)


class MoneyBody(Struct, frozen=True):
    """An amount in minor units of a currency: 4900 EUR are 49.00 euros."""

    amount: int
    currency: str

    @classmethod
    def of(cls, money: Money) -> Self:
        """Write the amount down."""
        return cls(money.amount, money.currency)


def in_utc(instant: datetime) -> datetime:
    """Return the instant as the domain knows it."""
    return instant


class SlotBody(Struct, frozen=True):
    """A bookable range of one doctor, and what it costs."""

    id: UUID
    doctor: DoctorBody
    start: Instant
    end: Instant
    fee: MoneyBody

    @classmethod
    def of(cls, slot: Slot, local: Callable[[datetime], datetime] = in_utc) -> Self:
        """Write the slot down, with the offset from UTC that `local` gives its times."""
        return cls(
            slot.id, DoctorBody.of(slot.doctor), local(slot.time.start), local(slot.time.end), MoneyBody.of(slot.fee)
        )
