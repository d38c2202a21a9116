"""Shows which orders of the executor are undecided."""

from __future__ import annotations

from actors.executor.live_orders import LiveOrders
from actors.executor.reports import ExecutorReports
from brain.execution.record import OrderPhase
from brain.identifiers import ClientOrderId, Symbol
from channels import LatestValue, Lease, OpenExecution
from clocks.clocks import Clocks
from exchange.protocol import OrderEntry
from store.execution_records import UnreadableRecord
from supervision import Heartbeat


class OpenExecutions:
    """Part of the executor: shows its open orders, and nothing while another process has the lease.

    That one takes the orders over, and ends them. Copies in hand here are compared with the records at the
    next take-over.
    """

    def __init__(
        self,
        shown: LatestValue[tuple[OpenExecution, ...]],
        exchange: OrderEntry,
        live_orders: LiveOrders,
        reports: ExecutorReports,
        *,
        lease: LatestValue[Lease],
        clocks: Clocks,
    ) -> None:
        self._shown = shown
        self._exchange = exchange
        self._live_orders = live_orders
        self._reports = reports
        self._lease = lease
        self._clocks = clocks
        #: Records that an operator has to repair.
        self.unreadable: list[UnreadableRecord] = []

    async def follow_lease(self, heartbeat: Heartbeat) -> None:
        """Show them again whenever the lease changes. Until cancelled."""
        with heartbeat.task() as task, task.idle():
            while True:
                await self._lease.changed()
                self.show()

    def show(self) -> None:
        """Show what is open now."""
        is_ours = self._lease.value is not None and self._lease.value.fence is not None
        live_orders = self._live_orders.all() if is_ours else []
        now_ms = self._clocks.exchange_ms(self._clocks.now())
        shown = [
            OpenExecution(
                live.stored.plan_id,
                live.stored.symbol,
                live.stored.client_order_id,
                max(now_ms - live.stored.timestamp_ms, 0) / 1000,
                live.held,
                live.lacking,
            )
            for live in live_orders
            if live.is_undecided and live.stored.phase is OrderPhase.UNKNOWN
        ]
        shown += [
            OpenExecution(
                each.plan_id,
                each.symbol or Symbol(""),
                ClientOrderId(""),
                0.0,
                False,
                (f"its record: {each.why}",),
            )
            for each in (self.unreadable if is_ours else ())
        ]
        self._shown.send(tuple(shown))
        self._reports.open_orders(
            len(live_orders),
            len(shown),
            max((each.age_sec for each in shown), default=0.0),
            self._exchange.order_counts(),
        )
