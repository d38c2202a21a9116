"""Reading plans: both dialects, and any bytes in any field."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.identifiers import PlanId
from brain.plans.plan import MalformedPlan, Plan, PlanDecision, Side, SkippedPlan, UnanswerablePlan
from brain.plans.plan_fields import read_plan
from brain.positions.position import Leg
from tests.brain.strategies import plan_fields

Fields = dict[bytes, bytes]

HARVEST: Fields = {
    b"plan_id": b"5f1c0c6a9d7e4b52",
    b"symbol": b"BTCUSDT",
    b"decision": b"EXECUTE",
    b"action": b"PARTIAL_75",
    b"side": b"CLOSE",
    b"reduceOnly": b"True",
    b"close_qty": b"0",
    b"kill_score": b"0.31",
    b"k_regime_flip": b"-0.2",
    b"reason_codes": b"harvest",
    b"steps": b'[{"step": "CLOSE_PARTIAL_75"}]',
    b"timestamp": b"1760000000",
    b"eval_type": b"EXIT",
}
BRIDGE: Fields = {
    b"plan_id": b"a3b1",
    b"symbol": b"ETHUSDT",
    b"decision": b"EXECUTE",
    b"action": b"ENTRY_PROPOSED",
    b"side": b"buy",
    b"type": b"MARKET",
    b"qty": b"0.0018408917647709654",
    b"reduceOnly": b"false",
    b"positionSide": b"LONG",
    b"source": b"intent_bridge",
    b"price": b"1.2345678901234567e-05",
    b"leverage": b"10",
    b"stop_loss": b"None",
    b"take_profit": b"",
    b"timestamp": b"1760000000.123456",
}


def but(fields: Fields, **changes: bytes | None) -> Fields:
    changed = {key.encode(): value for key, value in changes.items()}
    return {key: value for key, value in (fields | changed).items() if value is not None}


def read(fields: Fields) -> Plan:
    plan = read_plan(fields)
    assert isinstance(plan, Plan), plan
    return plan


def test_the_harvest_dialect() -> None:
    plan = read(HARVEST)
    assert (plan.plan_id, plan.symbol) == ("5f1c0c6a9d7e4b52", "BTCUSDT")
    assert (plan.action, plan.side, plan.quantity, plan.reduce_only) == ("PARTIAL_75", Side.CLOSE, None, True)
    assert (plan.source, plan.eval_type, plan.timestamp_sec) == ("", "EXIT", 1_760_000_000.0)
    assert plan.leg is None


def test_the_intent_bridges_dialect() -> None:
    plan = read(BRIDGE)
    assert (plan.side, plan.reduce_only, plan.leg) == (Side.BUY, False, Leg.LONG)
    assert (plan.order_type, plan.source) == ("MARKET", "intent_bridge")
    assert plan.timestamp_sec == 1_760_000_000.123456


def test_a_quantity_is_cut_to_18_decimals_never_rounded_up() -> None:
    assert read(BRIDGE).quantity == Decimal("0.001840891764770965")


def test_a_reconcile_close_keeps_its_reason() -> None:
    plan = read(but(HARVEST, decision=b"RECONCILE_CLOSE", reason=b"reconcile_drift"))
    assert (plan.decision, plan.reason) == (PlanDecision.RECONCILE_CLOSE, "reconcile_drift")


@pytest.mark.parametrize(
    ("text", "value"), [(b"true", True), (b"True", True), (b"1", True), (b"false", False), (b"FALSE", False)]
)
def test_booleans_as_they_are_written(text: bytes, value: bool) -> None:
    assert read(but(HARVEST, reduceOnly=text)).reduce_only is value


@pytest.mark.parametrize("text", [b"", b"0", b"0.0", b"0e5", b"-0", b"None", b"null"])
def test_a_quantity_of_nothing_is_not_given(text: bytes) -> None:
    plan = read(but(HARVEST, qty=text, close_qty=text))
    assert plan.quantity is None


@pytest.mark.parametrize(
    ("qty", "close_qty", "quantity"), [(b"0.5", b"0.50", "0.5"), (b"0.5", b"0", "0.5"), (b"", b"2", "2")]
)
def test_either_field_gives_the_quantity(qty: bytes, close_qty: bytes, quantity: str) -> None:
    assert read(but(HARVEST, qty=qty, close_qty=close_qty)).quantity == Decimal(quantity)


@pytest.mark.parametrize("decision", [b"SKIP", b"BLOCKED", b"HOLD", b"ERROR", b"HALT", b"execute"])
def test_other_decisions_are_skipped_whatever_else_they_hold(decision: bytes) -> None:
    fields = but(HARVEST, decision=decision, symbol=b"?", qty=b"NaN")
    assert read_plan(fields) == SkippedPlan(PlanId("5f1c0c6a9d7e4b52"), decision.decode())


def test_a_skipped_decision_is_cut_to_what_can_be_shown() -> None:
    skipped = read_plan(but(HARVEST, decision=b"\x00\xff" + b"x" * 100))
    assert isinstance(skipped, SkippedPlan)
    assert skipped.decision == "?\N{REPLACEMENT CHARACTER}" + "x" * 30


@pytest.mark.parametrize(
    "plan_id",
    [None, b"", b"x" * 257, b"p33:x", b"p26:x", b"a\nb", b"a\x7f", "ключ".encode(), b"\xff", b"a\n"],
)
def test_a_plan_without_a_usable_id_cannot_be_answered(plan_id: bytes | None) -> None:
    assert isinstance(read_plan(but(HARVEST, plan_id=plan_id)), UnanswerablePlan)


@pytest.mark.parametrize("plan_id", [b"x", b"x" * 256, b"P33:x", b"a p33: b", b" ", b"~!{}"])
def test_any_printable_ascii_is_an_id(plan_id: bytes) -> None:
    assert read(but(HARVEST, plan_id=plan_id)).plan_id == plan_id.decode()


@pytest.mark.parametrize("symbol", ["BTCUSDT", "1000PEPEUSDT", "币安人生USDT", "BTCUSDT_260327", "X" * 32])
def test_symbols(symbol: str) -> None:
    assert read(but(HARVEST, symbol=symbol.encode())).symbol == symbol


@pytest.mark.parametrize(
    "symbol",
    [
        *(b"", b"X" * 33, b"BTC USDT", b"BTC:USDT", b"BTC*", b"BTC?", b"[X]", b"{X}", b"A\x00", b"\xff\xfe"),
        *("A\u202eB".encode(), "A\u3000B".encode(), "A\N{REPLACEMENT CHARACTER}".encode(), b"BTCUSDT\n"),
    ],
)
def test_text_that_is_no_symbol_is_malformed_and_not_repeated(symbol: bytes) -> None:
    malformed = read_plan(but(HARVEST, symbol=symbol))
    assert isinstance(malformed, MalformedPlan)
    assert malformed.symbol is None
    assert set(malformed.problems) == {"symbol"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("qty", bad) for bad in (b"NaN", b"inf", b"-1", b"1_0", b"1e400", b"0x1", b"1e-30", "١".encode())],
        *[("qty", bad) for bad in (b"1e15", b"9" * 4000, b"\xff", b"1,5", b"1 2")],
        ("close_qty", b"-Infinity"),
        ("timestamp", b"yesterday"),
        ("timestamp", b"-1"),
        ("timestamp", b"nan"),
        ("timestamp", b"1e999"),
        ("price", b"nan"),
        ("price", b"-5"),
        ("leverage", b"10x"),
        ("stop_loss", b"inf"),
        ("take_profit", b"\xff"),
        ("reduceOnly", b"yes"),
        ("side", b"LONG"),
        ("positionSide", b"BUY"),
        ("eval_type", b"MAYBE"),
        ("action", b"\xff\xfe"),
        ("action", b"FULL\nCLOSE"),
        ("decision", None),
        ("decision", b""),
    ],
)
def test_an_unreadable_field_is_named(field: str, value: bytes | None) -> None:
    malformed = read_plan(but(HARVEST, **{field: value}))
    assert isinstance(malformed, MalformedPlan)
    assert (malformed.plan_id, malformed.symbol) == ("5f1c0c6a9d7e4b52", "BTCUSDT")
    assert set(malformed.problems) == {field}


def test_quantities_that_differ_are_malformed() -> None:
    malformed = read_plan(but(HARVEST, qty=b"0.5", close_qty=b"0.6"))
    assert isinstance(malformed, MalformedPlan)
    assert malformed.problems == {"close_qty": "differs from qty"}


def test_all_bad_fields_are_named_at_once() -> None:
    malformed = read_plan(but(HARVEST, qty=b"x", side=b"x", symbol=None))
    assert isinstance(malformed, MalformedPlan)
    assert set(malformed.problems) == {"qty", "side", "symbol"}


def test_fields_that_no_decision_rests_on_may_hold_anything() -> None:
    read(
        but(
            HARVEST, kill_score=b"NaN", k_x=b"-1", regime=b"\xff", steps=b"[", confidence=b"?", source=b"\xff"
        )
    )


@pytest.mark.parametrize(
    ("extra", "field"),
    [
        ({b"steps": b"x" * 4097}, "steps"),
        ({b"x" * 4097: b""}, "x" * 32),
        ({b"steps": b"x" * 1_000_000}, "steps"),
        ({b"n%d" % number: b"x" * 4000 for number in range(5)}, "entry"),
    ],
)
def test_an_entry_that_is_too_large_is_malformed(extra: Fields, field: str) -> None:
    for fields in (HARVEST, but(HARVEST, decision=b"SKIP")):
        malformed = read_plan(fields | extra)
        assert isinstance(malformed, MalformedPlan)
        assert malformed.symbol == "BTCUSDT"
        assert set(malformed.problems) == {field}


def test_the_largest_field_is_read() -> None:
    assert isinstance(read_plan(HARVEST | {b"steps": b"x" * 4096}), Plan)


@given(plan_fields())
def test_reading_never_raises_and_keeps_the_quantity_below_what_was_written(fields: Fields) -> None:
    plan = read_plan(fields)
    if isinstance(plan, Plan):
        assert plan.quantity is None or 0 < plan.quantity < 10**15
        assert 1 <= len(plan.symbol) <= 32
    elif isinstance(plan, MalformedPlan):
        assert plan.problems


@given(st.dictionaries(st.binary(), st.binary()))
def test_reading_any_bytes_never_raises(fields: Fields) -> None:
    assert isinstance(read_plan(fields), UnanswerablePlan | MalformedPlan | SkippedPlan | Plan)
