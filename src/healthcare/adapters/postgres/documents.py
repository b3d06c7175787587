"""Rows that are sent as one document, which PostgreSQL reads as a table: many or one, it is one statement."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from psycopg.types.json import Json

from healthcare.domain.kernel import Event


def as_json(rows: Sequence[Any]) -> Json:
    """Write rows as JSON."""
    return Json(rows, dumps=encoded)


def encoded(rows: Sequence[Mapping[str, object] | Event]) -> str:
    """Encode; psycopg sends text."""
    return msgspec.json.encode(rows).decode()
