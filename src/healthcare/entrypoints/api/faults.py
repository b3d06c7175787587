"""From what msgspec says of a value to the fault that is answered."""

import re
from typing import Final

from msgspec import ValidationError

from healthcare.domain.kernel import Fault

AT: Final = " - at `$"
STEP: Final = re.compile(r"\.([^.\[\]`]+)|\[(\d+)\]")
NAMED: Final = re.compile(r"Object (contains unknown|missing required) field `(.*)`", re.DOTALL)

RULES: Final = (
    ("of length", "length"),
    ("matching regex", "pattern"),
    ("timezone component", "offset"),
    (">=", "range"),
    ("<=", "range"),
    ("out of range", "range"),
    ("Invalid enum value", "choice"),
    ("Invalid ", "format"),
)
"""What msgspec's messages hold, and which rule was broken then; in any other case it is the type."""


def fault_of(error: ValidationError) -> Fault:
    """Say which value breaks which rule. The message is all that msgspec tells."""
    message, _, place = str(error).partition(AT)
    path = tuple(int(index) if index else name for name, index in STEP.findall(place))
    if named := NAMED.fullmatch(message):
        what, name = named.groups()
        if what == "missing required":
            return Fault((*path, name), "required", "is missing")
        return Fault((*path, name), "unknown", "is not known here")
    rule = next((rule for part, rule in RULES if part in message), "type")
    return Fault(path, rule, message)


def pointer(path: tuple[str | int, ...]) -> str:
    """Write the place of a value in a body as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
