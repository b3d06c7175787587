"""Looking at everything the system rests on: a line for each, and what to do where something is wrong."""

import asyncio
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Final, Literal

from healthcare.adapters.postgres import examination as postgres
from healthcare.adapters.redis import examination as redis
from healthcare.adapters.security.keys import KeysUnusable, read_keys
from healthcare.application.uow import Unavailable
from healthcare.domain.kernel import Clock
from healthcare.entrypoints import settings
from healthcare.entrypoints.settings import Settings, SettingsInvalid

MOST_SKEW: Final = timedelta(seconds=1)
OLDEST_REDIS: Final = "7.2.11"
"""Of Redis as of Valkey: nobody mends what is older."""
STRANGERS: Final = stat.S_IRWXO | stat.S_IWGRP
"""A group may read the key: containers are given secrets that way."""
FLOOR: Final = re.compile(r"([\w.-]+)(?:\[.*?\])?>=([\d.]+)[^;]*")
"""What this release asks of a package; what only an extra asks for does not match."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at one thing has shown."""

    about: str
    state: Literal["ok", "failed", "unknown"]
    says: str


def check(clock: Clock) -> bool:
    """Print what is found, and say whether nothing has failed."""
    well = True
    for finding in findings(clock):
        print(f"{finding.state:9}{finding.about:20}{finding.says}", flush=True)
        well = well and finding.state != "failed"
    return well


def findings(clock: Clock) -> Iterator[Finding]:
    """Look at one thing after the other, but not at what is on a server that is away."""
    yield installation()
    try:
        chosen = settings.read()
    except SettingsInvalid as reason:
        yield judge("settings", "", str(reason))
        return
    yield judge("settings", "there is all that is needed")
    yield signing_key(chosen.signing_key_file)
    yield from database(chosen, clock)
    yield from cache_or_queue("cache", chosen.redis_host, chosen.redis_port, clock)
    yield from cache_or_queue("queue", chosen.queue_redis_host, chosen.queue_redis_port, clock)


def judge(about: str, fine: str, *faults: str) -> Finding:
    """Say what is wrong, or what is fine if none of the faults says anything."""
    wrong = "; ".join(filter(None, faults))
    return Finding(about, "failed" if wrong else "ok", wrong or fine)


def every(says: str, which: Sequence[str]) -> str:
    """Say it of each of these, or nothing if there are none."""
    return f"{says} {', '.join(which)}" if which else ""


def installation() -> Finding:
    """Compare the packages with the oldest that this release was made for."""
    asked = [found.groups() for one in requires("healthcare") or () if (found := FLOOR.fullmatch(one))]
    old = [f"{name} ({has or 'missing'}, not {least})" for name, least in asked if older(has := installed(name), least)]
    python = ".".join(map(str, sys.version_info[:3]))
    return judge(
        "installation",
        f"healthcare {version('healthcare')} on Python {python}, with {len(asked)} packages that are new enough",
        every("install what requirements/runtime.lock names in place of", old),
    )


def installed(package: str) -> str:
    """Return the version of a package, or nothing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def older(one: str, other: str) -> bool:
    """Compare two versions, as far as they consist of numbers."""
    return [int(part) for part in re.findall(r"\d+", one)] < [int(part) for part in re.findall(r"\d+", other)]


def signing_key(file: Path) -> Finding:
    """See whether the keys can be read, and by whom."""
    try:
        number = len(read_keys(file))
    except KeysUnusable as reason:
        return judge("signing key", "", f"{reason}; healthcare create-key makes one")
    strangers = file.stat().st_mode & STRANGERS
    return judge(
        "signing key", f"{number}, private", f"others can read or change {file}: chmod 600" if strangers else ""
    )


def database(chosen: Settings, clock: Clock) -> Iterator[Finding]:
    """See whether PostgreSQL will keep what it is given, and refuse what must never be."""
    try:
        found = postgres.examine(chosen.postgres, clock)
    except Unavailable as reason:
        yield judge("PostgreSQL", "", f"nothing works without {chosen.postgres_host}:{chosen.postgres_port}: {reason}")
        return
    yield judge("PostgreSQL", found.version, f"{found.version} is older than 18.4: upgrade it" if found.too_old else "")
    yield judge(
        "migrations",
        "all are applied",
        every("run healthcare migrate, which applies", found.to_apply),
        every("edited after they had been applied:", found.edited),
        every("of a later release, which is the one to run:", found.unknown),
    )
    yield judge(
        "schema",
        "every constraint, index and trigger that the migrations name is in force",
        every("missing, make again as the migrations do:", found.absent),
        every("not valid or not enabled:", found.idle),
    )
    yield judge("server settings", "safe", *found.unsafe)
    yield time_of("PostgreSQL", *found.clock)


def cache_or_queue(about: Literal["cache", "queue"], host: str, port: int, clock: Clock) -> Iterator[Finding]:
    """See whether a Redis is there, and what it does when it is full."""
    try:
        found = asyncio.run(redis.examine(host=host, port=port, clock=clock))
    except Unavailable as reason:
        loss = "searches are slower" if about == "cache" else "audit entries are late"
        yield judge(about, "", f"{loss} without {host}:{port}: {reason}")
        return
    if found.version:
        old = f"{found.version} is older than {OLDEST_REDIS}: upgrade it" if older(found.version, OLDEST_REDIS) else ""
        yield judge(about, f"{found.version}, {found.policy}", old, full(about, found))
    else:
        yield Finding(about, "unknown", "it is there, and INFO is not for this user")
    if found.clock:
        yield time_of(about, *found.clock)
    else:
        yield Finding(f"clock of {about}", "unknown", "TIME is not for this user")


def full(about: Literal["cache", "queue"], found: redis.Examined) -> str:
    """Say what is wrong with what a Redis does when it is full."""
    if about == "cache" and found.policy == "noeviction" and found.memory:
        return "keeps what is old when it is full: set maxmemory-policy allkeys-lru"
    if about == "queue" and found.policy != "noeviction":
        return f"is made to evict ({found.policy}), as a cache: let QUEUE_REDIS_HOST and _PORT name another"
    return ""


def time_of(about: str, before: datetime, theirs: datetime, after: datetime) -> Finding:
    """Compare a server's time with what it was here half-way between asking and being told."""
    skew = theirs - (before + (after - before) / 2)
    says = f"{skew.total_seconds():+.3f} s"
    wrong = abs(skew) > MOST_SKEW
    return judge(f"clock of {about}", says, f"{says} from here: let both machines keep time by NTP" if wrong else "")
