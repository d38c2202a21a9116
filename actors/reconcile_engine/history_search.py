"""Search of one look: the trades of a symbol since a moment, and the orders behind them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from actors.reconcile_engine.known_trades import KnownTrades
from actors.reconcile_engine.weight import TooHeavyError
from brain.identifiers import OrderId, Symbol
from brain.reconciliation.evidence import HistoricOrder, Trade
from exchange.errors import AskLater, ExchangeError
from exchange.history_protocol import AccountHistory, TradesPart

#: A search ends after so many pages: it is not complete then.
_MOST_PAGES = 50
#: The list of liquidations is asked for no more often than this for one symbol (seconds).
_FORCED_EVERY_SEC = 30.0

#: Waits until a request of this weight may be sent. Raises EvidenceGapError where the own hold stands no
#: longer, and TooHeavyError.
MaySend = Callable[[int], Awaitable[None]]


class EvidenceGapError(Exception):
    """The evidence could not be read; the message says why, `kind` in one word.

    `again_sec`: when it may be asked for again (trio's clock), None where that is not known.
    """

    def __init__(self, kind: str, why: str, again_sec: float | None = None) -> None:
        super().__init__(why)
        self.kind = kind
        self.again_sec = again_sec


class ForcedOrderReads:
    """Times at which the liquidations of symbols were asked for: most orders are only late in other lists."""

    def __init__(self) -> None:
        self._asked_sec: dict[Symbol, float] = {}

    def is_due(self, symbol: Symbol) -> bool:
        """Return False soon after the last time."""
        return trio.current_time() - self._asked_sec.get(symbol, float("-inf")) >= _FORCED_EVERY_SEC

    def asked(self, symbol: Symbol) -> None:
        """Record a request."""
        self._asked_sec[symbol] = trio.current_time()


class HistorySearch:
    """Requests of one look."""

    def __init__(
        self,
        history: AccountHistory,
        forced: ForcedOrderReads,
        symbol: Symbol,
        since_ms: int,
        known: KnownTrades,
        may_send: MaySend,
        *,
        now_ms: int,
        lag_ms: int,
    ) -> None:
        """`since_ms`: begin of the search, `now_ms`: its moment (the exchange's clock, ms).

        `known`: by earlier looks. `lag_ms`: trades appear in the exchange's lists within that.
        """
        self._history = history
        self._forced = forced
        self._symbol = symbol
        self._since_ms = since_ms
        self._known = known
        self._may_send = may_send
        self._now_ms = now_ms
        self._lag_ms = lag_ms

    async def run(self) -> tuple[tuple[Trade, ...], dict[OrderId, HistoricOrder], bool]:
        """Return trades, the orders that are shown of them, and whether every page was read.

        Raises EvidenceGapError, and as the store does.
        """
        try:
            trades, complete = await self._trades()
            return trades, await self._orders(trades), complete
        except AskLater as error:
            raise EvidenceGapError("exchange", f"the exchange: {error}", error.until.monotonic_sec) from None
        except ExchangeError as error:
            raise EvidenceGapError("exchange", f"the exchange: {error}") from None
        except TooHeavyError as error:
            raise EvidenceGapError("weight", str(error)) from None

    async def _trades(self) -> tuple[tuple[Trade, ...], bool]:
        """Read every page of what is not known yet; False where there are too many."""
        found: dict[int, Trade] = {}
        begun_ms, pages = self._known.begin_ms(self._since_ms), 0
        parts = [TradesPart(begun_ms)]
        while parts and pages < _MOST_PAGES:
            await self._may_send(self._history.weights.trades)
            page = await self._history.trades(self._symbol, parts.pop())
            found |= {trade.trade_id: trade for trade in page.trades}
            parts += page.rest
            pages += 1
        if parts:
            return tuple(found[trade_id] for trade_id in sorted(found)), False
        self._known.add(
            found.values(), self._since_ms, begun_ms=begun_ms, asked_ms=self._now_ms, lag_ms=self._lag_ms
        )
        return self._known.since(self._since_ms), True

    async def _orders(self, trades: Sequence[Trade]) -> dict[OrderId, HistoricOrder]:
        """Read the orders of trades that are not known yet; one that is not shown in any way is missing.

        A list costs as much as a few single orders, and may lack liquidations.
        """
        wanted = dict.fromkeys(trade.order_id for trade in trades)
        history, symbol, found = self._history, self._symbol, self._known.orders.of(trades)
        found |= await self._listed([each for each in wanted if each not in found])
        for order_id in [each for each in wanted if each not in found]:
            await self._may_send(history.weights.order)
            order = await history.order(symbol, order_id)
            if order is not None:
                found[order_id] = order
        if len(found) < len(wanted) and self._forced.is_due(symbol):
            await self._may_send(history.weights.forced_orders)
            self._forced.asked(symbol)
            forced = await history.forced_orders(symbol, since_ms=self._since_ms)
            found |= {order.order_id: order for order in forced if order.order_id in wanted}
        self._known.orders.add(found.values(), trades, asked_ms=self._now_ms, lag_ms=self._lag_ms)
        return found

    async def _listed(self, wanted: Sequence[OrderId]) -> dict[OrderId, HistoricOrder]:
        """Read orders by lists, page by page, while that is cheaper than one by one."""
        history, found = self._history, dict[OrderId, HistoricOrder]()
        behind = sorted(wanted, key=int)
        while len(behind) * history.weights.order > history.weights.orders:
            await self._may_send(history.weights.orders)
            listed = await history.orders(self._symbol, from_id=behind[0])
            if not listed:
                break
            found |= {order.order_id: order for order in listed}
            last = max(int(order.order_id) for order in listed)
            behind = [each for each in behind if int(each) > last]
        return {order_id: found[order_id] for order_id in wanted if order_id in found}
