"""What actors need of the exchange: a handful of methods, over real sockets or in process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import IntEnum
from typing import Protocol

import msgspec
import trio

from brain.moment import Moment
from brain.positions.position import LegPosition
from brain.symbols.symbol_rules import SymbolRules


class Priority(IntEnum):
    """Rank of a request in the request-weight budget: the higher, the more of it may be used.

    PACED: reads symbol by symbol, paced to fit within what PERIODIC may use. RECOVERY: the read of all
    positions after a start, a lost stream or a new connection, without which no snapshot is believed.
    """

    PACED = 0
    PERIODIC = 1
    ON_DEMAND = 2
    RECOVERY = 3
    VITAL = 4


class PositionRow(msgspec.Struct, frozen=True):
    """One row of `positionRisk`: a leg of a symbol, flat ones too.

    `mark_ts_ms` is the exchange's clock when the request was sent: the mark price is at least that new.
    `leverage` and `mark_price` are None where the exchange sent none that can be read (a mark price of 0 is
    none).
    """

    symbol: str
    position: LegPosition
    leverage: Decimal | None
    mark_price: Decimal | None
    mark_ts_ms: int


class PositionsRead(msgspec.Struct, frozen=True):
    """The answer to a read of positions.

    The rows were true at some moment between `sent` and `received`; `sent` belongs to the attempt that was
    answered, not to earlier ones that failed. A symbol without a row is one the account cannot hold.
    `unreadable` names the symbols of which a row could not be read, and why: nothing is known of them by this
    read, and none of their rows is in `rows`. The symbol "" stands for a row whose symbol could not be read:
    then a symbol without a row is unreadable as well, since that row may be its own.
    """

    rows: tuple[PositionRow, ...]
    sent: Moment
    received: Moment
    unreadable: Mapping[str, str] = {}


class SymbolsRead(msgspec.Struct, frozen=True):
    """Trading rules out of `exchangeInfo`; `unreadable` names the symbols left out as unreadable, and why."""

    rules: Mapping[str, SymbolRules]
    unreadable: Mapping[str, str] = {}


class Exchange(Protocol):
    """Binance USDⓈ-M Futures, or a stand-in.

    Every method raises ExchangeUnavailable, ExchangeRejected, RateLimited or BudgetExhausted; none waits
    for a ban or for budget to pass, and none takes longer than its timeouts and few retries allow.
    """

    async def positions(
        self, symbol: str | None = None, *, priority: Priority = Priority.PERIODIC
    ) -> PositionsRead:
        """All positions in one request, or one symbol's (both weight 5). `GET /fapi/v2/positionRisk`."""
        ...

    def trouble(self) -> str | None:
        """Return the exchange's refusal at present and its reason, in words for an operator; None: none."""
        ...

    async def symbol_rules(self) -> SymbolsRead:
        """Step sizes and trading status of every symbol (weight 1). `GET /fapi/v1/exchangeInfo`."""
        ...

    async def hedge_mode(self) -> bool:
        """Whether LONG and SHORT legs are held apart (weight 30). `GET /fapi/v1/positionSide/dual`."""
        ...

    async def quote_volumes(self) -> dict[str, Decimal]:
        """24 h volume of every symbol in quote currency (weight 40). `GET /fapi/v1/ticker/24hr`."""
        ...

    async def synchronise_clock(self) -> None:
        """Learn anew what the exchange's clock shows (weight 1). `GET /fapi/v1/time`."""
        ...

    def exchange_ms(self, at: Moment) -> int:
        """What the exchange's clock showed `at` that moment, by the latest synchronisation (epoch ms).

        Before the first synchronisation: this host's wall clock.
        """
        ...

    def exchange_ms_at_least(self, at: Moment) -> int | None:
        """What the exchange's clock surely showed `at` that moment (epoch ms); None: never synchronised."""
        ...

    def exchange_ms_at_most(self, at: Moment) -> int | None:
        """Return the latest time that the exchange's clock can have shown `at` that moment (epoch ms).

        None: never synchronised.
        """
        ...

    async def create_listen_key(self) -> str:
        """The account's listen key, new or the active one, good for 60 min. `POST /fapi/v1/listenKey`."""
        ...

    async def keep_alive_listen_key(self, listen_key: str) -> None:
        """Extend it by 60 min; ListenKeyUnknown when there is none. `PUT /fapi/v1/listenKey`."""
        ...


class OrderTrade(msgspec.Struct, frozen=True):
    """One fill of an order: its quantity (contracts), and when it happened (the exchange's clock, ms)."""

    quantity: Decimal
    time_ms: int


class OrderLookup(Protocol):
    """The fills of single orders, for the rare one that the stream has not told."""

    async def order_trades(self, symbol: str, order_id: str) -> tuple[OrderTrade, ...]:
        """The order's fills, oldest first, up to 1000; none for an order unknown (weight 5).

        `GET /fapi/v1/userTrades`; raises as `Exchange` does.
        """
        ...


class Frame(msgspec.Struct, frozen=True):
    """One message of the private stream as it came, and when."""

    raw: str | bytes
    received: Moment


class Pong(msgspec.Struct, frozen=True):
    """The answer to the ping sent at `sent`, in its place: behind every frame that came before it."""

    sent: Moment


class StreamConnection(Protocol):
    """One connection to the private stream. One task receives, another pings."""

    async def receive(self) -> Frame | Pong:
        """What came next. Raises ExchangeUnavailable once the connection is closed and all was received."""
        ...

    async def ping(self) -> None:
        """Send a ping, and wait until its pong came and was received; forever, if the other end is gone.

        Raises ExchangeUnavailable when the connection is closed.
        """
        ...

    async def aclose(self) -> None:
        """Say goodbye, briefly, and close."""
        ...


class StreamConnector(Protocol):
    """Opens connections to the private stream."""

    async def connect(self, nursery: trio.Nursery, listen_key: str) -> StreamConnection:
        """A connection that stands: no event from now on is missed by it.

        Its tasks run in `nursery`, to be cancelled when the caller has done with it, whether connecting
        succeeded or not. Raises ExchangeUnavailable, in bounded time.
        """
        ...


class MarkPriceUpdate(msgspec.Struct, frozen=True):
    """One entry of a mark-price frame: event time (the exchange's clock, ms), symbol, mark price."""

    E: int
    s: str
    p: Decimal


class MarkPriceStream(Protocol):
    """One connection to the market stream. One task receives."""

    async def receive(self) -> tuple[Sequence[MarkPriceUpdate], Moment]:
        """The next frame, and when it came.

        Raises ExchangeUnavailable once the connection is closed, and UnreadableEvent for a frame that is
        not what it should be.
        """
        ...

    async def aclose(self) -> None:
        """Say goodbye, briefly, and close."""
        ...


class MarkPriceConnector(Protocol):
    """Opens connections to the market stream."""

    async def connect(self, nursery: trio.Nursery) -> MarkPriceStream:
        """A connection that stands; see `StreamConnector.connect`."""
        ...
