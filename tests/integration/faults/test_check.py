"""A check that cannot fail checks nothing: in an innocent story, one thing at a time is spoilt."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.integration.faults.check import ALLOWANCE, Kind, Row, State, Try, violations
from tests.integration.world import tomorrow_at

ANNA, BEN, DOCTOR = uuid4(), uuid4(), uuid4()
NINE, TEN = tomorrow_at(9), tomorrow_at(10)


@dataclass(slots=True)
class Story:
    """Anna books, and Ben books and cancels."""

    journal: list[Try] = field(
        default_factory=lambda: [
            booked(ANNA, "nine", status=None),
            booked(ANNA, "nine"),
            booked(BEN, "nine", status=409, code="slot-taken"),
            booked(BEN, "ten", status=503, code="outcome-unknown", retry_after="1"),
            booked(BEN, "ten"),
            Try(kind=Kind.CANCEL, patient=BEN, subject="of ten", ended=1, status=200),
            Try(kind=Kind.SEARCH, patient=ANNA, subject="cardiology", ended=1, status=200),
        ]
    )
    rows: list[Row] = field(
        default_factory=lambda: [
            Row("of nine", "nine", DOCTOR, ANNA, NINE, NINE + timedelta(minutes=30), "booked"),
            Row("of ten", "ten", DOCTOR, BEN, TEN, TEN + timedelta(minutes=30), "cancelled"),
        ]
    )
    entries: list[tuple[str, str]] = field(
        default_factory=lambda: [
            ("appointment.booked", "of nine"),
            ("appointment.booked", "of ten"),
            ("appointment.cancelled", "of ten"),
        ]
    )
    waiting: int = 0
    shown: set[str] = field(default_factory=lambda: {"ten"})

    def violations(self, *, unanswered: bool = True, hidden: bool = False) -> list[str]:
        """Return what the check finds."""
        state = State(rows=self.rows, entries=self.entries, waiting=self.waiting, free={"ten"}, shown=[self.shown])
        return violations(self.journal, state, unanswered=unanswered, hidden=hidden)


def booked(
    patient: object, slot: str, *, status: int | None = 201, code: str = "", retry_after: str | None = None
) -> Try:
    """Return a request to book, and its answer."""
    kept = status == 201
    return Try(
        kind=Kind.BOOK,
        patient=ANNA if patient == ANNA else BEN,
        subject=slot,
        key=f"{patient} {slot}",
        ended=1,
        status=status,
        code=code,
        retry_after=retry_after,
        answer=b"the answer" if kept else b"",
        appointment=f"of {slot}" if kept else "",
    )


def test_an_innocent_story_is_found_innocent() -> None:
    assert Story().violations() == []


def lose_an_acknowledged_booking(story: Story) -> None:
    del story.rows[0], story.entries[0]


def keep_what_was_refused(story: Story) -> None:
    story.rows.append(replace(story.rows[0], id="a ghost", patient=BEN, status="cancelled"))
    story.entries += [("appointment.booked", "a ghost"), ("appointment.cancelled", "a ghost")]


def keep_what_was_said_not_to_have_happened(story: Story) -> None:
    story.journal[:2] = [booked(ANNA, "nine", status=503, code="unavailable", retry_after="1")]


def book_twice(story: Story) -> None:
    story.journal[2] = replace(booked(BEN, "nine"), appointment="of nine too")
    story.rows.append(replace(story.rows[0], id="of nine too", patient=BEN))
    story.entries.append(("appointment.booked", "of nine too"))


def be_in_two_places(story: Story) -> None:
    story.journal.append(booked(ANNA, "half past nine"))
    there = replace(story.rows[0], id="of half past nine", slot="half past nine", doctor=uuid4())
    story.rows.append(replace(there, start=NINE + timedelta(minutes=15), end=TEN))
    story.entries.append(("appointment.booked", "of half past nine"))


def forget_a_cancellation(story: Story) -> None:
    story.rows[1] = replace(story.rows[1], status="booked")
    story.entries.pop()


def cancel_what_nobody_gave_up(story: Story) -> None:
    story.rows[0] = replace(story.rows[0], status="cancelled")
    story.entries.append(("appointment.cancelled", "of nine"))


def refuse_to_cancel(story: Story) -> None:
    story.journal[5] = replace(story.journal[5], status=409, code="appointment-not-booked")


def forget_an_entry(story: Story) -> None:
    story.entries.pop()


def write_an_entry_twice(story: Story) -> None:
    story.entries.append(story.entries[0])


def write_an_entry_of_nothing(story: Story) -> None:
    story.entries.append(("appointment.booked", "of eleven"))


def leave_an_event(story: Story) -> None:
    story.waiting = 1


def answer_a_key_differently(story: Story) -> None:
    story.journal.append(replace(booked(ANNA, "nine"), answer=b"another answer"))


def refuse_a_key_that_was_kept(story: Story) -> None:
    story.journal.append(booked(ANNA, "nine", status=409, code="slot-taken"))


def answer_two_keys_with_one_appointment(story: Story) -> None:
    story.journal.append(replace(booked(ANNA, "nine"), key="another"))


def never_decide(story: Story) -> None:
    story.journal.append(booked(ANNA, "eleven", status=503, code="busy", retry_after="1"))


def show_what_is_taken(story: Story) -> None:
    story.shown.add("nine")


def hide_what_is_free(story: Story) -> None:
    story.shown.clear()


def answer_a_search_late(story: Story) -> None:
    story.journal[6].ended = 1 + ALLOWANCE + 0.01


def answer_a_booking_late(story: Story) -> None:
    story.journal[1].ended = 3 + ALLOWANCE + 0.01


def not_say_when_to_ask_again(story: Story) -> None:
    story.journal[3].retry_after = None


def fail(story: Story) -> None:
    story.journal[3].status, story.journal[3].code = 500, "internal"


def fail_as_nobody_should(story: Story) -> None:
    story.journal[3].code = "overloaded"


def refuse_for_no_reason(story: Story) -> None:
    story.journal[2].code = "slot-in-the-past"


def hide_from_its_own_patient(story: Story) -> None:
    story.journal.append(Try(kind=Kind.READ, patient=ANNA, subject="of nine", ended=1, status=404, code="not-found"))


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lose_an_acknowledged_booking, "acknowledged and lost"),
        (keep_what_was_refused, "kept without being acknowledged"),
        (keep_what_was_said_not_to_have_happened, "kept without being acknowledged"),
        (book_twice, "booked twice"),
        (be_in_two_places, "in two places"),
        (forget_a_cancellation, "cancelled, and live"),
        (cancel_what_nobody_gave_up, "cancelled by nobody"),
        (refuse_to_cancel, "refused to be cancelled"),
        (forget_an_entry, "1 changes have 0 entries"),
        (write_an_entry_twice, "1 changes have 2 entries"),
        (write_an_entry_of_nothing, "0 changes have 1 entries"),
        (leave_an_event, "1 events are not recorded"),
        (answer_a_key_differently, "2 answers to one key"),
        (refuse_a_key_that_was_kept, "2 answers to one key"),
        (answer_two_keys_with_one_appointment, "one appointment for 2 keys"),
        (never_decide, "never settled"),
        (show_what_is_taken, "{'nine'} too much"),
        (hide_what_is_free, "{'ten'} too little"),
        (answer_a_search_late, "answered late"),
        (answer_a_booking_late, "answered late"),
        (not_say_when_to_ask_again, "not told when"),
        (fail, "answered wrongly"),
        (fail_as_nobody_should, "answered wrongly"),
        (refuse_for_no_reason, "answered wrongly"),
        (hide_from_its_own_patient, "answered wrongly"),
    ],
)
def test_what_is_spoilt_is_found(spoil: Callable[[Story], None], found: str) -> None:
    story = Story()
    spoil(story)

    assert any(found in one for one in story.violations())


def test_who_gets_no_answer_from_a_process_that_runs_is_found() -> None:
    assert any("not answered" in one for one in Story().violations(unanswered=False))


def test_a_failure_that_nobody_should_have_felt_is_found() -> None:
    assert any("failed" in one for one in Story().violations(hidden=True))
