"""Nothing leaks: what people write, and what lets them in, is in the tables meant for it and nowhere else.

200 values unlike anything else go through real processes, in every right way and in many wrong ones, also while servers
fail. Then everything is searched that others than those concerned may see. Three things may be there, and are no
canaries: names of doctors, which are public; ids; and an `X-Request-Id`, by which callers name a request for the logs.
"""

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Final
from urllib.parse import quote

import httpx
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier, Literal
from redis import Redis

from healthcare.adapters.security.keys import create_key
from healthcare.adapters.security.tokens import SignedTokens
from healthcare.adapters.system import new_id
from healthcare.domain.kernel import UserId
from tests.figures import Figures
from tests.integration.canaries import sinks
from tests.integration.canaries.canaries import Canary, Kind, draw, found, leaks, of_token
from tests.integration.canaries.show import PRESCRIBED, Person, Show
from tests.integration.proxy import Proxy, proxy_to
from tests.integration.world import Conninfo, World

pytestmark = pytest.mark.anyio

OF_EACH_KIND: Final = 40

BELONGS: Final = {
    "users": {Kind.NAME, Kind.EMAIL},
    "prescriptions": {Kind.NAME, Kind.CARE},
    "appointments": {Kind.CARE},
    "idempotency_keys": {Kind.NAME},  # in the answer that is given again
}
"""What the tables are for. The others hold none of it, and none holds a password or a token."""

SIGNS: Final = {
    "the log of api-0": b'"route":"/auth/register"',
    "the log of behind/api-0": b"cache.away",
    "the log of worker": b"outbox.dead_letter",
    "the log of crash": b"ValueError",
    "the log of PostgreSQL": b"one_account_per_email",
    "the metrics of api": b'route="/auth/register"',
    "the metrics of behind": b'route="/auth/register"',
    "what was sent to Redis": b"healthcare:bell",
    "what Redis keeps of searches": b"Doctor 0",
    "error answers": b"urn:healthcare:email-taken",
    "the outbox before any worker": b"prescription.issued",
    "pg_stat_activity, meanwhile": b"INSERT INTO users",
    "pg_stat_statements": b"INSERT INTO users",
}
"""By what a place shows that it was in use, and looked at."""

CRASH: Final = """
import sys
from healthcare.entrypoints import main
from healthcare.entrypoints.worker import main as worker

async def drain(record_events, due, stop):
    raise ValueError(sys.stdin.read())

worker.drain = drain
sys.argv = ["healthcare", "worker"]
main.main()
"""
"""A worker that ends by a mistake of ours, in whose message is what it was working on."""


@pytest.fixture
def verbose(world: World) -> World:
    """A clinic in which everybody logs as much as they can be told to."""
    world.overrides["LOG_LEVEL"] = "debug"
    with world.connect() as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        name = str(world.postgres["dbname"])
        connection.execute(f"ALTER DATABASE {name} SET log_min_duration_statement = 0".encode())
    return world


def test_nothing_that_people_write_gets_out(verbose: World, seed: int, figures: Figures) -> None:
    random, wire = Random(seed), sinks.Wire()  # noqa: S311 - to be drawn again
    names, emails, passwords, care = [draw(random, kind, OF_EACH_KIND) for kind in Kind if kind is not Kind.TOKEN]
    people = [Person(*three) for three in zip(names, emails, passwords, strict=True)]
    show = Show(verbose, httpx.AsyncClient(timeout=15, event_hooks=wire.hooks), people, care)

    searched = performed(show, wire, random)

    tables, canaries = sinks.tables(verbose), show.canaries
    leaked = leaks(canaries, searched) + [
        leak
        for name, rows in tables.items()
        for leak in leaks([one for one in canaries if one.kind not in BELONGS.get(name, ())], {name: rows})
    ]
    figures.add("canaries", operations=len(canaries) * (len(searched) + len(tables)))
    assert not leaked, "\n".join(leaked)
    # Nothing has been found; and all of it was there to be found, and every place was looked at while it was used.
    assert len(canaries) == 200
    assert found(canaries, b"\n".join(wire.sent)) == canaries
    assert found(names, tables["users"]) == names
    assert found(emails, tables["users"]) == emails
    assert found(care, tables["prescriptions"]) == care[:PRESCRIBED]
    assert found(care, tables["appointments"]) == care[PRESCRIBED:]
    assert [sink for sink, sign in SIGNS.items() if sign not in searched.get(sink, b"")] == []
    assert len({person.token.value.split(".")[0] for person in people}) == 1


def performed(show: Show, wire: sinks.Wire, random: Random) -> dict[str, bytes]:
    """Let everything happen that can, and return what can be seen of it."""
    world, (*_, late, last) = show.world, show.people
    server_logs = sinks.ServerLogs(world)
    searched: dict[str, bytes] = {}
    with (
        asyncio.Runner() as loop,
        ExitStack() as ending,
        sinks.commands(world.redis) as commands,
        ExitStack() as line_to_redis,
        ExitStack() as line_to_postgres,
        world.apis() as (api,),
    ):
        ending.callback(lambda: loop.run(show.client.aclose()))
        to_redis = line_to_redis.enter_context(proxy_to(*world.redis))
        to_postgres = line_to_postgres.enter_context(proxy_to(str(world.postgres["host"]), int(world.postgres["port"])))
        show.client.base_url = api.url
        stage = loop.run(show.go_right())
        searched["the outbox before any worker"] = sinks.table(world, "outbox")
        searched["what Redis keeps of searches"] = sinks.redis_content(world.redis)
        loop.run(show.go_wrong(stage, random))
        searched["what Redis keeps"] = sinks.redis_content(world.redis)
        for one in random.sample(show.canaries, 5):
            wire.rude(api, f"GET /{one.word} HTTP/1.1\r\nHost: a\r\nX: {one.word}\0\r\n\r\n".encode())
        loop.run(show.meet_failures(stage))

        with behind(world, to_postgres, to_redis).apis() as (other,):
            show.client.base_url = other.url
            to_postgres.commits_to_cut = 1
            assert loop.run(show.register(late, "unknown.")).json()["code"] == "outcome-unknown"
            line_to_redis.close()
            loop.run(show.ask(200, "GET", stage.search, {}))
            line_to_postgres.close()
            assert loop.run(show.register(last, "away.")).json()["code"] == "unavailable"
            loop.run(show.ask(503, "GET", "/auth/me", last.headers))
            with httpx.Client() as collector:
                searched |= sinks.metrics(collector, api=api.url, behind=other.url)

        show.client.base_url = api.url
        with world.worker():
            loop.run(show.be_recorded())
        crash(world, repr([one.value for one in show.canaries]))
        searched["what was sent to Redis"] = commands.read()
    searched["error answers"] = b"\n".join(wire.refused)
    return searched | show.seen | sinks.statistics(world) | server_logs.read() | sinks.logs(world.folder)


def behind(world: World, to_postgres: Proxy, to_redis: Proxy) -> World:
    """Return the same clinic, reached over lines that can be cut."""
    folder = world.folder / "behind"
    folder.mkdir()
    address: Conninfo = {"host": "127.0.0.1", "port": to_postgres.port}
    key = {"SIGNING_KEY_FILE": world.environment["SIGNING_KEY_FILE"]}
    return World(world.postgres | address, ("127.0.0.1", to_redis.port), folder, world.overrides | key)


def crash(world: World, words: str) -> None:
    """Let a worker end by a mistake, with these as its last words."""
    with (world.folder / "crash.log").open("wb") as log:
        ended = subprocess.run(
            [sys.executable, "-c", CRASH],
            check=False,
            env=world.environment,
            input=words.encode(),
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=20,
        )
    assert ended.returncode == 1


async def test_a_leak_into_any_of_these_places_is_found_and_named(verbose: World, seed: int) -> None:
    """One canary is put into each; otherwise no hit would say nothing."""
    world, wire = verbose, sinks.Wire()
    planted = iter(draw(Random(seed), Kind.NAME, 30))  # noqa: S311 - to be drawn again
    server_logs = sinks.ServerLogs(world)
    expected: dict[str, Canary] = {}

    def plant(sink: str) -> str:
        expected[sink] = next(planted)
        return expected[sink].value

    answers = httpx.MockTransport(lambda _: httpx.Response(200, text=plant("the metrics of api")))
    refusals = httpx.MockTransport(lambda _: httpx.Response(422, json={"detail": plant("error answers")}))
    with (
        sinks.commands(world.redis) as commands,
        Redis(host=world.redis[0], port=world.redis[1]) as redis,
        world.connect() as connection,
        psycopg.connect(make_conninfo("", **world.postgres)) as session,
    ):
        (world.folder / "api-0.log").write_text(plant("the log of api-0"), encoding="utf-8")
        message = Literal(plant("the log of PostgreSQL"))
        connection.execute(SQL("DO $$ BEGIN RAISE LOG '%', {}; END $$").format(message))
        script = "redis.log(redis.LOG_WARNING, ARGV[1])"
        redis.execute_command("EVAL", script, 0, plant("the log of Redis"))
        redis.publish("healthcare:bell", plant("what was sent to Redis"))
        searched = {"what was sent to Redis": commands.read()}
        redis.set(plant("what Redis keeps"), "")
        searched["what Redis keeps"] = sinks.redis_content(world.redis)
        async with httpx.AsyncClient(transport=refusals, event_hooks=wire.hooks) as client:
            await client.get("http://api/")
        searched["error answers"] = b"\n".join(wire.refused)
        for name in ("outbox", "audit_entries"):
            row = (
                f"INSERT INTO {name} (id, kind, at, outcome, request_id) VALUES (gen_random_uuid(), '', now(), '', %s)"
            )
            connection.execute(row.encode(), [plant(name)])
        connection.execute(
            """
            INSERT INTO dead_letters (id, kind, at, outcome, request_id, reason)
            VALUES (gen_random_uuid(), '', now(), '', '', %s)
            """,
            [plant("dead_letters")],
        )
        column = Identifier(plant("pg_stat_activity"))
        session.execute(SQL("SELECT 1 AS {}").format(column))
        expected["pg_stat_statements"] = expected["pg_stat_activity"]
        searched |= sinks.statistics(world)
    with httpx.Client(transport=answers) as collector:
        searched |= sinks.metrics(collector, api="http://api")
    searched |= sinks.logs(world.folder) | server_logs.read() | sinks.tables(world)

    named = leaks([*expected.values(), *planted], searched)
    assert {f"{canary} in {sink}" for sink, canary in expected.items()} <= set(named)
    assert {leak.split(" in ")[0] for leak in named} == set(map(str, expected.values()))


def test_whatever_redis_keeps_is_read(redis_address: tuple[str, int]) -> None:
    canaries = draw(Random(0), Kind.NAME, 7)  # noqa: S311 - any will do
    text, key, hashed, listed, member, scored, streamed = [one.value for one in canaries]
    with Redis(host=redis_address[0], port=redis_address[1]) as redis:
        redis.set("text", text)
        redis.set(key, "")
        redis.hset("hash", hashed, "")
        redis.rpush("list", listed)
        redis.sadd("set", member)
        redis.zadd("sorted set", {scored: 1})
        redis.xadd("stream", {"": streamed})

    assert found(canaries, sinks.redis_content(redis_address)) == canaries


WRITTEN: Final[dict[str, Callable[[str], bytes]]] = {
    "as it is": str.encode,
    "in small letters": lambda value: value.lower().encode(),
    "in capitals": lambda value: value.upper().encode(),
    "in a URL": lambda value: quote(value).encode(),
    "in JSON": lambda value: json.dumps({"x": value}).encode(),
    "in JSON in JSON": lambda value: json.dumps(json.dumps(value)).encode(),
    "as Python shows bytes": lambda value: repr(value.encode()).encode(),
    "in two bytes a letter": lambda value: value.encode("utf-16-le"),
    "in hexadecimal": lambda value: value.encode().hex().encode(),
    "in base64": lambda value: base64.b64encode(value.encode()),
    "in base64 after one letter": lambda value: base64.b64encode(f"x{value}".encode()),
    "in base64 for URLs after two letters": lambda value: base64.urlsafe_b64encode(f"xx{value}".encode()),
}


@pytest.mark.parametrize("written", WRITTEN)
def test_a_canary_is_found_however_it_is_written(written: str, seed: int, tmp_path: Path) -> None:
    random = Random(seed)  # noqa: S311 - to be drawn again
    for one, other in [*[draw(random, kind, 2) for kind in Kind if kind is not Kind.TOKEN], tokens(tmp_path)]:
        text = b"before " + WRITTEN[written](one.value) + b" after"
        assert found([one, other], text) == [one]


def test_a_part_of_a_token_is_found(tmp_path: Path) -> None:
    one, other = tokens(tmp_path)
    header, claims, signature = one.value.split(".")

    for part in (claims, signature, signature[:20], signature[-20:]):
        assert found([one, other], f"x{part}x".encode()) == [one]
    assert found([one, other], header.encode()) == []


def tokens(folder: Path) -> list[Canary]:
    """Return two tokens as the API issues them."""
    create_key(folder / "key.pem")
    signed = SignedTokens.from_file(folder / "key.pem", new_id=new_id)
    return [of_token(number, signed.issue(UserId(new_id()), now=datetime.now(UTC))) for number in range(2)]
