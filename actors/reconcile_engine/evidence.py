"""Evidence of a drift: trades, the orders behind them, and what is booked of these."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from actors.reconcile_engine.weight import EvidenceWeight, TooHeavyError
from brain.execution.record import OrderPhase
from brain.identifiers import OrderId, Symbol
from brain.plans.plan import PlanDecision
from brain.reconciliation.evidence import Evidence, HistoricOrder, Trade
from exchange.errors import AskLater, ExchangeError
from exchange.history_protocol import AccountHistory, TradesPart
from store.reconcile_protocol import ReconcileStore
from store.stored_values import UNREADABLE
from supervision import Heartbeat

_WAIT = "the exchange's trades and orders"
#: A search ends after so many pages: it is not complete then.
_MOST_PAGES = 50
#: The list of liquidations is asked for no more often than this for one symbol (seconds).
_FORCED_EVERY_SEC = 30.0


class EvidenceGapError(Exception):
    """The evidence could not be read; the message says why, `kind` in one word.

    `again_sec`: when it may be asked for again (trio's clock), None where that is not known.
    """

    def __init__(self, kind: str, why: str, again_sec: float | None = None) -> None:
        super().__init__(why)
        self.kind = kind
        self.again_sec = again_sec


class EvidenceReader:
    """Reads evidence within the budget of request weight. It writes nothing."""

    def __init__(self, store: ReconcileStore, history: AccountHistory, weight: EvidenceWeight) -> None:
        self._store = store
        self._history = history
        self._weight = weight
        #: When the liquidations of a symbol were asked for last (trio's clock).
        self._forced_sec: dict[Symbol, float] = {}

    @property
    def least_weight(self) -> int:
        """Return the weight of a look without anything out of the ordinary."""
        return self._history.weights.trades + self._history.weights.orders

    async def read(self, symbol: Symbol, since_ms: int, heartbeat: Heartbeat) -> Evidence:
        """Read all trades since `since_ms` (the exchange's clock), their orders, and what is booked of them.

        `verified_ms` of the evidence is 0. Raises EvidenceGapError, and as the store does.
        """
        with heartbeat.waiting_for(_WAIT):
            trades, orders, complete = await self._shown(symbol, since_ms)
        order_ids = list(dict.fromkeys(trade.order_id for trade in trades))
        names = [order.client_order_id for order in orders.values() if order.client_order_id]
        booked = await self._store.booked_growth(symbol, order_ids, names)
        for name, record in booked.records.items():
            if UNREADABLE in record:
                raise EvidenceGapError("record", f"the executor's record of {name} cannot be read")
        return Evidence(
            trades=trades,
            orders=orders,
            memories=booked.memories,
            recorded=frozenset(
                name for name, record in booked.records.items() if record.phase != OrderPhase.ORPHAN
            ),
            closing=frozenset(
                name
                for name, record in booked.records.items()
                if record.decision == PlanDecision.RECONCILE_CLOSE
            ),
            complete=complete,
            since_ms=since_ms,
            verified_ms=0,
        )

    async def _shown(
        self, symbol: Symbol, since_ms: int
    ) -> tuple[tuple[Trade, ...], dict[OrderId, HistoricOrder], bool]:
        try:
            trades, complete = await self._trades(symbol, since_ms)
            return trades, await self._orders(symbol, trades, since_ms), complete
        except AskLater as error:
            raise EvidenceGapError("exchange", f"the exchange: {error}", error.until.monotonic_sec) from None
        except ExchangeError as error:
            raise EvidenceGapError("exchange", f"the exchange: {error}") from None
        except TooHeavyError as error:
            raise EvidenceGapError("weight", str(error)) from None

    async def _trades(self, symbol: Symbol, since_ms: int) -> tuple[tuple[Trade, ...], bool]:
        """Read every page; False where there are too many."""
        found: dict[int, Trade] = {}
        parts, pages = [TradesPart(since_ms)], 0
        while parts and pages < _MOST_PAGES:
            await self._weight.spend(self._history.weights.trades)
            page = await self._history.trades(symbol, parts.pop())
            found |= {trade.trade_id: trade for trade in page.trades}
            parts += page.rest
            pages += 1
        return tuple(found[trade_id] for trade_id in sorted(found)), not parts

    async def _orders(
        self, symbol: Symbol, trades: Sequence[Trade], since_ms: int
    ) -> dict[OrderId, HistoricOrder]:
        """Read the orders of trades; one that is not shown in any way is missing.

        A list costs as much as a few single orders, and may lack liquidations.
        """
        wanted = dict.fromkeys(trade.order_id for trade in trades)
        weights, found = self._history.weights, dict[OrderId, HistoricOrder]()
        if len(wanted) * weights.order > weights.orders:
            await self._weight.spend(weights.orders)
            listed = await self._history.orders(symbol, from_id=min(wanted, key=int))
            found = {order.order_id: order for order in listed if order.order_id in wanted}
        for order_id in [each for each in wanted if each not in found]:
            await self._weight.spend(weights.order)
            order = await self._history.order(symbol, order_id)
            if order is not None:
                found[order_id] = order
        if len(found) < len(wanted) and self._may_ask_for_forced(symbol):
            await self._weight.spend(weights.forced_orders)
            self._forced_sec[symbol] = trio.current_time()
            forced = await self._history.forced_orders(symbol, since_ms=since_ms)
            found |= {order.order_id: order for order in forced if order.order_id in wanted}
        return found

    def _may_ask_for_forced(self, symbol: Symbol) -> bool:
        """Return False soon after the last time: the list is expensive, and most orders are only late."""
        since_sec = trio.current_time() - self._forced_sec.get(symbol, float("-inf"))
        return since_sec >= _FORCED_EVERY_SEC
