"""Whoever begins to search after a writer was answered sees what the writer changed."""

import socket
from contextlib import suppress

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis.errors import Flaky

from healthcare.adapters.embedded.servers import OneServer, RedisAddress
from healthcare.adapters.redis.cache import RedisSearchCache
from tests.integration.redis import sabotage
from tests.integration.redis.world import Play, Program, playing, programs

REAL_TIME = settings(deadline=None)
SEARCH = settings(deadline=None, max_examples=5_000, phases=[Phase.generate], database=None)


@pytest.fixture
def nobody() -> RedisAddress:
    """Where no Redis is."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return RedisAddress("127.0.0.1", probe.getsockname()[1])


def see_something_stale(play: Play, *, accidents: bool) -> None:
    """Search in the same way for a program that shows a cache to be wrong; fail if there is none."""
    # A race that went wrong once need not go wrong again when Hypothesis asks for it: it has been seen.
    with suppress(Flaky):
        find(programs(accidents=accidents), lambda program: bool(play(program)), settings=SEARCH)


@pytest.mark.parametrize("kind", [RedisSearchCache, sabotage.SlowlyRead])
@pytest.mark.parametrize("accidents", [False, True], ids=["calm", "flushed and spoiled"])
def test_no_search_is_older_than_the_last_answered_change(
    server: OneServer[RedisAddress], kind: type[RedisSearchCache], accidents: bool
) -> None:
    """Two processes, one Redis, and whatever Hypothesis draws; accidents included, nobody is stale."""
    with playing(server.address, kind) as play:

        @given(programs(accidents=accidents))
        @REAL_TIME
        def check(program: Program) -> None:
            assert play(program) == []

        check()


def test_without_redis_no_search_is_older_than_the_last_answered_change(nobody: RedisAddress) -> None:
    """Each process then waits for queries that begin after it was asked."""
    with playing(nobody, RedisSearchCache) as play:

        @given(programs(accidents=False))
        @REAL_TIME
        def check(program: Program) -> None:
            assert play(program) == []

        check()


@pytest.mark.parametrize(
    "kind",
    [
        sabotage.ForgetsNothing,
        sabotage.AnswersTooSoon,
        sabotage.ReadsTokensLast,
        sabotage.JoinsAnyFlight,
        sabotage.JoinsReadsOfTokens,
    ],
)
def test_the_judge_sees_a_cache_that(server: OneServer[RedisAddress], kind: type[RedisSearchCache]) -> None:
    """The same search for stale answers finds one."""
    with playing(server.address, kind) as play:
        see_something_stale(play, accidents=False)


def test_the_judge_sees_a_cache_that_counts_versions(server: OneServer[RedisAddress]) -> None:
    """After a flush, counters meet their old values."""
    with playing(server.address, sabotage.CountsVersions) as play:
        see_something_stale(play, accidents=True)


def test_the_judge_sees_a_cache_without_redis_that_joins_queries(nobody: RedisAddress) -> None:
    """A query that began before a change does not show it."""
    with playing(nobody, sabotage.JoinsQueries) as play:
        see_something_stale(play, accidents=False)
