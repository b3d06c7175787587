"""What all spans have in common: ids and names are told, and of a failure its kind alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import Span, StatusCode, format_span_id, format_trace_id, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.contextvars import bound_contextvars

from healthcare.domain.kernel import Refusal

PROPAGATOR: Final = TraceContextTextMapPropagator()


@contextmanager
def during(span: Span) -> Iterator[None]:
    """Let the span be that of everything in the block, also of what is logged there, and end with it."""
    ids = span.get_span_context()
    with (
        use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False),
        telling(span),
        bound_contextvars(trace_id=format_trace_id(ids.trace_id), span_id=format_span_id(ids.span_id)),
    ):
        yield


@contextmanager
def telling(span: Span) -> Iterator[None]:
    """Tell by the span what kind of exception leaves the block. Its message stays here: messages quote values."""
    try:
        yield
    except Refusal as refusal:  # to say no is not to fail
        span.set_attribute("healthcare.refused", refusal.code)
        raise
    except BaseException as reason:
        failed(span, kind_of(reason))
        raise


def kind_of(reason: BaseException) -> str:
    """Name the kind of an exception."""
    return f"{type(reason).__module__}.{type(reason).__qualname__}"


def failed(span: Span, kind: str) -> None:
    """Tell by the span that it failed."""
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


def parent_of(traceparent: str) -> Context:
    """Read who has led to this. What is no traceparent is nobody."""
    return PROPAGATOR.extract({"traceparent": traceparent}, Context())


def traceparent() -> str | None:
    """Write what is being done now, for those whom it leads to."""
    carrier: dict[str, str] = {}
    PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")
