"""Results of the executor, as its readers take them."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from brain.execution import progress, reasons
from brain.execution.results import outcome_of, result_fields
from brain.identifiers import OrderId, Symbol
from brain.ledger.refusal_words import Proof, proof_of
from brain.ledger.result import ExecutedResult, RefusedResult, read_result
from tests.brain.execution.test_progress import RECORD, shown


def fields_of(record: object) -> dict[bytes, bytes]:
    flat = result_fields(outcome_of(record, published_sec=1_760_000_000, safe_quantity=Decimal(5)))  # type: ignore[arg-type]
    return {name.encode(): value.encode() for name, value in zip(flat[::2], flat[1::2], strict=True)}


def test_a_fill_is_read_by_the_ledger_as_it_was() -> None:
    record = progress.observe(RECORD, shown("PARTIALLY_FILLED", "1.5", "99.25"))
    fields = fields_of(record)
    result = read_result(fields)
    assert isinstance(result, ExecutedResult)
    (order,) = result.orders
    assert (order.order_id, order.side, order.cumulative) == (OrderId("7"), "BUY", Decimal("1.5"))
    assert order.final is False
    assert fields[b"executed"] == b"true"
    assert fields[b"timestamp"] == fields[b"ts"] == b"1760000000"
    assert (fields[b"avg_price"], fields[b"reduceOnly"]) == (b"99.25", b"false")


def test_an_end_without_a_fill_ends_the_permit_in_the_ledger() -> None:
    result = read_result(fields_of(progress.observe(RECORD, shown("EXPIRED", "0"))))
    assert isinstance(result, ExecutedResult)
    assert (result.orders[0].cumulative, result.orders[0].final) == (Decimal(0), True)


#: All errors behind a begin: the permits are consumed.
BEHIND_A_BEGIN = [
    "binance_error:-1021", "binance_error:-1008", "binance_error:503", "binance_error:429",
    "binance_error:-1003", "binance_error:-1015", "binance_error:-4164", "binance_error:-5022",
    "not_sent:connect", "not_sent:ban", "not_sent:budget", "not_sent:late",
    "not_sent:the begin of it was not answered", "order_not_found", "nothing_to_execute",
]  # fmt: skip


@pytest.mark.parametrize("error", BEHIND_A_BEGIN)
def test_an_end_without_an_order_releases_the_reservation(error: str) -> None:
    """Neither as an unknown outcome, nor as the refusal of a consumer without a permit."""
    result = read_result(fields_of(progress.refuse(RECORD, error)))
    assert isinstance(result, RefusedResult)
    assert (result.had_no_permit, result.unknown) == (False, None)


@pytest.mark.parametrize(
    "error",
    [
        reasons.PLAN_EXPIRED,
        reasons.RECOVERING,
        reasons.KILL_SWITCH_ACTIVE,
        reasons.TRADING_HALTED,
        reasons.RECONCILE_HOLD_ACTIVE,
        reasons.BELOW_MIN_QTY,
        reasons.MIN_NOTIONAL_CHECK_FAILED,
        reasons.POSITION_TOO_LARGE,
        reasons.ORDER_RATE_LIMIT,
        reasons.source_not_allowed("harvest"),
        reasons.symbol_not_in_allowlist(Symbol("BTCUSDT")),
        reasons.leverage_refused(-4028),
        reasons.leverage_refused("no_answer"),
    ],
)
def test_no_reason_before_a_begin_says_that_the_outcome_is_unknown(error: str) -> None:
    assert proof_of([error]) is Proof.REFUSED


def test_the_details_have_exact_numbers_and_whole_seconds() -> None:
    fields = fields_of(progress.observe(RECORD, shown("FILLED", "0.028")))
    details = msgspec.json.decode(fields[b"details"], type=dict[str, msgspec.Raw])
    assert bytes(details["filled_qty"]) == b"0.028"
    assert bytes(details["timestamp"]) == b"1760000000"
    assert bytes(details["executed"]) == b"true"
    assert {"kind", "safe_qty", "waited_ms", "latency_ms", "instance"} <= details.keys()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({b"error": b"a", b"reason": b"b"}, "a"),
        ({b"reason": b"b", b"reason_codes": b"c"}, "b"),
        ({b"reason_codes": b'["c", "d"]'}, "c"),
        ({b"reason_codes": b"c,d"}, "c"),
        ({b"reason_codes": b"[]"}, "skip"),
        ({b"reason_codes": b""}, "skip"),
        ({b"error": b"None"}, "skip"),
        ({}, "skip"),
    ],
)
def test_the_error_of_a_plan_that_asks_for_no_order(fields: dict[bytes, bytes], error: str) -> None:
    assert reasons.skipped(fields, "SKIP") == error
