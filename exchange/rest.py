"""Binance USDⓈ-M Futures over REST."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from random import Random
from types import TracebackType
from typing import Self, TypeVar

import httpx
import msgspec
import trio

from brain.moment import Moment
from channels import DropOldest, MetricEvent
from clock import Clock
from exchange import account, endpoints, wire
from exchange.account import AccountConfig, KeyPermissions
from exchange.endpoints import Endpoint
from exchange.errors import ClockSkewed, ExchangeUnavailable, ListenKeyUnknown
from exchange.exact import finite
from exchange.protocol import OrderTrade, PositionRow, PositionsRead, Priority, SymbolsRead
from exchange.server_time import ServerTime
from exchange.signing import Signer
from exchange.transport import Transport
from exchange.weight_budget import WeightBudget

T = TypeVar("T")

#: Between the attempts; the last attempt's failure is the caller's.
_BACKOFFS_SEC = (0.2, 0.4)
#: To read so many takes about 1 ms; then others have a turn.
_ROWS_AT_A_TIME = 100


class BinanceRest:
    """The `Exchange` of real life.

    Each attempt reserves its weight, has a timeout, and is retried with back-off and jitter when there was no
    usable answer; never when the exchange said to stay away. Use as an async context manager, or `aclose`.
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
        network: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`server_time` is what `budget` was given to reckon the exchange's minutes with. `network`: see
        `Transport`."""
        self._clock = clock
        self._server_time = server_time
        self._rng = rng
        self._synchronising = trio.Lock()
        self._transport = Transport(
            base_url,
            Signer(api_key, api_secret),
            clock=clock,
            budget=budget,
            server_time=server_time,
            metrics=metrics,
            timeout_sec=timeout_sec,
            network=network,
        )
        self._budget = budget

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. The listen key stays: another process of this account may use it."""
        await self._transport.aclose()

    async def positions(
        self, symbol: str | None = None, *, priority: Priority = Priority.PERIODIC
    ) -> PositionsRead:
        params = {} if symbol is None else {"symbol": symbol}
        for may_ask_again in (True, False):
            rows, sent, received = await self._ask(
                endpoints.POSITION_RISK, wire.POSITION_RISK, params, priority
            )
            try:
                read = await self._position_rows(rows, self.exchange_ms(sent))
            except ExchangeUnavailable:
                if not may_ask_again:
                    raise
            else:
                return PositionsRead(read, sent, received)
        raise AssertionError("the last attempt returns or raises")

    def trouble(self) -> str | None:
        until = self._budget.banned_until
        return None if until is None else "the exchange allows no requests for now"

    async def _position_rows(self, rows: Sequence[msgspec.Raw], mark_ts_ms: int) -> tuple[PositionRow, ...]:
        read: list[PositionRow] = []
        for begin in range(0, len(rows), _ROWS_AT_A_TIME):
            read += wire.position_rows(rows[begin : begin + _ROWS_AT_A_TIME], mark_ts_ms)
            await trio.lowlevel.checkpoint()
        return wire.tradable_rows(read)

    async def symbol_rules(self) -> SymbolsRead:
        info, _, _ = await self._ask(endpoints.EXCHANGE_INFO, wire.EXCHANGE_INFO)
        if info.weight_per_min is not None:
            self._budget.address_limit_per_min = info.weight_per_min
        rules = (wire.rules_of(symbol) for symbol in info.symbols)
        return SymbolsRead({entry.symbol: entry for entry in rules if entry is not None})

    async def hedge_mode(self) -> bool:
        mode, _, _ = await self._ask(endpoints.POSITION_MODE, wire.POSITION_MODE)
        return mode.dual_side_position

    async def quote_volumes(self) -> dict[str, Decimal]:
        tickers, _, _ = await self._ask(endpoints.DAY_TICKERS, wire.DAY_TICKERS)
        try:
            return {ticker.symbol: finite(ticker.quote_volume) for ticker in tickers}
        except ValueError as error:
            raise ExchangeUnavailable(f"unreadable answer: ticker: {error}") from None

    async def order_trades(self, symbol: str, order_id: str) -> tuple[OrderTrade, ...]:
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

    async def account_config(self) -> AccountConfig:
        """What the futures account may do (weight 5). `GET /fapi/v1/accountConfig`."""
        config, _, _ = await self._ask(endpoints.ACCOUNT_CONFIG, account.ACCOUNT_CONFIG)
        return config

    async def key_permissions(self) -> KeyPermissions:
        """What the key may do (weight 1). `GET /sapi/v1/account/apiRestrictions`, of the wallet's host."""
        permissions, _, _ = await self._ask(endpoints.KEY_PERMISSIONS, account.KEY_PERMISSIONS)
        return permissions

    async def synchronise_clock(self) -> None:
        await self._synchronise_unless_done_since(self._clock.now())

    def exchange_ms(self, at: Moment) -> int:
        return self._server_time.exchange_ms(at)

    def exchange_ms_at_least(self, at: Moment) -> int | None:
        return self._server_time.exchange_ms_at_least(at)

    def exchange_ms_at_most(self, at: Moment) -> int | None:
        return self._server_time.exchange_ms_at_most(at)

    async def create_listen_key(self) -> str:
        body, _, _ = await self._ask(endpoints.CREATE_LISTEN_KEY, wire.LISTEN_KEY, priority=Priority.VITAL)
        if not body.listen_key:
            raise ExchangeUnavailable("unreadable answer: no listen key")
        return body.listen_key

    async def keep_alive_listen_key(self, listen_key: str) -> None:
        body, _, _ = await self._ask(endpoints.KEEP_LISTEN_KEY, wire.LISTEN_KEY, priority=Priority.VITAL)
        # The request names no key: the account's is extended, whichever that is by now. An answer that does
        # not name it either, as in earlier years, proves nothing; asked to make one, the exchange names it.
        live = body.listen_key or await self.create_listen_key()
        if live != listen_key:
            raise ListenKeyUnknown(-1125, "the account's listen key is another one by now")

    async def _ask(
        self,
        endpoint: Endpoint,
        decoder: msgspec.json.Decoder[T],
        params: dict[str, str] | None = None,
        priority: Priority = Priority.PERIODIC,
    ) -> tuple[T, Moment, Moment]:
        """Ask until there is a usable answer, a few times at most; resynchronise once if our clock is off."""
        params = params or {}
        if endpoint.signed:
            await self._synchronise_unless_done_since(None)
        asked = self._clock.now()
        try:
            return await self._attempt(endpoint, decoder, params, priority)
        except ClockSkewed:
            await self._synchronise_unless_done_since(asked)
            return await self._attempt(endpoint, decoder, params, priority)

    async def _attempt(
        self,
        endpoint: Endpoint,
        decoder: msgspec.json.Decoder[T],
        params: dict[str, str],
        priority: Priority,
    ) -> tuple[T, Moment, Moment]:
        for backoff_sec in (*_BACKOFFS_SEC, None):
            try:
                answer = await self._transport.send(endpoint, params, priority)
                return answer.body.read(decoder), answer.sent, answer.received
            except ExchangeUnavailable:
                if backoff_sec is None:
                    raise
            await trio.sleep(backoff_sec * self._rng.uniform(0.5, 1.0))
        raise AssertionError("the last attempt returns or raises")

    async def _synchronise_unless_done_since(self, moment: Moment | None) -> None:
        """Ask for the exchange's time, unless it was learnt after `moment` (None: ever)."""
        async with self._synchronising:
            learnt_at = self._server_time.learnt_at
            if learnt_at is not None and (moment is None or learnt_at > moment):
                return
            body, sent, received = await self._attempt(
                endpoints.SERVER_TIME, wire.SERVER_TIME, {}, Priority.VITAL
            )
            self._server_time.learn(sent, body.server_time, received)
