"""A body ends with its last byte where the client has said how long it is."""

from math import inf

import pytest
from litestar.types import ReceiveMessage

from healthcare.entrypoints.api.drained import Body

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("length", "asked"), [(10, 2), (inf, 3)])
async def test_nobody_asks_for_the_end_of_a_body_whose_length_was_announced(length: float, asked: int) -> None:
    parts = [b"four", b"sixsix", b""]

    async def receive() -> ReceiveMessage:
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(part)}

    body, heard = Body(receive, length), list[bytes]()
    while body.more:
        message = await body.next()
        assert message["type"] == "http.request"
        assert message["more_body"] == body.more
        heard.append(message["body"])

    assert b"".join(heard) == b"foursixsix"
    assert len(heard) == asked
