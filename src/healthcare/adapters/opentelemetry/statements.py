"""A span for each statement, BEGIN and COMMIT among them, with its text and without its parameters."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

from opentelemetry.trace import Span, SpanKind, Tracer, get_current_span
from psycopg import ConnectionInfo, Error

from healthcare.adapters.opentelemetry.spans import failed, kind_of

MOST_STATEMENTS: Final = 500
TABLES: Final = (re.compile(r"\bINTO (\w+)"), re.compile(r"\b(?:FROM|UPDATE) (\w+)"))
"""What is written to says more than what is read for that."""


@contextmanager
def asked(tracer: Tracer, texts: Sequence[str], of: ConnectionInfo, done: Callable[[], int]) -> Iterator[None]:
    """Show what is asked for a use case in the block, and which of it failed; nobody wants to see the rest.

    What travels together takes as long together.
    """
    spans = [_span(tracer, text, of) for text in texts] if get_current_span().is_recording() else []
    try:
        yield
    except BaseException as reason:
        for span in spans[done() :][:1]:
            failed(span, kind_of(reason))
            if isinstance(reason, Error) and reason.sqlstate:
                span.set_attribute("db.response.status_code", reason.sqlstate)
        raise
    finally:
        for span in spans:
            span.end()


def _span(tracer: Tracer, statement: str, of: ConnectionInfo) -> Span:
    summary, text = described(statement)
    return tracer.start_span(
        summary,
        kind=SpanKind.CLIENT,
        attributes={
            "db.system.name": "postgresql",
            "db.namespace": of.dbname,
            "db.query.summary": summary,
            "db.query.text": text,
            "server.address": of.host,
            "server.port": of.port,
        },
    )


@lru_cache(MOST_STATEMENTS)
def described(statement: str) -> tuple[str, str]:
    """Return what a statement does to which table, and the statement in one line.

    >>> described("SELECT id FROM outbox LIMIT %s")
    ('SELECT outbox', 'SELECT id FROM outbox LIMIT %s')
    """
    text = " ".join(statement.split())
    tables = [table[1] for pattern in TABLES for table in pattern.finditer(text)]
    return " ".join([text.partition(" ")[0], *tables[:1]]), text
