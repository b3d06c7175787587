"""From what msgspec says of a value to the fault that is answered."""

import re
from typing import Final

from msgspec import ValidationError

from healthcare.domain.kernel import Fault

SAID: Final = re.compile(r"(.*?)(?: - at `\$((?:\.[a-z_]+|\[\d+\])*)`)?", re.DOTALL)
STEP: Final = re.compile(r"\.([a-z_]+)|\[(\d+)\]")
UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
FIELD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
"""What a programmer calls a field: a name of such a shape is nothing that a person has written."""
MISSING: Final = re.compile(r"Object missing required field `(.*)`")
CHOICE: Final = "Invalid enum value"
"""Here msgspec goes on with the value itself."""

RULES: Final = (
    ("of length", "length"),
    ("matching regex", "pattern"),
    ("timezone component", "offset"),
    (">=", "range"),
    ("<=", "range"),
    ("out of range", "range"),
    (CHOICE, "choice"),
    ("Invalid ", "format"),
)
"""What msgspec's messages hold, and which rule was broken then; in any other case it is the type."""


def fault_of(error: ValidationError) -> Fault:
    """Say which value breaks which rule, in the words of msgspec, which are all that it tells.

    No value that was sent is repeated, and no name but one that looks like a field's: whoever logs answers would log
    what people wrote.
    """
    said = SAID.fullmatch(str(error))
    message, place = said.groups("") if said else ("", "")
    path = tuple(int(index) if index else name for name, index in STEP.findall(place))
    if missing := MISSING.fullmatch(message):
        return Fault((*path, missing[1]), "required", "is missing")
    if unknown := UNKNOWN.fullmatch(message):
        if FIELD.fullmatch(unknown[1]):
            return Fault((*path, unknown[1]), "unknown", "is not known here")
        return Fault(path, "unknown", "holds a name that is not known here")
    rule = next((rule for part, rule in RULES if part in message), "type")
    return Fault(path, rule, CHOICE if message.startswith(CHOICE) else message)


def pointer(path: tuple[str | int, ...]) -> str:
    """Write the place of a value in a body as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
