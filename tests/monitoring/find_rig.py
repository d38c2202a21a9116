"""Decisions in a Redis, and pages that are asked for."""

from __future__ import annotations

import httpx

from brain.decisions.decision import decide
from brain.decisions.permit_text import audit_record
from brain.identifiers import PlanId, Symbol
from tests.brain.cases import case, plan
from tests.monitoring.status_rig import NOON_MS, StatusRig
from tests.page.test_rendering import Reading, read


def audited(
    rig: StatusRig,
    plan_id: str,
    *,
    symbol: str = "BTCUSDT",
    hold: bool = False,
    source: str = "harvest",
    latency_ms: int = 4,
    back_ms: int = 0,
) -> str:
    """A decision as the evaluator writes it, so long ago; the id of the plan's entry."""
    the_case = case(plan(plan_id=plan_id, symbol=symbol, source=source), hold=hold)
    decision = decide(the_case)
    at_ms = NOON_MS - back_ms
    entry_id = f"{at_ms - latency_ms}-0"
    record = audit_record(
        decision, the_case, plan_id=PlanId(plan_id), symbol=Symbol(symbol), issued_by="x",
        fields={"plan_id": plan_id, "symbol": symbol, "source": source}, permit=b"null",
    )  # fmt: skip
    fields: dict[str | bytes, str | bytes] = {
        "plan_id": plan_id,
        "symbol": symbol,
        "allow": "true" if decision.allow else "false",
        "reason": str(decision.reason),
        "entry_id": entry_id,
        "record": record,
    }
    stream = rig.redis.keyspace.stream(rig.keys.audit)
    last = stream.last_id if stream else (0, 0)
    rig.redis.xadd(rig.keys.audit, fields, entry_id=f"{at_ms}-{last[1] + 1}")
    return entry_id


def some(rig: StatusRig) -> None:
    audited(rig, "plan-000001", back_ms=7_200_000, latency_ms=40)
    audited(rig, "plan-000002", symbol="ETHUSDT", hold=True, source="exit", back_ms=60_000, latency_ms=9)
    audited(rig, "plan-000003", back_ms=1_000)


async def asked(client: httpx.AsyncClient, path: str, status: int = 200) -> Reading:
    answer = await client.get(path)
    assert answer.status_code == status, answer.text[:300]
    reading = read(answer.text)
    assert reading.unbalanced == []
    return reading


def plans(reading: Reading) -> list[str]:
    links = [attributes.get("href") or "" for tag, attributes in reading.elements if tag == "a"]
    return [link.removeprefix("/plans/") for link in links if link.startswith("/plans/")]
