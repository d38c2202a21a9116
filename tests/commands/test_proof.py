"""`proof` beside a running service: the eight points, what the probe leaves, what each point fails for."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.decisions.case import Case
from brain.decisions.decision import decide
from brain.plans.permit import Reason
from brain.plans.plan import Plan
from brain.plans.plan_fields import read_plan
from commands import main
from commands.proof import POINTS, proof
from commands.proof.probe import probe_fields
from settings.variables import FIELD_OF, VARIABLES
from tests.brain.cases import NOW_MS
from tests.brain.strategies import cases
from tests.commands.deployment import Capture, Deployment, Finding, run_command
from tests.docs.documents import section, table
from tests.integration.pipeline import AUDIT, PLANS, entry
from tests.integration.surroundings import SYMBOLS, is_unready, trade

LONGEST_DECISION_TTL_SEC = 30 * 86_400


async def prove(
    deployed: Deployment, changes: Mapping[str, str] | None = None, *, publish: bool = True
) -> tuple[int, dict[str, Finding]]:
    environ = {**deployed.environ, **(changes or {})}
    code, findings = await deployed.findings_of(proof, environ, url=None, publish=publish)
    assert [finding["name"] for finding in findings] == list(POINTS)
    return code, {finding["name"]: finding for finding in findings}


def verdicts(points: Mapping[str, Finding]) -> dict[str, str]:
    """By number."""
    return {name[0]: point["verdict"] for name, point in points.items()}


async def test_a_deployment_that_does_its_work_is_proven_in_eight_points(deployed: Deployment) -> None:
    async with deployed.service():
        await deployed.ask("one", entry("BTCUSDT", "0.01"))
        deployed.publish_fill("one", trade(deployed.simulator.exchange, "BTCUSDT", "BUY", "0.01"))
        await deployed.ask("two", {**entry("BTCUSDT", "0.01"), "qty": "many"})
        await deployed.ledger_reaches("BTCUSDT", "0.01")
        code, points = await prove(deployed)
    assert code == 0
    assert verdicts(points) == dict.fromkeys("12345678", "ok")
    assert "instance first, up" in points["1 service"]["detail"]
    assert points["3 snapshots fresh"]["detail"].startswith("16, the oldest ")
    assert points["4 ledger"]["detail"] == "16 ledgers, 1 with a position, all as the exchange has it"
    assert points["5 permits"]["detail"] == (
        "2 stand now (1 allow, 1 deny), each as a consumer reads it; since the start 1 allowed, 1 denied"
    )
    assert points["6 decisions"]["detail"].startswith("the last 2 in the audit come out the same again")
    assert "denied (plan_expired) after" in points["7 gate"]["detail"]
    assert points["8 summary"]["detail"] == "7 of 7 points proven"


def test_the_document_names_every_point() -> None:
    assert tuple(table(section("docs/commands.md", "proof"))) == POINTS


async def test_the_probe_leaves_what_a_denied_plan_leaves_and_nothing_else(deployed: Deployment) -> None:
    async with deployed.service():
        denied = await deployed.ask("denied", {**entry("BTCUSDT", "0.01"), "timestamp": "1"})
        before = set(deployed.redis.scan_iter())
        ledgers = {symbol: deployed.ledger(symbol) for symbol in SYMBOLS}
        code, points = await prove(deployed)
        plan_id = points["7 gate"]["detail"].split()[0]
        assert code == 0
        left = set(deployed.redis.scan_iter()) - before
        assert left == {f"quantum:permit:p33:{plan_id}", f"quantum:p33:plan:{plan_id}"}
        assert 0 < deployed.redis.ttl(f"quantum:permit:p33:{plan_id}") <= 60
        permit = deployed.permit_now(plan_id)
        assert permit is not None
        assert (permit["allow"], permit["reason"], permit["kind"]) == (
            False, denied["reason"], denied["kind"],
        )  # fmt: skip
        assert [fields["plan_id"] for _, fields in deployed.entries(PLANS)] == ["denied", plan_id]
        assert deployed.decisions() == {"denied": 1, plan_id: 1}
        assert {symbol: deployed.ledger(symbol) for symbol in SYMBOLS} == ledgers
        await deployed.nothing_pends(PLANS)


@given(cases(), st.integers(1, LONGEST_DECISION_TTL_SEC))
def test_no_case_at_all_allows_the_probe(case: Case, decision_ttl_sec: int) -> None:
    plan = read_plan({name.encode(): text.encode() for name, text in probe_fields("proof-1").items()})
    assert isinstance(plan, Plan)
    rules = msgspec.structs.replace(case.rules, decision_ttl_sec=decision_ttl_sec)
    decision = decide(msgspec.structs.replace(case, plan=plan, rules=rules, now_ms=NOW_MS))
    assert (decision.allow, decision.reason) == (False, Reason.PLAN_EXPIRED)


def test_no_setting_lets_a_plan_live_for_as_long_as_the_probe_is_old() -> None:
    (declared,) = [each for each in VARIABLES if FIELD_OF[each.name] == "decision_ttl_sec"]
    assert declared.kind.parse(str(LONGEST_DECISION_TTL_SEC)) == LONGEST_DECISION_TTL_SEC
    with pytest.raises(ValueError):  # noqa: PT011 - settings say only that it is refused
        declared.kind.parse(str(LONGEST_DECISION_TTL_SEC + 1))
    assert time.time() - float(probe_fields("x")["timestamp"]) > 20 * 365 * 86_400


async def test_without_a_probe_nothing_is_published(deployed: Deployment) -> None:
    async with deployed.service():
        before = deployed.redis.xlen(PLANS)
        code, points = await prove(deployed, publish=False)
        assert deployed.redis.xlen(PLANS) == before
    assert code == 0
    assert points["7 gate"]["verdict"] == "skipped"
    assert points["8 summary"]["detail"] == "5 of 7 points proven, 1 warning, 1 skipped"


async def test_nothing_is_published_while_no_daemon_answers(deployed: Deployment) -> None:
    code, points = await prove(deployed, {"P33_METRICS_PORT": "1"})
    assert code == 1
    assert points["1 service"]["detail"].startswith("no daemon answers at http://127.0.0.1:1 (")
    assert verdicts(points) == {
        "1": "failed", "2": "skipped", "3": "failed", "4": "failed", "5": "ok", "6": "warning",
        "7": "skipped", "8": "failed",
    }  # fmt: skip
    assert deployed.keys() == {}


async def test_a_service_that_is_not_ready_is_reported_with_its_reasons_and_gets_no_probe(
    deployed: Deployment,
) -> None:
    async with deployed.service() as service:
        deployed.redis.set("quantum:p33:lease", "9999999999999:another", px=60_000)
        await is_unready(service.url, "standing by")
        before = deployed.redis.xlen(PLANS)
        code, points = await prove(deployed)
        assert deployed.redis.xlen(PLANS) == before
    assert code == 1
    shown = points["1 service"]["detail"]
    assert "not ready" in shown and "standing by: the lease is held by another" in shown
    assert points["7 gate"]["verdict"] == "skipped"


async def test_another_redis_than_the_daemons_gets_no_probe(deployed: Deployment) -> None:
    async with deployed.service():
        deployed.redis.xadd("other:stream:apply.plan", {"plan_id": "1"})
        code, points = await prove(deployed, {"P33_KEY_PREFIX": "other"})
        assert deployed.redis.xlen("other:stream:apply.plan") == 1
    assert code == 1
    assert points["7 gate"]["verdict"] == "failed"
    assert "nothing was published" in points["7 gate"]["detail"]
    assert "must be the daemon's" in points["7 gate"]["fix"]


async def test_a_ledger_that_disagrees_fails_its_point_alone(deployed: Deployment) -> None:
    async with deployed.service():
        deployed.redis.hset("quantum:position:ledger:ETHUSDT", "last_known_amt", "0.7")
        code, points = await prove(deployed)
    assert code == 1
    assert "1 not as the exchange has it: ETHUSDT exchange 0, ledger 0.7" in points["4 ledger"]["detail"]
    failures = {number for number, verdict in verdicts(points).items() if verdict == "failed"}
    assert failures == {"4", "8"}


async def test_a_position_without_a_ledger_fails(deployed: Deployment) -> None:
    store_snapshot(deployed, "BTCUSDT", "0.5", age_sec=0)
    deployed.redis.hset("quantum:position:ledger:ETHUSDT", "last_known_amt", "0")
    _, points = await prove(deployed, {"P33_METRICS_PORT": "1"})
    assert "BTCUSDT exchange 0.5, ledger none" in points["4 ledger"]["detail"]


async def test_a_difference_within_the_tolerance_is_none(deployed: Deployment) -> None:
    store_snapshot(deployed, "BTCUSDT", "1", age_sec=0)
    deployed.redis.hset("quantum:position:ledger:BTCUSDT", "last_known_amt", "0.99")
    _, points = await prove(deployed, {"P33_METRICS_PORT": "1"})
    assert points["4 ledger"]["verdict"] == "ok"


@pytest.mark.parametrize(
    ("amounts_and_ages", "verdict", "shown"),
    [
        (
            {"BTCUSDT": ("0.5", 60), "ETHUSDT": ("0", 0), "SOLUSDT": ("0", 0)},
            "failed",
            "open position: BTCUSDT",
        ),
        ({"BTCUSDT": ("0", 60), "ETHUSDT": ("0", 60), "SOLUSDT": ("0", 0)}, "failed", "2 are stale"),
        ({"BTCUSDT": ("0", 60), "ETHUSDT": ("0", 0), "SOLUSDT": ("0", 0)}, "warning", "1 are stale: BTCUSDT"),
        ({"BTCUSDT": ("0", -60)}, "failed", "some are dated in the future"),
        ({"BTCUSDT": ("0", 8)}, "ok", "1, the oldest 8"),
        ({}, "failed", "there is none"),
    ],
)
async def test_snapshots_are_as_old_as_they_claim(
    deployed: Deployment,
    amounts_and_ages: Mapping[str, tuple[str, float]],
    verdict: str,
    shown: str,
) -> None:
    for symbol, (amount, age_sec) in amounts_and_ages.items():
        store_snapshot(deployed, symbol, amount, age_sec=age_sec)
    _, points = await prove(deployed, {"P33_METRICS_PORT": "1"})
    assert points["3 snapshots fresh"]["verdict"] == verdict
    assert shown in points["3 snapshots fresh"]["detail"]


async def test_a_record_that_comes_out_differently_fails(deployed: Deployment) -> None:
    async with deployed.service():
        await deployed.ask("one", entry("BTCUSDT", "0.01"))
        ((_, fields),) = deployed.entries(AUDIT)
        record = json.loads(fields["record"], parse_float=Decimal)
        record["case"]["hold"] = True
        deployed.redis.xadd(AUDIT, {**fields, "record": json.dumps(record, default=float)})
        code, points = await prove(deployed)
    assert code == 1
    assert points["6 decisions"]["detail"] == "plan one comes out differently now"
    assert "replay --last" in points["6 decisions"]["fix"]


async def test_a_permit_that_no_consumer_could_use_fails(deployed: Deployment) -> None:
    async with deployed.service():
        await deployed.ask("one", entry("BTCUSDT", "0.01"))
        key = "quantum:permit:p33:one"
        permit = json.loads(deployed.redis.get(key))
        deployed.redis.set(key, json.dumps({**permit, "safe_close_qty": 7}), keepttl=True)
        code, points = await prove(deployed)
    assert code == 1
    assert "that of plan one cannot be used: permit_unreadable" in points["5 permits"]["detail"]


async def test_another_signing_key_than_the_daemons_fails_at_the_gate(deployed: Deployment) -> None:
    async with deployed.service(P33_PERMIT_SIGNING_KEY="the daemon's"):
        code, points = await prove(deployed, {"P33_PERMIT_SIGNING_KEY": "another"})
        again, signed = await prove(deployed, {"P33_PERMIT_SIGNING_KEY": "the daemon's"})
    assert (code, again) == (1, 0)
    assert "signature_wrong" in points["7 gate"]["detail"]
    assert points["7 gate"]["fix"].startswith("position-state-brain explain proof-")
    assert signed["7 gate"]["verdict"] == "ok"


async def test_redis_away_is_reported_at_each_point_that_needs_it(deployed: Deployment) -> None:
    nowhere = {"P33_METRICS_PORT": "1"}
    code, points = await prove(deployed, {**nowhere, "REDIS_URL": "redis://127.0.0.1:1/0"})
    assert code == 1
    assert {number for number, verdict in verdicts(points).items() if verdict == "failed"} >= set("3456")
    assert points["3 snapshots fresh"]["detail"].startswith("Redis at redis://127.0.0.1:1/0: ")


async def test_the_printed_points_end_with_the_summary(deployed: Deployment) -> None:
    async with deployed.service():
        assert await run_command(proof, deployed.environ, url=None, as_json=False, publish=True) == 0
    lines = [
        line for line in deployed.capsys.readouterr().out.splitlines() if line.startswith(("ok ", "WARN "))
    ]
    assert [line.split()[1] for line in lines] == list("12345678")
    assert lines[-1].endswith("6 of 7 points proven, 1 warning")


def test_the_command_line_reaches_it(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    for name in ("REDIS_HOST", "REDIS_PASSWORD", "P33_METRICS_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    assert main(["proof", "--url", "127.0.0.1:1", "--json", "--no-probe"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["findings"][0]["detail"].startswith("no daemon answers at http://127.0.0.1:1 (")


def store_snapshot(deployed: Deployment, symbol: str, amount: str, *, age_sec: float) -> None:
    at_ms = round((time.time() - age_sec) * 1000)
    deployed.redis.hset(
        f"quantum:position:snapshot:{symbol}",
        mapping={"position_amt": amount, "ts_epoch": at_ms // 1000, "ts_epoch_ms": at_ms},
    )
