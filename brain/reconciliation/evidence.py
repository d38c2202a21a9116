"""Evidence of a drift: trades of the exchange, the orders behind them, and what was booked of these."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec

from brain.identifiers import ClientOrderId, OrderId
from brain.positions.position import Leg
from brain.reconciliation.rules import DriftCause


class Trade(msgspec.Struct, frozen=True):
    """Fill of an order (`userTrades`): quantity in contracts, `time_ms` by the exchange's clock."""

    trade_id: int
    order_id: OrderId
    side: str
    leg: Leg
    quantity: Decimal
    time_ms: int

    @property
    def signed(self) -> Decimal:
        """Return what it added to its leg (contracts)."""
        return self.quantity if self.side == "BUY" else self.quantity.copy_negate()


class HistoricOrder(msgspec.Struct, frozen=True):
    """Order as the exchange lists it.

    `cumulative`: all that it has filled (contracts). `conditional`: a stop order or the like placed it.
    `placed_ms` and `updated_ms`: its creation (`time`) and its latest change (`updateTime`), not before its
    latest fill, by the exchange's clock.
    """

    order_id: OrderId
    client_order_id: ClientOrderId
    side: str
    leg: Leg
    cumulative: Decimal
    conditional: bool
    placed_ms: int
    updated_ms: int


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found for one drift. Times are the exchange's clock (epoch ms).

    `trades`: all that the search found; those before `since_ms`, the last agreement, do not count: the ledger
    contains them, and it may contain those of that millisecond. `orders`: those behind the trades; one that
    the exchange does not show is missing.
    `memories`: order memory as stored, by order id. `recorded`: client order ids with a record of the
    executor that is not an orphan's. `orphans`: those with an orphan's, which the executor has reported.
    `closing`: those of RECONCILE_CLOSE plans, which move no ledger.
    `agreed`: the exchange's amounts at the last agreement by leg, of a ledger that has moved since; none for
    unknown.
    `complete`: every page was read. `verified_ms`: the compared position is known to contain every trade
    until then. `contained_ms`: the ledger contains trades of this very date, however late it is: that of the
    row that it was adopted from, which may be dated ahead.
    """

    trades: tuple[Trade, ...]
    orders: Mapping[OrderId, HistoricOrder]
    memories: Mapping[OrderId, str]
    recorded: frozenset[ClientOrderId]
    complete: bool
    since_ms: int
    verified_ms: int
    closing: frozenset[ClientOrderId] = frozenset()
    orphans: frozenset[ClientOrderId] = frozenset()
    contained_ms: int = 0
    agreed: Mapping[Leg, Decimal] = {}


class Growth(msgspec.Struct, frozen=True):
    """Fills of one order that no result has booked.

    `quantity`: unsigned, in contracts; `cumulative`: the order's booked quantity afterwards. `time_ms`: its
    latest trade, by the exchange's clock. `trade_ids`: its trades since the last agreement.
    """

    order_id: OrderId
    client_order_id: ClientOrderId
    cause: DriftCause
    leg: Leg
    side: str
    quantity: Decimal
    cumulative: Decimal
    time_ms: int
    trade_ids: tuple[int, ...] = ()

    @property
    def signed(self) -> Decimal:
        """Return what it added to its leg (contracts)."""
        return self.quantity if self.side == "BUY" else self.quantity.copy_negate()


class Explained(msgspec.Struct, frozen=True):
    """The sum comes out: ledger + all growth = exchange, on each leg.

    `adopted` is booked, `foreign` waits for a person. One of the two may be empty, not both.
    """

    adopted: tuple[Growth, ...]
    foreign: tuple[Growth, ...]


class Gap(StrEnum):
    """Part of the evidence that is missing, or not of one moment with the rest: a later look may have it."""

    PAGES = "pages_not_read"
    ORDER_NOT_SHOWN = "order_not_shown"
    ORDER_BEHIND = "order_behind_its_trades"
    TRADES_BEHIND = "trades_behind_their_order"
    POSITION_BEHIND = "position_behind_the_trades"
    CONTRADICTION = "contradicting_rows"
    MEMORY_UNREADABLE = "order_memory_unreadable"


class Unexplained(msgspec.Struct, frozen=True):
    """The evidence has a `gap`, or is complete (None) and the sum does not come out: look again.

    `why`: in words. `growths`: what was found; the cause of an order that is not shown is `none`.
    """

    why: str
    growths: tuple[Growth, ...] = ()
    gap: Gap | None = None


Finding = Explained | Unexplained
