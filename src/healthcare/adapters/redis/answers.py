"""Answers to searches, as they are kept in this process and in Redis."""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

from msgspec import DecodeError, Struct
from msgspec.msgpack import Decoder, encode

from healthcare.adapters.redis.line import SharedLine
from healthcare.adapters.redis.names import Names
from healthcare.adapters.redis.tokens import Tokens
from healthcare.domain.kernel import Clock

KEPT: Final = timedelta(seconds=5)
"""From the moment before the tokens were read: how old an answer gets where Redis did not take a change."""
MOST: Final = 512


@dataclass(frozen=True, slots=True)
class View:
    """The tokens that somebody read, and when they began to."""

    tokens: Tokens
    at: datetime
    monotonic: float
    """The same in seconds of a clock that nobody can set back."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, and until when it may be given again."""

    body: bytes
    ends: datetime
    monotonic_end: float

    def fresh(self, now: datetime) -> bool:
        """Say whether it may still be given."""
        return now < self.ends and monotonic() < self.monotonic_end

    @classmethod
    def of(cls, body: bytes, view: View, until: datetime | None) -> "Answer":
        """Make an answer under the tokens of a view."""
        ends = view.at + KEPT
        return cls(body, min(ends, until) if until else ends, view.monotonic + KEPT.total_seconds())


class LocalAnswers:
    """The answers that this process has used last, under the tokens with which they were made."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[Names, Tokens], Answer] = OrderedDict()

    def get(self, names: Names, tokens: Tokens) -> Answer | None:
        """Return the answer, fresh or not."""
        if answer := self._answers.get((names, tokens)):
            self._answers.move_to_end((names, tokens))
        return answer

    def put(self, names: Names, tokens: Tokens, answer: Answer) -> None:
        """Keep the answer, and forget the one that has not been used for longest."""
        self._answers[names, tokens] = answer
        self._answers.move_to_end((names, tokens))
        if len(self._answers) > MOST:
            self._answers.popitem(last=False)

    def forget(self, tokens: Collection[str]) -> None:
        """Forget the answers for which one of these tokens stands."""
        changed = frozenset(tokens)
        for key in [key for key in self._answers if not changed.isdisjoint(key[0].tokens)]:
            del self._answers[key]


class Entry(Struct, frozen=True, array_like=True):
    """An answer in Redis."""

    tokens: bytes
    ends: datetime
    body: bytes


DECODE: Final = Decoder(Entry).decode


class SharedAnswers:
    """The answers in Redis, which all processes use."""

    def __init__(self, line: SharedLine, clock: Clock) -> None:
        self._line, self._clock = line, clock

    async def get(self, names: Names, tokens: Tokens) -> Answer | None:
        """Return an answer that was made under these tokens and is fresh."""
        value, milliseconds = await self._line.get(names.answer)
        try:
            entry = DECODE(value)
        except (DecodeError, TypeError):
            return None  # nothing is there, or something that we did not write
        # Redis counts the time too, in case the clocks of two machines differ.
        left = min(milliseconds / 1000, KEPT.total_seconds())
        answer = Answer(entry.body, entry.ends, monotonic() + left)
        if entry.tokens != b"".join(tokens) or entry.ends.utcoffset() is None:
            return None
        return answer if answer.fresh(self._clock.now()) else None

    async def put(self, names: Names, tokens: Tokens, answer: Answer) -> None:
        """Keep the answer."""
        left = min((answer.ends - self._clock.now()).total_seconds(), answer.monotonic_end - monotonic())
        if (milliseconds := int(left * 1000)) > 0:
            entry = Entry(b"".join(tokens), answer.ends, answer.body)
            await self._line.put(names.answer, encode(entry), milliseconds=milliseconds)
