"""Results of granted plans that count as errors, for the auto-disarm."""

from __future__ import annotations

import pytest

from actors.governor.errors import ErrorCount
from brain.ledger.result import ExecutedResult, RefusedResult, read_result

NOW_MS = 1_760_000_000_000


def result(plan_id: str, error: str) -> tuple[RefusedResult, dict[bytes, bytes]]:
    fields = {
        b"plan_id": plan_id.encode(), b"symbol": b"BTCUSDT", b"executed": b"false", b"error": error.encode(),
    }  # fmt: skip
    read = read_result(fields)
    assert isinstance(read, RefusedResult)
    return read, fields


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        ("binance_error:-2019", 1),
        ("APIError(code=-4131): PERCENT_PRICE", 1),
        ("-1007: execution status unknown", 1),
        ("permit_timeout (missing: P3.3)", 0),
        ("permit_denied (P3.3: stale_exchange_state)", 0),
        ("below_min_qty", 0),
        ("source_not_allowed:x", 0),
        ("symbol_not_in_allowlist:XUSDT", 0),
        ("recovering", 0),
        ("position_too_large", 0),
        ("nothing_to_execute", 0),
        ("duplicate_plan", 0),
        ("leverage_refused:-4028", 1),
        ("order_not_found", 1),
        ("", 0),
    ],
)
def test_errors_of_the_exchange_and_on_the_way_to_it_count(error: str, counts: int) -> None:
    errors = ErrorCount()
    errors.result(*result("p", error), NOW_MS)
    assert errors.within(NOW_MS) == counts


def test_a_plan_counts_once_and_for_300_s() -> None:
    errors = ErrorCount()
    for at_ms in (NOW_MS, NOW_MS + 1000):
        errors.result(*result("p", "binance_error:-2019"), at_ms)
    errors.result(*result("q", "binance_error:-2019"), NOW_MS + 2000)
    assert errors.within(NOW_MS + 2000) == 2
    assert errors.within(NOW_MS + 300_000) == 1
    assert errors.within(NOW_MS + 302_000) == 0


def test_an_executed_plan_is_no_error() -> None:
    fields = {
        b"plan_id": b"p", b"symbol": b"BTCUSDT", b"executed": b"true", b"order_id": b"7",
        b"filled_qty": b"1", b"order_status": b"FILLED", b"error": b"binance_error:1",
    }  # fmt: skip
    read = read_result(fields)
    assert isinstance(read, ExecutedResult)
    errors = ErrorCount()
    errors.result(read, fields, NOW_MS)
    assert errors.within(NOW_MS) == 0
