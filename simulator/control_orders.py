"""Control requests about orders: how they are filled and ended, and how many were sent."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from simulator import control_requests as asked
from simulator.exchange import SimulatedExchange


class OrderControl:
    def __init__(self, exchange: SimulatedExchange) -> None:
        self._exchange = exchange

    async def orders(self, request: Request) -> Any:
        """Return every order (of ``?symbol=…``), oldest first, those that queries do not find yet too."""
        symbol = request.query_params.get("symbol")
        names = list(self._exchange.listing.symbols) if symbol is None else [symbol]
        return [
            {
                "order_id": order.order_id,
                "client_order_id": order.client_order_id,
                "symbol": name,
                "side": order.side,
                "position_side": order.position_side,
                "status": order.status,
                "quantity": order.quantity,
                "executed": order.executed,
                "time_ms": order.time_ms,
            }
            for name in names
            for order in self._exchange.orders.of(name)
        ]

    async def set_first_fill_share(self, change: asked.SetFirstFillShare) -> None:
        """Fill orders partly first from now on (see ``SimulatedExchange``); ``null`` ends that."""
        self._exchange.first_fill_share = change.share

    async def finish_order(self, act: asked.FinishOrder) -> Any:
        """Fill (some of) an unfinished order's remainder, or ``end`` it with a status and its ``reason``."""
        order = self._exchange.orders.find(act.symbol, order_id=act.order_id)
        if act.end is not None:
            self._exchange.end_order(order, act.end, act.reason)
        else:
            self._exchange.fill_remainder(order, act.quantity)
        return {"status": order.status, "executed": order.executed}

    async def set_order_counts(self, change: asked.SetOrderCounts) -> None:
        """Pretend that so many orders were sent in the current windows; change the limits."""
        counts = self._exchange.order_counts
        now_ms = self._exchange.host_ms()
        counts.set_used(now_ms, in_10_sec=change.used_10s, in_minute=change.used_1m)
        if change.limit_10s is not None:
            counts.per_10_sec = change.limit_10s
        if change.limit_1m is not None:
            counts.per_minute = change.limit_1m
