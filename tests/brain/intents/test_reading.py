"""What is read of an intent, in each dialect."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.identifiers import EntryId
from brain.intents.intent import Intent, Lane, MalformedIntent
from brain.intents.reading import read_intent
from brain.plans.plan import Side
from brain.positions.position import Leg
from tests.brain.intents.cases import as_json, exit_intent, intent, read


@pytest.mark.parametrize(
    "fields",
    [
        {"symbol": "BTCUSDT", "side": "BUY", "quantity": "1.5"},
        {"symbol": "btcusdt", "action": "buy", "quantity": " 1.50 "},
        {"payload": as_json(side="BUY", quantity=1.5)},
        {"data": as_json(action="BUY", qty="1.5")},
        {"payload": "no json", "data": as_json(side="BUY", quantity=1.5)},
        {"payload": '{"side": "SELL"}', "data": as_json(side="BUY", quantity=1.5, nested={"a": [1]})},
        {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0", "qty": "1.5", "payload": "{"},
        {"symbol": "BTCUSDT", "side": "BUY", "quantity": "1.5", "reduceOnly": "False", "type": "market"},
    ],
)
def test_every_dialect_says_the_same(fields: dict[str, str]) -> None:
    found = read(fields)
    assert isinstance(found, Intent), found
    assert (found.symbol, found.side, found.quantity, found.closes) == (
        "BTCUSDT", Side.BUY, Decimal("1.5"), False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "quantity", "notional", "price"),
    [
        ({"quantity": 2, "qty": 3, "position_usd": 5}, 2, None, None),
        ({"qty": 3, "position_usd": 5}, 3, None, None),
        ({"position_usd": 300, "leverage": 2}, None, 600, None),
        ({"position_usd": 300, "ai_leverage": 3}, None, 900, None),
        ({"position_usd": 300}, None, 300, None),
        ({"position_usd": 300, "size": 5, "price": 10}, None, 300, None),
        ({"size": 500, "price": 50}, None, 500, 50),
        ({"size": 500, "position_size_usd": 70}, None, 70, None),
        ({"position_size_usd": 70, "entry_price": 35}, None, 70, 35),
        ({"ai_size_usd": 80, "entry_price": 40}, None, 80, 40),
        ({"ai_size_usd": 80}, None, 80, None),
    ],
)
def test_the_first_size_counts(
    fields: dict[str, int], quantity: int | None, notional: int | None, price: int | None
) -> None:
    found = read({"symbol": "BTCUSDT", "side": "SELL", **fields})
    assert isinstance(found, Intent), found
    assert (found.quantity, found.notional, found.price) == (quantity, notional, price)


@pytest.mark.parametrize(
    ("fields", "bad"),
    [
        ({"side": "BUY", "quantity": "1"}, "symbol"),
        ({"symbol": "A B", "side": "BUY", "quantity": "1"}, "symbol"),
        ({"symbol": "BTCUSDT", "quantity": "1"}, "side"),
        ({"symbol": "BTCUSDT", "side": "HOLD", "quantity": "1"}, "side"),
        ({"symbol": "BTCUSDT", "action": "HOLD", "side": "BUY", "quantity": "1"}, "action"),
        ({"symbol": "BTCUSDT", "action": "BUY", "side": "SELL", "quantity": "1"}, "side"),
        ({"symbol": "BTCUSDT", "side": "BUY"}, "size"),
        ({"symbol": "BTCUSDT", "side": "BUY", "size": "100"}, "size"),
        ({"symbol": "BTCUSDT", "side": "BUY", "quantity": "0"}, "size"),
        ({"symbol": "BTCUSDT", "side": "BUY", "quantity": "-1"}, "quantity"),
        ({"symbol": "BTCUSDT", "side": "BUY", "quantity": "nan"}, "quantity"),
        ({"symbol": "BTCUSDT", "side": "BUY", "quantity": "1e99"}, "quantity"),
        ({"symbol": "BTCUSDT", "side": "BUY", "quantity": "1", "reduceOnly": "perhaps"}, "reduceOnly"),
        ({"symbol": "BTCUSDT", "side": "CLOSE", "reduceOnly": "false"}, "reduceOnly"),
        ({"symbol": "BTCUSDT", "side": "BUY", "quantity": "1", "leverage": "much"}, "leverage"),
        ({"symbol": "BTCUSDT", "side": "BUY", "quantity": "1", "stop_loss": "-5"}, "stop_loss"),
        ({"symbol": "BTCUSDT", "side": "BUY", "quantity": "1", "type": "LIMIT"}, "type"),
        ({"symbol": "BTCUSDT", "side": "BUY", "quantity": "1", "positionSide": "UP"}, "positionSide"),
        ({"payload": '{"symbol": ["BTCUSDT"]}'}, "symbol"),
        ({"payload": b"\xff{}"}, "payload"),
        ({"payload": "[" * 100_000}, "payload"),
    ],
)
def test_a_bad_field_is_named(fields: dict[str, object], bad: str) -> None:
    found = read(fields)
    assert isinstance(found, MalformedIntent)
    assert bad in found.problems


def test_no_close_fails_for_what_it_does_not_need() -> None:
    found = intent(side="CLOSE", quantity="", leverage="much", stop_loss="-5", type="LIMIT", sl_pct="x")
    assert found.closes
    assert found.extras == {}


@pytest.mark.parametrize(
    ("fields", "side", "closes"),
    [
        ({"side": "CLOSE"}, Side.CLOSE, True),
        ({"action": "CLOSE", "side": "SELL"}, Side.SELL, True),
        ({"side": "SELL", "reduceOnly": "true"}, Side.SELL, True),
        ({"side": "SELL", "reduceOnly": "1"}, Side.SELL, True),
        ({"side": "SELL", "reduceOnly": ""}, Side.SELL, False),
        ({"side": "SELL", "action": "sell"}, Side.SELL, False),
    ],
)
def test_close_and_reduce_only_make_a_close(fields: dict[str, str], side: Side, closes: bool) -> None:
    found = intent(**{"side": "", **fields})
    assert (found.side, found.closes) == (side, closes)


def test_optional_members_go_on_to_the_plan() -> None:
    found = intent(
        ai_leverage="5.0", stop_loss="90", take_profit="1.2e2", atr_value="0.50", volatility_factor="1",
        confidence="0.87", regime="BULL", kill_score="0.1234567890123456789", k_regime="0.5", k_Bad="1",
        unknown="x", reason="trend\nup", breakeven_price="100.5",
    )  # fmt: skip
    assert found.extras == {
        "leverage": "5", "stop_loss": "90", "take_profit": "120", "atr_value": "0.5",
        "volatility_factor": "1", "confidence": "0.87", "regime": "BULL",
        "kill_score": "0.1234567890123456789",
        "k_regime": "0.5", "breakeven_price": "100.5",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "fraction", "quantity"),
    [
        ({"qty_fraction": "1.0", "quantity": "8"}, None, None),
        ({"qty_fraction": "0.25", "quantity": "8"}, "0.25", None),
        ({"percentage": "0.5"}, "0.5", None),
        ({"percentage": "50"}, "0.5", None),
        ({"percentage": "75.5"}, "0.755", None),
        ({"percentage": "100"}, None, None),
        ({"percentage": "1"}, None, None),
        ({"percentage": "1.5"}, "0.015", None),
        ({"action": "FULL_CLOSE", "percentage": "30"}, "0.3", None),
        ({"action": "PARTIAL_CLOSE_25"}, "0.25", None),
        ({"action": "PARTIAL_75"}, "0.75", None),
        ({"action": "CLOSE_PARTIAL_50"}, "0.5", None),
        ({"action": "FULL_CLOSE_PROPOSED", "close_qty": "0.17"}, None, "0.17"),
        ({"action": "TIME_STOP_EXIT"}, None, None),
        ({"action": "CLOSE"}, None, None),
        ({"action": "", "quantity": "3"}, None, "3"),
    ],
)
def test_an_exit_closes_the_part_that_it_says(
    fields: dict[str, str], fraction: str | None, quantity: str | None
) -> None:
    found = exit_intent(**fields)
    assert found.closes
    assert found.fraction == (None if fraction is None else Decimal(fraction))
    assert found.quantity == (None if quantity is None else Decimal(quantity))


@pytest.mark.parametrize(
    ("fields", "bad"),
    [
        ({"action": "HOLD"}, "action"),
        ({"action": "MOVE_TO_BREAKEVEN"}, "action"),
        ({"action": "UPDATE_SL", "percentage": "50"}, "action"),
        ({"action": ""}, "action"),
        ({"action": "PARTIAL_CLOSE"}, "action"),
        ({"action": "HARVEST_0"}, "action"),
        ({"action": "PARTIAL_101"}, "action"),
        ({"percentage": "0"}, "percentage"),
        ({"percentage": "101"}, "percentage"),
        ({"qty_fraction": "-0.5"}, "qty_fraction"),
        ({"qty_fraction": "half"}, "qty_fraction"),
        ({"quantity": "-1"}, "quantity"),
        ({"decision": "SKIP"}, "decision"),
        ({"intent_id": "a\nb"}, "intent_id"),
    ],
)
def test_an_exit_that_does_not_say_what_it_closes_is_malformed(fields: dict[str, str], bad: str) -> None:
    found = read({"symbol": "BTCUSDT", "action": "FULL_CLOSE", **fields}, Lane.HARVEST)
    assert isinstance(found, MalformedIntent)
    assert bad in found.problems


def test_an_exit_names_itself_its_source_and_the_side_that_it_closes() -> None:
    found = exit_intent(intent_id="e1", source="exit_management_agent", side="long", reason="stop")
    assert (found.publisher_id, found.source, found.of_leg, found.side) == (
        "e1", "exit_management_agent", Leg.LONG, Side.CLOSE,
    )  # fmt: skip
    assert exit_intent(side="SELL").of_leg is None


junk = st.binary(max_size=60) | st.sampled_from(
    [b"BTCUSDT", b"BUY", b"CLOSE", b"1", b"0.5", b"50", b"true", b'{"symbol":"BTCUSDT","side":"BUY","qty":1}']
)
names = st.sampled_from(
    [b"symbol", b"side", b"action", b"quantity", b"qty", b"position_usd", b"size", b"price", b"payload",
     b"data", b"percentage", b"reduceOnly", b"leverage", b"intent_id", b"k_x", b"sl_pct"]
) | st.binary(max_size=8)  # fmt: skip


@given(st.sampled_from(Lane), st.dictionaries(names, junk, max_size=8))
def test_any_bytes_are_read(lane: Lane, fields: dict[bytes, bytes]) -> None:
    found = read_intent(lane, EntryId("1-1"), fields)
    if isinstance(found, MalformedIntent):
        assert found.problems
        return
    assert found.closes or found.quantity is not None or found.notional is not None
    for amount in (found.quantity, found.notional, found.price, found.fraction, found.entry_price):
        assert amount is None or (amount.is_finite() and amount > 0)
    assert found.fraction is None or found.fraction < 1
