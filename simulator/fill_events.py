"""The events of a fill: the order's event, the short one before it, and the account's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from simulator import events
from simulator.orders import Fill, Order
from simulator.positions import Position


def fill_events(
    order: Order,
    fill: Fill,
    *,
    event_time_ms: int,
    trade_lite: bool,
    wallet_balance: Decimal,
    mark_price: Decimal,
    updates: Sequence[Sequence[Position]],
) -> Iterator[events.Payload]:
    """Build the events of a booked fill, in the order in which Binance sends them.

    ``updates`` are the legs of each ``ACCOUNT_UPDATE``. Times are those that the events show.
    """
    if trade_lite and fill.execution_type == "TRADE":
        yield events.trade_lite(order, fill, event_time_ms=event_time_ms)
    yield events.order_trade_update(
        order,
        execution_type=fill.execution_type,
        event_time_ms=event_time_ms,
        fill=fill,
    )
    for legs in updates:
        yield events.account_update(
            reason="ORDER",
            event_time_ms=event_time_ms,
            transaction_time_ms=fill.transaction_time_ms,
            wallet_balance=wallet_balance,
            positions=[(leg, mark_price) for leg in legs],
            asset=order.symbol.quote_asset,
        )
