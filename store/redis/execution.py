"""The executor's part of the store on a real Redis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

import msgspec

from brain.execution.record import OrderRecord
from brain.identifiers import ClientOrderId, EntryId, FencingToken, PlanId, Symbol
from store.errors import StoreError, StoreRefusedError, UnreadableOrderError, WrongTypeError
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
    Switches,
    UnreadableRecord,
)
from store.execution_values import (
    CLOCK_TOLERANCE_MS,
    CONSUMED_TTL_MS,
    RECORD_TTL_MS,
    FinishedOrder,
    decode_record,
    encode_record,
    progressed,
    read_plan_id,
    refused,
)
from store.keys import ExecutorKeys, Keys, PlanStream
from store.records import RedisRun
from store.redis.client import Command, RedisLink, naming
from store.redis.consumer_group import RedisConsumerGroup
from store.redis.permit_changes import permit_changes
from store.redis.replies import value_of
from store.redis.runs import ComparedRun
from store.redis.scripts import ScriptRunner

_LONGEST_AUDIT, _LONGEST_DRY_RUN = 100_000, 10_000
_pack = msgspec.msgpack.encode
_ORPHAN_REPLIES: tuple[OrphanReply, ...] = ("known", "recorded", "held")


class RedisExecutions:
    """`ExecutorStore` less what it shares with others. `RedisStore` has the links."""

    _keys: Keys
    _writes: RedisLink
    _scripts: ScriptRunner

    def _open_executions(
        self, group_of: Callable[[PlanStream], RedisConsumerGroup], pushes: RedisLink
    ) -> None:
        self._executor = ExecutorKeys(self._keys)
        self._pushes = pushes
        self._execution_run = ComparedRun(self._writes, self._keys)
        self.executions = group_of(self._executor.plans)
        self.dry_runs = group_of(self._executor.dry_runs)
        self.manual_plans = group_of(self._executor.manual_plans)

    async def execution_run(self, known_run_id: str | None) -> RedisRun:
        return await self._execution_run.compare(known_run_id)

    async def manual_lane_open(self) -> bool:
        key = self._executor.manual_lane
        enabled, life_ms = await self._writes.pipeline([("GET", key), ("PTTL", key)])
        return enabled == b"1" and isinstance(life_ms, int) and life_ms > 0

    def permit_changes(self) -> AbstractAsyncContextManager[PermitChanges]:
        return permit_changes(self._pushes, self._executor.pushed)

    async def look_at_permits(self, plan_id: PlanId, symbol: Symbol, keys: Sequence[str]) -> PermitLook:
        executor = self._executor
        read = (self._keys.permit_consumer(plan_id), *keys, executor.block(plan_id), *executor.switches)
        commands: list[Command] = [("GET", key) for key in read]
        commands += [("EXISTS", self._keys.hold(symbol)), ("EXISTS", executor.lockdown)]
        answers = [value_of(answer) for answer in await self._writes.pipeline(commands)]
        consumer, *values = answers[: len(read)]
        hold, lockdown = answers[len(read) :]
        *permits, block, trading_state, kill, global_kill, mode = values
        switches = Switches(trading_state, kill, global_kill, mode, bool(lockdown))
        return PermitLook(consumer, tuple(permits), block, bool(hold), switches)

    async def begin_order(self, fence: FencingToken, begin: OrderBegin) -> BeginReply:
        permits = [argument for key, text, _ in begin.permits for argument in (key, text)]
        switches: list[str | bytes] = []
        for key, value in zip(self._executor.switches, begin.switches[:4], strict=True):
            switches += [key, b"" if value is None else b"=" + value]
        verdict, value, *permit = await self._scripts.run(
            "begin_order", self._keys.prefix, fence, _pack(_begun(self._executor, begin)),
            *permits, *switches, losses=self._execution_run.losses,
        )  # fmt: skip
        return BeginReply(verdict.decode(), value.decode(errors="replace"), *permit)

    async def record_progress(self, fence: FencingToken, progress: OrderProgress) -> bool:
        return await self._finish(fence, progressed(self._executor, progress))

    async def refuse_plan(self, fence: FencingToken, refusal: PlanRefusal) -> bool:
        return await self._finish(fence, refused(self._executor, refusal))

    async def _finish(self, fence: FencingToken, finished: FinishedOrder) -> bool:
        return bool(await self._scripts.run("finish_order", self._keys.prefix, fence, _pack(finished)))

    async def open_orders(self) -> OpenOrders:
        with naming(self._executor.open):
            members = await self._writes.command("ZRANGE", self._executor.open, 0, -1)
        plan_ids = [read_plan_id(member) for member in members]
        answers = await self._writes.pipeline([("HGETALL", self._executor.order(each)) for each in plan_ids])
        found = OpenOrders([], [])
        for plan_id, stored in zip(plan_ids, answers, strict=True):
            try:
                record = self._record(plan_id, stored)
            except StoreRefusedError as error:
                symbol = error.symbol if isinstance(error, UnreadableOrderError) else None
                found.unreadable.append(UnreadableRecord(plan_id, str(error), symbol))
                continue
            if record is None:
                found.unreadable.append(UnreadableRecord(plan_id, "its record is gone"))
            elif not record.phase.ended:
                found.records.append(record)
        return found

    async def order_record(self, plan_id: PlanId) -> OrderRecord | None:
        (stored,) = await self._writes.pipeline([("HGETALL", self._executor.order(plan_id))])
        return self._record(plan_id, stored)

    def _record(self, plan_id: PlanId, stored: Mapping[bytes, bytes] | StoreError) -> OrderRecord | None:
        if isinstance(stored, WrongTypeError):
            raise UnreadableOrderError(f"record of {plan_id}: {stored}") from stored
        if isinstance(stored, StoreError):
            raise stored
        return decode_record(self._executor, plan_id, stored) if stored else None

    async def plan_of(self, client_order_id: ClientOrderId) -> PlanId | None:
        key = self._executor.plan_of(client_order_id)
        with naming(key):
            stored = await self._writes.command("GET", key)
        return None if stored is None else read_plan_id(stored)

    async def hold_symbol(self, fence: FencingToken, hold: ExecutionHold) -> bool:
        held = await self._scripts.run(
            "hold_execution", self._keys.prefix, fence,
            hold.symbol, hold.plan_id, hold.client_order_id, hold.reason, hold.ttl_ms, RECORD_TTL_MS,
        )  # fmt: skip
        return bool(held)

    async def release_hold(self, fence: FencingToken, symbol: Symbol, client_order_id: ClientOrderId) -> bool:
        return bool(
            await self._scripts.run("release_hold", self._keys.prefix, fence, symbol, client_order_id)
        )

    async def record_orphan(
        self, fence: FencingToken, record: OrderRecord, event: Sequence[str], hold: ExecutionHold | None
    ) -> OrphanReply:
        holds = ("", 0) if hold is None else (hold.reason, hold.ttl_ms)
        orphan = (
            record.plan_id, record.client_order_id, record.symbol, encode_record(record), RECORD_TTL_MS,
            tuple(event), *holds,
        )  # fmt: skip
        reply = int(await self._scripts.run("record_orphan", self._keys.prefix, fence, _pack(orphan)))
        return _ORPHAN_REPLIES[reply]

    async def append_audit(self, fence: FencingToken, fields: Sequence[str]) -> None:
        await self._scripts.run(
            "append", self._keys.prefix, fence, self._executor.audit, _LONGEST_AUDIT, _pack(fields)
        )

    async def publish_dry_run(
        self, fence: FencingToken, stream: str, entry_id: EntryId, fields: Sequence[str]
    ) -> None:
        await self._scripts.run(
            "append", self._keys.prefix, fence, self._executor.dry_run, _LONGEST_DRY_RUN, _pack(fields),
            stream, self._executor.dry_runs.group, entry_id,
        )  # fmt: skip

    async def write_counts(self, fence: FencingToken, counts: Mapping[str, int]) -> None:
        named = [argument for count in counts.items() for argument in count]
        await self._scripts.run("add_counts", self._keys.prefix, fence, *named)


def _begun(keys: ExecutorKeys, begin: OrderBegin) -> tuple[object, ...]:
    """Return what `begin_order.lua` unpacks."""
    record = begin.record
    stream = keys.stream(record.stream)
    return (
        record.plan_id, record.symbol, record.client_order_id, record.timestamp_ms, encode_record(record),
        RECORD_TTL_MS, begin.consumer, CONSUMED_TTL_MS,
        begin.published_ms, begin.plan_max_age_ms, begin.deadline_ms, begin.permit_max_age_ms,
        CLOCK_TOLERANCE_MS, begin.ignores_hold,
        [-1 if created_ms is None else created_ms for _, _, created_ms in begin.permits],
        begin.switches.lockdown, tuple(begin.audit), stream.key, stream.group, stream.last_id,
    )  # fmt: skip
