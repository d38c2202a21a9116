"""Which fills the private stream has told, by order: when they happened, and whether a result came for them.

A ledger that was adopted from the exchange contains the fills that happened until the adopted position's
last change. Their results may come later, and must then move nothing. And a fill for which no result comes
at all was no order of ours.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

import msgspec

from brain.ledger.adoption import Contained
from brain.ledger.order_events import OrderEvent, OrderEvents
from brain.numbers import ZERO
from brain.positions.position import Leg

K = TypeVar("K")
V = TypeVar("V")


class Cause(StrEnum):
    """Who sent an order, as far as its client order id tells."""

    LIQUIDATION = "liquidation"
    ADL = "adl"
    SETTLEMENT = "settlement"
    ORDER = "order"


_PREFIXES = (
    ("settlement_autoclose-", Cause.SETTLEMENT),
    ("adl_autoclose", Cause.ADL),
    ("autoclose-", Cause.LIQUIDATION),
)


def cause_of(client_order_id: str) -> Cause:
    """Liquidation, ADL and settlement by the exchange's own ids; `order` for what somebody sent.

    Source: Binance USDⓈ-M Futures, "User Data Streams", event ORDER_TRADE_UPDATE, field `c`.
    """
    return next((cause for prefix, cause in _PREFIXES if client_order_id.startswith(prefix)), Cause.ORDER)


class ToldFill(msgspec.Struct, frozen=True):
    """One fill as the stream told it. `cumulative` in contracts, `transaction_ms` the exchange's clock.

    `quantity` is what the fill added to `cumulative`; 0 where that was not told.
    """

    symbol: str
    leg: Leg
    order_id: str
    client_order_id: str
    order_side: str
    cumulative: Decimal
    status: str
    transaction_ms: int
    told_sec: float
    quantity: Decimal = ZERO

    @property
    def cause(self) -> Cause:
        """Who sent the order."""
        return cause_of(self.client_order_id)


class _Part(msgspec.Struct, frozen=True):
    """One fill of an order: from what to what it grew, and when."""

    before: Decimal
    cumulative: Decimal
    at_ms: int
    leg: Leg | None = None


class FillMemory:
    """The fills of the latest orders, at most `most_orders` of them. Repetitions of a fill change nothing.

    `told_sec` and `now_sec` are one and the same clock, whichever the caller uses.
    """

    def __init__(self, most_orders: int = 10_000) -> None:
        self._most_orders = most_orders
        self._told: OrderedDict[tuple[str, str], set[Decimal]] = OrderedDict()
        self._parts: OrderedDict[tuple[str, str], dict[Decimal, _Part]] = OrderedDict()
        self._unbooked: OrderedDict[tuple[str, str], ToldFill] = OrderedDict()
        #: The latest event of each order, fill or end.
        self.orders = OrderEvents(most_orders)

    def told(self, fill: ToldFill) -> None:
        """The stream told `fill`."""
        key = fill.symbol, fill.order_id
        told = self._told.setdefault(key, set())
        if fill.cumulative not in told:
            told.add(fill.cumulative)
            before = fill.cumulative - fill.quantity
            self._learn(key, _Part(before, fill.cumulative, fill.transaction_ms, fill.leg))
            # The oldest telling of an unbooked order starts its clock.
            first = self._unbooked.get(key)
            told_sec = fill.told_sec if first is None else first.told_sec
            self._unbooked[key] = msgspec.structs.replace(fill, told_sec=told_sec)
        _keep_latest(self._told, self._most_orders)
        _keep_latest(self._unbooked, self._most_orders)
        self.orders.told(
            OrderEvent(
                fill.symbol,
                fill.leg,
                fill.order_id,
                fill.client_order_id,
                fill.order_side,
                fill.cumulative,
                fill.status,
                fill.transaction_ms,
                fill.told_sec,
            )
        )

    def looked_up(self, symbol: str, order_id: str, trades: Iterable[tuple[Decimal, int]]) -> None:
        """The exchange listed the order's fills, oldest first: quantity (contracts) and time (ms) of each."""
        cumulative = ZERO
        for quantity, at_ms in trades:
            self._learn((symbol, order_id), _Part(cumulative, cumulative + quantity, at_ms))
            cumulative += quantity

    def known_within(self, symbol: str, order_id: str, contained: Contained) -> Decimal:
        """Return what is known to be contained of the order (contracts): that, or more, is."""
        parts = self._parts.get((symbol, order_id), {}).values()
        return max((part.cumulative for part in parts if contained.holds(part.at_ms)), default=ZERO)

    def filled_within(
        self, symbol: str, order_id: str, contained: Contained, *, reported: Decimal
    ) -> Decimal | None:
        """Return what is contained of the order (contracts); None where that is not certain.

        Nothing is missing if all that was `reported` of the order is contained, or if a later fill is known
        that began where the contained ones end.
        """
        known = self.known_within(symbol, order_id, contained)
        if known >= reported:
            return known
        parts = self._parts.get((symbol, order_id), {}).values()
        if any(part.before == known and not contained.holds(part.at_ms) for part in parts):
            return known
        return None

    def reached(self, symbol: str, order_id: str, cumulative: Decimal) -> tuple[Leg, int] | None:
        """The leg of an order, and when (ms) it had filled `cumulative`; None where the stream has not shown
        that."""
        parts = self._parts.get((symbol, order_id), {}).values()
        reached = [(part.leg, part.at_ms) for part in parts if part.cumulative >= cumulative]
        leg, at_ms = min(reached, key=lambda each: each[1], default=(None, 0))
        return None if leg is None else (leg, at_ms)

    def _learn(self, key: tuple[str, str], part: _Part) -> None:
        self._parts.setdefault(key, {})[part.cumulative] = part
        _keep_latest(self._parts, self._most_orders)

    def booked(self, symbol: str, order_id: str) -> None:
        """A result for the order was booked."""
        self._unbooked.pop((symbol, order_id), None)

    def unexplained(self, now_sec: float, *, grace_sec: float) -> list[ToldFill]:
        """Fills for which no result has come: at once for the exchange's own orders, else after the grace.

        Each is given until it is `reported`; and again, once the order fills further.
        """
        return [
            fill
            for fill in self._unbooked.values()
            if fill.cause is not Cause.ORDER or now_sec - fill.told_sec >= grace_sec
        ]

    def reported(self, fill: ToldFill) -> None:
        """Somebody was told that no result has come for it, or it was booked before."""
        if self._unbooked.get((fill.symbol, fill.order_id)) is fill:
            del self._unbooked[fill.symbol, fill.order_id]


def _keep_latest(by_order: OrderedDict[K, V], most_orders: int) -> None:
    while len(by_order) > most_orders:
        by_order.popitem(last=False)
