"""In-memory twin of `store.redis.store`; `tests/store` runs the same tests against both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import trio

from brain.durability import Durability
from brain.identifiers import EntryId, FencingToken, OrderId, PlanId, Symbol
from store.errors import unless_refused
from store.keys import Keys, PlanStream
from store.memory import diagnostics, reads
from store.memory.bridge import MemoryBridge
from store.memory.commit_decisions import commit_decisions
from store.memory.commit_results import commit_result, commit_results
from store.memory.consumer_group import MemoryConsumerGroup
from store.memory.desk import MemoryDesk
from store.memory.execution import MemoryExecutions
from store.memory.fencing import hold_lease, release_lease
from store.memory.governor import MemoryGovernor
from store.memory.history import MemoryHistory
from store.memory.intelligence import MemoryIntelligence
from store.memory.ledgers import adopt_ledgers, emit_event, renew_ledgers
from store.memory.letters import MemoryLetters
from store.memory.memory_redis import MemoryRedis
from store.memory.operators import MemoryOperators
from store.memory.reconcile import MemoryReconcile
from store.memory.runs import compare_run
from store.memory.snapshots import prove_snapshots, write_marks, write_snapshots
from store.memory.universe import publish_universe, published_universe
from store.memory.waiting import MemoryWaiting
from store.records import (
    Adoption,
    BookingKeys,
    BookingState,
    CommitReply,
    DecisionCommit,
    Entry,
    HoldsAndCooldowns,
    LeaseReply,
    MarkWrite,
    PermitTraces,
    RedisRun,
    ResultCommit,
    SnapshotWrite,
    UnknownOutcomes,
)
from store.stored_values import read_group_start, read_moment
from store.universe_records import PublishedUniverse, UniverseKeys, UniverseWrite


class MemoryStore(
    MemoryExecutions,
    MemoryGovernor,
    MemoryOperators,
    MemoryLetters,
    MemoryReconcile,
    MemoryBridge,
    MemoryIntelligence,
    MemoryDesk,
    MemoryHistory,
    MemoryWaiting,
):
    """A `MemoryRedis` behind `store.execution_protocol.ServiceStore`.

    A blocking read waits by trio's clock without polling, so virtual time skips over it.
    """

    def __init__(
        self,
        redis: MemoryRedis,
        *,
        keys: Keys,
        consumer: str,
        crossing: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
        governor_shadow: bool = False,
        reconcile_shadow: bool = False,
        bridge_shadow: bool = False,
    ) -> None:
        """Take `consumer`, the name in the consumer groups, and `crossing`, the network delay each way."""
        super().__init__(redis, keys=keys, consumer=consumer, crossing=crossing)
        self.address = "memory"
        group = partial(
            MemoryConsumerGroup,
            consumer=consumer, keys=keys, redis=redis, call=self._fenced, read=self._read_new,
        )  # fmt: skip
        self.plans = group(
            name="plans", stream=keys.plans, dead=keys.dead_plans, start=self._plan_group_start,
            suspects_alone=True,
        )  # fmt: skip
        self.results = group(
            name="results", stream=keys.results, dead=keys.dead_results, start=self._result_group_start,
            suspects_alone=False, last=keys.last_result_id,
        )  # fmt: skip
        self._open_executions(partial(self._role_group, group))
        self._open_governor(partial(self._role_group, group), shadow=governor_shadow)
        self._open_reconcile(shadow=reconcile_shadow)
        self._open_bridge(partial(self._role_group, group), shadow=bridge_shadow)
        self._open_intelligence(partial(self._role_group, group))

    def _role_group(
        self, group: partial[MemoryConsumerGroup], name: str, stream: PlanStream
    ) -> MemoryConsumerGroup:
        return group(
            name=name, stream=stream.key, dead=stream.dead, start=partial(self._role_group_start, stream),
            group=stream.group, suspects_alone=True, last=stream.last_id,
        )  # fmt: skip

    def _role_group_start(self, stream: PlanStream, lost: bool) -> str:
        last = self._keyspace.text(stream.last_id) if stream.last_id else None
        return read_group_start(last, lost=lost, now_ms=self._redis.now_ms())

    def _plan_group_start(self, lost: bool) -> str:
        was_here = self._keyspace.kind(self._keys.redis_run) != "none"
        return "0" if lost or was_here else "$"

    def _result_group_start(self, lost: bool) -> str:
        last = self._keyspace.text(self._keys.last_result_id)
        return read_group_start(last, lost=lost, now_ms=self._redis.now_ms())

    async def commit_decisions(self, fence: FencingToken, decisions: Sequence[DecisionCommit]) -> CommitReply:
        return await self._run(commit_decisions, fence, decisions)

    async def redis_now_ms(self) -> int:
        return await self._call("redis_now_ms", self._redis.now_ms)

    async def redis_run(self, known_run_id: str | None) -> RedisRun:
        return await self._call("redis_run", lambda: compare_run(self._redis, self._keys, known_run_id))

    async def booking_state(
        self, symbol: Symbol, plan_id: PlanId, order_ids: Sequence[OrderId]
    ) -> BookingState:
        return await self._run(reads.booking_state, symbol, plan_id, order_ids)

    async def booking_states(self, wanted: Sequence[BookingKeys]) -> list[BookingState | None]:
        def read() -> list[BookingState | None]:
            return [unless_refused(reads.booking_state, self._keyspace, self._keys, *keys) for keys in wanted]

        return await self._call("booking_states", read)

    async def commit_result(self, fence: FencingToken, commit: ResultCommit) -> int | None:
        return await self._run(commit_result, fence, commit)

    async def commit_results(self, fence: FencingToken, commits: Sequence[ResultCommit]) -> list[int | None]:
        return await self._run(commit_results, fence, commits)

    async def unknown_outcomes(self) -> UnknownOutcomes:
        return await self._run(reads.unknown_outcomes)

    async def ledger_amounts(self, symbols: Sequence[str]) -> dict[str, str]:
        return await self._run(reads.ledger_amounts, symbols)

    async def adopt_ledgers(
        self, fence: FencingToken, adoptions: Sequence[Adoption], ttl_ms: int
    ) -> list[str]:
        return await self._run(adopt_ledgers, fence, adoptions, ttl_ms)

    async def renew_ledgers(self, fence: FencingToken, symbols: Sequence[str], ttl_ms: int) -> None:
        await self._run(renew_ledgers, fence, symbols, ttl_ms)

    async def emit_event(self, fence: FencingToken, fields: Sequence[str]) -> None:
        await self._run(emit_event, fence, fields)

    async def write_snapshots(self, fence: FencingToken, snapshots: Sequence[SnapshotWrite]) -> None:
        await self._run(write_snapshots, fence, snapshots)

    async def prove_snapshots(
        self,
        fence: FencingToken,
        written_ms: Mapping[str, int],
        *,
        times: Mapping[str, str],
        verified_by: str,
        ttl_sec: int,
        marks: Mapping[str, MarkWrite],
    ) -> list[str]:
        return await self._run(
            prove_snapshots,
            fence,
            written_ms,
            times=times,
            verified_by=verified_by,
            ttl_sec=ttl_sec,
            marks=marks,
        )

    async def write_marks(self, fence: FencingToken, marks: Sequence[MarkWrite]) -> None:
        await self._run(write_marks, fence, marks)

    async def universe(self) -> UniverseKeys:
        return await self._run(reads.universe)

    async def published_universe(self, *, shadow: bool) -> PublishedUniverse:
        return await self._run(published_universe, shadow=shadow)

    async def publish_universe(
        self, fence: FencingToken, write: UniverseWrite, *, rests_on: bytes | None, shadow: bool
    ) -> bool:
        return await self._run(publish_universe, fence, write, rests_on=rests_on, shadow=shadow)

    async def unread_result(self, after: str) -> EntryId | None:
        return await self._run(reads.unread_result, after)

    async def recent_intents(self, after: str, before: str | None, count: int) -> list[Entry]:
        return await self._run(reads.recent_intents, after, before, count)

    async def hold_lease(
        self, instance: str, fence: FencingToken | None, ttl_ms: int, *, process: str = ""
    ) -> LeaseReply:
        return await self._run(hold_lease, instance, process, fence, ttl_ms)

    async def release_lease(self, fence: FencingToken) -> None:
        await self._run(release_lease, fence)

    async def remember_ban(self, until_ms: int) -> None:
        def remember() -> None:
            left_ms = until_ms - self._redis.now_ms()
            self._keyspace.set(self._keys.ban, str(until_ms), ttl_ms=left_ms)

        await self._call("remember_ban", remember)

    async def remembered_ban(self) -> int | None:
        return await self._call("remembered_ban", lambda: read_moment(self._keyspace.text(self._keys.ban)))

    async def holds_and_cooldowns(self, symbols: Sequence[str], booked: Sequence[str]) -> HoldsAndCooldowns:
        return await self._run(diagnostics.holds_and_cooldowns, symbols, booked)

    async def durability(self) -> Durability:
        redis = self._redis
        return await self._call(
            "durability", lambda: Durability(redis.append_only, redis.maxmemory_policy, redis.evicted_keys)
        )

    async def permit_traces(self, plan_id: PlanId, symbol: Symbol | None) -> PermitTraces:
        return await self._run(diagnostics.permit_traces, plan_id, symbol)
