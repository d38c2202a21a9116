"""Which part of a result an adopted ledger contains already, by when the order was filled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

from actors.ledger_writer.fill_monitor import FillWatch
from brain.decisions.plan_mark import Joined, decode_mark, join
from brain.ledger.adoption import Contained, decode_adopted
from brain.ledger.booking import decode_memory
from brain.ledger.result import ExecutedResult, FilledOrder
from brain.positions.position import Leg
from clocks.clocks import Clocks
from store.protocol import ResultStore
from store.records import BookingState, Entry
from supervision import Heartbeat

#: A result that comes so long after an adoption reports a fill that came after it, too.
_ADOPTION_SETTLES_MS = 60_000


class ContainedFills:
    """Answers by order id, in contracts. What is not in the answer is not contained.

    Asked only while results of fills from before the adoption may still come, and only for results that
    report more of an order than was booked.
    """

    def __init__(
        self, store: ResultStore, watch: FillWatch, clocks: Clocks, *, hedge_mode: Callable[[], bool]
    ) -> None:
        self._store = store
        self._watch = watch
        self._clocks = clocks
        self._hedge_mode = hedge_mode

    def known(self, entry: Entry, result: ExecutedResult, state: BookingState) -> dict[str, Decimal] | None:
        """Return what the stream has shown; None where the exchange has to be asked."""
        contained: dict[str, Decimal] = {}
        for order, within in self._asked(entry, result, state):
            filled = self._watch.memory.filled_within(
                result.symbol, order.order_id, within, reported=order.cumulative
            )
            if filled is None:
                return None
            contained[order.order_id] = filled
        return contained

    async def find(
        self, entry: Entry, result: ExecutedResult, state: BookingState, heartbeat: Heartbeat
    ) -> dict[str, Decimal]:
        """Wait for the stream, then ask the exchange."""
        contained: dict[str, Decimal] = {}
        for order, within in self._asked(entry, result, state):
            waited_sec = (await self._clocks.ask_redis(self._store) - (entry.published_ms or 0)) / 1000
            contained[order.order_id] = await self._watch.filled_within(
                result.symbol,
                order.order_id,
                within,
                heartbeat,
                reported=order.cumulative,
                waited_sec=waited_sec,
            )
        return contained

    def within(self, state: BookingState, leg: Leg, told_ms: int | None) -> Contained | None:
        """Return which of a leg's fills the ledger contains; None where it contains none that is told now.

        `told_ms`: when that was published (Redis's clock), None where nobody knows.
        """
        adopted = decode_adopted(state.adopted_exchange_ms)
        adopted_at = state.adopted_at_ms
        if adopted is None or adopted_at is None or not adopted_at.isdigit():
            return None
        if told_ms is not None and told_ms > int(adopted_at) + _ADOPTION_SETTLES_MS:
            return None
        changed_ms = adopted.changed_ms_of(leg)
        if changed_ms <= 0:
            return None
        age_ms = self._clocks.redis_now_ms() - int(adopted_at)
        return Contained(changed_ms, self._clocks.exchange_ms(self._clocks.now()) - age_ms)

    def _asked(
        self, entry: Entry, result: ExecutedResult, state: BookingState
    ) -> Iterator[tuple[FilledOrder, Contained]]:
        """The orders that may be contained, and which fills of theirs are."""
        mark = decode_mark(state.plan_mark)
        for order in result.orders:
            joined = join(order, mark, hedge_mode=self._hedge_mode())
            if not isinstance(joined, Joined):
                continue
            within = self.within(state, joined.leg, entry.published_ms)
            if within is None:
                continue
            booked = state.orders.get(order.order_id)
            if booked is None or decode_memory(booked).cumulative < order.cumulative:
                yield order, within
