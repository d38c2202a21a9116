"""`compare executor`: dry runs beside what another executor has done with the same plans."""

from __future__ import annotations

import json
from typing import Any

import pytest

from commands.compare import CompareOptions, compare
from tests.commands.recording import Recording


def dry_run(service: Recording, plan_id: str, error: str = "", qty: str = "0.5", entry_id: str = "*") -> None:
    fields = {
        "plan_id": plan_id, "symbol": "BTCUSDT", "decision": "EXECUTE", "executed": "false",
        "would_execute": "false" if error else "true", "error": error, "side": "BUY", "qty": qty,
    }  # fmt: skip
    service.append("executor.dry_run", fields, entry_id)


def result(service: Recording, plan_id: str, executed: str = "False", **fields: str) -> None:
    service.append("apply.result", {"plan_id": plan_id, "symbol": "BTCUSDT", "executed": executed, **fields})


def filled(service: Recording, plan_id: str, quantity: str = "0.5") -> None:
    steps = json.dumps([{"order_id": 7, "executed_qty": quantity, "side": "BUY", "status": "FILLED"}])
    result(service, plan_id, "True", steps_results=steps)


def compared(service: Recording, exit_code: int) -> dict[str, Any]:
    assert compare(service.environ, "executor", CompareOptions(), as_json=True) == exit_code
    shown: dict[str, Any] = json.loads(service.capsys.readouterr().out)
    return shown


async def test_orders_and_refusals_that_agree(service: Recording) -> None:
    dry_run(service, "plan-1")
    filled(service, "plan-1")
    dry_run(service, "plan-2", "kill_switch_active")
    result(service, "plan-2", error="lockdown")
    dry_run(service, "plan-3")
    result(service, "plan-3", error="binance_error:-2019")
    dry_run(service, "plan-4")
    result(service, "plan-4", error="execution status unknown")
    service.append("executor.dry_run", {"plan_id": "skipped", "decision": "SKIP", "would_execute": "false"})
    shown = compared(service, 0)
    assert (shown["decisions"], shown["agree"]) == (4, {"proof": 4, "absence": 0})


async def test_each_difference_has_both_reasons_and_quantities(service: Recording) -> None:
    dry_run(service, "plan-1")
    result(service, "plan-1", error="position_limit")
    dry_run(service, "plan-2", "below_min_qty")
    filled(service, "plan-2")
    dry_run(service, "plan-3")
    filled(service, "plan-3", "0.4")
    shown = compared(service, 1)
    found = {each["id"]: each for each in shown["differences"]}
    assert found["plan-1"]["ours"] == {"yes": True, "reason": "BUY 0.5"}
    assert found["plan-1"]["theirs"]["side"] == {"yes": False, "reason": "position_limit"}
    assert found["plan-2"]["ours"]["reason"] == "below_min_qty"
    assert found["plan-3"]["note"] == "quantity 0.5, theirs 0.4"
    assert shown["agreement_pct"] == 0
    assert compare(service.environ, "executor", CompareOptions(), as_json=False) == 1
    text = " ".join(service.capsys.readouterr().out.split())
    assert "plan-1 BTCUSDT SEND BUY 0.5 ≠ REFUSE position_limit (its result)" in text


@pytest.mark.parametrize("error", ["permit_timeout (missing: P3.3)", "permit_already_consumed (by theirs)"])
async def test_permits_that_the_other_was_faster_to_consume_show_nothing(
    service: Recording, error: str
) -> None:
    dry_run(service, "plan-1", error)
    filled(service, "plan-1")
    [why] = compared(service, 1)["unknown"]
    assert why == "it had the permits before the dry run looked for them"


async def test_the_gates_mark_and_a_missing_result(service: Recording) -> None:
    old = str((service.redis.time()[0] - 60) * 1000) + "-0"
    service.append("apply.result", {"plan_id": "first", "executed": "False", "error": "x"}, "1-1")
    dry_run(service, "ignored", entry_id=old)
    dry_run(service, "consumed")
    service.redis.set("quantum:permit_gate:consumed:consumed", "apply-layer-3")
    dry_run(service, "young")
    shown = compared(service, 1)
    assert shown["agree"] == {"proof": 1, "absence": 0}
    assert shown["differ"] == {"proof": 0, "absence": 1}
    assert shown["differences"][0]["theirs"]["side"]["reason"] == "no result"
    assert list(shown["unknown"]) == ["it may still be at work on it"]
