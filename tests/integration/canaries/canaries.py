"""Values unlike anything else, and the search for them in whatever form they may have got somewhere."""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

LETTERS: Final = "ghjkmnpqrstvwxyz"
"""None of them is a hexadecimal digit, so that no id and no hash holds a mark by chance."""
LENGTH: Final = 16

SAFE: Final = bytes.maketrans(b"-_", b"+/")
WORD: Final = re.compile(rb"[a-z0-9+/]{12,}")


class Kind(StrEnum):
    """What a canary stands for."""

    NAME = "name"
    EMAIL = "e-mail address"
    PASSWORD = "password"
    CARE = "medicine or reason"
    TOKEN = "access token"


@dataclass(frozen=True, slots=True)
class Canary:
    """A value, and the parts of it that give it away wherever they turn up."""

    kind: Kind
    number: int
    value: str
    marks: tuple[str, ...]

    def __str__(self) -> str:
        """Name it without showing it."""
        return f"{self.kind} {self.number}"

    @property
    def word(self) -> str:
        """What goes where only letters may."""
        return self.marks[0]


VALUES: Final = {
    # Each has what makes writers quote and encode, and its mark in every part that could be told without the others.
    Kind.NAME: "Zoë{0} O'{0}",
    Kind.EMAIL: "{1}.x@{0}.example",
    Kind.PASSWORD: '{0} "&%/\\ {0}',
    Kind.CARE: "{0}-mab 5 µg",
}


def draw(random: Random, kind: Kind, number: int) -> list[Canary]:
    """Make canaries of one kind."""
    marks = ["".join(random.choices(LETTERS, k=LENGTH)) for _ in range(number)]
    return [Canary(kind, place, VALUES[kind].format(mark, mark.upper()), (mark,)) for place, mark in enumerate(marks)]


def of_token(number: int, token: str) -> Canary:
    """Watch an access token that was really issued; its first part is the same in all, and tells nothing."""
    _, claims, signature = token.split(".")
    return Canary(Kind.TOKEN, number, token, (signature, claims, signature[:LENGTH], signature[-LENGTH:]))


def forms(mark: str) -> Iterator[bytes]:
    """Write a mark as it may have been written: URLs, JSON, `repr` and changes of case leave its letters alone."""
    plain = mark.encode()
    yield plain
    yield plain.hex().encode()
    for before in range(3):
        # Of base64, without the characters that also depend on what stands before and after.
        written = b64encode(bytes(before) + plain)
        yield written[-(-before * 4 // 3) : (before + len(plain)) * 4 // 3]


def words(text: bytes) -> bytes:
    """Return whatever in a text could hold a mark, each once, because logs repeat themselves.

    Without zeros, so that two bytes to a letter hide nothing.
    """
    return b"\n".join(set(WORD.findall(text.replace(b"\0", b"").lower().translate(SAFE))))


def found(canaries: Iterable[Canary], text: bytes) -> list[Canary]:
    """Return the canaries of which the text holds any mark in any form."""
    searched = words(text)
    return [
        one
        for one in canaries
        if any(form.lower().translate(SAFE) in searched for mark in one.marks for form in forms(mark))
    ]


def leaks(canaries: Iterable[Canary], sinks: Mapping[str, bytes]) -> list[str]:
    """Name every canary that is where it must not be."""
    watched = list(canaries)
    return [f"{one} in {sink}" for sink, text in sinks.items() for one in found(watched, text)]
