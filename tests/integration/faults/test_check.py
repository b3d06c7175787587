"""A check that cannot fail checks nothing: in an innocent story, one thing at a time is spoilt."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from healthcare.domain.kernel import EventKind
from tests.integration.faults.answers import ALLOWANCE
from tests.integration.faults.check import violations
from tests.integration.faults.evidence import Entry, Row, Slot, State
from tests.integration.faults.journal import Kind, Seen, Try
from tests.integration.world import tomorrow_at

ANNA, BEN, CLEO, DANA, DOCTOR, OTHER = (uuid4() for _ in range(6))
HOURS = {"nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "one": 13}


def slots_of(doctor: UUID, suffix: str = "", *, withdrawn: bool = False) -> list[Slot]:
    """Return a day of a doctor."""
    return [Slot(name + suffix, doctor, *at(hour), withdrawn) for name, hour in HOURS.items()]


def at(hour: int, minute: int = 0) -> tuple[datetime, datetime]:
    """Return the bounds of a slot."""
    start = tomorrow_at(hour, minute)
    return start, start + timedelta(minutes=30)


@dataclass(slots=True)
class Story:
    """What some people have asked, and what has become of it."""

    journal: list[Try] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    rows: dict[str, Row] = field(default_factory=dict)
    slots: list[Slot] = field(
        default_factory=lambda: [
            *slots_of(DOCTOR),
            *slots_of(OTHER, " of the other", withdrawn=True),
            *slots_of(OTHER, " anew"),
        ]
    )
    waiting: int = 0
    left: list[str] = field(default_factory=lambda: ["Dana's"])
    shown: set[str] = field(default_factory=lambda: {"ten", "eleven", "one", *(f"{name} anew" for name in HOURS)})

    def asks(
        self,
        caller: UUID,
        kind: Kind,
        subject: str,
        *effects: tuple[EventKind, str],
        status: int | None = 200,
        code: str = "",
        wish: str = "",
        seen: Seen | None = None,
        appointment: str = "",
        **more: object,
    ) -> Try:
        """Let somebody ask, one after the other, with these effects."""
        number = len(self.journal)
        one = Try(
            kind=kind,
            caller=caller,
            subject=subject,
            wish=wish or f"wish {number}",
            request=f"request {number}",
            began=number,
            ended=number + 0.5,
            status=status,
            code=code,
            retry_after="1" if status == 503 else None,
            answer=wish.encode() if seen else b"",
            seen=seen,
            appointment=appointment,
            **more,  # type: ignore[arg-type]
        )
        self.journal.append(one)
        for what, about in effects:
            self.happens(what, about, one)
        return one

    def happens(self, kind: EventKind, subject: str, by: Try) -> None:
        """Record something."""
        self.entries.append(Entry(kind, subject, None if kind is EventKind.HOLD_EXPIRED else by.caller, by.request))

    def keep(self, id: str, slot: str, patient: UUID, status: str = "booked", version: int = 1, **more: object) -> None:
        """Keep an appointment."""
        its = next(one for one in self.slots if one.id == slot)
        self.rows[id] = Row(id, slot, its.doctor, patient, its.start, its.end, status, version, **more)  # type: ignore[arg-type]

    def tell(self, kind: Kind, caller: UUID, place: int = -1) -> Try:
        """Return what somebody has asked of this kind, by default the last time."""
        return [one for one in self.journal if (one.kind, one.caller) == (kind, caller)][place]

    def violations(self, *, unanswered: bool = True, hidden: bool = False) -> list[str]:
        """Return what the check finds."""
        state = State(
            rows=list(self.rows.values()),
            slots=self.slots,
            day=len(HOURS),
            entries=self.entries,
            waiting=self.waiting,
            left=self.left,
            shown=[self.shown],
        )
        return violations(self.journal, state, unanswered=unanswered, hidden=hidden)


HELD, EXTENDED = EventKind.SLOT_HELD, EventKind.HOLD_EXTENDED
RELEASED, EXPIRED = EventKind.HOLD_RELEASED, EventKind.HOLD_EXPIRED
BOOKED, MOVED, CANCELLED = (
    EventKind.APPOINTMENT_BOOKED,
    EventKind.APPOINTMENT_RESCHEDULED,
    EventKind.APPOINTMENT_CANCELLED,
)
WITHDRAWN, PUBLISHED = EventKind.SLOT_WITHDRAWN, EventKind.SLOTS_PUBLISHED


def an_innocent_story() -> Story:
    """Return a story in which everybody does something, and something is lost on the way."""
    story = Story()
    dana_leaves_a_hold(story)
    anna_and_ben_book(story)
    cleo_holds_books_and_moves(story)
    ben_comes_upon_what_dana_left(story)
    the_other_doctor_cannot_come_and_then_can(story)
    story.asks(ANNA, Kind.SEARCH, "cardiology")
    return story


def dana_leaves_a_hold(story: Story) -> None:
    story.asks(
        DANA, Kind.HOLD, "one", (HELD, "Dana's"), status=201, appointment="Dana's", seen=Seen(1, "pending", "one")
    )


def anna_and_ben_book(story: Story) -> None:
    nine, ten = Seen(1, "booked", "nine"), Seen(1, "booked", "ten")
    story.asks(ANNA, Kind.BOOK, "nine", status=None, wish="Anna's key")
    story.asks(
        ANNA, Kind.BOOK, "nine", (BOOKED, "Anna's"), status=201, wish="Anna's key", appointment="Anna's", seen=nine
    )
    story.asks(BEN, Kind.BOOK, "nine", status=409, code="slot-taken")
    story.asks(BEN, Kind.BOOK, "ten", (BOOKED, "Ben's"), status=503, code="outcome-unknown", wish="Ben's key")
    story.asks(BEN, Kind.BOOK, "ten", status=201, wish="Ben's key", appointment="Ben's", seen=ten)
    story.asks(
        BEN,
        Kind.CANCEL,
        "Ben's",
        (CANCELLED, "Ben's"),
        appointment="Ben's",
        seen=Seen(2, "cancelled", "ten"),
        reason_code="pat-crs",
    )
    story.keep("Anna's", "nine", ANNA)
    story.keep("Ben's", "ten", BEN, "cancelled", 2, reason_code="pat-crs")


def cleo_holds_books_and_moves(story: Story) -> None:
    held, longer = Seen(1, "pending", "eleven"), Seen(2, "pending", "eleven")
    booked, moved = Seen(3, "booked", "eleven"), Seen(4, "booked", "twelve")
    story.asks(CLEO, Kind.HOLD, "eleven", (HELD, "Cleo's"), status=201, appointment="Cleo's", seen=held)
    story.asks(CLEO, Kind.HOLD, "eleven", (EXTENDED, "Cleo's"), appointment="Cleo's", seen=longer)
    story.asks(
        CLEO, Kind.BOOK, "eleven", (BOOKED, "Cleo's"), status=201, wish="Cleo's key", appointment="Cleo's", seen=booked
    )
    story.asks(CLEO, Kind.READ, "Cleo's", appointment="Cleo's", seen=booked)
    story.asks(
        CLEO,
        Kind.RESCHEDULE,
        "Cleo's",
        (MOVED, "Cleo's"),
        target="twelve",
        match='"3"',
        appointment="Cleo's",
        seen=moved,
    )
    story.keep("Cleo's", "twelve", CLEO, "booked", 4, extended=True)


def ben_comes_upon_what_dana_left(story: Story) -> None:
    story.asks(
        BEN,
        Kind.HOLD,
        "one",
        (EXPIRED, "Dana's"),
        (HELD, "Ben's hold"),
        status=201,
        appointment="Ben's hold",
        seen=Seen(1, "pending", "one"),
    )
    story.asks(BEN, Kind.RELEASE, "one", (RELEASED, "Ben's hold"), status=204, appointment="Ben's hold")
    story.keep("Dana's", "one", DANA, "cancelled", 2, reason_code="other")
    story.keep("Ben's hold", "one", BEN, "cancelled", 2, reason_code="pat")


def the_other_doctor_cannot_come_and_then_can(story: Story) -> None:
    ten = "ten of the other"
    withdrawn = [(WITHDRAWN, f"{name} of the other") for name in HOURS]
    story.asks(
        ANNA,
        Kind.HOLD,
        ten,
        (HELD, "Anna's hold"),
        status=201,
        appointment="Anna's hold",
        seen=Seen(1, "pending", ten),
    )
    story.asks(OTHER, Kind.CANCEL_DAY, str(OTHER), *withdrawn, status=503, code="outcome-unknown", wish="the day")
    story.asks(
        OTHER, Kind.CANCEL_DAY, str(OTHER), (CANCELLED, "Anna's hold"), wish="the day", cancelled=["Anna's hold"]
    )
    story.asks(OTHER, Kind.PUBLISH, str(OTHER), (PUBLISHED, str(OTHER)), status=201)
    story.asks(OTHER, Kind.LIST, str(OTHER))
    story.asks(ANNA, Kind.RELEASE, ten, status=404, code="not-found", appointment="Anna's hold")
    story.keep("Anna's hold", ten, ANNA, "cancelled", 2, reason_code="prov")


def test_an_innocent_story_is_found_innocent() -> None:
    assert an_innocent_story().violations() == []


def turn_down_what_is_taken_by_others(story: Story) -> None:
    story.asks(CLEO, Kind.HOLD, "nine", status=409, code="slot-taken")
    story.asks(CLEO, Kind.RESCHEDULE, "Cleo's", status=409, code="slot-taken", target="nine", match="*")


def turn_down_whoever_is_somewhere_else(story: Story) -> None:
    story.asks(ANNA, Kind.BOOK, "nine anew", status=409, code="patient-busy")


def turn_down_a_second_extension_after_one_that_was_not_answered(story: Story) -> None:
    story.asks(BEN, Kind.HOLD, "ten", (HELD, "a hold"), status=None, wish="a wish")
    story.asks(BEN, Kind.HOLD, "ten", (EXTENDED, "a hold"), status=503, code="outcome-unknown", wish="a wish")
    story.asks(BEN, Kind.HOLD, "ten", status=409, code="hold-extended", wish="a wish")
    story.keep("a hold", "ten", BEN, "pending", 2, extended=True)
    story.shown.remove("ten")


def move_to_a_slot_that_is_held_after_no_answer_said_so(story: Story) -> None:
    story.asks(CLEO, Kind.HOLD, "ten", (HELD, "a hold"), status=None, wish="a wish")
    story.asks(CLEO, Kind.HOLD, "ten", (EXTENDED, "a hold"), status=503, code="outcome-unknown", wish="a wish")
    story.asks(CLEO, Kind.HOLD, "ten", status=409, code="hold-extended", wish="a wish")
    story.asks(
        CLEO,
        Kind.RESCHEDULE,
        "Cleo's",
        (RELEASED, "a hold"),
        (MOVED, "Cleo's"),
        target="ten",
        match="*",
        appointment="Cleo's",
        seen=Seen(5, "booked", "ten"),
    )
    story.keep("a hold", "ten", CLEO, "cancelled", 3, extended=True, reason_code="pat")
    story.keep("Cleo's", "ten", CLEO, "booked", 5, extended=True)
    story.shown.remove("ten")
    story.shown.add("twelve")


def turn_down_a_fourth_hold(story: Story) -> None:
    hold_three(story)
    story.asks(BEN, Kind.HOLD, "ten", status=409, code="too-many-holds")


def hold_three(story: Story) -> None:
    for slot in ("eleven", "one", "nine anew"):
        its = Seen(1, "pending", slot)
        story.asks(BEN, Kind.HOLD, slot, (HELD, slot), status=201, appointment=slot, seen=its)
        story.keep(slot, slot, BEN, "pending")
        story.shown.remove(slot)


def turn_down_a_second_move_after_one_that_was_not_answered(story: Story) -> None:
    move = story.tell(Kind.RESCHEDULE, CLEO)
    move.status, move.code, move.retry_after, move.seen = 503, "outcome-unknown", "1", None
    story.asks(
        CLEO, Kind.RESCHEDULE, "Cleo's", status=412, code="version-stale", target="twelve", match='"3"', wish=move.wish
    )


def turn_down_a_second_cancellation_after_one_that_was_not_answered(story: Story) -> None:
    cancel = story.tell(Kind.CANCEL, BEN)
    cancel.status, cancel.seen = None, None
    story.asks(BEN, Kind.CANCEL, "Ben's", status=409, code="appointment-not-booked", wish=cancel.wish)


def turn_down_a_second_publication_after_one_that_was_not_answered(story: Story) -> None:
    publish = story.tell(Kind.PUBLISH, OTHER)
    publish.status = None
    story.asks(OTHER, Kind.PUBLISH, str(OTHER), status=409, code="slots-overlap", wish=publish.wish)


def turn_down_whoever_wants_what_was_taken_back(story: Story) -> None:
    story.asks(BEN, Kind.BOOK, "ten of the other", status=404, code="not-found")


def leave_a_hold_that_nobody_comes_upon(story: Story) -> None:
    story.entries = [entry for entry in story.entries if entry.kind is not EXPIRED]
    story.rows["Dana's"] = replace(story.rows["Dana's"], status="pending", version=1, reason_code=None, ran_out=True)


@pytest.mark.parametrize(
    "add",
    [
        turn_down_what_is_taken_by_others,
        turn_down_whoever_is_somewhere_else,
        turn_down_a_second_extension_after_one_that_was_not_answered,
        move_to_a_slot_that_is_held_after_no_answer_said_so,
        turn_down_a_fourth_hold,
        turn_down_a_second_move_after_one_that_was_not_answered,
        turn_down_a_second_cancellation_after_one_that_was_not_answered,
        turn_down_a_second_publication_after_one_that_was_not_answered,
        turn_down_whoever_wants_what_was_taken_back,
        leave_a_hold_that_nobody_comes_upon,
    ],
)
def test_what_may_happen_is_found_innocent(add: Callable[[Story], None]) -> None:
    story = an_innocent_story()
    add(story)

    assert story.violations() == []


def lose_an_acknowledged_booking(story: Story) -> None:
    del story.rows["Anna's"]
    story.entries = [entry for entry in story.entries if entry.subject != "Anna's"]


def lose_an_acknowledged_hold(story: Story) -> None:
    del story.rows["Ben's hold"]
    story.entries = [entry for entry in story.entries if entry.subject != "Ben's hold"]


def lose_an_extension(story: Story) -> None:
    forget(story, EXTENDED)
    story.rows["Cleo's"] = replace(story.rows["Cleo's"], version=3, extended=False)


def lose_a_release(story: Story) -> None:
    forget(story, RELEASED)
    story.keep("Ben's hold", "one", BEN, "pending")
    story.shown.remove("one")


def lose_a_move(story: Story) -> None:
    forget(story, MOVED)
    story.keep("Cleo's", "eleven", CLEO, "booked", 3, extended=True)
    story.shown ^= {"eleven", "twelve"}


def lose_a_publication(story: Story) -> None:
    forget(story, PUBLISHED)
    del story.slots[-len(HOURS) :]
    story.shown = {"ten", "eleven", "one"}


def forget(story: Story, kind: EventKind) -> None:
    story.entries = [entry for entry in story.entries if entry.kind is not kind]


def lose_an_appointment_while_it_is_moved(story: Story) -> None:
    del story.rows["Cleo's"]


def move_only_by_name(story: Story) -> None:
    story.keep("Cleo's", "eleven", CLEO, "booked", 4, extended=True)


def keep_what_was_refused(story: Story) -> None:
    story.happens(BOOKED, "a ghost", story.tell(Kind.BOOK, BEN, 0))
    story.keep("a ghost", "ten", BEN)


def keep_a_hold_that_was_refused(story: Story) -> None:
    refused = story.asks(CLEO, Kind.HOLD, "nine", status=409, code="slot-taken")
    story.happens(HELD, "a ghost", refused)
    story.keep("a ghost", "nine", CLEO, "pending")


def move_what_was_refused_to_be_moved(story: Story) -> None:
    refused = story.asks(CLEO, Kind.RESCHEDULE, "Cleo's", status=409, code="slot-taken", target="nine anew", match="*")
    story.happens(MOVED, "Cleo's", refused)
    story.keep("Cleo's", "nine anew", CLEO, "booked", 5, extended=True)


def keep_what_was_said_not_to_have_happened(story: Story) -> None:
    one = story.tell(Kind.BOOK, ANNA)
    one.status, one.code, one.retry_after, one.seen = 503, "unavailable", "1", None


def take_a_day_back_that_was_said_not_to_be(story: Story) -> None:
    story.tell(Kind.CANCEL_DAY, OTHER, 0).code = "unavailable"


def keep_what_nobody_asked_for(story: Story) -> None:
    story.entries.append(Entry(BOOKED, "a ghost", BEN, "no request"))
    story.keep("a ghost", "ten", BEN)


def keep_it_for_somebody_else(story: Story) -> None:
    story.entries = [replace(one, actor=BEN) if one.subject == "Anna's" else one for one in story.entries]


def give_up_a_hold_of_another_slot_with_a_move(story: Story) -> None:
    held = Seen(1, "pending", "ten")
    story.asks(CLEO, Kind.HOLD, "ten", (HELD, "a hold"), status=201, appointment="a hold", seen=held)
    story.happens(RELEASED, "a hold", story.tell(Kind.RESCHEDULE, CLEO))
    story.keep("a hold", "ten", CLEO, "cancelled", 2, reason_code="pat")


def let_a_search_change_something(story: Story) -> None:
    story.happens(CANCELLED, "Anna's", story.tell(Kind.SEARCH, ANNA))
    story.keep("Anna's", "nine", ANNA, "cancelled", 2, reason_code="prov")


def move_twice_for_one_request(story: Story) -> None:
    story.happens(MOVED, "Cleo's", story.tell(Kind.RESCHEDULE, CLEO))
    story.keep("Cleo's", "twelve", CLEO, "booked", 5, extended=True)


def do_something_else_than_was_told(story: Story) -> None:
    cancel = story.tell(Kind.CANCEL, BEN)
    story.entries = [
        replace(one, subject="Anna's") if (one.request, one.kind) == (cancel.request, CANCELLED) else one
        for one in story.entries
    ]


def cancel_less_of_a_day_than_was_told(story: Story) -> None:
    story.tell(Kind.CANCEL_DAY, OTHER).cancelled = ["Anna's hold", "Anna's"]


def cancel_more_of_a_day_than_was_told(story: Story) -> None:
    story.tell(Kind.CANCEL_DAY, OTHER).cancelled = []


def book_twice(story: Story) -> None:
    story.asks(
        BEN,
        Kind.BOOK,
        "nine",
        (BOOKED, "Anna's too"),
        status=201,
        appointment="Anna's too",
        seen=Seen(1, "booked", "nine"),
    )
    story.keep("Anna's too", "nine", BEN)


def be_in_two_places(story: Story) -> None:
    story.slots[0] = replace(story.slots[0], start=at(9, 15)[0], end=at(9, 15)[1])
    story.keep("Anna's", "nine", ANNA)
    its = Seen(1, "booked", "nine anew")
    story.asks(ANNA, Kind.BOOK, "nine anew", (BOOKED, "here"), status=201, appointment="here", seen=its)
    story.keep("here", "nine anew", ANNA)
    story.shown.remove("nine anew")


def hold_a_fourth(story: Story) -> None:
    hold_three(story)
    its = Seen(1, "pending", "ten")
    story.asks(BEN, Kind.HOLD, "ten", (HELD, "ten"), status=201, appointment="ten", seen=its)
    story.keep("ten", "ten", BEN, "pending")


def let_a_hold_run_out_before_its_time(story: Story) -> None:
    story.left.clear()


def let_a_hold_run_out_before_its_time_and_leave_it(story: Story) -> None:
    leave_a_hold_that_nobody_comes_upon(story)
    story.left.clear()


def let_somebody_have_a_slot_that_was_taken_back(story: Story) -> None:
    story.entries = [entry for entry in story.entries if (entry.kind, entry.subject) != (CANCELLED, "Anna's hold")]
    story.tell(Kind.CANCEL_DAY, OTHER).cancelled = []
    story.keep("Anna's hold", "ten of the other", ANNA, "pending")


def forget_a_cancellation(story: Story) -> None:
    story.keep("Ben's", "ten", BEN, "booked", 2)
    story.shown.remove("ten")


def cancel_what_nobody_gave_up(story: Story) -> None:
    story.keep("Anna's", "nine", ANNA, "cancelled", 1, reason_code="pat")
    story.shown.add("nine")


def give_another_reason(story: Story) -> None:
    story.keep("Ben's", "ten", BEN, "cancelled", 2, reason_code="pat")


def refuse_to_cancel(story: Story) -> None:
    story.asks(ANNA, Kind.CANCEL, "Anna's", status=409, code="appointment-not-booked")


def forget_an_entry(story: Story) -> None:
    story.entries = [entry for entry in story.entries if entry.subject != "Anna's"]


def write_an_entry_twice(story: Story) -> None:
    story.entries += [entry for entry in story.entries if entry.subject == "Anna's"]


def write_an_entry_of_nothing(story: Story) -> None:
    story.happens(BOOKED, "of nothing", story.tell(Kind.BOOK, ANNA, 0))


def count_a_version_too_many(story: Story) -> None:
    story.keep("Cleo's", "twelve", CLEO, "booked", 5, extended=True)


def take_a_slot_back_and_tell_nobody(story: Story) -> None:
    story.entries.remove(next(entry for entry in story.entries if entry.kind is WITHDRAWN))


def say_that_a_slot_was_taken_back(story: Story) -> None:
    story.happens(WITHDRAWN, "nine anew", story.tell(Kind.CANCEL_DAY, OTHER))


def leave_an_event(story: Story) -> None:
    story.waiting = 1


def bring_a_cancelled_appointment_back(story: Story) -> None:
    its = Seen(3, "booked", "ten")
    story.asks(BEN, Kind.BOOK, "ten", (BOOKED, "Ben's"), status=201, appointment="Ben's", seen=its)
    story.keep("Ben's", "ten", BEN, "booked", 3)
    story.shown.remove("ten")


def extend_a_hold_twice(story: Story) -> None:
    turn_down_a_second_extension_after_one_that_was_not_answered(story)
    its = Seen(3, "pending", "ten")
    story.asks(BEN, Kind.HOLD, "ten", (EXTENDED, "a hold"), appointment="a hold", seen=its)
    story.keep("a hold", "ten", BEN, "pending", 3, extended=True)


def move_a_hold(story: Story) -> None:
    story.entries = [entry for entry in story.entries if (entry.kind, entry.subject) != (BOOKED, "Cleo's")]


def begin_with_a_move(story: Story) -> None:
    story.entries = [entry for entry in story.entries if entry.subject != "Cleo's" or entry.kind is MOVED]


def offer_half_a_day(story: Story) -> None:
    story.slots.pop()
    story.shown.remove("one anew")


def take_half_a_day_back(story: Story) -> None:
    story.slots[len(HOURS)] = replace(story.slots[len(HOURS)], withdrawn=False)
    story.entries.remove(next(entry for entry in story.entries if entry.kind is WITHDRAWN))
    story.shown.add("nine of the other")


def answer_a_key_differently(story: Story) -> None:
    story.journal.append(replace(story.tell(Kind.BOOK, ANNA), answer=b"another answer", request="later"))


def refuse_a_key_that_was_kept(story: Story) -> None:
    story.asks(ANNA, Kind.BOOK, "nine", status=409, code="slot-taken", wish="Anna's key")


def answer_two_keys_with_one_appointment(story: Story) -> None:
    story.journal.append(replace(story.tell(Kind.BOOK, ANNA), wish="another", request="later"))


def never_decide(story: Story) -> None:
    story.asks(ANNA, Kind.BOOK, "eleven", status=503, code="busy")


def never_decide_whether_a_slot_is_held(story: Story) -> None:
    story.asks(ANNA, Kind.HOLD, "eleven", status=None)


def show_what_is_taken(story: Story) -> None:
    story.shown.add("nine")


def show_what_was_taken_back(story: Story) -> None:
    story.shown.add("nine of the other")


def hide_what_is_free(story: Story) -> None:
    story.shown.remove("ten")


def hide_what_nobody_holds_any_more(story: Story) -> None:
    leave_a_hold_that_nobody_comes_upon(story)
    story.shown.remove("one")


def tell_an_old_version(story: Story) -> None:
    read = story.tell(Kind.READ, CLEO)
    read.seen = Seen(2, "pending", "eleven")


def tell_a_version_that_never_was(story: Story) -> None:
    story.tell(Kind.READ, CLEO).seen = Seen(3, "booked", "twelve")


def tell_a_version_that_is_still_to_come(story: Story) -> None:
    story.tell(Kind.RESCHEDULE, CLEO).seen = Seen(5, "booked", "twelve")


def tell_what_others_have_done(story: Story) -> None:
    story.tell(Kind.RESCHEDULE, CLEO).seen = Seen(3, "booked", "eleven")


def answer_a_search_late(story: Story) -> None:
    search = story.tell(Kind.SEARCH, ANNA)
    search.ended = search.began + 1 + ALLOWANCE + 0.01


def answer_a_booking_late(story: Story) -> None:
    booked = story.tell(Kind.BOOK, ANNA)
    booked.ended = booked.began + 3 + ALLOWANCE + 0.01


def not_say_when_to_ask_again(story: Story) -> None:
    story.tell(Kind.BOOK, BEN, 1).retry_after = None


def fail(story: Story) -> None:
    one = story.tell(Kind.BOOK, BEN, 1)
    one.status, one.code = 500, "internal"


def fail_as_nobody_should(story: Story) -> None:
    story.tell(Kind.BOOK, BEN, 1).code = "overloaded"


def refuse_for_no_reason(story: Story) -> None:
    story.tell(Kind.BOOK, BEN, 0).code = "slot-in-the-past"


def hide_from_its_own_patient(story: Story) -> None:
    story.asks(ANNA, Kind.READ, "Anna's", status=404, code="not-found")


def refuse_to_cancel_a_day(story: Story) -> None:
    story.asks(OTHER, Kind.CANCEL_DAY, str(OTHER), status=409, code="appointment-not-booked", wish="the day")


def refuse_to_book_what_the_patient_holds(story: Story) -> None:
    hold_three(story)
    story.asks(BEN, Kind.BOOK, "one", status=409, code="slot-taken")


def refuse_what_somebody_had_before(story: Story) -> None:
    story.asks(CLEO, Kind.BOOK, "ten", status=409, code="slot-taken")


def refuse_a_version_that_is_still_there(story: Story) -> None:
    story.asks(CLEO, Kind.RESCHEDULE, "Cleo's", status=412, code="version-stale", target="ten", match='"4"')


def refuse_any_version(story: Story) -> None:
    story.asks(CLEO, Kind.RESCHEDULE, "Cleo's", status=412, code="version-stale", target="ten", match="*")


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lose_an_acknowledged_booking, "acknowledged and lost"),
        (lose_an_acknowledged_hold, "acknowledged and lost"),
        (lose_an_extension, "acknowledged and lost"),
        (lose_a_release, "acknowledged and lost"),
        (lose_a_move, "acknowledged and lost"),
        (lose_a_publication, "acknowledged and lost"),
        (lose_an_appointment_while_it_is_moved, "0 changes have 4 entries"),
        (move_only_by_name, "not as it was left"),
        (keep_what_was_refused, "kept without being acknowledged"),
        (keep_a_hold_that_was_refused, "kept without being acknowledged"),
        (move_what_was_refused_to_be_moved, "kept without being acknowledged"),
        (keep_what_was_said_not_to_have_happened, "kept without being acknowledged"),
        (take_a_day_back_that_was_said_not_to_be, "kept without being acknowledged"),
        (keep_what_nobody_asked_for, "nobody asked for it"),
        (keep_it_for_somebody_else, "nobody asked for it"),
        (let_a_search_change_something, "nobody asked for it"),
        (give_up_a_hold_of_another_slot_with_a_move, "nobody asked for it"),
        (move_twice_for_one_request, "done more than once"),
        (do_something_else_than_was_told, "acknowledged and lost"),
        (cancel_less_of_a_day_than_was_told, "acknowledged and lost"),
        (cancel_more_of_a_day_than_was_told, "kept without being acknowledged"),
        (book_twice, "taken twice"),
        (be_in_two_places, "in two places"),
        (hold_a_fourth, "4 holds at a time"),
        (let_a_hold_run_out_before_its_time, "ran out before its time"),
        (let_a_hold_run_out_before_its_time_and_leave_it, "ran out before its time"),
        (let_somebody_have_a_slot_that_was_taken_back, "has a slot that was taken back"),
        (forget_a_cancellation, "not as it was left"),
        (cancel_what_nobody_gave_up, "not as it was left"),
        (give_another_reason, "not as it was left"),
        (refuse_to_cancel, "refused without a reason"),
        (forget_an_entry, "1 changes have 0 entries"),
        (write_an_entry_twice, "1 changes have 2 entries"),
        (write_an_entry_of_nothing, "0 changes have 1 entries"),
        (count_a_version_too_many, "5 changes have 4 entries"),
        (take_a_slot_back_and_tell_nobody, "1 changes have 0 entries"),
        (say_that_a_slot_was_taken_back, "0 changes have 1 entries"),
        (leave_an_event, "1 events are not recorded"),
        (bring_a_cancelled_appointment_back, "appointment.booked when it was cancelled"),
        (extend_a_hold_twice, "hold.extended when it was pending"),
        (move_a_hold, "appointment.rescheduled when it was pending"),
        (begin_with_a_move, "began with appointment.rescheduled"),
        (offer_half_a_day, "9 slots for 2 days"),
        (take_half_a_day_back, "4 taken back for 1"),
        (answer_a_key_differently, "2 answers to one key"),
        (refuse_a_key_that_was_kept, "2 answers to one key"),
        (answer_two_keys_with_one_appointment, "one appointment for 2 keys"),
        (never_decide, "never settled"),
        (never_decide_whether_a_slot_is_held, "never settled"),
        (show_what_is_taken, "{'nine'} too much"),
        (show_what_was_taken_back, "{'nine of the other'} too much"),
        (hide_what_is_free, "{'ten'} too little"),
        (hide_what_nobody_holds_any_more, "{'one'} too little"),
        (tell_an_old_version, "told what was no more"),
        (tell_a_version_that_never_was, "told what never was"),
        (tell_a_version_that_is_still_to_come, "told what never was"),
        (tell_what_others_have_done, "told what others did"),
        (answer_a_search_late, "answered late"),
        (answer_a_booking_late, "answered late"),
        (not_say_when_to_ask_again, "not told when"),
        (fail, "answered wrongly"),
        (fail_as_nobody_should, "answered wrongly"),
        (refuse_for_no_reason, "answered wrongly"),
        (hide_from_its_own_patient, "answered wrongly"),
        (refuse_to_cancel_a_day, "answered wrongly"),
        (refuse_to_book_what_the_patient_holds, "refused without a reason"),
        (refuse_what_somebody_had_before, "refused without a reason"),
        (refuse_a_version_that_is_still_there, "refused without a reason"),
        (refuse_any_version, "refused without a reason"),
    ],
)
def test_what_is_spoilt_is_found(spoil: Callable[[Story], None], found: str) -> None:
    story = an_innocent_story()
    spoil(story)

    assert any(found in one for one in story.violations())


@pytest.mark.parametrize(
    ("caller", "kind", "subject", "code", "more"),
    [
        (BEN, Kind.BOOK, "ten", "not-found", {}),
        (BEN, Kind.BOOK, "ten", "patient-busy", {}),
        (BEN, Kind.HOLD, "ten", "hold-extended", {}),
        (BEN, Kind.HOLD, "ten", "too-many-holds", {}),
        (ANNA, Kind.RELEASE, "nine", "not-found", {"appointment": "Anna's"}),
        (CLEO, Kind.RESCHEDULE, "Cleo's", "slot-taken", {"target": "ten", "match": "*"}),
        (CLEO, Kind.RESCHEDULE, "Cleo's", "slot-taken", {"target": "twelve", "match": "*"}),
        (CLEO, Kind.RESCHEDULE, "Cleo's", "patient-busy", {"target": "twelve anew", "match": "*"}),
        (OTHER, Kind.PUBLISH, "", "slots-overlap", {}),
    ],
)
def test_who_is_turned_down_for_what_is_not_so_is_found(
    caller: UUID, kind: Kind, subject: str, code: str, more: dict[str, str]
) -> None:
    story = an_innocent_story()
    story.asks(caller, kind, subject, status=404 if code == "not-found" else 409, code=code, **more)  # type: ignore[arg-type]

    assert any("refused without a reason" in one for one in story.violations())


def test_a_day_that_was_cut_and_not_asked_for_again_may_be_unfinished() -> None:
    story = an_innocent_story()
    let_somebody_have_a_slot_that_was_taken_back(story)
    again = story.tell(Kind.CANCEL_DAY, OTHER)
    again.status, again.code, again.retry_after = 503, "outcome-unknown", "1"

    assert not any("taken back: Row" in one for one in story.violations())


def test_who_gets_no_answer_from_a_process_that_runs_is_found() -> None:
    assert any("not answered" in one for one in an_innocent_story().violations(unanswered=False))


def test_a_failure_that_nobody_should_have_felt_is_found() -> None:
    assert any("failed" in one for one in an_innocent_story().violations(hidden=True))
