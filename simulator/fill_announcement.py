"""The events of a fill: the order's event, the short one before it, and the account's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from simulator import events
from simulator.history import PositionSide
from simulator.orders import Fill, Order
from simulator.positions import Position

if TYPE_CHECKING:
    from simulator.account import SimulatedExchange

_ALL_LEGS: tuple[PositionSide, ...] = ("BOTH", "LONG", "SHORT")


def announce_fill(
    exchange: SimulatedExchange,
    order: Order,
    position: Position,
    fill: Fill,
    shown_ms: Callable[[int], int],
) -> None:
    """Announce a fill that was booked; ``position`` is the leg that it has moved.

    ``shown_ms`` makes of a time the one that the events carry.
    """
    event_ms = shown_ms(exchange.event_ms())
    fill = msgspec.structs.replace(fill, transaction_time_ms=shown_ms(fill.transaction_time_ms))
    if exchange.emits_trade_lite and fill.execution_type == "TRADE":
        exchange.announce(events.trade_lite(order, fill, event_time_ms=event_ms))
    exchange.announce(
        events.order_trade_update(
            order,
            execution_type=fill.execution_type,
            event_time_ms=event_ms,
            transaction_time_ms=fill.transaction_time_ms,
            fill=fill,
        )
    )
    told = [position]
    if exchange.hedge_mode and exchange.faults.account_update_shows_all_legs:
        told = [exchange.position(order.symbol.name, leg) for leg in _ALL_LEGS]
    updates = [told]
    if exchange.hedge_mode and exchange.faults.account_update_shows_only_both:
        updates.append([exchange.position(order.symbol.name, "BOTH")])
    mark_price = exchange.mark_price(order.symbol.name)
    for legs in updates:
        exchange.announce(
            events.account_update(
                reason="ORDER",
                event_time_ms=event_ms,
                transaction_time_ms=fill.transaction_time_ms,
                wallet_balance=exchange.wallet_balance,
                positions=[(leg, mark_price) for leg in legs],
                asset=order.symbol.quote_asset,
            )
        )
