"""What every context shares."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthcare.domain.identity.errors import EmailTaken
from healthcare.domain.kernel import (
    LONGEST_TEXT,
    MOST_MONEY,
    MOST_PER_PAGE,
    AccessRefused,
    Actor,
    Conflict,
    EventKind,
    Forbidden,
    Invalid,
    Money,
    NotFound,
    NotYours,
    Outcome,
    Overloaded,
    Page,
    Paging,
    Position,
    Refusal,
    Unauthenticated,
    check_text,
    in_utc,
)
from healthcare.domain.scheduling.errors import SlotTaken
from tests.builders import NOBODY, NOW, SYSTEM, a_user_id, an_actor, happened_at


def test_a_refusal_says_what_its_docstring_says() -> None:
    assert str(SlotTaken()) == "Somebody has already booked this slot, or holds it."
    assert str(EmailTaken()) == "Somebody has already registered with this e-mail address."


def test_a_refusal_can_say_something_better() -> None:
    assert str(Refusal("The kitchen is closed.")) == "The kitchen is closed."


def test_a_refusal_of_a_value_names_the_value() -> None:
    (fault,) = Invalid.because("email", "length", "is too long").faults

    assert (fault.path, fault.rule, fault.detail) == (("email",), "length", "is too long")


def test_a_refusal_of_a_value_in_a_list_names_its_place() -> None:
    (fault,) = Invalid.because(("items", 3, "dose"), "length", "is too long").faults

    assert fault.path == ("items", 3, "dose")


def test_what_is_not_yours_looks_like_what_does_not_exist() -> None:
    hidden, missing = NotYours(an_actor(), uuid4()), NotFound()

    assert isinstance(hidden, NotFound)
    assert (hidden.code, str(hidden), hidden.faults) == (missing.code, str(missing), missing.faults)


def test_a_refusal_of_access_remembers_who_asked_for_what() -> None:
    actor, subject = an_actor(), uuid4()

    refused = Forbidden(actor, subject)

    assert isinstance(refused, AccessRefused)
    assert (refused.actor, refused.subject) == (actor, subject)


@pytest.mark.parametrize("kind", [Invalid, Unauthenticated, Forbidden, NotFound, Conflict, Overloaded])
def test_each_kind_of_refusal_has_a_code_of_its_own(kind: type[Refusal]) -> None:
    kinds: list[type[Refusal]] = [Refusal, Invalid, Unauthenticated, Forbidden, NotFound, Conflict, Overloaded]

    assert [other for other in kinds if other.code == kind.code] == [kind]


def test_nobody_and_the_system_are_not_known() -> None:
    for actor in (NOBODY, SYSTEM):
        with pytest.raises(Unauthenticated):
            _ = actor.known


def test_a_user_is_known() -> None:
    user = a_user_id()

    assert Actor(user, "request-1").known == user


@pytest.mark.parametrize("amount", [0, 1, MOST_MONEY])
def test_an_amount_is_nothing_or_more(amount: int) -> None:
    assert Money(amount, "EUR").amount == amount


@pytest.mark.parametrize("amount", [-1, MOST_MONEY + 1])
def test_an_amount_that_json_cannot_carry_or_that_is_negative_is_refused(amount: int) -> None:
    with pytest.raises(Invalid) as refused:
        Money(amount, "EUR")

    assert refused.value.faults[0].path == ("fee", "amount")


@pytest.mark.parametrize("currency", ["", "EU", "eur", "EURO", "EÜR", "EUR\n", "1EU"])
def test_a_currency_is_three_capital_letters(currency: str) -> None:
    with pytest.raises(Invalid) as refused:
        Money(1, currency)

    assert refused.value.faults[0].path == ("fee", "currency")


def test_what_happened_names_the_actor_and_the_request() -> None:
    actor, subject = an_actor(), uuid4()

    event = happened_at(NOW)(EventKind.APPOINTMENT_BOOKED, actor, subject)

    assert (event.actor, event.subject, event.request, event.at) == (actor.user, subject, actor.request, NOW)


def test_what_happened_can_name_somebody_who_has_just_got_a_name() -> None:
    user = a_user_id()

    assert happened_at()(EventKind.USER_REGISTERED, NOBODY, user, by=user).actor == user


@pytest.mark.parametrize("kind", EventKind)
def test_only_refused_access_and_failed_sign_ins_are_refusals(kind: EventKind) -> None:
    refused = kind in {EventKind.ACCESS_REFUSED, EventKind.SIGN_IN_FAILED}

    event = happened_at()(kind, an_actor(), None)

    assert event.outcome is (Outcome.REFUSED if refused else Outcome.SUCCESS)


def test_each_event_has_an_id_of_its_own() -> None:
    happened = happened_at()

    assert len({happened(EventKind.ROLE_CHANGED, an_actor(), None).id for _ in range(10)}) == 10


@pytest.mark.parametrize("limit", [0, -1, MOST_PER_PAGE + 1])
def test_a_page_holds_one_to_five_hundred(limit: int) -> None:
    with pytest.raises(Invalid) as refused:
        Paging(limit)

    assert refused.value.faults[0].path == ("limit",)


@given(total=st.integers(0, 30), limit=st.integers(1, 12))
def test_pages_show_everything_once_and_in_order(total: int, limit: int) -> None:
    rows = [Position(NOW + timedelta(minutes=place), uuid4()) for place in range(total)]

    seen: list[Position] = []
    after: Position | None = None
    for _ in range(total + 1):
        begin = rows.index(after) + 1 if after else 0
        page: Page[Position] = Paging(limit, after).cut(rows[begin : begin + limit + 1], lambda row: row)
        seen += page.items
        if (after := page.next) is None:
            break

    assert seen == rows


def test_the_last_page_has_no_next_one_even_if_it_is_full() -> None:
    rows = [Position(NOW, uuid4()) for _ in range(3)]

    assert Paging(3).cut(rows, lambda row: row).next is None
    assert Paging(3).cut([], lambda row: row) == Page((), None)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=LONGEST_TEXT))
def test_any_printable_text_that_says_something_is_taken(text: str) -> None:
    if text.strip():
        check_text(text, "reason")
    else:
        with pytest.raises(Invalid):
            check_text(text, "reason")


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\x1b[2J", "\x7f", "\ud800", "ab\udfff"])
def test_control_characters_and_halves_of_surrogate_pairs_are_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_text(text, "reason")

    assert refused.value.faults[0].rule == "characters"


def test_tabs_and_line_ends_are_printable() -> None:
    check_text("first\tsecond\r\nthird", "reason")


@pytest.mark.parametrize("text", ["", " ", "\n\t", "x" * (LONGEST_TEXT + 1)])
def test_a_text_that_is_blank_or_too_long_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_text(text, "reason")

    assert refused.value.faults[0].rule == "length"


def test_a_text_that_may_be_empty_may_be_blank() -> None:
    check_text("", "instructions", least=0)
    check_text("  ", "instructions", least=0)


@given(st.datetimes(datetime(1900, 1, 1), datetime(3000, 1, 1)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001
def test_an_instant_stays_the_same_instant_in_utc(local: datetime, offset: int) -> None:
    instant = local.replace(tzinfo=timezone(timedelta(minutes=offset)))

    assert in_utc(instant, "start") == instant
    assert in_utc(instant, "start").tzinfo is UTC


def test_an_instant_without_an_offset_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        in_utc(datetime(2030, 1, 1), "start")  # noqa: DTZ001 - that is the case

    assert refused.value.faults[0].rule == "offset"


def test_an_instant_outside_the_calendar_is_refused() -> None:
    far_east = timezone(timedelta(hours=14))

    with pytest.raises(Invalid) as refused:
        in_utc(datetime(1, 1, 1, tzinfo=far_east), "start")

    assert refused.value.faults[0].rule == "range"
