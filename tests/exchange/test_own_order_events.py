"""Events of the executor's own orders."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.execution.orders import OrderState, OrderStatus
from brain.identifiers import ClientOrderId, OrderId, Symbol
from brain.moment import Moment
from brain.positions.position import Leg
from channels import OwnOrderObserved
from exchange.protocol import Frame
from exchange.user_data import read_own_order
from tests.exchange.test_user_data import account_update, order_update, read

ARRIVED = Moment(5.0, 1_700_000_000_500)

OURS = {"c": "p33-0123456789abcdef0123456789abcdef", "ap": "50000.10"}


def own_order(payload: object) -> OwnOrderObserved | None:
    return read_own_order(Frame(msgspec.json.encode(payload).decode(), ARRIVED))


@pytest.mark.parametrize(
    ("execution", "status", "filled"),
    [
        ("NEW", "NEW", "0"),
        ("TRADE", "PARTIALLY_FILLED", "0.002"),
        ("TRADE", "FILLED", "0.003"),
        ("CANCELED", "CANCELED", "0.001"),
        ("EXPIRED", "EXPIRED", "0"),
        ("EXPIRED", "EXPIRED_IN_MATCH", "0.001"),
        ("CALCULATED", "FILLED", "0.003"),
        ("CALCULATED", "NEW", "0"),
    ],
)
def test_every_execution_of_an_own_order_shows_its_whole_state(
    execution: str, status: str, filled: str
) -> None:
    update = order_update(**OURS, x=execution, X=status, z=filled, ps="LONG")
    observed = own_order(update)
    assert observed == OwnOrderObserved(
        OrderState(
            symbol=Symbol("BTCUSDT"),
            leg=Leg.LONG,
            side="SELL",
            order_id=OrderId("8886774"),
            client_order_id=ClientOrderId(OURS["c"]),
            status=OrderStatus(status),
            cumulative=Decimal(filled),
            average_price=Decimal("50000.10"),
            update_ms=1_700_000_000_450,
        ),
        ARRIVED,
    )
    assert own_order({"stream": "key", "data": update}) == observed
    # The ledger writer and the fetchers get what they got before.
    before = read(order_update(x=execution, X=status, z=filled, ps="LONG"))
    assert type(read(update)[1]) is type(before[1])


@pytest.mark.parametrize("price", ["0", "0.00000", None, "NaN", "-1"])
def test_an_average_price_of_nothing_is_none(price: object) -> None:
    observed = own_order(order_update(**{**OURS, "ap": price}))
    assert observed is not None
    assert observed.order.average_price is None


@pytest.mark.parametrize(
    "update",
    [
        order_update(),
        order_update(**{**OURS, "c": "P33-1"}),
        order_update(**OURS, x="AMENDMENT", X="NEW"),
        order_update(**OURS, X="PENDING_CANCEL"),
        order_update(**OURS, z="NaN"),
        order_update(**OURS, z="-1"),
        {**order_update(**OURS), "e": "TRADE_LITE"},
        {"e": "TRADE_LITE", "s": "BTCUSDT", "c": OURS["c"], "i": 1, "l": "1", "L": "2", "T": 3},
        account_update(),
    ],
    ids=["others", "case", "amendment", "state", "no number", "negative", "lite", "its own form", "account"],
)
def test_anything_but_the_state_of_an_own_order_is_left_out(update: object) -> None:
    assert own_order(update) is None


@given(st.text(max_size=60) | st.binary(max_size=60))
def test_no_frame_makes_the_reading_of_own_orders_fail(raw: str | bytes) -> None:
    assert read_own_order(Frame(raw, ARRIVED)) is None
