"""What people ask of slots and appointments."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar

from healthcare.domain.kernel import Actor, AppointmentId, Invalid, SlotId, check_text
from healthcare.domain.policy import Action
from healthcare.domain.scheduling.cancellation import ReasonCode

KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Something that is asked of a slot, of an appointment, or of both."""

    action: ClassVar[Action]

    actor: Actor
    slot: SlotId | None = None
    appointment: AppointmentId | None = None
    key: str | None = None
    """The same key again asks for the same answer again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding(Ask):
    """A patient wants a slot kept for them for a while; the holder wants it for longer."""

    action: ClassVar = Action.HOLD_SLOT

    slot: SlotId


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(Ask):
    """A patient gives a held slot back."""

    action: ClassVar = Action.RELEASE_HOLD

    slot: SlotId


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking(Ask):
    """A patient wants a slot, which they may hold already."""

    action: ClassVar = Action.BOOK_APPOINTMENT

    slot: SlotId
    key: str

    def __post_init__(self) -> None:
        """Raise Invalid unless the key is 1 to 255 visible ASCII characters."""
        if not KEY.fullmatch(self.key):
            raise Invalid.because("Idempotency-Key", "key", "must be 1 to 255 visible ASCII characters")

    @property
    def fingerprint(self) -> bytes:
        """What is equal for commands that ask for the same."""
        return sha256(self.slot.bytes).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescheduling(Ask):
    """A patient wants another slot in place of the one they have."""

    action: ClassVar = Action.RESCHEDULE_APPOINTMENT

    appointment: AppointmentId
    slot: SlotId
    versions: Collection[int] | None = None
    """Of the appointment as the caller may have seen it; None: whichever it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelling(Ask):
    """Somebody gives an appointment up."""

    action: ClassVar = Action.CANCEL_APPOINTMENT

    appointment: AppointmentId
    reason: str
    code: ReasonCode | None = None
    only_on: SlotId | None = None
    """The slot on which it must still stand."""

    def __post_init__(self) -> None:
        """Raise Invalid unless the reason says something."""
        check_text(self.reason, "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckingIn(Ask):
    """A patient is there."""

    action: ClassVar = Action.CHECK_IN

    appointment: AppointmentId


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing(Ask):
    """Nobody came."""

    action: ClassVar = Action.MARK_NO_SHOWS

    appointment: AppointmentId


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoing(Ask):
    """A doctor says that a check-in or a no-show was a mistake."""

    action: ClassVar = Action.UNDO_STATUS

    appointment: AppointmentId


@dataclass(frozen=True, slots=True, kw_only=True)
class Starting(Ask):
    """A doctor begins the care."""

    action: ClassVar = Action.START_CONSULTATION

    appointment: AppointmentId


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal(Ask):
    """A doctor takes a slot back."""

    action: ClassVar = Action.TAKE_SLOT_BACK

    slot: SlotId
    even_taken: bool = False
    """Also where a patient has it."""
