"""What operators are given speaks of this system: of its metrics, routes, settings, commands and files as they are."""

import asyncio
import json
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import promql_parser as promql
import pytest
import yaml
from litestar import Litestar
from litestar.routes import HTTPRoute
from prometheus_client.parser import text_string_to_metric_families

from healthcare.adapters.postgres.measures import measure_pool
from healthcare.adapters.redis.cache import ANSWERS
from healthcare.domain.kernel import Refusal
from healthcare.entrypoints import main, settings
from healthcare.entrypoints.api.app import create_app
from healthcare.entrypoints.api.observed import METHODS
from healthcare.entrypoints.api.problems import STATUS
from tests.clinic import Clinic

CHECKOUT = Path(__file__).parents[2]
RUNBOOK, SECURITY = CHECKOUT / "docs/runbook.md", CHECKOUT / "SECURITY.md"
SOURCE = "\n".join(
    file.read_text(encoding="utf-8") for file in sorted(CHECKOUT.glob("src/**/*.*")) if file.suffix in {".py", ".sql"}
)

GROUPS: list[dict[str, Any]] = yaml.safe_load((CHECKOUT / "ops/prometheus/alerts.yml").read_text("utf-8"))["groups"]
ALERTS: dict[str, dict[str, Any]] = {alert["alert"]: alert for group in GROUPS for alert in group["rules"]}
DASHBOARD: dict[str, Any] = json.loads((CHECKOUT / "ops/grafana/healthcare.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

# What is asked of Prometheus, and what is said of each answer.
ASKED = [
    *[pytest.param(each["expr"], each["annotations"]["summary"], id=name) for name, each in ALERTS.items()],
    *[
        pytest.param(
            target["expr"].replace("$__rate_interval", "5m"),
            target["legendFormat"],
            id=f"{panel['title']} {target['refId']}",
        )
        for panel in PANELS
        for target in panel["targets"]
    ],
]

GIVEN = {"job", "instance"}
"""The labels that Prometheus gives to everything it collects. The metric `up` it makes itself."""

OTHERS = {
    "ANALYZE",
    "FLUSHALL",
    "PGSSLMODE",
    "PGSSLROOTCERT",
    "SyncRep",
    "WALSync",
    "allkeys-lru",
    "archive_command",
    "both.pem",
    "chmod 600",
    "make demo",
    "max_connections",
    "new.pem",
    "noeviction",
    "pg_basebackup",
    "pg_stat_activity",
    "pg_terminate_backend",
    "psql",
    "seq_scan",
    "synchronous_standby_names",
    "timestamp",
    "turned.pem",
}
"""What the documents name that is not ours, or that the reader makes."""

documents = pytest.mark.parametrize("document", [RUNBOOK, SECURITY], ids=["runbook", "security"])
asked = pytest.mark.parametrize(("expression", "said"), ASKED)


@cache
def api() -> Litestar:
    """The API, with the checks that it has in production."""
    names = re.findall(r'"(\w+)": container\.\w+\(\)\.check', SOURCE)
    assert names

    async def there() -> None:
        pass

    clinic = Clinic()
    return create_app(
        use_cases=clinic.can,
        tokens=clinic.tokens,
        clock=clinic.clock,
        new_id=uuid4,
        checks=dict.fromkeys(names, there),
    )


@cache
def routes() -> frozenset[str]:
    """The paths that the API answers."""
    return frozenset(route.path_format for route in api().routes if isinstance(route, HTTPRoute))


@cache
def told() -> dict[str, dict[str, set[str]]]:
    """What a process tells Prometheus: for each metric its labels, and for each label the values it can have."""

    async def collect() -> str:
        transport = httpx.ASGITransport(api())  # type: ignore[arg-type]  # two spellings of one protocol
        async with httpx.AsyncClient(transport=transport, base_url="http://healthcare.test") as client:
            await client.get("/health/live")
            return (await client.get("/metrics")).text

    assert ANSWERS.collect()  # the cache is not part of the API, but it is of the process
    measure_pool({"pool_size": 8, "pool_available": 8, "requests_waiting": 0})
    values: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for family in text_string_to_metric_families(asyncio.run(collect())):
        for sample in family.samples:
            for label, value in (sample.labels or {}).items():
                values[sample.name][label].add(value)
            _ = values[sample.name]
    for labels in values.values():
        labels["job"], labels["instance"] = {"healthcare"}, set()
        if "route" in labels:
            labels["route"], labels["method"] = set(routes()), set(METHODS)
            labels["status"] = {"200", "201", "204", *map(str, STATUS.values())}
        if "code" in labels:
            labels["code"] |= {refusal.code for refusal in refusals()}
    values["up"] = {"job": {"healthcare"}, "instance": set()}
    return values


def refusals(kind: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    """Every refusal there is."""
    for each in kind.__subclasses__():
        yield each
        yield from refusals(each)


def selectors(expression: promql.Expr) -> list[promql.VectorSelector]:
    """Every metric that is asked for."""
    found: list[promql.VectorSelector] = []
    promql.walk(expression, lambda node: found.append(node) if isinstance(node, promql.VectorSelector) else None)
    return found


def labels_of(expression: promql.Expr) -> set[str]:
    """The labels that an answer has."""
    found: set[str] = set()
    match expression:
        case promql.VectorSelector():
            found = set(told()[expression.name or ""])
        case promql.MatrixSelector():
            found = labels_of(expression.vector_selector)
        case promql.AggregateExpr():
            found = set(expression.modifier.labels) if expression.modifier else set()
            assert found <= labels_of(expression.expr)
        case promql.ParenExpr():
            found = labels_of(expression.expr)
        case promql.BinaryExpr():
            found = labels_of(expression.lhs) or labels_of(expression.rhs)
        case promql.Call():
            found = found.union(*map(labels_of, expression.args))
    return found


@asked
def test_every_metric_that_is_asked_for_is_told(expression: str, said: str) -> None:
    """With these labels, and with values that they can have."""
    found = selectors(promql.parse(expression))

    assert found
    for selector in found:
        assert selector.name in told()
        labels = told()[selector.name]
        for matcher in selector.matchers.matchers:
            assert matcher.name in labels
            is_pattern = matcher.op == promql.MatchOp.Re or matcher.op == promql.MatchOp.NotRe  # noqa: PLR1714 - no hash
            for value in matcher.value.split("|") if is_pattern else [matcher.value]:
                pattern = value if is_pattern else re.escape(value)
                assert any(re.fullmatch(pattern, one) for one in labels[matcher.name]), matcher


@asked
def test_no_metric_of_another_system_is_taken_for_ours(expression: str, said: str) -> None:
    for selector in selectors(promql.parse(expression)):
        assert 'job="healthcare"' in str(selector)


@asked
def test_what_is_said_of_an_answer_the_answer_knows(expression: str, said: str) -> None:
    named = set(re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", said))

    assert named <= labels_of(promql.parse(expression))


def test_every_alert_says_how_urgent_it_is_and_what_is_wrong() -> None:
    assert len(ALERTS) == sum(len(group["rules"]) for group in GROUPS)
    for alert in ALERTS.values():
        assert alert.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert alert["labels"] in ({"severity": "page"}, {"severity": "ticket"})
        assert alert["annotations"]["summary"]
        assert "for" not in alert or promql.parse_duration(alert["for"])


def test_every_alert_has_a_section_in_the_runbook_and_every_section_an_alert() -> None:
    """In the same order, under the same headings, and each says the same four things."""
    sections = re.split(r"^## ", RUNBOOK.read_text("utf-8"), flags=re.MULTILINE)[1:]
    headings = {section.splitlines()[0].lower(): section for section in sections}

    for group in GROUPS:
        written = re.split(r"^### ", headings[group["name"]], flags=re.MULTILINE)[1:]
        assert [one.splitlines()[0] for one in written] == [alert["alert"] for alert in group["rules"]]
        for one in written:
            for part in ("**For patients.**", "**Look at**", "**It is over when**"):
                assert part in one, one.splitlines()[0]
            assert re.search(r"\*\*(Do\.|do)\*\*", one), one.splitlines()[0]


def test_everything_we_measure_is_on_the_dashboard() -> None:
    shown = {
        (selector.name or "").removesuffix("_bucket").removesuffix("_count")
        for panel in PANELS
        for target in panel["targets"]
        for selector in selectors(promql.parse(target["expr"].replace("$__rate_interval", "5m")))
    }
    ours = {
        re.sub("_(bucket|count|sum|created)$", "", name)
        for name in told()
        if not name.startswith(("python_", "process_"))
    }

    # What counts up is called ..._total; when it began to, it tells under the name without.
    assert {name for name in ours if f"{name}_total" not in ours} <= shown


def test_panels_lie_side_by_side_in_their_rows() -> None:
    def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        return {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}

    for one, other in combinations(DASHBOARD["panels"], 2):
        assert not cells(one) & cells(other), (one["title"], other["title"])
    for key in ("id", "title"):
        assert max(Counter(panel[key] for panel in DASHBOARD["panels"]).values()) == 1
    tops = [panel["gridPos"]["y"] for panel in DASHBOARD["panels"]]
    assert tops == sorted(tops)
    assert DASHBOARD["panels"][0]["type"] == "row"


def test_every_panel_asks_the_prometheus_that_was_chosen() -> None:
    (variable,) = DASHBOARD["templating"]["list"]

    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    for panel in PANELS:
        assert panel["datasource"] == {"type": "prometheus", "uid": f"${{{variable['name']}}}"}
        assert Counter(target["refId"] for target in panel["targets"]).most_common(1)[0][1] == 1


@documents
def test_every_name_in_a_document_is_one_of_ours(document: Path) -> None:
    unknown = [name for name in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(document)) if not is_known(name)]

    assert unknown == []


@documents
def test_every_command_in_a_document_is_understood(document: Path) -> None:
    commands = [
        line.strip()
        for block in blocks(document, "sh")
        for line in block.splitlines()
        if re.match(r"healthcare |docker compose .* (api|worker|migrate) healthcare ", line.strip())
    ]

    assert commands or document is SECURITY
    assert [
        line for line in commands if not is_understood("healthcare " + f" {line}".rpartition(" healthcare ")[2])
    ] == []


def test_every_service_in_the_runbook_is_one_of_the_compose_file() -> None:
    services = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text("utf-8"))["services"]
    lines = [line for block in blocks(RUNBOOK, "sh") for line in block.splitlines() if "docker compose" in line]

    assert lines
    for line in lines:
        verb, *words = shlex.split(line.split("docker compose ")[1])
        named = [word for word in words if not word.startswith("-")]
        # `run` and `exec` name one service and then a command; others name services only.
        assert set(named[:1] if verb in {"run", "exec"} else named) <= services.keys(), line


def test_a_job_of_the_runbook_has_the_name_that_alerts_ask_for() -> None:
    (block,) = blocks(RUNBOOK, "yaml")
    given = yaml.safe_load(block)

    assert [job["job_name"] for job in given["scrape_configs"]] == ["healthcare"]
    assert [list(CHECKOUT.glob(f"ops/**/{name}")) for name in given["rule_files"]] != [[]]


def test_every_panel_that_the_runbook_names_is_on_the_dashboard() -> None:
    named = {" ".join(name.split()) for name in re.findall(r'"([A-Z0-9][^"]{8,}?)"', prose(RUNBOOK))}

    assert named
    assert named <= {panel["title"] for panel in PANELS}


@documents
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8"))

    assert links
    for link in links:
        assert "://" not in link
        file, _, anchor = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def prose(document: Path) -> str:
    """The text without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def blocks(document: Path, language: str) -> list[str]:
    """The blocks of code in a language."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> set[str]:
    """What links can lead to within a document."""
    headings = re.findall(r"^#+ (.+)$", prose(document), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def is_known(name: str) -> bool:
    """Say whether we have something of this name."""
    if name in OTHERS or name in told() or name in ALERTS:
        return True
    if name.startswith("healthcare "):
        return is_understood(name)
    if name.startswith("/"):
        return name in routes()
    if re.fullmatch("[A-Z]+(_[A-Z]+)*", name):
        return name in settings.names() or name.removesuffix("_FILE") in settings.names()
    # What we write into logs, answers and headers stands in the source between quotes; a table or column, at its place.
    place = r"""["'(,]{0}["'),]|[(, ]{0}=|^ +{0} +\w|CREATE TABLE {0} """.format(re.escape(name))
    return bool(re.search(place, SOURCE, re.IGNORECASE | re.MULTILINE))


def is_understood(command: str) -> bool:
    """Say whether this is how one of our commands is called."""
    program, *arguments = shlex.split(command)
    try:
        main.parser().parse_args(arguments)
    except SystemExit:
        return False
    return program == "healthcare"
