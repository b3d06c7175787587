"""/audit: who did what to whose data."""

from typing import Self
from uuid import UUID

from litestar import Controller, get
from msgspec import Struct, field

from healthcare.application.audit.search import SearchAudit
from healthcare.domain.audit.model import Entry, Question
from healthcare.domain.kernel import EventKind, Outcome, UserId, in_utc
from healthcare.entrypoints.api.bodies import Instant
from healthcare.entrypoints.api.paging import Page, PageRequest
from healthcare.entrypoints.api.request import ApiRequest
from healthcare.entrypoints.api.wiring import Use


class AuditRequest(PageRequest, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which entries are asked for; `from` is in it, `to` is not."""

    actor: UUID | None = None
    subject: UUID | None = None
    kind: EventKind | None = None
    since: Instant | None = field(default=None, name="from")
    until: Instant | None = field(default=None, name="to")

    @property
    def question(self) -> Question:
        """The same, for the use case."""
        return Question(
            actor=None if self.actor is None else UserId(self.actor),
            subject=self.subject,
            kind=self.kind,
            since=None if self.since is None else in_utc(self.since, "from"),
            until=None if self.until is None else in_utc(self.until, "to"),
        )


class EntryBody(Struct, frozen=True):
    """Who did what to whose data, when, in which request, and whether they were let."""

    id: UUID
    at: Instant
    actor_id: UUID | None
    kind: EventKind
    subject_id: UUID | None
    outcome: Outcome
    request_id: str

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Write the entry down."""
        return cls(entry.id, entry.at, entry.actor, entry.kind, entry.subject, entry.outcome, entry.request)


class AuditController(Controller):
    """What happened."""

    path = "/audit"
    tags = ("audit",)

    @get("/", summary="Search the audit entries")
    async def search(self, request: ApiRequest[AuditRequest], search_audit: Use[SearchAudit]) -> Page[EntryBody]:
        """Return audit entries, the newest first."""
        asked = request.query
        page = await search_audit(actor=request.user, question=asked.question, paging=asked.paging)
        return Page.of(page, EntryBody.of)
