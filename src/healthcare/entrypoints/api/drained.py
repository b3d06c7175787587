"""Hearing a client out before its request is refused."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
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
        if scope["type"] != ScopeType.HTTP or not _brings_body(scope["headers"]):
            await self.app(scope, receive, send)
            return
        body = Body(receive)

        async def sending(message: Message) -> None:
            if body.more and message["type"] == "http.response.start":
                await body.drain()
            await send(message)

        await self.app(scope, body.next, sending)


@dataclass(slots=True)
class Body:
    """What a client sends, and whether more of it is to come."""

    receive: Receive
    more: bool = True

    async def next(self) -> ReceiveMessage:
        """Take the next part in."""
        message: ReceiveMessage = await self.receive()
        self.more = message["type"] == "http.request" and message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Take in what is left, within limits."""
        heard = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS_TO_HEAR):
                while self.more and heard < MOST_BYTES_HEARD:
                    message = await self.next()
                    heard += len(message.get("body", b"")) if message["type"] == "http.request" else 0


def _brings_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    # Whoever sends Expect has not begun yet, and will not begin when they see the answer.
    given = {name.lower(): value for name, value in headers}
    return b"expect" not in given and (b"transfer-encoding" in given or given.get(b"content-length", b"0") != b"0")
