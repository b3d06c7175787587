"""What HTTP itself refuses, before any use case is asked. Rules about values and states are the domain's."""

from dataclasses import dataclass

from healthcare.domain.kernel import Fault, Refusal

MOST_BYTES = 64 * 1024
"""In a body."""


class Unreadable(Refusal):
    """The request cannot be read."""

    code = "unreadable"


class RequestTimeout(Refusal):
    """The request did not arrive in time, and nothing was done; send it again."""

    code = "request-timeout"


class MethodNotAllowed(Refusal):
    """This path does not take this method."""

    code = "method-not-allowed"

    def __init__(self, allowed: str) -> None:
        """Remember which methods it takes."""
        super().__init__()
        self.allowed = allowed


class TooLarge(Refusal):
    """The body is larger than 64 KB."""

    code = "too-large"


class UnsupportedMediaType(Refusal):
    """The body must be application/json, in UTF-8 and not compressed."""

    code = "unsupported-media-type"


class PreconditionRequired(Refusal):
    """Say in If-Match which version you have seen: the ETag that came with it."""

    code = "precondition-required"


class Internal(Exception):
    """Something is wrong on our side; it has been noted."""

    code = "internal"


@dataclass(frozen=True, slots=True)
class ParameterFault(Fault):
    """One thing that is wrong with a query parameter or a header: it goes by its name, also where there is a body."""
