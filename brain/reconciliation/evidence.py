"""Evidence of a drift: trades of the exchange, the orders behind them, and what was booked of these."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

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


class HistoricOrder(msgspec.Struct, frozen=True):
    """Order as the exchange lists it.

    `cumulative`: all that it has filled (contracts). `conditional`: a stop order or the like placed it.
    """

    order_id: OrderId
    client_order_id: ClientOrderId
    side: str
    leg: Leg
    cumulative: Decimal
    conditional: bool


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found for one drift.

    `trades`: those since the last agreement, oldest first, each once. `orders`: those behind the trades; one
    that the exchange does not show is missing. `memories`: order memory as stored, by order id. `recorded`:
    client order ids with a record of the executor that is not an orphan's. `complete`: every page was read.
    `verified_ms`: the exchange's clock up to which the compared position is known to contain every trade.
    """

    trades: tuple[Trade, ...]
    orders: Mapping[OrderId, HistoricOrder]
    memories: Mapping[OrderId, str]
    recorded: frozenset[ClientOrderId]
    complete: bool
    verified_ms: int


class Growth(msgspec.Struct, frozen=True):
    """Fills of one order that no result has booked.

    `quantity`: unsigned, in contracts; `cumulative`: the order's booked quantity afterwards. `time_ms`: its
    latest trade, by the exchange's clock.
    """

    order_id: OrderId
    client_order_id: ClientOrderId
    cause: DriftCause
    leg: Leg
    side: str
    quantity: Decimal
    cumulative: Decimal
    time_ms: int


class Explained(msgspec.Struct, frozen=True):
    """The sum comes out: ledger + all growth = exchange, on each leg.

    `adopted` is booked, `foreign` waits for a person. One of the two may be empty, not both.
    """

    adopted: tuple[Growth, ...]
    foreign: tuple[Growth, ...]


class Unexplained(msgspec.Struct, frozen=True):
    """The sum does not come out, or the evidence is incomplete: look again. `growths`: what was found."""

    why: str
    growths: tuple[Growth, ...] = ()


Finding = Explained | Unexplained
