"""Rows that are sent as one document, which PostgreSQL reads as a table: many or one, it is one statement."""

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg.types.json import Json


def as_json(rows: Sequence[Any]) -> Json:
    """Write rows as JSON."""
    return Json(rows, dumps=msgspec.json.encode)
