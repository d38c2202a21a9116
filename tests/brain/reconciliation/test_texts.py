"""States and events are flat, in the names of docs/contract.md."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from brain.identifiers import ClientOrderId, OrderId
from brain.positions.position import Leg
from brain.reconciliation.case_life import CaseStatus
from brain.reconciliation.rules import DriftCause
from brain.reconciliation.texts import (
    CaseEvent,
    agreed_state,
    drift_state,
    event_fields,
    growth_details,
    growths_json,
    in_words,
    left_out_state,
    orphan_event,
)
from tests.brain.cases import NOW_MS
from tests.brain.reconciliation.cases import BTC, OWN, drift, drift_of, growth, hedged, stored

MANUAL = growth(
    DriftCause.MANUAL,
    "BUY",
    "2.50",
    client_order_id=ClientOrderId("web_1"),
    order_id=OrderId("77"),
    trade_ids=(5, 6),
)
OBJECT = {
    "order_id": "77",
    "client_order_id": "web_1",
    "cause": "manual",
    "leg": "BOTH",
    "side": "BUY",
    "qty": "2.5",
    "cumulative": "2.5",
    "time_ms": 2000,
    "trade_ids": [5, 6],
}


def named(flat_fields: tuple[str, ...]) -> dict[str, str]:
    assert all(isinstance(text, str) for text in flat_fields)
    return dict(zip(flat_fields[::2], flat_fields[1::2], strict=True))


def test_the_state_of_a_symbol_that_is_left_out_has_every_field() -> None:
    left_out = named(left_out_state(now_ms=NOW_MS))
    assert left_out.keys() == named(agreed_state(CaseStatus.OK, Decimal(1), now_ms=NOW_MS)).keys()
    assert {name: text for name, text in left_out.items() if text not in ("", "[]")} == {
        "status": "OK",
        "last_seen_ts": str(NOW_MS // 1000),
        "written_ms": str(NOW_MS),
        "why": "P34_ALLOWLIST does not name the symbol",
    }


def test_the_state_of_a_case_has_every_field() -> None:
    state = named(
        drift_state(
            CaseStatus.MANUAL_REQUIRED,
            drift("3", "0.5"),
            found=[MANUAL],
            why="why",
            advice="do this",
            hold_sig="p34:abc",
            since_ms=NOW_MS - 2000,
            now_ms=NOW_MS,
        )
    )
    assert msgspec.json.decode(state.pop("orders")) == [OBJECT]
    assert state == {
        "status": "MANUAL_REQUIRED",
        "reason": "qty_mismatch",
        "exchange_amt": "3",
        "ledger_amt": "0.5",
        "diff_amt": "2.5",
        "diff_pct": "83.3333",
        "legs": "",
        "last_seen_ts": str(NOW_MS // 1000),
        "written_ms": str(NOW_MS),
        "cause": "manual",
        "hold_sig": "p34:abc",
        "since_ms": str(NOW_MS - 2000),
        "evidence": '["77"]',
        "why": "why",
        "advice": "do this",
    }


def test_an_agreement_overwrites_every_field_of_a_case() -> None:
    open_case = drift_state(CaseStatus.HOLD, drift("1", "0"), since_ms=NOW_MS, now_ms=NOW_MS)
    closed = named(agreed_state(CaseStatus.OK, Decimal("-1.50"), now_ms=NOW_MS))
    assert closed.keys() == named(open_case).keys()
    assert (closed["exchange_amt"], closed["ledger_amt"], closed["diff_amt"]) == ("-1.5", "-1.5", "0")
    assert (closed["cause"], closed["hold_sig"], closed["evidence"]) == ("", "", "[]")


def test_a_repaired_state_names_the_orders() -> None:
    state = named(agreed_state(CaseStatus.REPAIRED, Decimal(1), repaired=[MANUAL], now_ms=NOW_MS))
    assert (state["cause"], state["evidence"]) == ("manual", '["77"]')


def test_a_cause_is_none_only_for_a_person() -> None:
    for status, cause in ((CaseStatus.HOLD, ""), (CaseStatus.MANUAL_REQUIRED, "none")):
        state = named(drift_state(status, drift("1", "0"), since_ms=NOW_MS, now_ms=NOW_MS))
        assert state["cause"] == cause


def test_the_legs_of_hedge_mode_are_shown() -> None:
    state = named(
        drift_state(
            CaseStatus.DRIFT,
            drift_of(hedged("1", "-3"), stored("0", "1", "-1")),
            since_ms=NOW_MS,
            now_ms=NOW_MS,
        )
    )
    assert msgspec.json.decode(state["legs"]) == {
        "LONG": {"exchange": "1", "ledger": "1"},
        "SHORT": {"exchange": "-3", "ledger": "-1"},
    }
    assert (state["exchange_amt"], state["ledger_amt"], state["diff_amt"]) == ("-2", "0", "-2")


def test_a_ledger_without_amounts_shows_none() -> None:
    state = named(drift_state(CaseStatus.DRIFT, drift("1", "x"), since_ms=NOW_MS, now_ms=NOW_MS))
    assert (state["reason"], state["ledger_amt"]) == ("missing_ledger", "")


def test_an_event_begins_with_name_symbol_and_time() -> None:
    event = event_fields(
        CaseEvent.AUTO_REPAIR, BTC, now_ms=NOW_MS, drift=drift("1", "0"), **growth_details([MANUAL])
    )
    assert event[:6] == ("event", "AUTO_REPAIR", "symbol", "BTCUSDT", "ts", str(NOW_MS // 1000))
    assert named(event)["evidence"] == '["77"]'
    assert named(event)["diff_amt"] == "1"
    assert event_fields(CaseEvent.HOLD_CLEARED, BTC, now_ms=NOW_MS, held_sec="3")[6:] == ("held_sec", "3")


def test_an_orphan_is_reported_as_the_executor_does() -> None:
    event = named(orphan_event(BTC, growth(DriftCause.OWN_ORPHAN, "SELL", "1"), now_ms=NOW_MS))
    assert event == {
        "event": "ORPHAN_ORDER",
        "symbol": "BTCUSDT",
        "ts": str(NOW_MS // 1000),
        "client_order_id": OWN,
        "order_id": "1",
        "order_status": "",
        "side": "SELL",
        "position_side": "BOTH",
        "filled_qty": "1",
    }


def test_thousands_of_trades_make_no_huge_text() -> None:
    many = [
        growth(DriftCause.MANUAL, "BUY", "1", order_id=OrderId(f"{number}"), trade_ids=tuple(range(900)))
        for number in range(900)
    ]
    assert len(growths_json(many)) < 16 * 1024
    shown = msgspec.json.decode(growths_json(many))
    assert (len(shown), shown[-1]["order_id"], shown[-1]["trade_ids"][-1]) == (50, "899", 899)
    assert in_words(many).endswith("; and 895 before")


def test_fills_are_named_in_words() -> None:
    long = growth(DriftCause.NONE, "SELL", "1", leg=Leg.LONG, client_order_id=ClientOrderId(""))
    assert in_words([MANUAL, long]) == (
        "BUY 2.5 of order 77 (web_1, manual); SELL 1 LONG of order 1 (not shown, none)"
    )
