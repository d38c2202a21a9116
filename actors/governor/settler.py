"""Settles grants by the results of their plans."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from structlog.typing import FilteringBoundLogger

from actors.governor.changes import MOST_CHANGES, GrantChanges
from actors.governor.errors import ErrorCount
from actors.governor.rules import GovernorActorRules
from actors.governor.state import GovernedState
from actors.one_player import OnePlayer
from actors.stream_consumer import MOST_FAILURES, Batch, FailureCounter, StreamConsumer
from brain.governor.settling import average_price, settle
from brain.identifiers import EntryId, FencingToken
from brain.ledger.result import DeadResult, ExecutedResult, RefusedResult, read_result
from channels import LatestValue, Lease
from clocks.clocks import Clocks
from store.governor_protocol import GovernorStore
from store.records import Entry

_BATCH = 64
_MOST_ATTEMPTS = 5


class _Result(msgspec.Struct, frozen=True):
    entry_id: EntryId
    fields: Mapping[bytes, bytes]
    read: ExecutedResult | RefusedResult


class ResultSettler(StreamConsumer):
    """Reads results while this instance holds the lease. One that finds no grant is acknowledged alone."""

    def __init__(
        self,
        store: GovernorStore,
        lease: LatestValue[Lease],
        failures: FailureCounter,
        state: GovernedState,
        changes: GrantChanges,
        errors: ErrorCount,
        rules: GovernorActorRules,
        *,
        clocks: Clocks,
        one_player: OnePlayer | None,
        log: FilteringBoundLogger,
    ) -> None:
        """`failures` and `errors` outlive the actor."""
        super().__init__(
            store.settled_results, store, lease, failures, clocks=clocks, log=log,
            batch=_BATCH, one_player=one_player,
        )  # fmt: skip
        self._state = state
        self._changes = changes
        self._errors = errors
        self._life_ms = rules.grant_life_ms

    async def handle(self, batch: Batch) -> None:
        """Settle the batch's results in their order."""
        if not batch.entries:
            return
        results, done = self._sort(batch.entries)
        async with self._state.lock:
            attempts = 0
            while results and attempts < _MOST_ATTEMPTS:
                count, idle = await self._settle(results, batch.fence)
                attempts = 0 if count else attempts + 1
                done += idle
                del results[:count]
            if done:
                await self.group.acknowledge(batch.fence, done)
        left = {each.entry_id for each in results}
        for entry in batch.entries:
            if entry.id not in left:
                self.failures.done(entry.id)

    def _sort(self, entries: list[Entry]) -> tuple[list[_Result], list[EntryId]]:
        """Return the results, and the entries that say nothing of a grant.

        P3.3 makes those dead letters that cannot be read.
        """
        results: list[_Result] = []
        done: list[EntryId] = []
        for entry in entries:
            read = None if entry.fields is None else read_result(entry.fields)
            failed = self.failures.of(entry.id, entry.deliveries) >= MOST_FAILURES
            if read is None or isinstance(read, DeadResult) or failed:
                done.append(entry.id)
                if failed:
                    self._log.warning("Result not settled: it has failed too often", entry_id=entry.id)
            else:
                results.append(_Result(entry.id, entry.fields or {}, read))
        return results, done

    async def _settle(self, results: list[_Result], fence: FencingToken) -> tuple[int, list[EntryId]]:
        """Settle the first results in one write; return their number, and those still to be acknowledged.

        0 where Redis holds another state than this process knew.
        """
        now_ms = self._clocks.redis_now_ms()
        await self._state.provide((), now_ms)
        grants = [self._state.grants.get(each.read.plan_id) for each in results[:MOST_CHANGES]]
        await self._state.provide({each.symbol for each in grants if each is not None}, now_ms)
        idle: list[EntryId] = []
        self._changes.begin()
        try:
            for result in results[:MOST_CHANGES]:
                with self.failures.attributed_to((result.entry_id,)):
                    if not self._take(result, now_ms):
                        idle.append(result.entry_id)
        except BaseException:
            self._state.drop()
            raise
        written = await self._changes.write(fence, now_ms)
        return (min(len(results), MOST_CHANGES), idle) if written else (0, [])

    def _take(self, result: _Result, now_ms: int) -> bool:
        """Add a result's effect to the changes; False where it has none."""
        state = self._state
        grant = state.grants.get(result.read.plan_id)
        if grant is None:
            return False
        self._errors.result(result.read, result.fields, now_ms)
        effect = settle(
            grant,
            result.read,
            price=average_price(result.fields),
            now_ms=now_ms,
            life_ms=self._life_ms,
            last_exec_sec=state.last_exec_sec(grant.symbol),
            others=state.others(grant),
        )
        if effect is None:
            return False
        self._changes.add(grant, effect, entry_id=result.entry_id)
        return True
