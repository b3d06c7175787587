"""The API does what its description says, whoever asks for whatever: requests are drawn from the description itself."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.generation.drivers import CoverageGenerator
from schemathesis.generation.feedback import NO_FEEDBACK
from schemathesis.generation.overrides import Override

from healthcare.domain.policy import POLICY, Action
from tests.examples import LONG
from tests.figures import Figures
from tests.integration.http.corpus import OTHER_ID, UNKNOWN_ID, Route, routes
from tests.integration.http.practice import CALLERS, Practice, practice
from tests.integration.world import World

CONFIG = {
    "checks": {
        # What JSON Schema cannot say (that there is such a time zone, that the end comes after the start) is told with
        # 422. What remains: a request that is as described is never unreadable, too large or of a wrong type.
        "positive_data_acceptance": {"expected-statuses": ["2xx", "401", "403", "404", "409", "412", "422", "429"]},
        # What is wrong may also be too large, which is told before anything of it is read.
        "negative_data_rejection": {
            "expected-statuses": ["400", "401", "403", "404", "405", "409", "413", "415", "422", "428", "429"]
        },
        # Without If-Match, 428 (RFC 6585 §3) says what is missing.
        "missing_required_header": {"expected-statuses": ["400", "401", "415", "422", "428"]},
    }
}
"""Every check is on. Three judge only sequences that Schemathesis plays itself, which it does not do here:
use_after_free, ensure_resource_availability and object_level_authorization. One needs a machine that nobody else uses:
max_response_time."""

DRAWN = settings(
    phases=[Phase.generate],  # what a request changes stays changed, so a smaller one would prove nothing
    suppress_health_check=list(HealthCheck),  # some routes take nothing that could be wrong
    database=None,
)
TRIES = 3

Operation: TypeAlias = APIOperation[Any, Any, Any, Any]
Request: TypeAlias = Case[Any]
Draw = Callable[[st.SearchStrategy[bool]], bool]


@dataclass(slots=True, repr=False)
class Conversation:
    """What callers ask the practice, each answer held against the description."""

    practice: Practice
    operations: list[Operation]
    """Everything that is described."""
    examples: Mapping[str, Route]
    session: requests.Session
    asked: Counter[str] = field(default_factory=Counter)

    def ask(self, caller: str, case: Request) -> int:
        """Send a request and check the answer. 503 says "try again": whoever does must not hear it for ever."""
        headers = self.practice.headers(caller)
        for _ in range(TRIES):
            response = case.call(headers=headers, session=self.session)
            if response.status_code != 503:
                break
        case.validate_response(response, headers=headers, transport_kwargs={"session": self.session})
        self.asked[caller] += 1
        return response.status_code

    def count(self, figures: Figures) -> None:
        """Put down how much was asked."""
        for caller, number in self.asked.items():
            figures.add(f"OpenAPI, as {caller}", operations=number)

    def ids(self, operation: Operation) -> list[UUID]:
        """Return what a request can name, if it names something."""
        return self.practice.ids.get(operation.path, [UNKNOWN_ID])

    def meant_well(self, operation: Operation, id: UUID) -> Request:
        """Return a request that is good in every way, if the caller may do this with what has the id."""
        route = self.examples.get(operation.label, Route(method=operation.method, path=operation.path))
        case: Request = operation.Case(
            path_parameters={"id": str(id)} if route.path != route.template else {},
            query=dict(route.query),
            headers=({"Idempotency-Key": uuid4().hex} if route.keyed else {})
            | ({"If-Match": "*"} if route.conditional else {}),
        )
        if route.body is not None:
            written = json.dumps(route.body).replace(str(UNKNOWN_ID), str(id))
            body = json.loads(written.replace(str(OTHER_ID), str(next(self.practice.others))))
            if operation.path == "/auth/register":
                body["email"] = f"{uuid4()}@example.org"
            case.media_type, case.body = "application/json", body
        return case


@pytest.fixture
def conversation(world: World) -> Iterator[Conversation]:
    """A practice that says what it takes and what it answers."""
    with practice(world) as opened, requests.Session() as session:
        document = session.get(f"{opened.api.url}/openapi.json").json()
        for kind in document["components"]["schemas"].values():
            # Answers may tell more one day, so the description leaves them open. Nothing that it does not name is told.
            kind.setdefault("additionalProperties", False)
        config = schemathesis.Config.from_dict(CONFIG | {"base-url": opened.api.url})
        schema = schemathesis.openapi.from_dict(document, config=config)
        operations = [schema[path][method] for path in schema for method in schema[path]]
        good = {str(route): route for route in routes(datetime.now(UTC))}
        yield Conversation(opened, operations, good, session)


def test_everybody_gets_through_where_the_policy_lets_them_and_nowhere_else(
    conversation: Conversation, figures: Figures
) -> None:
    for operation, caller in product(conversation.operations, CALLERS):
        allowed, ids = may(caller, operation), conversation.ids(operation)
        good = {int(status) for status in operation.definition.raw["responses"] if status.startswith("2")}
        answers: set[int] = set()
        for id in ids if allowed else ids[:1]:
            answers.add(conversation.ask(caller, conversation.meant_well(operation, id)))
            if answers >= good:
                break
        assert answers & good == (good if allowed else set()), (operation.label, caller)
    conversation.count(figures)


def test_what_is_just_allowed_and_what_just_is_not_are_answered_as_described(
    conversation: Conversation, figures: Figures
) -> None:
    for operation in conversation.operations:
        for case, caller in product(at_the_edges(operation), CALLERS):
            conversation.ask(caller, case)
    conversation.count(figures)


def test_whatever_is_drawn_is_answered_as_described(conversation: Conversation, figures: Figures) -> None:
    for operation in conversation.operations:
        drawn(conversation, operation)()
    conversation.count(figures)


def drawn(conversation: Conversation, operation: Operation) -> Callable[[], None]:
    """Return what draws requests that are wrong somewhere, or right as described, and sends each as everybody."""
    right, wrong = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    @settings(DRAWN, max_examples=1500 if LONG else 40)  # in make test-long, more than 100,000 requests over all routes
    @given(case=right | wrong, id=st.sampled_from(conversation.ids(operation)), data=st.data())
    def ask(case: Request, id: UUID, data: st.DataObject) -> None:
        assume(arrives(case))
        if case.meta and case.meta.generation.mode.is_positive:
            improve(case, conversation.meant_well(operation, id), data.draw)
        for caller in CALLERS:
            conversation.ask(caller, case)

    return ask


def arrives(case: Request) -> bool:
    """Say whether the whole query is sent: without its empty lists, what was drawn as wrong may be right."""
    sent = requests.Request("GET", "http://localhost/", params=case.as_transport_kwargs()["params"]).prepare().url or ""
    return set(map(str, case.query or {})) <= set(parse_qs(urlsplit(sent).query, keep_blank_values=True))


def may(caller: str, operation: Operation) -> bool:
    """Say whether the policy lets such callers in; what drives no use case is open."""
    name = operation.definition.raw["operationId"]
    if name not in list(Action):
        return True
    rule = POLICY[Action(name)]
    return rule.anyone or caller in rule.roles


def at_the_edges(operation: Operation) -> Iterator[Request]:
    """Return requests that use what is described to the full, and that overstep it by a little, rule by rule."""
    config = operation.schema.config.generation_for(operation=operation, phase="coverage")
    return iter(
        CoverageGenerator(
            operation=operation,
            generation_modes=list(GenerationMode),
            generation_config=config,
            auth_storage=None,
            override=Override(),
            feedback=NO_FEEDBACK,
        )
    )


def improve(case: Request, better: Request, draw: Draw) -> None:
    """Put what is meant well in the place of some of what was drawn, so that requests get further."""
    for part, other in (
        (case.path_parameters, better.path_parameters),
        (case.query, better.query),
        (case.body, better.body),
    ):
        if isinstance(part, dict) and isinstance(other, dict):
            part.update({name: value for name, value in other.items() if draw(st.booleans())})
