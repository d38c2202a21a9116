"""What becomes of an intent: plans and refusals, rule by rule."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import pytest

from brain.identifiers import EntryId
from brain.intents.case import Exposure, Steps
from brain.intents.deciding import decide
from brain.intents.intent import Intent, Lane
from brain.positions.position import Leg
from tests.brain.intents.cases import ENTRY, NOW_MS, case, exit_intent, intent

D = Decimal


def exit_of(**fields: str) -> Intent:
    """An intent of `trade.intent` that closes."""
    return intent(side="CLOSE", quantity="", **fields)


def plan(of: Intent, **changes: Any) -> dict[str, str]:
    """The plan of an intent."""
    answer = decide(case(of, **changes))
    assert answer.reason == "", answer
    return answer.plan


@pytest.mark.parametrize(
    ("reason", "of", "changes"),
    [
        ("intent_expired", intent(), {"published_ms": NOW_MS - 30_001}),
        ("intent_expired", intent(), {"published_ms": None}),
        ("intent_expired", exit_intent(), {"published_ms": NOW_MS - 60_001, "position": D(1)}),
        ("flat_close", intent(side="CLOSE"), {}),
        ("flat_close", intent(side="SELL", reduceOnly="true"), {}),
        ("flat_close", exit_intent(), {}),
        ("flat_close", exit_intent(side="LONG"), {"position": D(-1)}),
        ("flat_close", exit_intent(side="SHORT"), {"position": D(1)}),
        ("flat_close", intent(side="SELL"), {"rules": {"skip_flat_sell": True}}),
        ("lockdown", intent(), {"lockdown": True}),
        ("lockdown", intent(side="SELL", quantity="2"), {"lockdown": True, "position": D(1)}),
        ("symbol_not_in_universe", intent(), {"in_universe": False}),
        ("symbol_not_in_universe", intent(), {"steps": None}),
        ("anti_churn", intent(), {"last_close_ms": NOW_MS - 899_999}),
        ("anti_churn", intent(), {"last_close_ms": NOW_MS + 5_000}),
        ("anti_churn", intent(), {"last_close_unreadable": True}),
        ("no_price", intent(quantity="", position_usd="50"), {"mark_price": None}),
        ("no_price", intent(), {"mark_price": None}),
        ("no_price", exit_of(position_usd="5"), {"mark_price": None, "position": D(1)}),
        ("no_exchange_snapshot", exit_intent(percentage="30"), {"position": None}),
        ("below_min_qty", intent(quantity="0.0009"), {}),
        ("below_min_qty", intent(quantity="0.004"), {"steps": Steps(D("0.001"), D("0.005"))}),
        ("below_min_qty", exit_intent(percentage="30"), {"position": D("0.003")}),
        ("below_min_qty", intent(side="SELL", quantity="0.0001"), {"position": D(1)}),
        ("exposure", intent(), {"rules": {"max_exposure_pct": D(50)}}),
        (
            "exposure",
            intent(),
            {"rules": {"max_exposure_pct": D(50)}, "exposure": Exposure(D("400.01"), D(1000))},
        ),
        ("malformed_intent", intent(quantity="", size="1e14", price="1e-9"), {}),
    ],
)  # fmt: skip
def test_each_rule_refuses(reason: str, of: Intent, changes: dict[str, Any]) -> None:
    answer = decide(case(of, **changes))
    assert (answer.reason, answer.plan) == (reason, {})
    assert answer.plan_id


@pytest.mark.parametrize(
    ("of", "changes"),
    [
        (intent(), {"published_ms": NOW_MS - 30_000}),
        (exit_intent(), {"published_ms": NOW_MS - 60_000, "position": D(1)}),
        (intent(), {"last_close_ms": NOW_MS - 900_000}),
        (intent(), {"last_close_ms": NOW_MS, "rules": {"min_hold_sec": 0}}),
        (intent(side="SELL"), {}),
        (intent(side="BUY"), {"rules": {"skip_flat_sell": True}}),
        (intent(side="SELL"), {"rules": {"skip_flat_sell": True}, "position": None}),
        (intent(), {"mark_price": None, "rules": {"max_notional": D(0)}}),
        (intent(), {"rules": {"max_exposure_pct": D(50)}, "exposure": Exposure(D(400), D(1000))}),
        (intent(quantity="0.001"), {}),
    ],
)
def test_a_value_just_within_a_rule_passes(of: Intent, changes: dict[str, Any]) -> None:
    assert plan(of, **changes)


@pytest.mark.parametrize(
    "of",
    [
        intent(side="CLOSE"), intent(side="SELL", reduceOnly="true"), intent(side="SELL", quantity="0.5"),
        exit_intent(), exit_intent(percentage="30"), intent(Lane.HARVEST, action="PARTIAL_75"),
    ],
)  # fmt: skip
def test_no_rule_of_entries_stops_a_close(of: Intent) -> None:
    found = plan(
        of, position=D(1), lockdown=True, in_universe=False, last_close_ms=NOW_MS, mark_price=None,
        rules={"max_exposure_pct": D(1), "max_notional": D(1)},
    )  # fmt: skip
    assert found["eval_type"] == "EXIT"


@pytest.mark.parametrize(
    ("position", "side", "quantity", "eval_type"),
    [
        ("0", "BUY", "1", "ENTRY"),
        ("0", "SELL", "1", "ENTRY"),
        ("2", "BUY", "1", "ENTRY"),
        ("2", "SELL", "1", "EXIT"),
        ("2", "SELL", "2", "EXIT"),
        ("2", "SELL", "2.0009", "EXIT"),
        ("2", "SELL", "2.001", "ENTRY"),
        ("-2", "BUY", "2", "EXIT"),
        ("-2", "SELL", "1", "ENTRY"),
    ],
)
def test_an_order_against_the_position_that_it_does_not_exceed_is_an_exit(
    position: str, side: str, quantity: str, eval_type: str
) -> None:
    found = plan(intent(side=side, quantity=quantity), position=D(position))
    assert (found["eval_type"], found["action"], found["reduceOnly"]) == (
        eval_type,
        "ENTRY_PROPOSED",
        "false",
    )


def test_without_a_known_position_an_order_is_an_entry() -> None:
    assert plan(intent(side="SELL"), position=None)["eval_type"] == "ENTRY"


@pytest.mark.parametrize(
    ("fields", "mark", "qty"),
    [
        ({"quantity": "1.23456"}, "100", "1.234"),
        ({"quantity": "", "position_usd": "100", "leverage": "3"}, "7", "42.857"),
        ({"quantity": "", "size": "100", "price": "7"}, "100", "14.285"),
        ({"quantity": "", "position_size_usd": "10", "entry_price": "3"}, "100", "3.333"),
        ({"quantity": "", "ai_size_usd": "10"}, "3", "3.333"),
        ({"quantity": "500"}, "7", "428.571"),
        ({"quantity": "", "position_usd": "1e12"}, "7", "428.571"),
        ({"quantity": "30"}, "100", "30"),
    ],
)
def test_quantities_are_rounded_down_and_cut_to_the_largest_notional(
    fields: dict[str, str], mark: str, qty: str
) -> None:
    assert plan(intent(**fields), mark_price=D(mark))["qty"] == qty


@pytest.mark.parametrize(
    ("fields", "action", "qty"),
    [
        ({}, "FULL_CLOSE_PROPOSED", "0"),
        ({"percentage": "100"}, "FULL_CLOSE_PROPOSED", "0"),
        ({"percentage": "1"}, "FULL_CLOSE_PROPOSED", "0"),
        ({"percentage": "0.5"}, "PARTIAL_50", "0"),
        ({"percentage": "50"}, "PARTIAL_50", "0"),
        ({"qty_fraction": "0.75"}, "PARTIAL_75", "0"),
        ({"percentage": "30"}, "PARTIAL_CLOSE", "0.3"),
        ({"qty_fraction": "0.333"}, "PARTIAL_CLOSE", "0.333"),
        ({"percentage": "33.34"}, "PARTIAL_CLOSE", "0.333"),
        ({"action": "PARTIAL_CLOSE_25"}, "PARTIAL_CLOSE", "0.25"),
        ({"close_qty": "0.4567"}, "PARTIAL_CLOSE", "0.456"),
        ({"close_qty": "2"}, "FULL_CLOSE_PROPOSED", "2"),
    ],
)
def test_a_partial_exit_stays_partial(fields: dict[str, str], action: str, qty: str) -> None:
    found = plan(exit_intent(**fields), position=D("-1.0005"))
    assert (found["action"], found["qty"], found["reduceOnly"], found["side"]) == (
        action,
        qty,
        "true",
        "CLOSE",
    )
    assert found["eval_type"] == "EXIT"


def test_an_exit_that_names_the_position_is_an_order_against_it() -> None:
    assert plan(exit_intent(side="LONG"), position=None)["side"] == "SELL"
    assert plan(exit_intent(side="SHORT"), position=D(-1))["side"] == "BUY"


def test_hedge_mode_takes_the_leg_that_is_named() -> None:
    found = plan(exit_intent(side="LONG"), position=D(2), hedge_mode=True)
    assert found["positionSide"] == "LONG"
    assert "positionSide" not in plan(exit_intent(side="LONG"), position=D(2))
    short = intent(side="BUY", quantity="1", positionSide="SHORT")
    assert plan(short, position=D(-2), hedge_mode=True)["eval_type"] == "EXIT"
    assert (
        plan(intent(side="SELL", positionSide="SHORT"), position=D(-2), hedge_mode=True)["eval_type"]
        == "ENTRY"
    )
    assert short.leg is Leg.SHORT


@pytest.mark.parametrize(
    ("side", "break_even", "stop", "target"),
    [("BUY", "100.1", "98", "104.5"), ("SELL", "99.9", "102", "95.5")],
)
def test_prices_of_an_entry_follow_from_its_price(side: str, break_even: str, stop: str, target: str) -> None:
    found = plan(intent(side=side, sl_pct="2", tp_pct="4.5"))
    assert (found["entry_price"], found["breakeven_price"]) == ("100", break_even)
    assert (found["stop_loss"], found["take_profit"]) == (stop, target)
    given = plan(intent(side=side, sl_pct="2", stop_loss="77", entry_price="50", breakeven_price="1"))
    assert (given["entry_price"], given["stop_loss"], given["breakeven_price"]) == ("50", "77", "1")


def test_the_id_is_of_the_entry_symbol_and_side_alone() -> None:
    def sha(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    assert plan(intent(quantity="1"))["plan_id"] == sha(f"{ENTRY}|BTCUSDT|BUY")
    assert plan(intent(quantity="2"), mark_price=D(7))["plan_id"] == sha(f"{ENTRY}|BTCUSDT|BUY")
    assert plan(intent(side="CLOSE"), position=D(1))["plan_id"] == sha(f"{ENTRY}|BTCUSDT|CLOSE")
    assert plan(exit_intent(), position=D(1))["plan_id"] == sha(f"{ENTRY}|BTCUSDT|CLOSE")
    for lane in (Lane.EXIT, Lane.HARVEST):
        found = plan(intent(lane, intent_id="e1", side="LONG"), position=D(1))
        assert found["plan_id"] == sha("e1|BTCUSDT|CLOSE")


def test_the_time_of_a_plan_is_that_of_its_entry() -> None:
    assert plan(intent())["timestamp"] == str(int(EntryId(ENTRY).partition("-")[0]) // 1000)
