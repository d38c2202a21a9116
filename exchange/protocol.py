"""Protocols of the exchange for actors, with implementations over sockets and in process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import IntEnum
from typing import Protocol

import msgspec
import trio

from brain.execution.orders import OrderOutcome, OrderRequest, OrderState
from brain.identifiers import ClientOrderId, OrderId, Symbol
from brain.moment import Moment
from brain.positions.position import LegPosition
from brain.symbols.symbol_rules import SymbolRules
from brain.symbols.universe import ListedContract
from exchange.account import AccountTotals


class Priority(IntEnum):
    """Rank of a request in the request-weight budget: the higher, the more of it may be used.

    PACED: reads symbol by symbol, paced to fit within the part of PERIODIC. RECOVERY: the read of all
    positions after a start, a lost stream or a new connection, without which no snapshot is fresh.
    """

    PACED = 0
    PERIODIC = 1
    ON_DEMAND = 2
    RECOVERY = 3
    VITAL = 4


class PositionRow(msgspec.Struct, frozen=True, gc=False):
    """Row of `positionRisk`: a leg of a symbol, flat or not.

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
    """Answer to a read of positions.

    The rows were true at some moment between `sent` and `received`; `sent` is of the attempt that was
    answered, not of earlier ones that failed. The account cannot hold a symbol without a row.
    `unreadable` has the reason for each symbol with a row that could not be read; `rows` has none of its
    rows. The symbol "" stands for a row whose symbol could not be read: then a symbol without a row is
    unreadable as well, since that row may be its own.
    """

    rows: tuple[PositionRow, ...]
    sent: Moment
    received: Moment
    unreadable: Mapping[str, str] = {}


class SymbolsRead(msgspec.Struct, frozen=True):
    """Trading rules of `exchangeInfo`; `unreadable` has the reason for each symbol that was left out.

    `contracts`: all of its contracts that can be read, those without rules too.
    """

    rules: Mapping[str, SymbolRules]
    unreadable: Mapping[str, str] = {}
    contracts: tuple[ListedContract, ...] = ()


class Exchange(Protocol):
    """REST API of Binance USDⓈ-M Futures, or a fake.

    Every method raises ExchangeUnavailable, ExchangeRejected, RateLimited or BudgetExhausted. None waits for
    a ban to end or for free budget; timeouts and few retries bound each call.
    """

    async def positions(
        self, symbol: str | None = None, *, priority: Priority = Priority.PERIODIC
    ) -> PositionsRead:
        """Read all positions in one request, or one symbol's (both weight 5). `GET /fapi/v2/positionRisk`."""

    def trouble(self) -> str | None:
        """Return the exchange's present refusal and its reason, for an operator; None: none."""

    async def symbol_rules(self) -> SymbolsRead:
        """Read step sizes and trading status of every symbol (weight 1). `GET /fapi/v1/exchangeInfo`."""

    async def hedge_mode(self) -> bool:
        """Return True in hedge mode (weight 30). `GET /fapi/v1/positionSide/dual`."""

    async def quote_volumes(self) -> dict[str, Decimal]:
        """Read the 24 h volume of every symbol in quote currency (weight 40). `GET /fapi/v1/ticker/24hr`."""

    async def synchronise_clock(self) -> None:
        """Synchronise with the exchange's clock (weight 1). `GET /fapi/v1/time`."""

    def exchange_ms(self, at: Moment) -> int:
        """Return the exchange's clock `at` that moment, by the latest synchronisation (epoch ms).

        Before the first synchronisation it is this host's wall clock.
        """

    def exchange_ms_at_least(self, at: Moment) -> int | None:
        """Return the earliest time of the exchange's clock `at` that moment (epoch ms); None: unknown."""

    def exchange_ms_at_most(self, at: Moment) -> int | None:
        """Return the latest time of the exchange's clock `at` that moment (epoch ms).

        None: never synchronised.
        """

    async def create_listen_key(self) -> str:
        """Create a listen key, or get the active one; valid for 60 min. `POST /fapi/v1/listenKey`."""

    async def keep_alive_listen_key(self, listen_key: str) -> None:
        """Extend it by 60 min; ListenKeyUnknown when there is none. `PUT /fapi/v1/listenKey`."""


class OrderTrade(msgspec.Struct, frozen=True):
    """Fill of an order: quantity (contracts) and time (the exchange's clock, ms)."""

    quantity: Decimal
    time_ms: int


class OrderLookup(Protocol):
    """Lookup of an order's fills, for the rare ones that the stream did not report."""

    async def order_trades(self, symbol: Symbol, order_id: OrderId) -> tuple[OrderTrade, ...]:
        """Read an order's fills, oldest first, up to 1000; none for an unknown order (weight 5).

        `GET /fapi/v1/userTrades`; raises as `Exchange` does.
        """


class AccountRead(msgspec.Struct, frozen=True):
    """Totals of the account, which were true at some moment between `sent` and `received`."""

    totals: AccountTotals
    sent: Moment
    received: Moment


class AccountLookup(Protocol):
    """Reads of the account's totals, for the Governor."""

    async def account_totals(self) -> AccountRead:
        """Read equity and wallets (weight 5). `GET /fapi/v3/account`; raises as `Exchange` does."""


class OrderEntry(Protocol):
    """Order requests of the executor, and the reads that find out what became of one.

    The reads raise as `Exchange` does.
    """

    async def keep_connected(self) -> None:
        """Keep a connection for orders open until cancelled, so that an order costs one round trip."""

    def reserve_order(self, *, closing: bool) -> Moment | None:
        """Count an order that is to be placed; None: it may be.

        Else the moment before which the limits on orders (10 s and a minute) allow none, and nothing is
        counted. The last fifth of each limit is for closes.
        """

    def return_order(self) -> None:
        """Take an order out of our share that was reserved and is not placed."""

    def order_counts(self) -> Mapping[str, int]:
        """Return how many orders the account has sent in the present `10s` and `1m`, as far as known."""

    async def place_order(self, request: OrderRequest) -> OrderOutcome:
        """Send a market order, once and never again. `POST /fapi/v1/order`, `newOrderRespType=RESULT`.

        Never raises for what the exchange or the network does. It is not sent after
        `timestamp_ms + recv_window_ms` by the exchange's clock, nor during a ban. Cancelled, it may have been
        sent.
        """

    async def find_order(self, symbol: Symbol, client_order_id: ClientOrderId) -> OrderState | None:
        """Read an order; None where the exchange knows none (-2013), which is no proof while it is early.

        `GET /fapi/v1/order` (weight 1).
        """

    async def orders_since(self, symbol: Symbol, since_ms: int) -> tuple[OrderState, ...]:
        """Read every order of a symbol from `since_ms` (the exchange's clock) on; full pages are followed.

        `GET /fapi/v1/allOrders` (weight 5).
        """

    async def average_price(self, symbol: Symbol, order_id: OrderId, filled: Decimal) -> Decimal | None:
        """Compute an order's average price from its fills; None while they do not add up to `filled`.

        `GET /fapi/v1/userTrades` (weight 5), rounded to 8 decimals.
        """

    async def leverage(self, symbol: Symbol) -> int | None:
        """Read a symbol's leverage; None where it is not shown. `GET /fapi/v1/symbolConfig` (weight 5)."""

    async def set_leverage(self, symbol: Symbol, leverage: int) -> None:
        """Set a symbol's leverage. `POST /fapi/v1/leverage` (weight 1)."""


class Frame(msgspec.Struct, frozen=True):
    """Message of the private stream, unparsed, with its arrival."""

    raw: str | bytes
    received: Moment


class Pong(msgspec.Struct, frozen=True):
    """Answer to the ping sent at `sent`, behind every frame that came before it."""

    sent: Moment


class StreamSocket(Protocol):
    """One connection to the private stream. One task receives, another pings."""

    async def receive(self) -> Frame | Pong:
        """Return the next frame or pong. Raises ExchangeUnavailable once closed and all was received."""

    async def ping(self) -> None:
        """Send a ping, and wait until its pong was received; without limit if the other end is gone.

        Raises ExchangeUnavailable when the connection is closed.
        """

    async def aclose(self) -> None:
        """Say goodbye, briefly, and close."""


class StreamConnector(Protocol):
    """Connector to the private stream."""

    async def connect(self, nursery: trio.Nursery, listen_key: str) -> StreamSocket:
        """A connection that stands: no event from now on is missed by it.

        Its tasks run in `nursery`, to be cancelled when the caller has done with it, whether connecting
        succeeded or not. Raises ExchangeUnavailable, in bounded time.
        """


class MarkPriceUpdate(msgspec.Struct, frozen=True, gc=False):
    """Entry of a mark-price frame: event time (the exchange's clock, ms), symbol, mark price."""

    E: int
    s: str
    p: Decimal


class MarkPriceStream(Protocol):
    """Connection to the market stream. One task receives."""

    async def receive(self) -> tuple[Sequence[MarkPriceUpdate], Moment]:
        """Return the next frame and its arrival.

        Raises ExchangeUnavailable once closed, and UnreadableEvent for an unreadable frame.
        """

    async def aclose(self) -> None:
        """Say goodbye, briefly, and close."""


class MarkPriceConnector(Protocol):
    """Connector to the market stream."""

    async def connect(self, nursery: trio.Nursery) -> MarkPriceStream:
        """Return an open connection; see `StreamConnector.connect`."""
