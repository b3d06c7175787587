"""Hearing a client out before its request is refused."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, ReceiveMessage, Scope, Send

MOST_BYTES_HEARD: Final = 2 * 1024 * 1024
SECONDS_TO_HEAR: Final = 1.0


@dataclass(slots=True)
class Drained:
    """Takes in, within limits, what is left of a body that nobody reads, and only then sends the answer.

    A connection that is closed while the client is still sending is reset, and the client never sees why.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer when the client has said all, or too much."""
        if scope["type"] != ScopeType.HTTP or not (length := _announced(scope["headers"])):
            await self.app(scope, receive, send)
            return
        body = Body(receive, length)

        async def sending(message: Message) -> None:
            if body.more and message["type"] == "http.response.start":
                await body.drain()
            await send(message)

        await self.app(scope, body.next, sending)


@dataclass(slots=True)
class Body:
    """What a client sends, and whether more of it is to come."""

    receive: Receive
    left: float
    """Bytes."""
    more: bool = True

    async def next(self) -> ReceiveMessage:
        """Take the next part in.

        The server tells of the end in a part of its own, which may take as long as any other. Where the client has said
        how long the body is, nobody need ask for that.
        """
        message: ReceiveMessage = await self.receive()
        if message["type"] == "http.request":
            self.left -= len(message.get("body", b""))
            self.more = message["more_body"] = message.get("more_body", False) and self.left > 0
        else:
            self.more = False
        return message

    async def drain(self) -> None:
        """Take in what is left, within limits."""
        heard = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS_TO_HEAR):
                while self.more and heard < MOST_BYTES_HEARD:
                    message = await self.next()
                    heard += len(message.get("body", b"")) if message["type"] == "http.request" else 0


def _announced(headers: Iterable[tuple[bytes, bytes]]) -> float:
    # Whoever sends Expect has not begun yet, and will not begin when they see the answer.
    given = {name.lower(): value for name, value in headers}
    if b"expect" in given:
        return 0
    if b"transfer-encoding" in given:
        return inf
    length = given.get(b"content-length", b"0")
    return int(length) if length.isdigit() else inf
