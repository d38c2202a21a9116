"""Which fills the private stream has told, by order: when they happened, and whether a result came for them.

A ledger that was adopted from the exchange contains the fills that happened until the adopted position's
last change. Their results may come later, and must then move nothing. And a fill for which no result comes
at all was no order of ours.
"""

from __future__ import annotations

from collections import OrderedDict
from decimal import Decimal
from enum import StrEnum

import msgspec

from brain.numbers import ZERO
from brain.position import Leg


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
    """One fill as the stream told it. `cumulative` in contracts, `transaction_ms` the exchange's clock."""

    symbol: str
    leg: Leg
    order_id: str
    client_order_id: str
    order_side: str
    cumulative: Decimal
    status: str
    transaction_ms: int
    told_sec: float

    @property
    def cause(self) -> Cause:
        """Who sent the order."""
        return cause_of(self.client_order_id)


class FillMemory:
    """The fills of the latest orders, at most `most_orders` of them. Repetitions of a fill change nothing.

    `told_sec` and `now_sec` are one and the same clock, whichever the caller uses.
    """

    def __init__(self, most_orders: int = 10_000) -> None:
        self._most_orders = most_orders
        self._fills: OrderedDict[tuple[str, str], list[ToldFill]] = OrderedDict()
        self._unbooked: OrderedDict[tuple[str, str], ToldFill] = OrderedDict()

    def told(self, fill: ToldFill) -> None:
        """The stream told `fill`."""
        key = fill.symbol, fill.order_id
        fills = self._fills.setdefault(key, [])
        if all(known.cumulative != fill.cumulative for known in fills):
            fills.append(fill)
            # The oldest telling of an unbooked order starts its clock.
            first = self._unbooked.get(key)
            told_sec = fill.told_sec if first is None else first.told_sec
            self._unbooked[key] = msgspec.structs.replace(fill, told_sec=told_sec)
        while len(self._fills) > self._most_orders:
            self._fills.popitem(last=False)
        while len(self._unbooked) > self._most_orders:
            self._unbooked.popitem(last=False)

    def filled_until(self, symbol: str, order_id: str, exchange_ms: int) -> Decimal | None:
        """What the order had filled by `exchange_ms` (contracts); None for an order that was never told."""
        fills = self._fills.get((symbol, order_id))
        if fills is None:
            return None
        return max((fill.cumulative for fill in fills if fill.transaction_ms <= exchange_ms), default=ZERO)

    def booked(self, symbol: str, order_id: str) -> None:
        """A result for the order was booked."""
        self._unbooked.pop((symbol, order_id), None)

    def unexplained(self, now_sec: float, *, grace_sec: float) -> list[ToldFill]:
        """Fills for which no result has come: at once for the exchange's own orders, else after the grace.

        Each is given once, unless the order fills further.
        """
        due = [
            fill
            for fill in self._unbooked.values()
            if fill.cause is not Cause.ORDER or now_sec - fill.told_sec >= grace_sec
        ]
        for fill in due:
            del self._unbooked[(fill.symbol, fill.order_id)]
        return due
