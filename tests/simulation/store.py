"""The store of one process: the twin, behind a way that takes time, fails, hangs, and is watched.

Every effect is a step: the judges see it at the moment in which Redis holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, Protocol, TypeVar

import trio

from brain.identifiers import FencingToken
from store.errors import StoreUnavailableError
from store.execution_records import BeginReply, OrderBegin, OrderProgress, PlanRefusal
from store.governor_records import GovernorCommit, GovernorReply, GrantChange
from store.keys import Keys
from store.memory.commit_decisions import commit_decisions
from store.memory.commit_results import commit_result, commit_results
from store.memory.ledgers import adopt_ledgers
from store.memory.memory_redis import MemoryRedis, Watch
from store.memory.snapshots import prove_snapshots, write_snapshots
from store.records import (
    Adoption,
    CommitReply,
    DecisionCommit,
    Entry,
    MarkWrite,
    ResultCommit,
    SnapshotWrite,
)
from tests.simulation.bridge_steps import CHAIN_FENCED, ChainSteps, WatchedChain
from tests.simulation.governor_steps import GovernorSteps
from tests.simulation.links import Links, Servers
from tests.simulation.network import Reach
from tests.simulation.order_judge import OrderJudge
from tests.simulation.order_way import KillPoints
from tests.simulation.reconcile_steps import ReconcileSteps
from tests.simulation.reconcile_store import WatchedReconcile
from tests.simulation.tripwire import Tripwire
from tests.simulation.verdicts import ViolationError

T = TypeVar("T")

#: Their first argument is a fence, and without the lease they must have no effect.
FENCED = frozenset(
    {
        "plans.recover", "results.recover", "commit_decisions", "plans.acknowledge", "plans.dead_letter",
        "commit_result", "commit_results", "adopt_ledgers", "renew_ledgers", "emit_event", "write_snapshots",
        "prove_snapshots", "write_marks", "executions.recover", "executions.acknowledge",
        "executions.dead_letter", "begin_order", "record_progress", "refuse_plan", "hold_symbol",
        "release_hold", "record_orphan", "append_audit", "write_counts", "manual_plans.recover",
        "manual_plans.acknowledge", "manual_plans.dead_letter", "publish_dry_run", "dry_runs.recover",
        "dry_runs.acknowledge", "dry_runs.dead_letter", "judged_plans.recover",
        "judged_plans.acknowledge", "judged_plans.dead_letter", "settled_results.recover",
        "settled_results.acknowledge", "settled_results.dead_letter", "judge_plans", "change_grants",
        "write_equity", "note_agreements", "change_case", "repair_ledger", "propose_close",
        *CHAIN_FENCED,
    }
)  # fmt: skip


_OF_RUN = ("redis_run", "execution_run")
#: The share of journeys of several commands that end on their way.
_CUT_OFF = 0.03
#: The share of answers that come back without anybody else having his turn.
_AT_ONCE = 0.7


class Judge(Protocol):
    """Receiver of every effect on Redis, as it happens. Raises AssertionError."""

    def stepped(self, writer: str, method: str, fence: FencingToken | None) -> None: ...

    def decided(self, writer: str, decisions: Sequence[DecisionCommit], reply: CommitReply) -> None: ...

    def booked(self, writer: str, commit: ResultCommit, booked_ms: int | None) -> None: ...

    def adopted(self, writer: str, adoptions: Sequence[Adoption], created: Sequence[str]) -> None: ...

    def claimed(self, writer: str, fence: FencingToken, symbols: Sequence[str]) -> None: ...

    def fail(self, violation: ViolationError) -> None: ...


class WatchedStore(WatchedReconcile, WatchedChain):
    """The twin as one process sees it."""

    def __init__(
        self,
        redis: MemoryRedis,
        keys: Keys,
        name: str,
        *,
        consumer: str,
        servers: Servers,
        judge: Judge,
        orders: OrderJudge,
        governing: GovernorSteps,
        reconciling: ReconcileSteps,
        chain: ChainSteps,
        shadow: bool,
        reconcile_shadow: bool,
        bridge_shadow: bool,
        points: KillPoints,
        reach: Reach,
        tripwire: Tripwire,
        rng: Random,
    ) -> None:
        """`name` is the process's for the judge; `consumer`, its instance's."""
        super().__init__(
            redis, keys=keys, consumer=consumer, crossing=self._cross,
            governor_shadow=shadow, reconcile_shadow=reconcile_shadow, bridge_shadow=bridge_shadow,
        )  # fmt: skip
        self._links = Links(servers)
        self._judge = judge
        self._orders = orders
        self._governing = governing
        self._reconciling = reconciling
        self._chain = chain
        self._points = points
        self._way = reach
        self._tripwire = tripwire
        self._rng = rng
        self._name = name
        self._fence: FencingToken | None = None
        self._judged: Callable[[Callable[[], Any]], Any] | None = None
        self._returning = False
        #: Crossings until one of them hangs, and for how long; 0: none does.
        self.hang_in = 0
        self.hang_sec = 0.0
        #: Until then (trio's clock) a call hangs because of an injected fault.
        self.hung_until_sec = 0.0
        self.slow_sec = 0.0
        #: What ways to Redis have taken so far (seconds).
        self.delayed_sec = 0.0

    async def _cross(self) -> None:
        began_sec = trio.current_time()
        try:
            await self._cross_now()
        finally:
            self.delayed_sec += trio.current_time() - began_sec

    async def _cross_now(self) -> None:
        await self._way()
        self._tripwire.cross()
        if self.hang_in:
            self.hang_in -= 1
            if not self.hang_in:
                self.hung_until_sec = trio.current_time() + self.hang_sec
                await trio.sleep(self.hang_sec)
        draw = self._rng.random()
        returning, self._returning = self._returning, False
        if returning and draw < _AT_ONCE and not self.slow_sec:
            return
        if self.slow_sec:
            await trio.sleep(draw * self.slow_sec)
        elif draw < 0.85:
            await trio.lowlevel.checkpoint()
        else:
            await trio.sleep(0.0005 + (draw - 0.85) * (0.005 if draw < 0.97 else 0.2))

    async def _call(self, method: str, effect: Callable[[], T]) -> T:
        # Set by the call that brings us here, with nothing awaited in between.
        fence, self._fence = self._fence, None
        judged, self._judged = self._judged, None

        def watched() -> T:
            try:
                if method in _OF_RUN:
                    answer = self._links.redis_run(self._redis, self._keys, effect)
                else:
                    answer = effect() if judged is None else judged(effect)
                self._returning = True
                self._judge.stepped(self._name, method, fence)
            except ViolationError as violation:
                # Here: other judges may stumble over what it leaves before its actor has failed.
                self._judge.fail(violation)
                raise
            if fence is not None:
                self._points.at(f"at {method}", self._name)
            return answer

        if fence is not None:
            await self._points.passing(f"before {method}", self._name)
        async with self._links.connected(method):
            answer = await super()._call(method, watched)
        if fence is not None:
            await self._points.passing(f"after {method}", self._name)
        return answer

    async def _read_new(self, method: str, key: str, group: str, count: int, block_ms: int) -> list[Entry]:
        async with self._links.connected(method):
            return await super()._read_new(method, key, group, count, block_ms)

    async def _pushed(self, watch: Watch, run_id: str) -> list[str]:
        async with self._links.connected("permit_changes.next"):
            return await super()._pushed(watch, run_id)

    def _reach(self, method: str, run_id: str) -> None:
        self._links.reach(method)
        super()._reach(method, run_id)

    async def _fenced(self, method: str, fence: FencingToken | None, effect: Callable[[], T]) -> T:
        self._fence = fence
        return await self._call(method, effect)

    async def renew_ledgers(self, fence: FencingToken, symbols: Sequence[str], ttl_ms: int) -> None:
        self._fence = fence
        await super().renew_ledgers(fence, symbols, ttl_ms)

    async def emit_event(self, fence: FencingToken, fields: Sequence[str]) -> None:
        self._fence = fence
        await super().emit_event(fence, fields)

    async def write_marks(self, fence: FencingToken, marks: Sequence[MarkWrite]) -> None:
        self._fence = fence
        await super().write_marks(fence, marks)

    async def commit_decisions(self, fence: FencingToken, decisions: Sequence[DecisionCommit]) -> CommitReply:
        def commit() -> CommitReply:
            reply = commit_decisions(self._keyspace, self._keys, fence, decisions)
            self._judge.decided(self._name, decisions, reply)
            return reply

        return await self._fenced("commit_decisions", fence, commit)

    async def commit_result(self, fence: FencingToken, commit: ResultCommit) -> int | None:
        def book() -> int | None:
            booked_ms = commit_result(self._keyspace, self._keys, fence, commit)
            self._judge.booked(self._name, commit, booked_ms)
            return booked_ms

        return await self._fenced("commit_result", fence, book)

    async def commit_results(self, fence: FencingToken, commits: Sequence[ResultCommit]) -> list[int | None]:
        # More than a script's go one after the other, and the way may end between two of them.
        cut = self._rng.randrange(1, len(commits) + 1) if self._rng.random() < _CUT_OFF else len(commits)

        def book() -> list[int | None]:
            judge = partial(self._judge.booked, self._name)
            return commit_results(self._keyspace, self._keys, fence, commits[:cut], booked=judge)

        times = await self._fenced("commit_results", fence, book)
        if len(times) < len(commits):
            raise StoreUnavailableError(f"commit_results: cut off after {cut}")
        return times

    async def adopt_ledgers(
        self, fence: FencingToken, adoptions: Sequence[Adoption], ttl_ms: int
    ) -> list[str]:
        def adopt() -> list[str]:
            created = adopt_ledgers(self._keyspace, self._keys, fence, adoptions, ttl_ms)
            self._judge.adopted(self._name, adoptions, created)
            return created

        return await self._fenced("adopt_ledgers", fence, adopt)

    async def begin_order(self, fence: FencingToken, begin: OrderBegin) -> BeginReply:
        self._judged = partial(self._orders.begin, self._name, begin)
        return await super().begin_order(fence, begin)

    async def record_progress(self, fence: FencingToken, progress: OrderProgress) -> bool:
        self._judged = partial(self._orders.progress, self._name, progress)
        return await super().record_progress(fence, progress)

    async def refuse_plan(self, fence: FencingToken, refusal: PlanRefusal) -> bool:
        self._judged = partial(self._orders.refuse, self._name, refusal)
        return await super().refuse_plan(fence, refusal)

    async def judge_plans(self, fence: FencingToken, judgements: Sequence[GovernorCommit]) -> GovernorReply:
        entries = [(str(each.entry_id), str(each.plan_id)) for each in judgements]
        self._judged = partial(self._governing.judged, self._name, entries)
        return await super().judge_plans(fence, judgements)

    async def change_grants(
        self, fence: FencingToken, version: tuple[str, str], changes: Sequence[GrantChange]
    ) -> tuple[bool, ...] | None:
        entry_ids = [str(each.entry_id) for each in changes]
        self._judged = partial(self._governing.changed, self._name, entry_ids)
        return await super().change_grants(fence, version, changes)

    async def write_equity(self, fence: FencingToken, fields: Mapping[str, str]) -> None:
        self._judged = self._governing.kept_equity
        await super().write_equity(fence, fields)

    async def write_snapshots(self, fence: FencingToken, snapshots: Sequence[SnapshotWrite]) -> None:
        def write() -> None:
            write_snapshots(self._keyspace, self._keys, fence, snapshots)
            self._judge.claimed(self._name, fence, [snapshot.symbol for snapshot in snapshots])

        await self._fenced("write_snapshots", fence, write)

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
        def prove() -> list[str]:
            missing = prove_snapshots(
                self._keyspace, self._keys, fence, written_ms,
                times=times, verified_by=verified_by, ttl_sec=ttl_sec, marks=marks,
            )  # fmt: skip
            self._judge.claimed(self._name, fence, [symbol for symbol in written_ms if symbol not in missing])
            return missing

        return await self._fenced("prove_snapshots", fence, prove)
