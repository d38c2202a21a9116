"""deploy/prometheus and deploy/grafana ask for metrics that exist, and alerts fire when they have to."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import yaml

from monitoring.metrics.catalogue import (
    BRIDGE_CATALOGUE,
    CATALOGUE,
    EXECUTOR_CATALOGUE,
    GOVERNOR_CATALOGUE,
    INTELLIGENCE_CATALOGUE,
    RECONCILE_CATALOGUE,
    UNIVERSE_CATALOGUE,
)
from simulator import RunningSimulator
from tests.deploy.guarded_redis import DEPLOY
from tests.integration.conftest import simulator as simulator
from tests.integration.pipeline import Pipeline, entry
from tests.integration.service_in_process import running_service
from tests.integration.surroundings import trade
from tests.test_service_tree import ROLES

RULES = DEPLOY / "prometheus/position-state-brain.rules.yml"
RULE_TESTS = DEPLOY / "prometheus/position-state-brain.rules.test.yml"
DASHBOARD = DEPLOY / "grafana/position-state-brain.json"
#: Names of docs/contract.md, against Prometheus's advice.
NAMED_BY_CONTRACT = dict.fromkeys(
    (
        "p33_ewma_latency_ms",
        "p33_snapshot_age_sec",
        "universe_age_sec",
        "exec_unknown_age_sec",
        "permit_wait_ms",
    ),
    "metric names should not contain abbreviated units",
) | {"exec_order_count": 'non-histogram and non-summary metrics should not have "_count" suffix'}
_METRIC = re.compile(
    r"\b(?:(?:p33|p34|p35|p32|gov|bridge|universe|exec|apply|governor|permit|quantum|reconcile)_\w+|up)\b(?:\{([^}]*)\})?"
)
JOB = "position-state-brain"
_BY_PROMETHEUS = {"job", "instance", "le"}
#: Labels that the targets of several accounts have (scrape.yml).
_OF_TARGETS = {"account", "address"}


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def dashboard() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return read


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    """All queries of the dashboard, with its variables as Grafana would fill them in."""
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    found += [note["expr"] for note in dashboard()["annotations"]["list"]]
    return [expr.replace("$__rate_interval", "1m").replace("$", "") for expr in found]


async def exposed(redis_url: str, simulator: RunningSimulator) -> str:
    """`/metrics` of a service that has decided and booked."""
    pipeline = Pipeline(redis_url)
    async with running_service(redis_url, simulator, **ROLES) as service:
        await pipeline.ask("one", entry("BTCUSDT", "0.05"))
        pipeline.publish_fill("one", trade(simulator.exchange, "BTCUSDT", "BUY", "0.05"))
        await pipeline.ledger_reaches("BTCUSDT", "0.05")
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"{service.url}/metrics", timeout=10)).text


def labels_by_series(text: str) -> Mapping[str, set[str]]:
    """The names that queries may use, with the labels that each has."""
    declared = (
        *CATALOGUE,
        *UNIVERSE_CATALOGUE,
        *EXECUTOR_CATALOGUE,
        *GOVERNOR_CATALOGUE,
        *RECONCILE_CATALOGUE,
        *BRIDGE_CATALOGUE,
        *INTELLIGENCE_CATALOGUE,
    )
    labels = {each.name: set(each.labels) for each in declared}
    known: dict[str, set[str]] = {"up": set()}
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, flags=re.M):
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        for suffix in suffixes:
            known[name + suffix] = labels.get(name, set())
    for name, pairs in re.findall(r"^(\w+)\{([^}]*)\} ", text, flags=re.M):
        known.setdefault(name, set()).update(re.findall(r'(\w+)="', pairs))
    return known


def misused(expression: str, known: Mapping[str, set[str]]) -> Iterator[str]:
    for found in _METRIC.finditer(expression):
        name = found[0].partition("{")[0]
        if name not in known:
            yield name
            continue
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", found[1] or ""):
            if label not in known[name] | _BY_PROMETHEUS | _OF_TARGETS:
                yield f"{name}{{{label}}}"
    every_label = set().union(*known.values()) | _BY_PROMETHEUS | _OF_TARGETS
    for grouped in re.findall(r"\b(?:by|on|group_left) \(([^)]*)\)", expression):
        yield from (label for label in re.findall(r"\w+", grouped) if label not in every_label)


async def test_every_query_asks_for_metrics_and_labels_that_the_service_has(
    redis_server: str, simulator: RunningSimulator
) -> None:
    text = await exposed(redis_server, simulator)
    known = labels_by_series(text)
    queries = [rule["expr"] for rule in rules()] + expressions()
    assert len(queries) > 40
    assert {query: found for query in queries if (found := [*misused(query, known)])} == {}
    # And the other way round: the dashboard shows all that there is.
    shown = {found[0].partition("{")[0] for query in expressions() for found in _METRIC.finditer(query)}
    families = set(re.findall(r"^# TYPE (\S+) ", text, flags=re.M))
    assert families - {name.removesuffix("_bucket") for name in shown} == {"p33_last_snapshot_ts"}


@pytest.mark.system_tools
async def test_promtool_finds_nothing_wrong_with_the_metrics(
    redis_server: str, simulator: RunningSimulator
) -> None:
    text = await exposed(redis_server, simulator)
    done = await trio.run_process(
        ["promtool", "check", "metrics"],
        stdin=text.encode(),
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    complaints = [line.partition(" ") for line in (done.stdout + done.stderr).decode().splitlines()]
    assert {name: why for name, _, why in complaints} == NAMED_BY_CONTRACT


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run(  # noqa: S603 - a tool of the system
        ["promtool", *map(str, arguments)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.system_tools
def test_the_alerts_fire_when_they_have_to_and_not_before() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    promtool("check", "config", DEPLOY / "prometheus/scrape.yml")
    promtool("test", "rules", RULE_TESTS)


def alerts_of_roles() -> set[str]:
    """Alerts that a role in its shadow does not raise."""
    suppressed = {rule["alert"] for rule in rules() if 'mode="shadow"' in rule["expr"]}
    return suppressed - {"P33LedgerMismatch"}


@pytest.mark.parametrize("mode", ["on", "shadow"])
@pytest.mark.system_tools
def test_a_role_raises_its_alerts_and_its_shadow_none(mode: str, tmp_path: Path) -> None:
    """Each case of a role's alert, with the same metrics of an instance whose roles are in that mode."""
    cases = []
    asked = yaml.safe_load(RULE_TESTS.read_text())
    for case in asked["tests"]:
        looks = [look for look in case["alert_rule_test"] if look["alertname"] in alerts_of_roles()]
        series = [each["series"] for each in case["input_series"]]
        if looks and not any("p33_role" in each for each in series):
            instances = {re.findall(r'instance="[^"]+"', each)[0] for each in series}
            case["input_series"] += [
                {
                    "series": f'p33_role{{job="{JOB}", {instance}, role="{role}", mode="{mode}"}}',
                    "values": "1x300",
                }
                for instance in instances
                for role in ("governor", "reconcile", "universe", "intent_bridge")
            ]
            shown = looks if mode == "on" else [{**look, "exp_alerts": []} for look in looks]
            cases.append({**case, "alert_rule_test": shown})
    assert {look["alertname"] for case in cases for look in case["alert_rule_test"]} == alerts_of_roles()
    path = tmp_path / "shadow.test.yml"
    path.write_text(yaml.safe_dump(asked | {"rule_files": [str(RULES)], "tests": cases}))
    promtool("test", "rules", path)


def test_every_alert_of_a_role_with_a_shadow_excludes_it() -> None:
    """But for the one that shows the operators' key."""
    of_roles = {
        rule["alert"]
        for rule in rules()
        if re.search(r"\b(?:gov|quantum_govern|p34|universe|bridge)_", rule["expr"])
    }
    assert of_roles - alerts_of_roles() == {"P33TradingHalted", "P33LedgerMismatch"}
    assert len(alerts_of_roles()) == 15


@pytest.mark.system_tools
def test_the_dashboards_queries_are_promql(tmp_path: Path) -> None:
    written = [{"record": f"query:{number}", "expr": expr} for number, expr in enumerate(expressions())]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": written}]}))
    promtool("check", "rules", path)


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    fires: set[str] = set()
    quiet: set[str] = set()
    for case in yaml.safe_load(RULE_TESTS.read_text())["tests"]:
        for look in case["alert_rule_test"]:
            (fires if look.get("exp_alerts") else quiet).add(look["alertname"])
    names = {rule["alert"] for rule in rules()}
    assert fires == names
    assert quiet == names


def test_each_alert_says_how_bad_it_is_and_where_to_read_on() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"


def test_the_dashboard_can_be_laid_out() -> None:
    board = dashboard()
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in panels():
        assert panel["title"]
        assert panel["description"]
        assert panel["targets"]
        assert panel["datasource"]["uid"] == "${datasource}"
