"""Errors, metrics and log lines of the executor in docs/contract.md, against a service that executes."""

from __future__ import annotations

import re

import httpx
import msgspec
import pytest
import trio

from brain.execution import reasons
from brain.identifiers import Symbol
from commands.clients.embedded_redis import private_redis
from monitoring.metrics.catalogue import EXECUTOR_CATALOGUE
from simulator import running
from tests.docs.documents import codes, section, table
from tests.docs.observed_service import matching
from tests.integration.daemon_process import daemon_process
from tests.integration.execution_load import opening
from tests.integration.pipeline import Pipeline, full_close
from tests.integration.played_governor import PlayedGovernor
from tests.integration.surroundings import SYMBOLS, environment, small_exchange
from tests.integration.waiting import until

pytestmark = pytest.mark.process

EXECUTOR = section("docs/contract.md", "Executor")
ERRORS, METRICS, LINES = 6, 7, 8
#: Reasons with a part that differs, as the code words them.
WITH_PARTS = {
    reasons.source_not_allowed("<source>"),
    reasons.symbol_not_in_allowlist(Symbol("<symbol>")),
    reasons.leverage_refused("<code>"),
    reasons.not_sent("<why>"),
}
#: These are words of the gate, of an answer, and of the compared steps.
OF_OTHERS = {"permit_…", "binance_error:<code>", "state_contended"}


class Observed(msgspec.Struct):
    """Lines of the log, the metrics, and what the results have in `error`."""

    log: list[str]
    metrics: str
    errors: dict[str, str]


@pytest.fixture(scope="module")
def observed() -> Observed:
    return trio.run(_observe)


async def _observe() -> Observed:
    """Execute, refuse and leave undecided one plan each."""
    async with private_redis() as url, running(small_exchange()) as simulator:
        pipeline, exchange = Pipeline(url), simulator.exchange
        governor = PlayedGovernor(pipeline)
        plans = {
            "executed": opening(exchange.symbol("SOLUSDT")) | {"source": "a-stranger"},
            "refused": opening(exchange.symbol("XRPUSDT")),
            "skipped": opening(exchange.symbol("ADAUSDT")) | {"decision": "SKIP"},
            "corrected": full_close("DOTUSDT") | {"decision": "RECONCILE_CLOSE"},
        }
        async with daemon_process(environment(url, simulator, {"P33_EXECUTOR": "on"})) as daemon:
            address = await daemon.ready()
            await governor.executor_reads()
            await governor.has_price(SYMBOLS[-1])
            pipeline.redis.set("quantum:governor:block:refused", '{"reason": "symbol_cooldown"}', ex=60)
            for plan_id, fields in plans.items():
                (pipeline.publish_plan if plan_id == "refused" else governor.publish)(plan_id, fields)
            await governor.all_end(plans, 10)
            exchange.faults.rest_fault_paths, exchange.faults.rest_faults_next = ["/fapi/v1/order"], ["-1007"]
            governor.publish("undecided", opening(exchange.symbol("UNIUSDT")))
            await governor.result("undecided", 20)
            await until(governor.nothing_open, "no order is open and no symbol held", 10)
            async with httpx.AsyncClient(trust_env=False, base_url=address) as client:
                metrics = (await client.get("/metrics", timeout=10)).text
            ends = {plan_id: rows[-1]["error"] for plan_id, rows in governor.results.items()}
            return Observed(daemon.output.splitlines(), metrics, ends)


def test_the_errors_are_those_of_the_code(observed: Observed) -> None:
    fixed = {text for name, text in vars(reasons).items() if name.isupper() and not name.startswith("_")}
    assert set(table(EXECUTOR, ERRORS)) == fixed | WITH_PARTS | OF_OTHERS
    assert (observed.errors["executed"], observed.errors["undecided"]) == ("", "")
    assert observed.errors["refused"] == "permit_denied (Governor: symbol_cooldown)"


def test_the_metrics_are_those_that_are_exposed(observed: Observed) -> None:
    listed = {name: (cells[0], set(codes(cells[1]))) for name, cells in table(EXECUTOR, METRICS).items()}
    assert listed == {each.name: (each.kind, set(each.labels)) for each in EXECUTOR_CATALOGUE}
    exposed = dict(re.findall(r"^# TYPE (\S+) (\S+)$", observed.metrics, flags=re.M))
    assert {name: exposed.get(name) for name in listed} == {name: kind for name, (kind, _) in listed.items()}


def test_the_log_has_each_line_of_the_contract(observed: Observed) -> None:
    missing = []
    for line in table(EXECUTOR, LINES):
        pattern = matching(line.replace("…", "<any>"), r"\S+", any=r".*")
        if not any(pattern.search(said) for said in observed.log):
            missing.append(pattern.pattern)
    assert missing == []


def test_a_line_names_a_plan_by_the_first_eight_characters_of_its_id(observed: Observed) -> None:
    named = [found[1] for line in observed.log if (found := re.search(r"PERMIT_WAIT\] \S+ plan=(\S+)", line))]
    assert set(named) == {"executed", "refused", "correcte", "undecide"}
