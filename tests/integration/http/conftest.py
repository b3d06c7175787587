"""The API in this process, on the memory backend, driven as a client drives it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import uuid4

import httpx
import pytest

from healthcare.application.use_cases import UseCases
from healthcare.domain.kernel import Role, UserId
from healthcare.entrypoints.api.app import create_app, nothing
from healthcare.entrypoints.api.wiring import Check, Checks
from tests.clinic import Clinic


@dataclass(frozen=True, slots=True)
class Api:
    """A clinic behind its API, and somebody with no credentials who talks to it."""

    clinic: Clinic
    client: httpx.AsyncClient

    def signed(self, user: UserId) -> dict[str, str]:
        """Return what signs the user's requests."""
        return {"Authorization": f"Bearer {self.clinic.tokens.issue(user, now=self.clinic.clock.now())}"}

    async def as_(self, role: Role) -> dict[str, str]:
        """Return what signs the requests of somebody new who has the role."""
        return self.signed((await self.clinic.user(role)).id)


def client_of(
    clinic: Clinic, *, use_cases: UseCases | None = None, checks: Checks | None = None, measure: Check = nothing
) -> httpx.AsyncClient:
    """Put the API in front of a clinic."""
    app = create_app(
        use_cases=use_cases or clinic.can,
        tokens=clinic.tokens,
        clock=clinic.clock,
        new_id=uuid4,
        checks=checks or {"postgresql": clinic.database.check},
        measure=measure,
    )
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # httpx and Litestar spell one protocol differently
    return httpx.AsyncClient(transport=transport, base_url="http://healthcare.test")


@pytest.fixture
def clinic() -> Clinic:
    """A clinic without people."""
    return Clinic()


@pytest.fixture
async def client(clinic: Clinic) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody with no credentials."""
    async with client_of(clinic) as client:
        yield client


@pytest.fixture
def api(clinic: Clinic, client: httpx.AsyncClient) -> Api:
    """The API, and what is behind it."""
    return Api(clinic, client)
