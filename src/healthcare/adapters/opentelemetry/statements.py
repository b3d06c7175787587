"""A span for each statement, BEGIN and COMMIT among them, with its text and without its parameters."""

import re
from functools import lru_cache
from typing import Any, Final

from opentelemetry.trace import SpanKind, Tracer, get_current_span
from psycopg import AsyncConnection, AsyncCursor, Error
from psycopg.rows import DictRow

from healthcare.adapters.opentelemetry.spans import telling

MOST_STATEMENTS: Final = 500
TABLES: Final = (re.compile(r"\bINTO (\w+)"), re.compile(r"\b(?:FROM|UPDATE) (\w+)"))
"""What is written to says more than what is read for that."""


def traced_connections(tracer: Tracer) -> type[AsyncConnection[DictRow]]:
    """Return connections that show what they execute for a use case; nobody wants to see the rest."""

    class TracedConnection(AsyncConnection[DictRow]):
        async def execute(self, query: Any, *args: Any, **options: Any) -> AsyncCursor[DictRow]:  # noqa: ANN401 - handed on as they come
            if not get_current_span().is_recording():
                return await super().execute(query, *args, **options)
            summary, text = described(query)
            span = tracer.start_span(
                summary,
                kind=SpanKind.CLIENT,
                attributes={
                    "db.system.name": "postgresql",
                    "db.namespace": self.info.dbname,
                    "db.query.summary": summary,
                    "db.query.text": text,
                    "server.address": self.info.host,
                    "server.port": self.info.port,
                },
            )
            try:
                with telling(span):
                    return await super().execute(query, *args, **options)
            except Error as error:
                if error.sqlstate:
                    span.set_attribute("db.response.status_code", error.sqlstate)
                raise
            finally:
                span.end()

    return TracedConnection


@lru_cache(MOST_STATEMENTS)
def described(statement: str) -> tuple[str, str]:
    """Return what a statement does to which table, and the statement in one line; of several, what the last one does.

    >>> described("SELECT id FROM outbox LIMIT %s")
    ('SELECT outbox', 'SELECT id FROM outbox LIMIT %s')
    """
    text = " ".join(statement.split())
    tables = [table[1] for pattern in TABLES for table in pattern.finditer(text)]
    verb = text.rpartition("; ")[2].partition(" ")[0]
    return " ".join([verb, *tables[:1]]), text
