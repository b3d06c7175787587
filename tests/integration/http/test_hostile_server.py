"""The same hostile requests, through the real server to the real database."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import product
from random import Random

import pytest

from healthcare.domain.kernel import Role
from tests.examples import LONG
from tests.figures import Figures
from tests.integration.clients import client_of
from tests.integration.http.corpus import Hostile, hostile, routes
from tests.integration.http.test_hostile import expected, faults
from tests.integration.world import Api, World

pytestmark = pytest.mark.anyio

RECORDS = ("outbox", "audit_entries", "dead_letters")
"""The tables that say that something was tried."""
AT_ONCE = 8


def kept(world: World) -> dict[str, object]:
    """Everything in the tables but what records that something was tried."""
    tables = world.ask("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    names = [str(name) for (name,) in tables if name not in RECORDS]
    return {name: sorted(map(repr, world.ask(f'SELECT * FROM "{name}"'))) for name in names}


async def send_all(api: Api, attacks: list[tuple[Hostile, str]], callers: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Send everything, and return what was wrong with the answers."""
    found: list[str] = []
    limits = asyncio.Semaphore(AT_ONCE)

    async def send(attack: Hostile, caller: str) -> None:
        async with limits:
            response = await attack.send(client, callers[caller])
        status = expected(attack, attack.route, signed=caller in list(Role))
        found.extend(f"{caller}: {fault}" for fault in faults(attack, status, response))

    async with client_of(api) as client:
        await asyncio.gather(*[send(*one) for one in attacks])
    return found


async def test_hostile_requests_get_problems_and_change_nothing(world: World, seed: int, figures: Figures) -> None:
    """Every attack, by a caller that is drawn; in `make test-long` by every caller."""
    callers: dict[str, Mapping[str, str]] = {role: world.headers(world.add_users(role, 1)[0]) for role in Role}
    callers |= {"nobody": {}}
    before = kept(world)
    attacks = [attack for route in routes(datetime.now(UTC)) for attack in hostile(route)]
    draws = Random(seed)  # noqa: S311 - it is not a secret
    sent = list(product(attacks, callers)) if LONG else [(one, draws.choice(sorted(callers))) for one in attacks]
    with world.apis() as (api,):
        found = await send_all(api, sent, callers)
    figures.add("hostile requests", operations=len(sent))

    assert found == []
    assert kept(world) == before
