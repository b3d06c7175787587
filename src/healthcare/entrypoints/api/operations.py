"""/health and /metrics: for those who operate the system, and for their machines."""

import asyncio
from typing import Final, Literal

import structlog
from litestar import Controller, Response, get
from litestar.openapi import ResponseSpec
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

from healthcare.entrypoints.api.wiring import Check, Checks, Use, Watched

MOST_WAITING: Final = 1.0
"""Seconds for one check; who asks about health does not wait long."""
INDISPENSABLE: Final = "postgresql"

UP: Final = Gauge("dependency_up", "Whether what this process depends on answers: 1, or 0.", ["dependency"])

log = structlog.get_logger()


class LiveBody(Struct, frozen=True):
    """The process answers."""

    status: Literal["live"] = "live"


class ReadyBody(Struct, frozen=True):
    """What the system depends on, and whether it is there."""

    status: Literal["ready", "degraded", "unready"]
    checks: dict[str, Literal["up", "down"]]


class OperationsController(Controller):
    """How the system is."""

    tags = ("operations",)

    @get("/health/live", summary="Ask whether the process answers", open=True)
    async def live(self) -> LiveBody:
        """Answer. Nothing else is asked, so that no trouble elsewhere restarts this process."""
        return LiveBody()

    @get(
        "/health/ready",
        summary="Ask whether requests can be sent here",
        open=True,
        responses={503: ResponseSpec(ReadyBody, description="PostgreSQL is away: send requests elsewhere.")},
    )
    async def ready(self, watched: Use[Watched]) -> Response[ReadyBody]:
        """Ask everything the system depends on; without Redis it is degraded, without PostgreSQL it is unready."""
        there = await _are_up(watched.checks)
        body = ReadyBody(
            "ready" if all(there.values()) else "degraded" if there[INDISPENSABLE] else "unready",
            {name: "up" if up else "down" for name, up in there.items()},
        )
        return Response(body, status_code=503 if body.status == "unready" else 200)

    @get("/metrics", open=True, include_in_schema=False)
    async def metrics(self, watched: Use[Watched]) -> Response[bytes]:
        """Return what Prometheus collects; it is told nothing that is older than its question."""
        there, _ = await asyncio.gather(_are_up(watched.checks), _is_up("measures", watched.measure))
        for name, up in there.items():
            UP.labels(name).set(up)
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _are_up(checks: Checks) -> dict[str, bool]:
    return dict(zip(checks, await asyncio.gather(*map(_is_up, checks, checks.values())), strict=True))


async def _is_up(name: str, check: Check) -> bool:
    # Not `wait_for`: it waits until what it cancelled has ended, which is just what cannot be relied on here.
    task = asyncio.ensure_future(check())
    await asyncio.wait({task}, timeout=MOST_WAITING)
    if not task.done():
        task.cancel()
        log.warning("check took too long", check=name)
        return False
    if task.cancelled() or task.exception():
        log.warning("check failed", check=name, reason=type(task.exception()).__name__)
        return False
    return True
