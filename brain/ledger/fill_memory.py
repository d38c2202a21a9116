"""Fills from the private stream, by order: their times, and those without a result.

An adopted ledger contains the fills until the adopted position's last change: their results may come later,
and must then move nothing. A fill without any result was no order of ours.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from decimal import Decimal
from typing import TypeVar

import msgspec

from brain.identifiers import OrderId, Symbol
from brain.ledger.adoption import Contained
from brain.ledger.order_events import Cause, FillObserved, OrderEvents
from brain.numbers import ZERO
from brain.positions.position import Leg

K = TypeVar("K")
V = TypeVar("V")


class _Part(msgspec.Struct, frozen=True):
    """One fill of an order: its filled quantity before and after, and the fill's time."""

    before: Decimal
    cumulative: Decimal
    at_ms: int
    leg: Leg | None = None


class FillMemory:
    """The fills of the latest `most_orders` orders. Repetitions of a fill change nothing."""

    def __init__(self, most_orders: int = 10_000) -> None:
        self._most_orders = most_orders
        self._seen: OrderedDict[tuple[Symbol, OrderId], set[Decimal]] = OrderedDict()
        self._parts: OrderedDict[tuple[Symbol, OrderId], dict[Decimal, _Part]] = OrderedDict()
        self._unbooked: OrderedDict[tuple[Symbol, OrderId], FillObserved] = OrderedDict()
        #: The latest event of each order, fill or end.
        self.orders = OrderEvents(most_orders)

    def add(self, fill: FillObserved) -> None:
        """Add a fill from the stream."""
        key = fill.symbol, fill.order_id
        seen = self._seen.setdefault(key, set())
        if fill.cumulative not in seen:
            seen.add(fill.cumulative)
            before = fill.cumulative - fill.quantity
            self._learn(key, _Part(before, fill.cumulative, fill.transaction_ms, fill.leg))
            # The grace begins with the first fill of an unbooked order.
            received = self._unbooked.get(key, fill).received
            self._unbooked[key] = msgspec.structs.replace(fill, received=received)
        _keep_latest(self._seen, self._most_orders)
        _keep_latest(self._unbooked, self._most_orders)
        self.orders.add(fill)

    def looked_up(self, symbol: Symbol, order_id: OrderId, trades: Iterable[tuple[Decimal, int]]) -> None:
        """Add all fills of an order as the exchange lists them: their quantity (contracts) and time (ms)."""
        cumulative = ZERO
        for quantity, at_ms in trades:
            self._learn((symbol, order_id), _Part(cumulative, cumulative + quantity, at_ms))
            cumulative += quantity

    def known_within(self, symbol: Symbol, order_id: OrderId, contained: Contained) -> Decimal:
        """Return the least that is contained of the order (contracts), by its known fills."""
        parts = self._parts.get((symbol, order_id), {}).values()
        return max((part.cumulative for part in parts if contained.holds(part.at_ms)), default=ZERO)

    def filled_within(
        self, symbol: Symbol, order_id: OrderId, contained: Contained, *, reported: Decimal
    ) -> Decimal | None:
        """Return how much of the order is contained (contracts); None where that is not certain.

        It is certain if all that was `reported` of the order is contained, or if a later fill is known that
        began where the contained ones end.
        """
        known = self.known_within(symbol, order_id, contained)
        if known >= reported:
            return known
        parts = self._parts.get((symbol, order_id), {}).values()
        if any(part.before == known and not contained.holds(part.at_ms) for part in parts):
            return known
        return None

    def reached(self, symbol: Symbol, order_id: OrderId, cumulative: Decimal) -> tuple[Leg, int] | None:
        """Return an order's leg and the time (ms) at which it had filled `cumulative`; None if unknown."""
        parts = self._parts.get((symbol, order_id), {}).values()
        reached = [(part.leg, part.at_ms) for part in parts if part.cumulative >= cumulative]
        leg, at_ms = min(reached, key=lambda each: each[1], default=(None, 0))
        return None if leg is None else (leg, at_ms)

    def _learn(self, key: tuple[Symbol, OrderId], part: _Part) -> None:
        self._parts.setdefault(key, {})[part.cumulative] = part
        _keep_latest(self._parts, self._most_orders)

    def booked(self, symbol: Symbol, order_id: OrderId) -> None:
        """Forget the order's unbooked fill: a result for it was booked."""
        self._unbooked.pop((symbol, order_id), None)

    def unexplained(self, now_sec: float, *, grace_sec: float) -> list[FillObserved]:
        """Return the fills without a result: of the exchange's own orders at once, else after the grace.

        Each is returned until it is `reported`, and again once the order fills further. `now_sec`: monotonic.
        """
        return [
            fill
            for fill in self._unbooked.values()
            if fill.cause is not Cause.ORDER or now_sec - fill.received.monotonic_sec >= grace_sec
        ]

    def reported(self, fill: FillObserved) -> None:
        """Forget an unbooked fill that was reported, or was booked before this process began."""
        if self._unbooked.get((fill.symbol, fill.order_id)) is fill:
            del self._unbooked[fill.symbol, fill.order_id]


def _keep_latest(by_order: OrderedDict[K, V], most_orders: int) -> None:
    while len(by_order) > most_orders:
        by_order.popitem(last=False)
