"""In-memory twin of `store.redis.governor`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from brain.identifiers import FencingToken, Symbol
from store.governor_records import GovernorCommit, GovernorReply, GovernorState, GrantChange, StoredEquity
from store.keys import GovernorKeys, PlanStream
from store.memory import governor_reads as reads
from store.memory.connection import MemoryConnection
from store.memory.consumer_group import MemoryConsumerGroup
from store.memory.governor_steps import GovernorSteps
from store.memory.runs import ComparedRun
from store.records import RedisRun


class MemoryGovernor(MemoryConnection):
    """`GovernorStore` less what it shares with others."""

    def _open_governor(
        self, group_of: Callable[[str, PlanStream], MemoryConsumerGroup], *, shadow: bool
    ) -> None:
        self._governor = keys = GovernorKeys(self._keys, shadow=shadow)
        self._governor_run = ComparedRun(self._redis, self._keys)
        self.judged_plans = group_of("judged_plans", keys.plans)
        self.settled_results = group_of("settled_results", keys.results)

    async def governor_run(self, known_run_id: str | None) -> RedisRun:
        return await self._call("governor_run", lambda: self._governor_run.compare(known_run_id))

    async def governor_state(self, symbols: Sequence[Symbol]) -> GovernorState:
        return await self._run(reads.governor_state, self._governor, symbols)

    async def judge_plans(self, fence: FencingToken, judgements: Sequence[GovernorCommit]) -> GovernorReply:
        def effect() -> GovernorReply:
            self._governor_run.check()
            return self._steps(fence).judge_plans(judgements)

        return await self._fenced("judge_plans", fence, effect)

    async def change_grants(
        self, fence: FencingToken, version: tuple[str, str], changes: Sequence[GrantChange]
    ) -> tuple[bool, ...] | None:
        return await self._fenced(
            "change_grants", fence, lambda: self._steps(fence).change_grants(version, changes)
        )

    async def stored_equity(self) -> StoredEquity:
        return await self._call("stored_equity", lambda: reads.stored_equity(self._keyspace, self._governor))

    async def write_equity(self, fence: FencingToken, fields: Mapping[str, str]) -> None:
        await self._fenced("write_equity", fence, lambda: self._steps(fence).write_equity(fields))

    def _steps(self, fence: FencingToken) -> GovernorSteps:
        return GovernorSteps(self._keyspace, self._keys, self._governor, fence)
