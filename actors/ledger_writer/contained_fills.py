"""Finds how much of a result an adopted ledger contains already, by the times of the fills."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from actors.ledger_writer.fill_monitor import FillMonitor
from brain.identifiers import OrderId, Symbol
from brain.ledger.adoption import Contained, decode_adopted
from brain.ledger.order_memory import decode_memory
from brain.ledger.plan_mark import Joined, decode_mark, join
from brain.ledger.result import ExecutedResult, FilledOrder, RefusedResult
from brain.positions.position import Leg
from channels import LatestValue
from clocks.clocks import Clocks
from store.protocol import ResultStore
from store.records import BookingState, Entry
from supervision import Heartbeat

#: A result published so long after an adoption reports a fill from after it, too.
_LATE_RESULTS_MS = 60_000


Result = ExecutedResult | RefusedResult


class ContainedFills:
    """Part of the ledger writer. Quantities are by order id, in contracts; an absent one is not contained.

    Looks only at results that report more of an order than was booked, and only while results of fills from
    before the adoption may still come.
    """

    def __init__(
        self, store: ResultStore, monitor: FillMonitor, clocks: Clocks, hedge_mode: LatestValue[bool]
    ) -> None:
        self._store = store
        self._monitor = monitor
        self._clocks = clocks
        self._hedge_mode = hedge_mode

    def known(self, entry: Entry, result: Result, state: BookingState) -> dict[OrderId, Decimal] | None:
        """Return what the stream's fills show; None where the exchange has to be asked."""
        contained: dict[OrderId, Decimal] = {}
        for order, within in self._candidates(entry, result, state):
            filled = self._monitor.memory.filled_within(
                result.symbol or Symbol(""), order.order_id, within, reported=order.cumulative
            )
            if filled is None:
                return None
            contained[order.order_id] = filled
        return contained

    async def find(
        self, entry: Entry, result: Result, state: BookingState, heartbeat: Heartbeat
    ) -> dict[OrderId, Decimal]:
        """Return the same after waiting for the stream, then asking the exchange."""
        contained: dict[OrderId, Decimal] = {}
        for order, within in self._candidates(entry, result, state):
            waited_sec = (await self._clocks.ask_redis(self._store) - (entry.published_ms or 0)) / 1000
            contained[order.order_id] = await self._monitor.filled_within(
                result.symbol or Symbol(""),
                order.order_id,
                within,
                heartbeat,
                reported=order.cumulative,
                waited_sec=waited_sec,
            )
        return contained

    def within(self, state: BookingState, leg: Leg, published_ms: int | None) -> Contained | None:
        """Return the condition for the ledger to contain a leg's fills; None where it contains none.

        `published_ms`: publication of the result or event (Redis's clock), None where unknown.
        """
        adopted = decode_adopted(state.adopted_exchange_ms)
        adopted_at = state.adopted_at_ms
        if adopted is None or adopted_at is None or not adopted_at.isdigit():
            return None
        if published_ms is not None and published_ms > int(adopted_at) + _LATE_RESULTS_MS:
            return None
        changed_ms = adopted.changed_ms_of(leg)
        if changed_ms <= 0:
            return None
        age_ms = self._clocks.redis_now_ms() - int(adopted_at)
        # At least: a fill after it is not contained.
        return Contained(changed_ms, self._clocks.exchange_ms_at_least(self._clocks.now()) - age_ms)

    def _candidates(
        self, entry: Entry, result: Result, state: BookingState
    ) -> Iterator[tuple[FilledOrder, Contained]]:
        """Yield the orders that may be contained, each with the condition for its fills."""
        mark = decode_mark(state.plan_mark)
        for order in result.orders:
            joined = join(order, mark, hedge_mode=bool(self._hedge_mode.value))
            if not isinstance(joined, Joined):
                continue
            within = self.within(state, joined.leg, entry.published_ms)
            if within is None:
                continue
            booked = state.orders.get(order.order_id)
            if booked is None or decode_memory(booked).cumulative < order.cumulative:
                yield order, within
