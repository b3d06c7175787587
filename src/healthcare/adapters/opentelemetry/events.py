"""Spans for the recording of events: each belongs to the trace that its event comes from."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar

from opentelemetry.trace import Link, Span, SpanKind, Tracer

from healthcare.adapters.opentelemetry.spans import during, parent_of
from healthcare.domain.policy import Action

_begun: ContextVar[ExitStack | None] = ContextVar("begun", default=None)


@contextmanager
def beginning_later() -> Iterator[None]:
    """Leave it to `go_on` to begin spans, and end them with the block: a look into an empty outbox makes none."""
    with ExitStack() as begun:
        token = _begun.set(begun)
        try:
            yield
        finally:
            _begun.reset(token)


def go_on(tracer: Tracer, parents: Iterable[str]) -> None:
    """End what was gone on with before, and begin a span for each of these parents.

    What is done for all of them at once is shown under the first, to which the others are linked.
    """
    if (begun := _begun.get()) is None:
        return
    begun.close()
    first: Span | None = None
    for parent in dict.fromkeys(parents):
        links = [Link(first.get_span_context())] if first else []
        span = tracer.start_span(Action.RECORD_EVENTS, parent_of(parent), SpanKind.CONSUMER, links=links)
        if not span.is_recording():
            continue
        if first:
            begun.callback(span.end)
        else:
            first = span
            begun.enter_context(during(span))
