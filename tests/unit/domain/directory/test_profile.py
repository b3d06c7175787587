"""What doctors may say of themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthcare.domain.directory.model import LONGEST_LANGUAGE, LONGEST_SPECIALTY, MOST_LANGUAGES, MOST_NOTICE
from healthcare.domain.kernel import Invalid
from tests.builders import a_profile


@given(st.lists(st.text("abcxyz019", min_size=1, max_size=5), min_size=1, max_size=8).map("-".join))
def test_a_specialty_is_lower_case_words_joined_by_hyphens(slug: str) -> None:
    assert a_profile(specialty=slug).specialty == slug


@pytest.mark.parametrize(
    "slug",
    [
        "",
        "-",
        "Cardiology",
        "a b",
        "-cardiology",
        "cardiology-",
        "a--b",
        "é",
        "a_b",
        "a\n",
        "x" * (LONGEST_SPECIALTY + 1),
    ],
)
def test_what_is_no_slug_is_refused(slug: str) -> None:
    with pytest.raises(Invalid) as refused:
        a_profile(specialty=slug)

    assert refused.value.faults[0].path == ("specialty",)


@pytest.mark.parametrize(
    "tag",
    [
        "en",
        "de-CH",
        "zh-Hant-TW",
        "es-419",
        "sr-Latn",
        "gsw",
        "zh-yue-HK",
        "sl-rozaj-biske",
        "de-CH-1901",
        "EN-gb",
        "en-a-bbb-x-a-ccc",
        "de-DE-u-co-phonebk",
        "en-x-private",
    ],
)
def test_languages_are_named_as_rfc_5646_names_them(tag: str) -> None:
    assert a_profile(languages=(tag,)).languages == (tag,)


@pytest.mark.parametrize(
    "tag",
    [
        *("", "e", "english", "de_CH", "de-", "-de", "de--CH", "de-C", "x", "en-x", "en-a", "dé", "de-CH\n", "de CH"),
        *("en" + "-abcdefgh" * 4, "a" * (LONGEST_LANGUAGE + 1)),
    ],
)
def test_what_is_no_language_tag_is_refused_with_its_place(tag: str) -> None:
    with pytest.raises(Invalid) as refused:
        a_profile(languages=("en", tag))

    assert refused.value.faults[0].path == ("languages", 1)


@pytest.mark.parametrize("number", [0, MOST_LANGUAGES + 1])
def test_a_doctor_speaks_one_to_twenty_languages(number: int) -> None:
    with pytest.raises(Invalid) as refused:
        a_profile(languages=("en",) * number)

    assert refused.value.faults[0].path == ("languages",)


def test_a_doctor_works_in_a_time_zone() -> None:
    with pytest.raises(Invalid) as refused:
        a_profile(time_zone="Europe/Atlantis")

    assert refused.value.faults[0].path == ("time_zone",)


@pytest.mark.parametrize("number", ["", " ", "1" * 65, "DE\x00"])
def test_a_registration_number_says_something(number: str) -> None:
    with pytest.raises(Invalid) as refused:
        a_profile(registration_number=number)

    assert refused.value.faults[0].path == ("registration_number",)


@pytest.mark.parametrize("hours", [0, 24, MOST_NOTICE])
def test_a_doctor_wants_to_know_of_a_cancellation_up_to_a_week_before(hours: int) -> None:
    assert a_profile(notice_hours=hours).notice_hours == hours


@pytest.mark.parametrize("hours", [-1, MOST_NOTICE + 1])
def test_any_other_notice_is_refused(hours: int) -> None:
    with pytest.raises(Invalid) as refused:
        a_profile(notice_hours=hours)

    assert refused.value.faults[0].path == ("notice_hours",)
