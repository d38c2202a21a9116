"""In-memory twin of `store.redis.execution`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from brain.execution.record import OrderRecord
from brain.identifiers import ClientOrderId, EntryId, FencingToken, PlanId, Symbol
from store.execution_protocol import PermitChanges
from store.execution_records import (
    BeginReply,
    ExecutionHold,
    OpenOrders,
    OrderBegin,
    OrderProgress,
    OrphanReply,
    PermitLook,
    PlanRefusal,
)
from store.execution_values import FinishedOrder, plan_ids, progressed, refused
from store.keys import ExecutorKeys, PlanStream
from store.memory import execution_reads as reads
from store.memory import executions as scripts
from store.memory.connection import MemoryConnection
from store.memory.consumer_group import MemoryConsumerGroup
from store.memory.memory_redis import Watch
from store.memory.runs import ComparedRun
from store.records import RedisRun


class MemoryPermitChanges:
    """As `store.execution_protocol.PermitChanges`."""

    def __init__(self, pushed: Callable[[], Awaitable[list[str]]], prefixes: tuple[str, ...]) -> None:
        self._pushed = pushed
        self._prefixes = prefixes

    async def next(self) -> frozenset[str]:
        return plan_ids(self._prefixes, await self._pushed())


class MemoryExecutions(MemoryConnection):
    """`ExecutorStore` less what it shares with others."""

    def _open_executions(self, group_of: Callable[[str, PlanStream], MemoryConsumerGroup]) -> None:
        self._executor = ExecutorKeys(self._keys)
        self._execution_run = ComparedRun(self._redis, self._keys)
        self.executions = group_of("executions", self._executor.plans)
        self.dry_runs = group_of("dry_runs", self._executor.dry_runs)
        self.manual_plans = group_of("manual_plans", self._executor.manual_plans)

    async def execution_run(self, known_run_id: str | None) -> RedisRun:
        return await self._call("execution_run", lambda: self._execution_run.compare(known_run_id))

    async def manual_lane_open(self) -> bool:
        return await self._run(reads.manual_lane_open)

    def permit_changes(self) -> AbstractAsyncContextManager[PermitChanges]:
        return self._permit_changes()

    @asynccontextmanager
    async def _permit_changes(self) -> AsyncIterator[MemoryPermitChanges]:
        run_id = self._redis.run_id
        await self._call("permit_changes", lambda: None)
        with self._redis.watching(self._executor.pushed) as watch:
            yield MemoryPermitChanges(partial(self._pushed, watch, run_id), self._executor.pushed)

    async def _pushed(self, watch: Watch, run_id: str) -> list[str]:
        """Wait for pushes; return the changed keys."""
        while True:
            self._reach("permit_changes.next", run_id)
            if changed := watch.take():
                break
            await watch.wait()
        await self._crossing()
        self._return("permit_changes.next", run_id)
        return changed

    async def look_at_permits(self, plan_id: PlanId, symbol: Symbol, keys: Sequence[str]) -> PermitLook:
        return await self._run(reads.look_at_permits, plan_id, symbol, keys)

    async def begin_order(self, fence: FencingToken, begin: OrderBegin) -> BeginReply:
        def effect() -> BeginReply:
            self._execution_run.check()
            return scripts.begin_order(self._keyspace, self._keys, fence, begin)

        return await self._fenced("begin_order", fence, effect)

    async def record_progress(self, fence: FencingToken, progress: OrderProgress) -> bool:
        return await self._finish("record_progress", fence, progressed(self._executor, progress))

    async def refuse_plan(self, fence: FencingToken, refusal: PlanRefusal) -> bool:
        return await self._finish("refuse_plan", fence, refused(self._executor, refusal))

    async def _finish(self, method: str, fence: FencingToken, step: FinishedOrder) -> bool:
        return await self._fenced(
            method, fence, lambda: scripts.finish_order(self._keyspace, self._keys, fence, step)
        )

    async def open_orders(self) -> OpenOrders:
        return await self._run(reads.open_orders)

    async def order_record(self, plan_id: PlanId) -> OrderRecord | None:
        return await self._run(reads.order_record, plan_id)

    async def plan_of(self, client_order_id: ClientOrderId) -> PlanId | None:
        return await self._run(reads.plan_of, client_order_id)

    async def hold_symbol(self, fence: FencingToken, hold: ExecutionHold) -> bool:
        return await self._fenced(
            "hold_symbol", fence, lambda: scripts.hold_execution(self._keyspace, self._keys, fence, hold)
        )

    async def release_hold(self, fence: FencingToken, symbol: Symbol, client_order_id: ClientOrderId) -> bool:
        def effect() -> bool:
            return scripts.release_hold(self._keyspace, self._keys, fence, symbol, client_order_id)

        return await self._fenced("release_hold", fence, effect)

    async def record_orphan(
        self, fence: FencingToken, record: OrderRecord, event: Sequence[str], hold: ExecutionHold | None
    ) -> OrphanReply:
        def effect() -> OrphanReply:
            return scripts.record_orphan(self._keyspace, self._keys, fence, record, event, hold)

        return await self._fenced("record_orphan", fence, effect)

    async def append_audit(self, fence: FencingToken, fields: Sequence[str]) -> None:
        await self._fenced(
            "append_audit", fence, lambda: scripts.append_audit(self._keyspace, self._keys, fence, fields)
        )

    async def publish_dry_run(
        self, fence: FencingToken, stream: str, entry_id: EntryId, fields: Sequence[str]
    ) -> None:
        def effect() -> None:
            scripts.publish_dry_run(self._keyspace, self._keys, fence, stream, entry_id, fields)

        await self._fenced("publish_dry_run", fence, effect)

    async def write_counts(self, fence: FencingToken, counts: Mapping[str, int]) -> None:
        await self._fenced(
            "write_counts", fence, lambda: scripts.write_counts(self._keyspace, self._keys, fence, counts)
        )
