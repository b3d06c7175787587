"""How bodies, queries and cursors are read, and in which words their faults are told."""

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from healthcare.domain.kernel import Invalid, Position
from healthcare.entrypoints.api.faults import FIELD, pointer
from healthcare.entrypoints.api.paging import cursor_of, position_of
from healthcare.entrypoints.api.refusals import ParameterFault, Unreadable
from healthcare.entrypoints.api.request import decode, understand


class Colour(StrEnum):
    RED = "red"


class Part(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=3)]


class Whole(Struct, forbid_unknown_fields=True, kw_only=True):
    parts: Annotated[list[Part], Meta(max_length=2)]
    number: Annotated[int, Meta(ge=1, le=5)] = 1
    ratio: float = 0.0
    at: Annotated[datetime, Meta(tz=True)] | None = None
    id: UUID | None = None
    colour: Colour | None = None
    slug: Annotated[str, Meta(pattern="^[a-z]+$")] | None = None


@pytest.mark.parametrize(
    ("body", "path", "rule"),
    [
        (b"{}", ("parts",), "required"),
        (b'{"parts": [], "more": 1}', ("more",), "unknown"),
        (b'{"parts": [{"name": "a", "nickName_2": 1}]}', ("parts", 0, "nickName_2"), "unknown"),
        (b'{"parts": [{"name": "a"}, {"name": "b", "~/`$.a[0]": 1}]}', ("parts", 1), "unknown"),
        (b'{"parts": [{"name": "a"}, {}]}', ("parts", 1, "name"), "required"),
        (b'{"parts": [{"name": ""}]}', ("parts", 0, "name"), "length"),
        (b'{"parts": [{"name": "abcd"}]}', ("parts", 0, "name"), "length"),
        (b'{"parts": [{"name": 5}]}', ("parts", 0, "name"), "type"),
        (b'{"parts": [{"name": "a"}, {"name": "a"}, {"name": "a"}]}', ("parts",), "length"),
        (b'{"parts": null}', ("parts",), "type"),
        (b'{"parts": [], "number": 0}', ("number",), "range"),
        (b'{"parts": [], "number": 6}', ("number",), "range"),
        (b'{"parts": [], "number": "5"}', ("number",), "type"),
        (b'{"parts": [], "number": true}', ("number",), "type"),
        (b'{"parts": [], "number": 1.5}', ("number",), "type"),
        (b'{"parts": [], "number": 1e400}', ("number",), "range"),
        (b'{"parts": [], "ratio": 1e400}', ("ratio",), "range"),
        (b'{"parts": [], "at": "2030-01-01T00:00:00"}', ("at",), "offset"),
        (b'{"parts": [], "at": "tomorrow"}', ("at",), "format"),
        (b'{"parts": [], "at": 1893456000}', ("at",), "type"),
        (b'{"parts": [], "id": "x"}', ("id",), "format"),
        (b'{"parts": [], "colour": "blue"}', ("colour",), "choice"),
        (b'{"parts": [], "slug": "A"}', ("slug",), "pattern"),
        (b"[]", (), "type"),
        (b"null", (), "type"),
    ],
)
def test_a_fault_is_told_with_its_place_and_its_rule(body: bytes, path: tuple[str | int, ...], rule: str) -> None:
    """A new release of msgspec may word things otherwise; then these words have to be learned anew."""
    with pytest.raises(Invalid) as refusal:
        decode(body, Whole)

    (fault,) = refusal.value.faults
    assert (fault.path, fault.rule) == (path, rule)
    assert fault.detail


@pytest.mark.parametrize("body", [b"", b"{", b'{"number": 0} x', b'{"number": 0, "a": \xff}', b"[" * 50_000])
def test_what_cannot_be_read_to_its_end_is_unreadable_whatever_else_is_wrong(body: bytes) -> None:
    with pytest.raises(Unreadable):
        decode(body, Whole)


@given(st.binary())
def test_any_bytes_are_unreadable_or_wrong(body: bytes) -> None:
    with pytest.raises((Unreadable, Invalid)):
        decode(body, Whole)


class Empty(Struct, forbid_unknown_fields=True):
    pass


@given(st.text(min_size=1), st.text())
@example("limits", "1")
@example("Ada Lovelace", "1")
def test_any_unknown_parameter_is_refused_and_named_if_it_looks_like_a_name(name: str, value: str) -> None:
    for parameters in ([(name, value)], [(name, value), (name, value)]):
        with pytest.raises(Invalid) as refusal:
            understand(parameters, Empty)

        (fault,) = refusal.value.faults
        assert isinstance(fault, ParameterFault)
        assert (fault.path, fault.rule) == ((name,) if FIELD.fullmatch(name) else (), "unknown")


@given(st.text(), st.text())
@example("", " - at `$.canary`")
@example("it's ", "")
def test_nothing_that_people_wrote_is_repeated(before: str, after: str) -> None:
    written = f"{before} canary {after}"
    for body in ({"parts": [], written: 1}, {"parts": [{written: 1}]}, {"parts": [], "colour": written}):
        with pytest.raises(Invalid) as refusal:
            decode(json.dumps(body).encode(), Whole)

        assert "canary" not in repr(refusal.value.faults)


def test_pointers_escape_what_they_are_made_of() -> None:
    assert pointer(()) == ""
    assert pointer(("items", 0, "medicine")) == "/items/0/medicine"
    assert pointer(("a/b~c", "")) == "/a~1b~0c/"


@given(
    st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds
    st.uuids(),
)
def test_a_cursor_leads_back_to_its_position(at: datetime, id: UUID) -> None:
    position = Position(at, id)
    cursor = cursor_of(position)

    assert position_of(cursor) == position
    assert len(cursor) == 32
    assert cursor.replace("-", "").replace("_", "").isalnum()


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{32}", fullmatch=True))
def test_any_text_is_a_position_or_refused(text: str) -> None:
    try:
        position = position_of(text)
    except Invalid:
        return
    assert cursor_of(position)
