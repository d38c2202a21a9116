"""Orders as the exchange remembers them, and the requests they come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

from simulator.history import FLAT, PositionSide
from simulator.symbols import Symbol

Side = Literal["BUY", "SELL"]
TimeInForce = Literal["GTC", "IOC", "FOK", "GTX"]
SelfTradePrevention = Literal["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"]
#: The ends of an order that was not filled whole.
UnfilledEnd = Literal["CANCELED", "EXPIRED", "EXPIRED_IN_MATCH"]
OrderStatus = Literal["NEW", "PARTIALLY_FILLED", "FILLED", UnfilledEnd]
AutoCloseType = Literal["LIQUIDATION", "ADL"]
_FINAL: tuple[OrderStatus, ...] = ("FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH")


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str
    side: Side
    quantity: Decimal
    position_side: PositionSide = "BOTH"
    reduce_only: bool = False
    client_order_id: str | None = None
    self_trade_prevention: SelfTradePrevention = "EXPIRE_MAKER"

    @property
    def delta(self) -> Decimal:
        """The signed change of the position."""
        return self.quantity if self.side == "BUY" else -self.quantity

    @property
    def only_reduces(self) -> bool:
        """True where it may only make its leg smaller: reduce-only, or against the leg that it names."""
        return self.reduce_only or closes_leg(self.position_side, self.side)


class MarketOrder(_Request, frozen=True, kw_only=True):
    """A client's request for a market order. The quantity is positive; the side gives it its direction."""


class LimitOrder(_Request, frozen=True, kw_only=True):
    """A client's request for a limit order."""

    price: Decimal
    time_in_force: TimeInForce = "GTC"


NewOrder: TypeAlias = MarketOrder | LimitOrder


@dataclass(slots=True, kw_only=True)
class Order:
    """An accepted order and its executions. Times are the exchange's, epoch milliseconds.

    ``price`` is 0 for a market order. ``visible_from_ms`` is the host's clock: queries find it from then on.
    Lists have it, and each fill, from ``listed_from_ms`` on. ``is_maker``: it has rested in the book.
    """

    order_id: int
    client_order_id: str
    symbol: Symbol
    side: Side
    position_side: PositionSide
    quantity: Decimal
    reduce_only: bool
    time_ms: int
    order_type: str = "MARKET"
    price: Decimal = FLAT
    time_in_force: TimeInForce = "GTC"
    self_trade_prevention: SelfTradePrevention = "EXPIRE_MAKER"
    visible_from_ms: int = 0
    listed_from_ms: int = 0
    is_maker: bool = False
    status: OrderStatus = "NEW"
    executed: Decimal = FLAT
    executed_quote: Decimal = FLAT
    update_time_ms: int = field(default=0)
    fills: list[Fill] = field(default_factory=list)

    @property
    def remaining(self) -> Decimal:
        """The quantity that may still be filled: 0 once the order has ended."""
        return FLAT if self.is_final else self.quantity - self.executed

    @property
    def average_price(self) -> Decimal:
        return self.executed_quote / self.executed if self.executed else FLAT

    @property
    def forced(self) -> AutoCloseType | None:
        """The kind of an order that the exchange itself placed to close a position, by its client id."""
        if self.client_order_id.startswith("adl_autoclose"):
            return "ADL"
        return "LIQUIDATION" if self.client_order_id.startswith("autoclose-") else None

    @property
    def is_limit(self) -> bool:
        return self.price > 0

    @property
    def only_reduces(self) -> bool:
        """True where it may only make its leg smaller: reduce-only, or against the leg that it names."""
        return self.reduce_only or closes_leg(self.position_side, self.side)

    def matches(self, price: Decimal) -> bool:
        """Return True if the order may be executed at a market price."""
        return not self.is_limit or is_reached(self.side, self.price, price)

    def book(self, fill: Fill) -> None:
        """Count an execution in."""
        self.executed += fill.quantity
        self.executed_quote += fill.quantity * fill.price
        self.status = "FILLED" if self.remaining <= 0 else "PARTIALLY_FILLED"
        self.update_time_ms = fill.transaction_time_ms
        self.fills.append(fill)

    def end(self, status: UnfilledEnd, time_ms: int) -> None:
        """End it with what was executed so far."""
        self.status = status
        self.update_time_ms = time_ms

    @property
    def is_final(self) -> bool:
        return self.status in _FINAL


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of (part of) an order. ``delta`` is signed. Lists have it from ``listed_from_ms`` on."""

    delta: Decimal
    price: Decimal
    realized_profit: Decimal
    commission: Decimal
    trade_id: int
    transaction_time_ms: int
    execution_type: str = "TRADE"
    is_maker: bool = False
    listed_from_ms: int = 0

    @property
    def quantity(self) -> Decimal:
        return abs(self.delta)


def is_reached(side: Side, limit_price: Decimal, market_price: Decimal) -> bool:
    """Return True if a market price is as good as a limit, or better."""
    return market_price <= limit_price if side == "BUY" else market_price >= limit_price


def closes_leg(position_side: str | None, side: str | None) -> bool:
    """Return True for an order against the hedge-mode leg that it names."""
    return (position_side, side) in (("LONG", "SELL"), ("SHORT", "BUY"))
