"""Execution results in their three dialects, and entries that are none."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.identifiers import OrderId, PlanId, Symbol
from brain.ledger.result import DeadResult, ExecutedResult, FilledOrder, RefusedResult, read_result

PLAN = {b"plan_id": b"plan-1", b"symbol": b"BTCUSDT", b"executed": b"True"}


def flat(**fields: str) -> dict[bytes, bytes]:
    order = {"order_id": "17", "filled_qty": "0.3", "side": "SELL", "order_status": "FILLED"} | fields
    return PLAN | {name.encode(): value.encode() for name, value in order.items()}


def steps(*elements: Any) -> dict[bytes, bytes]:
    return PLAN | {b"steps_results": json.dumps(elements).encode()}


def details(text: str) -> dict[bytes, bytes]:
    return PLAN | {b"event_type": b"execution", b"details": text.encode()}


def order_of(fields: dict[bytes, bytes]) -> FilledOrder:
    result = read_result(fields)
    assert isinstance(result, ExecutedResult), result
    (order,) = result.orders
    return order


FILLED = FilledOrder(OrderId("17"), "SELL", Decimal("0.3"), "FILLED", final=True)
STEP = {"step": "CLOSE", "status": "FILLED", "order_id": 17, "side": "SELL", "executed_qty": "0.3"}


@pytest.mark.parametrize(
    "fields",
    [
        flat(close_qty="0.5"),
        steps(STEP),
        details('{"order_id": "17", "order_status": "filled", "filled_qty": 0.3, "side": "sell"}'),
    ],
    ids=["flat", "steps", "details"],
)
def test_the_three_dialects_give_the_same_order(fields: dict[bytes, bytes]) -> None:
    assert order_of(fields) == FILLED


def test_the_rest_of_a_result_is_read_too() -> None:
    result = read_result(flat() | {b"decision": b"EXECUTE", b"timestamp": b"1760000000.25"})
    assert result == ExecutedResult(
        PlanId("plan-1"), Symbol("BTCUSDT"), (FILLED,), Decimal("1760000000.25"), "EXECUTE"
    )


def test_an_unreadable_timestamp_does_not_cost_a_fill() -> None:
    result = read_result(flat() | {b"timestamp": b"2026-01-01T00:00:00Z", b"decision": b"\xff"})
    assert result == ExecutedResult(PlanId("plan-1"), Symbol("BTCUSDT"), (FILLED,), None, "")


def test_fields_that_mean_nothing_here_may_hold_anything() -> None:
    assert order_of(flat() | {b"error": b"\xff" * 1_000_000}) == FILLED


def test_json_numbers_keep_all_their_digits() -> None:
    order = order_of(details('{"order_id": 9007199254740993, "filled_qty": 123456789012.123456789012345678}'))
    assert order.order_id == "9007199254740993"
    assert order.cumulative == Decimal("123456789012.123456789012345678")


def test_a_requested_quantity_is_not_a_filled_one() -> None:
    fields = flat(close_qty="0.5")
    del fields[b"filled_qty"]
    assert isinstance(read_result(fields), DeadResult)


@pytest.mark.parametrize("side", ["", "CLOSE", "None"])
def test_a_missing_side_is_left_to_the_plan(side: str) -> None:
    assert order_of(flat(side=side)).side is None


@pytest.mark.parametrize(
    ("status", "final"),
    [
        ("FILLED", True),
        ("CANCELED", True),
        ("EXPIRED", True),
        ("EXPIRED_IN_MATCH", True),
        ("REJECTED", True),
        ("", True),
        ("PARTIALLY_FILLED", False),
        ("NEW", False),
        ("success", False),
    ],
)
def test_a_status_says_whether_more_may_be_filled(status: str, final: bool) -> None:
    assert order_of(flat(order_status=status)).final is final


@pytest.mark.parametrize("status", ["CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED"])
@pytest.mark.parametrize("quantity", ["0", "0.000", "0e5"])
def test_an_order_may_end_without_a_fill(status: str, quantity: str) -> None:
    order = order_of(flat(order_status=status, filled_qty=quantity))
    assert order.cumulative == 0 and order.final


@pytest.mark.parametrize("status", ["", "NEW", "FILLED", "PARTIALLY_FILLED"])
def test_nothing_filled_is_no_execution_otherwise(status: str) -> None:
    assert isinstance(read_result(flat(order_status=status, filled_qty="0")), DeadResult)


def test_steps_that_sent_no_order_are_passed_over() -> None:
    skipped = {"step": "UPDATE_SL", "status": "skipped", "order_id": None, "executed_qty": 0.2}
    dry = {"step": "CLOSE", "status": "would_execute", "executed_qty": "0.3"}
    stop_loss = {"step": "UPDATE_SL", "status": "NEW", "order_id": 18, "side": "SELL", "executed_qty": "0"}
    assert order_of(steps(skipped, dry, STEP, stop_loss)) == FILLED


def test_several_steps_are_several_orders() -> None:
    result = read_result(steps(STEP, STEP | {"order_id": "x-18", "side": "BUY", "executed_qty": 1}))
    assert isinstance(result, ExecutedResult)
    assert result.orders == (FILLED, FilledOrder(OrderId("x-18"), "BUY", Decimal(1), "FILLED", final=True))


def test_an_order_named_twice_in_one_result_counts_with_its_largest_quantity() -> None:
    partly = STEP | {"status": "PARTIALLY_FILLED", "executed_qty": "0.1"}
    assert order_of(steps(partly, STEP)) == order_of(steps(STEP, partly)) == FILLED


@pytest.mark.parametrize(
    "elements",
    [
        [],
        [{"status": "skipped"}],
        [{"status": "FILLED", "order_id": 17, "side": "SELL"}],
        [STEP, STEP | {"order_id": None}],
        [STEP, STEP | {"side": "BUY"}],
        [STEP | {"executed_qty": "NaN"}],
        [STEP | {"executed_qty": "-0.3"}],
        [STEP | {"executed_qty": ["0.3"]}],
        [STEP | {"executed_qty": True}],
        [STEP | {"executed_qty": "1e20"}],
        [STEP | {"order_id": 1.7e18}],
        [STEP | {"order_id": 17.5}],
        [STEP | {"order_id": "a b"}],
        [STEP | {"order_id": "17.0"}],
        [STEP | {"order_id": "x" * 65}],
        [STEP | {"side": "UP"}],
        ["CLOSE"],
    ],
)
def test_steps_that_cannot_be_booked_are_a_dead_letter(elements: list[Any]) -> None:
    assert isinstance(read_result(steps(*elements)), DeadResult)


@pytest.mark.parametrize("nothing", ["", "None", "null", "0", " "])
def test_an_empty_order_id_is_none(nothing: str) -> None:
    assert isinstance(read_result(flat(order_id=nothing)), DeadResult)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "NaN",
        '{"order_id": 17, "filled_qty": NaN}',
        '{"order_id": 17, "filled_qty": 01}',
        '{"order_id": 17, "filled_qty": "\\ud800"}',
        '{"order_id": 17, "filled_qty": ' + "[" * 30_000 + "]" * 30_000 + "}",
        '{"order_id": 17, "filled_qty": 0.3, "note": "' + "x" * 65_536 + '"}',
    ],
)
def test_unreadable_json_is_a_dead_letter(text: str) -> None:
    assert isinstance(read_result(details(text)), DeadResult)


@pytest.mark.parametrize(
    "broken",
    [
        {b"executed": b"maybe"},
        {b"executed": b""},
        {b"plan_id": b""},
        {b"plan_id": b"x" * 257},
        {b"plan_id": "plän".encode()},
        {b"symbol": b""},
        {b"symbol": b"\xff"},
        {b"symbol": b"BTC USDT"},
        {b"symbol": b"X" * 33},
        {b"filled_qty": b"0.3" + b"0" * 70_000},
    ],
)
def test_the_fields_that_a_booking_needs_must_be_readable(broken: dict[bytes, bytes]) -> None:
    assert isinstance(read_result(flat() | broken), DeadResult)


def test_a_plan_id_is_taken_to_the_letter() -> None:
    result = read_result(flat() | {b"plan_id": b" None "})
    assert isinstance(result, ExecutedResult) and result.plan_id == " None "


def test_symbols_need_not_be_ascii() -> None:
    result = read_result(flat(symbol="币安人生USDT"))
    assert isinstance(result, ExecutedResult) and result.symbol == "币安人生USDT"


@pytest.mark.parametrize("executed", [b"False", b"false", b"0"])
def test_a_refusal_needs_only_its_plan(executed: bytes) -> None:
    refusal = {b"plan_id": b"plan-1", b"executed": executed}
    assert read_result(refusal) == RefusedResult(PlanId("plan-1"), None)
    assert read_result(refusal | {b"symbol": b"\xff"}) == RefusedResult(PlanId("plan-1"), None)
    assert read_result(refusal | {b"symbol": b"BTCUSDT", b"details": b"{"}) == RefusedResult(
        PlanId("plan-1"), Symbol("BTCUSDT")
    )
    assert isinstance(read_result({b"executed": executed, b"symbol": b"BTCUSDT"}), DeadResult)


NAMES = b"plan_id symbol executed steps_results details order_id filled_qty order_status side timestamp"
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["17", "0.3", "NaN", "-1", "FILLED", "BUY", "1e400", "CLOSE"])
)
STEPS = st.dictionaries(
    st.sampled_from(["order_id", "executed_qty", "filled_qty", "side", "status"]), SCALARS
)
JSON_TEXT = (STEPS | st.lists(STEPS | SCALARS, max_size=3)).map(lambda value: json.dumps(value).encode())
VALUES = (
    st.binary(max_size=20)
    | JSON_TEXT
    | st.sampled_from([b"True", b"1", b"False", b"BTCUSDT", b"17", b"0.3", b"nan", b"Infinity", b"1e-99"])
)


@given(st.dictionaries(st.sampled_from(NAMES.split()), VALUES), st.booleans())
def test_no_bytes_make_a_reading_raise_or_book_nonsense(fields: dict[bytes, bytes], whole: bool) -> None:
    result = read_result(PLAN | fields if whole else fields)
    if isinstance(result, ExecutedResult):
        assert result.orders
        assert len({order.order_id for order in result.orders}) == len(result.orders)
        for order in result.orders:
            assert order.cumulative.is_finite() and order.cumulative >= 0
            assert order.cumulative > 0 or order.final
            assert order.side in (None, "BUY", "SELL")
