"""Who asks."""

import re
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from litestar.types import HTTPScope

from healthcare.domain.identity.errors import InvalidToken
from healthcare.domain.identity.ports import Tokens
from healthcare.domain.kernel import Actor, Clock, NotFound, Unauthenticated
from healthcare.entrypoints.api.request import ApiRequest, values

BEARER: Final = re.compile(r"bearer +([^ ]+) *", re.IGNORECASE)


Identify = Callable[[HTTPScope], None]
"""Learns from the headers who asks.

Raises:
    Unauthenticated, InvalidToken: nobody can tell who it is.
"""


def identified(tokens: Tokens, clock: Clock) -> Identify:
    """Return what learns who asks; what they may do is for the use case to decide."""

    def identify(scope: HTTPScope) -> None:
        given = values(scope, "Authorization")
        if not given:
            raise Unauthenticated
        bearer = BEARER.fullmatch(given[0])
        if len(given) > 1 or not bearer:
            raise InvalidToken
        user = tokens.read(bearer[1], now=clock.now())
        scope["user"] = Actor(user, scope["user"].request)

    return identify


def authenticate(request: ApiRequest[Any], identify: Identify) -> None:
    """Do what is done first with the requests of all routes, before anything else of them is looked at.

    Routes that are open to anyone ignore who asks.

    Raises:
        NotFound: an id in the path is not written as ids are.
        Unauthenticated, InvalidToken: see `Identify`.
    """
    # Litestar also takes ids in braces and as URNs. There is one way to write an id (RFC 9562 §4), and one path.
    ids = [value for value in request.path_params.values() if isinstance(value, UUID)]
    if any(str(id) not in request.scope["path"].lower() for id in ids):
        raise NotFound
    if not request.shape.anyone:
        identify(request.scope)
