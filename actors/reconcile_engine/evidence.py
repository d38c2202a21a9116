"""Evidence of a drift: trades, the orders behind them, and what is booked of these."""

from __future__ import annotations

from actors.reconcile_engine.history_search import EvidenceGapError, ForcedOrderReads, HistorySearch, MaySend
from actors.reconcile_engine.known_trades import KnownTrades
from brain.execution.record import OrderPhase
from brain.identifiers import Symbol
from brain.plans.plan import PlanDecision
from brain.reconciliation.evidence import Evidence
from clocks.clocks import Clocks
from exchange.history_protocol import AccountHistory
from store.reconcile_protocol import ReconcileStore
from store.stored_values import UNREADABLE
from supervision import Heartbeat

_WAIT = "the exchange's trades and orders"


class EvidenceReader:
    """Reads evidence. It writes nothing."""

    def __init__(
        self,
        store: ReconcileStore,
        history: AccountHistory,
        *,
        history_lag_sec: float,
        clocks: Clocks,
    ) -> None:
        self._store = store
        self._lag_ms = round(history_lag_sec * 1000)
        self._clocks = clocks
        self._history = history
        self._forced = ForcedOrderReads()

    @property
    def least_weight(self) -> int:
        """Return the weight of a look without anything out of the ordinary."""
        return self._history.weights.trades + self._history.weights.orders

    async def read(
        self, symbol: Symbol, since_ms: int, known: KnownTrades, may_send: MaySend, heartbeat: Heartbeat
    ) -> Evidence:
        """Read all trades since `since_ms` (the exchange's clock), their orders, and what is booked of them.

        Trades that are `known` by earlier looks are not read again.

        `verified_ms` of the evidence is 0. Raises EvidenceGapError, and as the store does.
        """
        search = HistorySearch(
            self._history,
            self._forced,
            symbol,
            since_ms,
            known,
            may_send,
            now_ms=self._clocks.exchange_ms(self._clocks.now()),
            lag_ms=self._lag_ms,
        )
        with heartbeat.waiting_for(_WAIT):
            trades, orders, complete = await search.run()
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
            orphans=frozenset(
                name for name, record in booked.records.items() if record.phase == OrderPhase.ORPHAN
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
