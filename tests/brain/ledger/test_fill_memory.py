"""Fills of the stream: their times, and those without a result."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.identifiers import ClientOrderId, OrderId, Symbol
from brain.ledger.adoption import Contained
from brain.ledger.fill_memory import FillMemory
from brain.ledger.order_events import Cause, FillObserved, cause_of
from brain.moment import Moment
from brain.positions.position import Leg


def fill(
    cumulative: str,
    at_ms: int,
    *,
    order_id: str = "1",
    client: str = "x",
    received_sec: float = 0,
    quantity: str = "0",
) -> FillObserved:
    return FillObserved(
        Symbol("BTCUSDT"),
        Leg.BOTH,
        OrderId(order_id),
        ClientOrderId(client),
        "BUY",
        Decimal(cumulative),
        "FILLED",
        at_ms,
        Moment(received_sec, 0),
        Decimal(quantity),
    )


def until(memory: FillMemory, at_ms: int, *, reported: str = "1") -> Decimal | None:
    return memory.filled_within(
        Symbol("BTCUSDT"), OrderId("1"), Contained(at_ms, 10**15), reported=Decimal(reported)
    )


@pytest.mark.parametrize(
    ("client_order_id", "cause"),
    [
        ("autoclose-1234", Cause.LIQUIDATION),
        ("adl_autoclose", Cause.ADL),
        ("settlement_autoclose-5", Cause.SETTLEMENT),
        ("web_abc", Cause.ORDER),
        ("", Cause.ORDER),
    ],
)
def test_the_client_order_id_identifies_the_exchanges_own_orders(client_order_id: str, cause: Cause) -> None:
    assert cause_of(ClientOrderId(client_order_id)) is cause


def test_the_quantity_filled_until_a_moment_follows_from_the_known_fills() -> None:
    memory = FillMemory()
    memory.add(fill("0.3", 10, quantity="0.3"))
    memory.add(fill("1", 20, quantity="0.7"))
    assert until(memory, 9) == 0
    assert until(memory, 10) == Decimal("0.3")
    assert until(memory, 19) == Decimal("0.3")
    assert until(memory, 20) == 1


def test_an_order_without_a_push_is_unknown_rather_than_unfilled() -> None:
    assert until(FillMemory(), 99) is None


def test_a_fill_without_a_push_may_have_come_before_the_moment() -> None:
    memory = FillMemory()
    memory.add(fill("0.3", 10, quantity="0.3"))
    assert until(memory, 15) is None, "the rest may have come by then"
    assert until(memory, 15, reported="0.3") == Decimal("0.3")
    memory.add(fill("1", 20, quantity="0.2"))
    assert until(memory, 15) is None, "from 0.3 to 0.8, at whatever time"
    memory.looked_up(
        Symbol("BTCUSDT"), OrderId("1"), [(Decimal("0.3"), 10), (Decimal("0.5"), 14), (Decimal("0.2"), 20)]
    )
    assert until(memory, 15) == Decimal("0.8")
    assert until(memory, 13) == Decimal("0.3")


def test_a_push_of_a_fill_that_was_looked_up_still_needs_a_result() -> None:
    memory = FillMemory()
    memory.looked_up(Symbol("BTCUSDT"), OrderId("1"), [(Decimal(1), 10)])
    memory.add(fill("1", 10, quantity="1"))
    assert len(memory.unexplained(30, grace_sec=30)) == 1


def test_a_fill_with_a_result_is_explained() -> None:
    memory = FillMemory()
    memory.add(fill("1", 10, received_sec=0))
    memory.booked(Symbol("BTCUSDT"), OrderId("1"))
    assert memory.unexplained(1000, grace_sec=30) == []


def test_a_fill_without_a_result_is_unexplained_after_the_grace_until_it_is_reported() -> None:
    memory = FillMemory()
    memory.add(fill("1", 10, received_sec=5))
    assert memory.unexplained(34.9, grace_sec=30) == []
    for _ in range(2):
        (due,) = memory.unexplained(35, grace_sec=30)
        assert due.order_id == "1"
    memory.reported(due)
    assert memory.unexplained(99, grace_sec=30) == []


def test_an_order_that_fills_further_is_reported_again() -> None:
    memory = FillMemory()
    memory.add(fill("0.3", 10, received_sec=0))
    (due,) = memory.unexplained(30, grace_sec=30)
    memory.add(fill("1", 20, received_sec=31))
    memory.reported(due)
    assert [each.cumulative for each in memory.unexplained(99, grace_sec=30)] == [Decimal(1)]


def test_a_liquidation_is_unexplained_at_once() -> None:
    memory = FillMemory()
    memory.add(fill("1", 10, client="autoclose-9", received_sec=5))
    assert [each.cause for each in memory.unexplained(5, grace_sec=30)] == [Cause.LIQUIDATION]


def test_the_grace_counts_from_the_first_fill_without_a_result() -> None:
    memory = FillMemory()
    memory.add(fill("0.3", 10, received_sec=0))
    memory.add(fill("1", 20, received_sec=29))
    due = memory.unexplained(30, grace_sec=30)
    assert [each.cumulative for each in due] == [Decimal(1)]


def test_a_repeated_fill_changes_nothing() -> None:
    memory = FillMemory()
    memory.add(fill("1", 10))
    memory.booked(Symbol("BTCUSDT"), OrderId("1"))
    memory.add(fill("1", 10, received_sec=50))
    assert memory.unexplained(1000, grace_sec=30) == []


@given(orders=st.integers(1, 40), most=st.integers(1, 10))
def test_only_the_latest_orders_are_remembered(orders: int, most: int) -> None:
    memory = FillMemory(most_orders=most)
    for number in range(orders):
        memory.add(fill("1", 10, order_id=str(number)))
    known = [
        n for n in range(orders) if memory.known_within(Symbol("BTCUSDT"), OrderId(str(n)), Contained(10, 10))
    ]
    assert known == list(range(max(0, orders - most), orders))
    assert len(memory.unexplained(1e9, grace_sec=0)) == min(orders, most)
