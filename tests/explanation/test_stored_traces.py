"""Traces as they are stored: what is read of them for a plan's explanation."""

from __future__ import annotations

import pytest

from brain.identifiers import EntryId, PlanId
from explanation.execution import Booked
from explanation.stored_traces import (
    booked_of,
    concerns,
    is_held_for,
    order_ids_of,
    reservation_of,
    symbol_executed,
)
from explanation.timeline import Dated

RESULT = Dated(
    EntryId("2-0"),
    {"plan_id": "p-1", "symbol": "ETHUSDT", "executed": "True", "order_id": "7", "side": "BUY",
     "filled_qty": "1"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("stored", "booked"),
    [
        (b"0.3|1760000000123", Booked("7", "0.3", 1_760_000_000_123)),
        (b"0.3", None),
        (b"0.3|x", None),
        (b"\xff|1", Booked("7", "\\xff", 1)),
        (None, None),
    ],
)
def test_the_memory_of_an_order_is_read_or_left_out(stored: bytes | None, booked: Booked | None) -> None:
    assert booked_of("7", stored) == booked


def test_a_reservation_that_cannot_be_read_counts_for_none() -> None:
    permit = reservation_of(PlanId("p-1"), "BOTH|close|SELL|0.028|1760000000000")
    assert permit is not None and permit.order_side == "SELL"
    assert reservation_of(PlanId("p-1"), "junk") is None
    assert reservation_of(PlanId("p-1"), None) is None


def test_orders_and_symbol_come_from_the_record_and_the_results() -> None:
    assert order_ids_of({"order_id": "5"}, [RESULT]) == {"5", "7"}
    assert order_ids_of({}, []) == frozenset()
    assert symbol_executed({"symbol": "BTCUSDT"}, (), (RESULT,)) == "BTCUSDT"
    assert symbol_executed({}, (), (RESULT,)) == "ETHUSDT"
    assert symbol_executed({}, (), ()) == ""


def test_a_hold_is_for_the_order_that_it_names() -> None:
    assert is_held_for({"client_order_id": "x-1"}, "exec:x-1")
    assert not is_held_for({"client_order_id": "x-1"}, "exec:x-2")
    assert not is_held_for({"client_order_id": "x-1"}, None)
    assert not is_held_for({}, "exec:")


def test_an_event_concerns_its_plan_and_its_orders() -> None:
    assert concerns({"plan_id": "p-1"}, "p-1", (), None)
    diverged = {"event": "LEDGER_DIVERGED", "order_id": "7", "client_order_id": "x-1"}
    assert concerns(diverged, "p-1", {"7"}, None)
    assert concerns(diverged, "p-1", (), "x-1")
    assert not concerns(diverged, "p-1", {"8"}, "x-2")
    assert not concerns({"event": "LEDGER_DIVERGED", "order_id": "7"}, "p-1", (), "")
