"""REST client of Binance USDⓈ-M Futures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from decimal import Decimal
from functools import partial
from random import Random
from typing import Self

import msgspec
import trio

from brain.identifiers import OrderId, Symbol
from brain.symbols.symbol_rules import SymbolRules
from brain.symbols.universe import ListedContract
from channels import DropOldest, MetricEvent
from clock import Clock
from exchange import account, endpoints, positions_v3, positions_wire, symbols_wire, wire
from exchange.account import AccountConfig, KeyPermissions
from exchange.endpoints import Endpoint
from exchange.errors import EndpointGone, ExchangeError, ExchangeUnavailable, ListenKeyUnknown
from exchange.exact import finite
from exchange.history import PAGE, HistoryRequests
from exchange.http_client import HttpNetwork
from exchange.key_refusal import KeyInquiry
from exchange.names import NameResolver
from exchange.order_counts import OrderCounts
from exchange.order_requests import OrderRequests
from exchange.order_sender import OrderSender
from exchange.protocol import AccountRead, OrderTrade, PositionRow, PositionsRead, Priority, SymbolsRead
from exchange.retried_requests import RetriedRequests
from exchange.server_time import ServerTime
from exchange.signing import Signer
from exchange.transport import Transport
from exchange.trouble import Troubles, until_utc
from exchange.weight_budget import WeightBudget

#: Rows parsed in one go, about 1 ms; then other tasks run.
_ROWS_AT_A_TIME = 100
_SYMBOLS_AT_A_TIME = 50


class BinanceRest:
    """`Exchange` over HTTPS.

    Each attempt reserves its weight and has a timeout. It is retried with back-off and jitter when there was
    no usable answer, never after a ban or maintenance. Use as an async context manager, or `aclose`.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        api_secret: str,
        *,
        clock: Clock,
        budget: WeightBudget,
        server_time: ServerTime,
        metrics: DropOldest[MetricEvent],
        rng: Random,
        timeout_sec: float = 5.0,
        ask_wallet: Callable[[], Awaitable[KeyPermissions]] | None = None,
        network: HttpNetwork | None = None,
        names: NameResolver | None = None,
        notice: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """Take the `server_time` that `budget` uses, too, for the exchange's minutes.

        `network`, `names`: see `HttpClient`. `notice` gets each text for an operator once. `api_secret`: see
        `Signer`. `ask_wallet` reads the key's permissions when the key is refused."""
        self._clock = clock
        self.exchange_ms = server_time.exchange_ms
        self.exchange_ms_at_least = server_time.exchange_ms_at_least
        self.exchange_ms_at_most = server_time.exchange_ms_at_most
        self._notice = notice
        self._names = names
        key = KeyInquiry(ask_wallet, clock)
        self._troubles = Troubles(key)
        self._uses_v3 = False
        self._leverages = positions_v3.Leverages()
        self._listed: tuple[str, ...] | None = None
        self._mode: bool | None = None
        signer = Signer(api_key, api_secret)
        self.key_kind = signer.kind
        self._transport = Transport(
            base_url,
            signer,
            clock=clock,
            budget=budget,
            server_time=server_time,
            metrics=metrics,
            timeout_sec=timeout_sec,
            network=network,
            names=names,
        )
        self._budget = budget
        requests = RetriedRequests(
            self._transport,
            clock=clock,
            server_time=server_time,
            rng=rng,
            key=key,
            troubles=self._troubles,
        )
        self._requests = requests
        self._ask, self.synchronise_clock = requests.ask, requests.synchronise
        self._sender: OrderSender | None = None
        self._order_counts: OrderCounts | None = None
        self._open_sender = partial(
            OrderSender,
            base_url,
            signer,
            clock=clock,
            budget=budget,
            server_time=server_time,
            metrics=metrics,
            network=network,
            names=names,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. The listen key stays valid: another process of this account may use it."""
        await self._transport.aclose()
        if self._sender is not None:
            await self._sender.aclose()

    def order_entry(self, counts: OrderCounts, *, timeout_sec: float) -> OrderRequests:
        """Return the order requests of this account, once; their connections are closed with this client.

        `counts` learns the account's limits from `exchangeInfo`. `timeout_sec`: for a whole order request.
        """
        self._order_counts = counts
        self._sender = self._open_sender(counts=counts, timeout_sec=timeout_sec)
        return OrderRequests(self._requests, self._sender, counts)

    def account_history(self, *, page: int = PAGE) -> HistoryRequests:
        """Return the requests for trades and orders of this account, on this client's connections."""
        now, weights = self._clock.now, self._budget.weights
        return HistoryRequests(self._requests, weights, lambda: self.exchange_ms(now()), page=page)

    async def positions(
        self, symbol: str | None = None, *, priority: Priority = Priority.PERIODIC
    ) -> PositionsRead:
        if not self._uses_v3:
            try:
                return await self._positions(endpoints.POSITION_RISK, symbol, priority)
            except EndpointGone:
                self._uses_v3 = True
                self._notice("The exchange has no positionRisk v2 any more: v3 is read from now on")
        try:
            read = await self._positions(endpoints.POSITION_RISK_V3, symbol, priority)
        except EndpointGone:
            # Neither v2 nor v3 exists: a proxy answers. The next read tries both again.
            self._uses_v3 = False
            raise
        return await self._complete(read, symbol, priority)

    async def _positions(self, endpoint: Endpoint, symbol: str | None, priority: Priority) -> PositionsRead:
        params = {} if symbol is None else {"symbol": symbol}
        raw, sent, received = await self._ask(endpoint, wire.ROWS, params, priority)
        mark_ts_ms = self.exchange_ms(sent)
        rows: list[PositionRow] = []
        unreadable: dict[str, str] = {}
        for begin in range(0, len(raw), _ROWS_AT_A_TIME):
            some = raw[begin : begin + _ROWS_AT_A_TIME]
            rows += positions_wire.position_rows(some, mark_ts_ms, unreadable)
            await trio.lowlevel.checkpoint()
        return PositionsRead(positions_wire.tradable_rows(rows, unreadable), sent, received, unreadable)

    async def _complete(self, read: PositionsRead, symbol: str | None, priority: Priority) -> PositionsRead:
        """Return a read by v3 with the leverages and flat rows that v2 had."""
        if self._listed is None:
            await self.symbol_rules()
        listed = self._listed or ()
        asked = [s for s in listed if s not in read.unreadable and symbol in (None, s)]
        # A row whose symbol cannot be read may belong to any of them.
        flat: list[PositionRow] = []
        if asked and "" not in read.unreadable:
            mode = positions_v3.mode_shown(read.rows)
            if mode is None:
                mode = await self.hedge_mode() if self._mode is None else self._mode
            flat = positions_v3.flat_rows(asked, read.rows, mode, self.exchange_ms(read.sent))
        await self._learn_leverages({row.symbol for row in read.rows}, priority)
        rows = (
            positions_v3.with_leverage(row, self._leverages.of(row.symbol)) for row in (*read.rows, *flat)
        )
        return msgspec.structs.replace(read, rows=tuple(rows))

    async def _learn_leverages(self, symbols: set[str], priority: Priority) -> None:
        now = self._clock.now()
        if not self._leverages.is_due(symbols, now):
            return
        self._leverages.asked(now)
        # Decisions do not use leverages: without an answer they are unknown.
        with suppress(ExchangeError):
            rows, _, _ = await self._ask(endpoints.SYMBOL_CONFIG, wire.ROWS, {}, priority)
            self._leverages.learn(rows)

    def trouble(self) -> str | None:
        words = []
        banned_until = self._budget.banned_until
        if banned_until is not None:
            words.append(f"{self._budget.banned_why}: no requests {until_utc(banned_until)}")
        if self._names is not None and (slow := self._names.trouble()) is not None:
            words.append(slow)
        words += self._troubles.words()
        return "; ".join(words) or None

    async def symbol_rules(self) -> SymbolsRead:
        info, _, _ = await self._ask(endpoints.EXCHANGE_INFO, symbols_wire.EXCHANGE_INFO)
        if info.weight_per_min is not None:
            self._budget.address_limit_per_min = info.weight_per_min
        if self._order_counts is not None:
            self._order_counts.learn(info.order_limits)
        rules: dict[str, SymbolRules] = {}
        unreadable: dict[str, str] = {}
        contracts: list[ListedContract] = []
        for begin in range(0, len(info.symbols), _SYMBOLS_AT_A_TIME):
            some = info.symbols[begin : begin + _SYMBOLS_AT_A_TIME]
            rules |= symbols_wire.symbol_rules(some, unreadable)
            contracts += symbols_wire.contracts(some)
            await trio.lowlevel.checkpoint()
        self._listed = (*rules, *(symbol for symbol in unreadable if symbol and symbol not in rules))
        readable = {symbol: read for symbol, read in rules.items() if symbol not in unreadable}
        return SymbolsRead(readable, unreadable, tuple(contracts))

    async def hedge_mode(self) -> bool:
        mode, _, _ = await self._ask(endpoints.POSITION_MODE, wire.POSITION_MODE)
        self._mode = mode.dual_side_position
        return self._mode

    async def quote_volumes(self) -> dict[str, Decimal]:
        rows, _, _ = await self._ask(endpoints.DAY_TICKERS, wire.ROWS)
        volumes: dict[str, Decimal] = {}
        for begin in range(0, len(rows), _ROWS_AT_A_TIME):
            volumes.update(wire.day_volumes(rows[begin : begin + _ROWS_AT_A_TIME]))
            await trio.lowlevel.checkpoint()
        return volumes

    async def order_trades(self, symbol: Symbol, order_id: OrderId) -> tuple[OrderTrade, ...]:
        params = {"symbol": symbol, "orderId": order_id, "limit": "1000"}
        trades, _, _ = await self._ask(endpoints.USER_TRADES, wire.USER_TRADES, params, Priority.ON_DEMAND)
        try:
            return tuple(
                OrderTrade(finite(trade.qty), trade.time)
                for trade in sorted(trades, key=lambda trade: (trade.time, trade.id))
                if str(trade.order_id) == order_id
            )
        except ValueError as error:
            raise ExchangeUnavailable(f"unreadable answer: trades: {error}") from None

    async def account_totals(self) -> AccountRead:
        body, sent, received = await self._ask(endpoints.ACCOUNT, account.ACCOUNT)
        try:
            return AccountRead(body.totals(), sent, received)
        except ValueError as error:
            raise ExchangeUnavailable(f"unreadable answer: account: {error}") from None

    async def account_config(self) -> AccountConfig:
        """Read account rights (weight 5). `GET /fapi/v1/accountConfig`."""
        config, _, _ = await self._ask(endpoints.ACCOUNT_CONFIG, account.ACCOUNT_CONFIG)
        return config

    async def key_permissions(self) -> KeyPermissions:
        """Read the key's rights (weight 1). `GET /sapi/v1/account/apiRestrictions`, of the wallet's host."""
        permissions, _, _ = await self._ask(endpoints.KEY_PERMISSIONS, account.KEY_PERMISSIONS)
        return permissions

    async def create_listen_key(self) -> str:
        body, _, _ = await self._ask(endpoints.CREATE_LISTEN_KEY, wire.LISTEN_KEY, priority=Priority.VITAL)
        if not body.listen_key:
            raise ExchangeUnavailable("unreadable answer: no listen key")
        return body.listen_key

    async def keep_alive_listen_key(self, listen_key: str) -> None:
        body, _, _ = await self._ask(endpoints.KEEP_LISTEN_KEY, wire.LISTEN_KEY, priority=Priority.VITAL)
        # The request names no key: it extends the account's present one. An answer without the key, as in
        # earlier years, does not show which one that is; the answer to a request to create one does.
        live = body.listen_key or await self.create_listen_key()
        if live != listen_key:
            raise ListenKeyUnknown(-1125, "the account's listen key is another one by now")
