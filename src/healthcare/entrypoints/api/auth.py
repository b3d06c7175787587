"""Who asks."""

import re
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from healthcare.domain.identity.errors import InvalidToken
from healthcare.domain.identity.ports import Tokens
from healthcare.domain.kernel import Clock, NotFound, Unauthenticated
from healthcare.entrypoints.api.shape import SHAPE

BEARER: Final = re.compile(r"bearer +([^ ]+) *", re.IGNORECASE)


def authenticated(tokens: Tokens, clock: Clock) -> Guard:
    """Make the guard of all routes: it learns who asks, before anything else of the request is looked at.

    What they may do is for the use case to decide. Routes that are open to anyone ignore the header.
    """

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        # Litestar also takes ids in braces and as URNs. There is one way to write an id (RFC 9562 §4), and one path.
        ids = [value for value in connection.path_params.values() if isinstance(value, UUID)]
        if any(str(id) not in connection.scope["path"].lower() for id in ids):
            raise NotFound
        if handler.opt[SHAPE].anyone:
            return
        given = connection.headers.getall("Authorization", [])
        if not given:
            raise Unauthenticated
        bearer = BEARER.fullmatch(given[0])
        if len(given) > 1 or not bearer:
            raise InvalidToken
        user = tokens.read(bearer[1], now=clock.now())
        connection.scope["user"] = replace(connection.user, user=user)

    return guard
