"""The case of a symbol: what is known now, and all that happened on one time line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from commands.explain import explain
from tests.brain.cases import case
from tests.commands.explain.test_execution import begin
from tests.commands.recording import Recording

CLIENT_ID = "p33-0a1b"
GROWTH = {
    "order_id": "17", "client_order_id": CLIENT_ID, "cause": "own_unbooked", "leg": "BOTH", "side": "SELL",
    "qty": "0.028", "cumulative": "0.028", "time_ms": 1760000000000, "trade_ids": [1],
}  # fmt: skip
BY_HAND = {**GROWTH, "order_id": "77", "client_order_id": "web_x1", "cause": "manual", "qty": "0.012"}


def json_of(service: Recording, subject: str = "BTCUSDT") -> dict[str, Any]:
    assert explain(service.environ, subject, as_json=True) == 0
    shown: dict[str, Any] = json.loads(service.capsys.readouterr().out)
    return shown


def text_of(service: Recording, subject: str = "BTCUSDT") -> str:
    assert explain(service.environ, subject, as_json=False) == 0
    return " ".join(service.capsys.readouterr().out.split())


def lines_of(service: Recording) -> list[str]:
    return [each["what"] for each in json_of(service)["timeline"]]


def later(service: Recording, name: str, fields: dict[str, str]) -> None:
    """Append an entry a millisecond after the newest one of all streams: their order is known then."""
    newest_ms = 0
    for stream in ("executor.audit", "reconcile.events", "apply.result", "apply.result.dead"):
        for entry_id, _ in service.redis.xrevrange(f"quantum:stream:{stream}", count=1):  # type: ignore[union-attr]
            newest_ms = max(newest_ms, int(str(entry_id).partition("-")[0]))
    service.append(name, fields, f"{newest_ms + 1}-0" if newest_ms else "*")


def event(service: Recording, name: str, symbol: str = "BTCUSDT", **fields: str) -> None:
    usual = {"exchange_amt": "0.01", "ledger_amt": "0.038"}
    later(service, "reconcile.events", {"event": name, "symbol": symbol, **usual, **fields})


def state(service: Recording, key: str = "quantum:reconcile:state:BTCUSDT", **changes: str) -> None:
    fields = {
        "status": "MANUAL_REQUIRED", "reason": "qty_mismatch", "exchange_amt": "0.01", "ledger_amt": "0.022",
        "diff_amt": "-0.012", "diff_pct": "54.5", "cause": "manual", "why": "an order of another moved it",
        "advice": "Set the ledger.", "orders": json.dumps([BY_HAND]), "since_ms": "1760000000000",
    }  # fmt: skip
    service.redis.hset(key, items=[text for pair in (fields | changes).items() for text in pair])


async def test_a_lost_result_has_one_time_line_from_the_order_to_the_repair(service: Recording) -> None:
    begin(service)
    event(service, "LEDGER_DIVERGED", order_id="17", client_order_id=CLIENT_ID, cause="unknown",
          side="SELL", cumulative_qty="0.028")  # fmt: skip
    event(service, "HOLD_SET", reason="qty_mismatch", hold_sig="p34:0123456789ab")
    event(service, "HOLD_SET", symbol="ETHUSDT", reason="qty_mismatch")
    event(service, "EVIDENCE_INCOMPLETE", why="the exchange does not show order 17")
    event(service, "AUTO_REPAIR", cause="own_unbooked", orders=json.dumps([GROWTH]))
    event(service, "HOLD_CLEARED", hold_sig="p34:0123456789ab", why="")
    late = {"plan_id": "plan-1", "executed": "true", "order_id": "17", "order_status": "FILLED"}
    numbers = {"qty": "0.028", "filled_qty": "0.028", "avg_price": "60000.1", "error": ""}
    later(service, "apply.result", late | numbers)
    state(service, status="REPAIRED", orders=json.dumps([GROWTH]), why="", advice="")
    booked_ms = service.redis.time()[0] * 1000 + 2000
    service.redis.hset("quantum:p33:orders:BTCUSDT", "17", f"0.028|{booked_ms}")
    lines = lines_of(service)
    assert lines[0].startswith("Plan plan-1: The permits are consumed")
    assert lines[1].startswith("Plan plan-1: An order is begun: SELL 0.028")
    assert lines[2:] == [
        "No result of order 17 came in time (p33-0a1b, unknown): SELL 0.028 filled, ledger 0.038.",
        "The reconcile engine holds the symbol: qty_mismatch, exchange 0.01, ledger 0.038.",
        "The evidence is incomplete: the exchange does not show order 17.",
        "The ledger is repaired, exchange 0.01, ledger 0.038 before: SELL 0.028 of order 17 (p33-0a1b, "
        "own_unbooked).",
        "The reconcile engine releases the symbol.",
        "Plan plan-1: Result: order 17 FILLED, 0.028 of 0.028 filled at 60000.1.",
        "Booked in the ledger: 0.028 of order 17.",
    ]
    assert "REPAIRED Exchange and ledger differed; the missing fills were proven and are booked." in text_of(
        service
    )


async def test_a_case_for_a_person_names_the_trades_and_what_can_be_done(service: Recording) -> None:
    event(service, "MANUAL_REQUIRED", why="an order of another moved it", orders=json.dumps([BY_HAND]))
    state(service)
    service.redis.hset("quantum:position:ledger:BTCUSDT", mapping={"last_known_amt": "0.022", "version": "4"})
    service.redis.set("quantum:reconcile:hold:BTCUSDT", "1", ex=300)
    service.redis.set("quantum:reconcile:hold_sig:BTCUSDT", "p34:0123456789ab", ex=300)
    service.redis.set("quantum:reconcile:hold_reason:BTCUSDT", "qty_mismatch", ex=300)
    shown = json_of(service, "btcusdt")
    assert (shown["status"], shown["advice"]) == ("MANUAL_REQUIRED", "Set the ledger.")
    assert [each["order_id"] for each in shown["evidence"]] == ["77"]
    assert (shown["hold"]["sig"], shown["hold"]["reason"]) == ("p34:0123456789ab", "qty_mismatch")
    assert 290 < shown["hold"]["ttl_sec"] <= 300
    text = text_of(service)
    assert "Symbol BTCUSDT MANUAL_REQUIRED" in text
    assert "an order of another moved it Set the ledger." in text
    assert "ledger last_known_amt 0.022, version 4" in text and "exchange no snapshot" in text
    assert "77 SELL 0.012 of order 77 (web_x1, manual)" in text
    assert "A person is needed, exchange 0.01, ledger 0.038: an order of another moved it." in text


async def test_an_operators_hold_an_orphan_and_an_unbooked_result_are_on_the_same_line(
    service: Recording,
) -> None:
    state(service, status="DRIFT", orders="[]")
    event(service, "HOLD_SET", reason="figures", hold_sig="operator:ana", by="operator:ana")
    event(service, "HOLD_CLEARED", reason="over", hold_sig="operator:ana", by="operator:ana")
    event(service, "ORPHAN_ORDER", order_id="9", client_order_id="p33-ff", side="BUY", filled_qty="1")
    event(service, "RESULT_UNJOINED", plan_id="plan-1", error="no leg")
    event(service, "CLOSE_PROPOSED", plan_id="reconclose:x", side="SELL", qty="3")
    event(service, "SOMETHING_NEW", number="5")
    dead = {"symbol": "BTCUSDT", "plan_id": "plan-2", "error": "no order id", "entry_id": "1-0"}
    later(service, "apply.result.dead", dead)
    lines = lines_of(service)
    assert lines[:3] == [
        "operator:ana holds the symbol: figures.",
        "operator:ana releases the symbol from operator:ana: over.",
        "An order of ours has no record, order 9 (p33-ff): BUY 1 filled.",
    ]
    assert "A result of plan plan-1 cannot be booked: no leg." in lines
    assert "A close is proposed as plan reconclose:x: SELL 3." in lines
    assert "SOMETHING_NEW: exchange_amt 0.01, ledger_amt 0.038, number 5." in lines
    assert "Plan plan-2: its result is a dead letter: no order id." in lines


async def test_a_shadows_case_says_that_it_changes_nothing(service: Recording) -> None:
    state(service, key="quantum:reconcile:shadow:state:BTCUSDT")
    fields = {"event": "AUTO_REPAIR", "symbol": "BTCUSDT", "orders": json.dumps([GROWTH])}
    service.redis.xadd("quantum:reconcile:shadow:events", fields)  # type: ignore[arg-type]
    shown = json_of(service)
    assert shown["shadow"] is True and "changes nothing" in shown["finding"]
    assert [each["what"][:39] for each in shown["timeline"]] == ["In its shadow: The ledger is repaired, "]


async def test_orders_that_cannot_be_read_and_keys_of_a_wrong_type_stop_nothing(service: Recording) -> None:
    state(service, orders="[{", status="ODD\x1b[2J")
    service.redis.rpush("quantum:reconcile:hold:BTCUSDT", "x")
    service.redis.set("quantum:position:ledger:BTCUSDT", "x")
    event(service, "AUTO_REPAIR", orders="{")
    text = text_of(service)
    assert "ODD\\x1b[2J" in text and "which this build does not know" in text
    assert "\x1b" not in text
    assert "a value" not in text and "an owner that has left no name, no reason, does not expire" in text


async def test_a_symbol_without_a_case_says_so_and_one_without_any_trace_is_none(service: Recording) -> None:
    service.redis.hset("quantum:position:ledger:ETHUSDT", mapping={"last_known_amt": "1"})
    assert json_of(service, "ETHUSDT")["finding"].startswith("No reconcile engine has written a state")
    service.redis.set("quantum:reconcile:hold:ETHUSDT", "drift")
    assert "held by an owner that has left no name" in json_of(service, "ETHUSDT")["finding"]
    assert explain(service.environ, "XRPUSDT", as_json=False) == 1


async def test_a_plan_that_is_named_like_a_symbol_stays_a_plan(service: Recording) -> None:
    state(service)
    await service.decide("BTCUSDT", case())
    assert explain(service.environ, "BTCUSDT", as_json=False) == 0
    assert "Plan BTCUSDT" in service.capsys.readouterr().out


@pytest.mark.parametrize("many", [130])
async def test_a_long_time_line_has_its_latest_lines(service: Recording, many: int) -> None:
    state(service)
    for number in range(many):
        event(service, "EVIDENCE_INCOMPLETE", why=f"reason {number}")
    lines = lines_of(service)
    assert len(lines) == 50
    assert lines[-1] == f"The evidence is incomplete: reason {many - 1}."
