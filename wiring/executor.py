"""Makes the executor with its parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from structlog.typing import FilteringBoundLogger

from actors.executor.actor import STOP_WITHIN_SEC, Executor
from actors.executor.live_orders import LiveOrders, RecordWriter
from actors.executor.manual_lane import ManualLane
from actors.executor.open_executions import OpenExecutions
from actors.executor.orders import OrderSender
from actors.executor.orphans import Orphans
from actors.executor.permits import PermitWaits, PermitWatch
from actors.executor.plan_reader import PlanReader
from actors.executor.plan_work import PlanWork
from actors.executor.preparation import OrderPreparation
from actors.executor.refusals import PlanRefusals
from actors.executor.reports import ExecutorReports
from actors.executor.resolution import OrderResolver
from actors.executor.rules import ExecutorRules
from actors.one_player import OnePlayer
from actors.stream_consumer import FailureCounter
from channels import Channels
from clocks.clocks import Clocks
from exchange.protocol import OrderEntry
from store.execution_protocol import ExecutorStore
from store.protocol import ConsumerGroup
from supervision import ChildSpec, Heartbeat
from wiring.groups import actor

#: Of its child spec: what its own stop takes, and a margin.
EXECUTOR_GRACE_SEC = STOP_WITHIN_SEC + 0.5


class ExecutorMaking:
    """Makes executors, every incarnation anew. The failures of plans outlive an incarnation."""

    def __init__(
        self,
        channels: Channels,
        store: ExecutorStore,
        exchange: OrderEntry,
        *,
        stale_threshold_sec: float,
        clocks: Clocks,
        rules: ExecutorRules,
        take_over: bool,
        log: FilteringBoundLogger,
    ) -> None:
        """`take_over`: read plans although another executor reads them, too.

        `channels` are those of a service with an executor. Raises ValueError for others.
        """
        if channels.own_orders is None or channels.open_executions is None:
            raise ValueError("the channels of the executor were not made")
        self._channels = channels
        self._own_orders, self._shown = channels.own_orders, channels.open_executions
        self._store = store
        self._exchange = exchange
        self._stale_threshold_sec = stale_threshold_sec
        self._clocks = clocks
        self._rules = rules
        self._take_over = take_over
        self._log = log
        self._failures, self._manual_failures = FailureCounter(), FailureCounter()

    def executor(self) -> Executor:
        """Return a new executor."""
        channels, store, rules, clocks, log = (
            self._channels, self._store, self._rules, self._clocks, self._log,
        )  # fmt: skip
        live_orders = LiveOrders()
        reports = ExecutorReports(channels.metrics, channels.symbol_rules, clocks=clocks, log=log)
        writer = RecordWriter(store, channels.lease, live_orders, reports, clocks=clocks, log=log)
        resolver = OrderResolver(
            store,
            self._exchange,
            writer,
            book=channels.book,
            stream=channels.stream_status,
            own_orders=self._own_orders,
            clocks=clocks,
            rules=rules,
        )
        preparation = OrderPreparation(
            self._exchange,
            book=channels.book,
            symbol_rules=channels.symbol_rules,
            allowlist=channels.allowlist,
            stream=channels.stream_status,
            stale_threshold_sec=self._stale_threshold_sec,
            clocks=clocks,
            rules=rules,
        )
        sender = OrderSender(
            store, self._exchange, preparation, live_orders, writer, resolver, reports, rules=rules
        )
        watch = PermitWatch(store, log)
        return Executor(
            store,
            self._exchange,
            readers=self._readers(),
            work=PlanWork(
                store,
                PermitWaits(store, watch, rules, log),
                preparation,
                sender,
                PlanRefusals(store, reports, clocks=clocks, rules=rules),
                live_orders,
                reports,
                manual_stream=store.manual_plans.stream,
                clocks=clocks,
                rules=rules,
                log=log,
            ),
            watch=watch,
            sender=sender,
            resolver=resolver,
            live_orders=live_orders,
            writer=writer,
            reports=reports,
            orphans=Orphans(
                store,
                self._exchange,
                live_orders,
                writer,
                reports,
                book=channels.book,
                symbol_rules=channels.symbol_rules,
                clocks=clocks,
                rules=rules,
                log=log,
            ),
            own_orders=self._own_orders,
            open_executions=OpenExecutions(
                self._shown, self._exchange, live_orders, reports, lease=channels.lease, clocks=clocks
            ),
            symbol_rules=channels.symbol_rules,
            allowlist=channels.allowlist,
            lease=channels.lease,
            clocks=clocks,
            rules=rules,
            log=log,
        )

    def _readers(self) -> tuple[PlanReader, ...]:
        group = self._store.dry_runs if self._rules.dry_run else self._store.executions
        first = self._reader(group, self._failures)
        if self._rules.dry_run or not self._rules.manual_lane:
            return (first,)
        return first, self._reader(ManualLane(self._store), self._manual_failures)

    def _reader(self, group: ConsumerGroup, failures: FailureCounter) -> PlanReader:
        alone = OnePlayer(group, "executor", take_over=self._take_over, log=self._log)
        return PlanReader(
            group,
            self._store,
            self._channels.lease,
            failures,
            clocks=self._clocks,
            log=self._log,
            # A dry run works beside an executor, in a group of its own.
            one_player=None if self._rules.dry_run else alone,
        )


def executor_child(making: ExecutorMaking, *, after: Callable[[Heartbeat], Awaitable[object]]) -> ChildSpec:
    """Return the child `executor`. `after`: it is known whether the exchange has banned this address."""
    return actor("executor", making.executor, after=after, grace_sec=EXECUTOR_GRACE_SEC)
