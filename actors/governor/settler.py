"""Settles grants by the results of their plans."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

import msgspec
from structlog.typing import FilteringBoundLogger

from actors.governor.changes import MOST_CHANGES, GrantChanges
from actors.governor.errors import ErrorCount
from actors.governor.rules import GovernorActorRules
from actors.governor.state import GovernedState
from actors.one_player import OnePlayer
from actors.stream_consumer import MOST_FAILURES, Batch, FailureCounter, Session, StreamConsumer
from brain.governor.settling import average_price, settle
from brain.identifiers import EntryId, FencingToken, PlanId
from brain.ledger.result import DeadResult, ExecutedResult, RefusedResult, read_result
from channels import LatestValue, Lease
from clocks.clocks import Clocks
from store.governor_protocol import GovernorStore
from store.records import Entry

_BATCH = 64
_MOST_ATTEMPTS = 5
_MOST_EARLY = 10_000


class _Result(msgspec.Struct, frozen=True):
    entry_id: EntryId
    fields: Mapping[bytes, bytes]
    read: ExecutedResult | RefusedResult


class EarlyResults:
    """Refusals of executors that came before the plan was granted, as after a denial of P3.3.

    They were acknowledged. Only this process knows of them: without it such a grant ends with its time.
    """

    def __init__(self, life_ms: int) -> None:
        self._life_ms = life_ms
        self._results: dict[PlanId, tuple[int, _Result]] = {}

    def add(self, result: _Result, now_ms: int) -> None:
        """Remember a result without a grant."""
        if isinstance(result.read, RefusedResult) and result.read.unknown is None:
            unread = msgspec.structs.replace(result, entry_id=EntryId(""))
            self._results.setdefault(result.read.plan_id, (now_ms, unread))
            if len(self._results) > _MOST_EARLY:
                del self._results[next(iter(self._results))]

    def of(self, grants: Container[PlanId], now_ms: int) -> list[_Result]:
        """Return those of grants, and forget old ones."""
        for plan_id, (at_ms, _) in list(self._results.items()):
            if now_ms - at_ms <= self._life_ms:
                break
            del self._results[plan_id]
        return [result for plan_id, (_, result) in self._results.items() if plan_id in grants]

    def forget(self) -> None:
        """Forget all: Redis may have lost them, and then their executors read the plans again."""
        self._results.clear()

    def settled(self, results: Iterable[_Result]) -> None:
        """Forget results that are dealt with."""
        for result in results:
            self._results.pop(result.read.plan_id, None)


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
        self._early = EarlyResults(self._life_ms)

    async def begin(self, _session: Session) -> None:
        """Forget the state of another lease: a result without a grant in it is acknowledged uncompared.

        A session begins anew with each run of Redis, too.
        """
        self._early.forget()
        async with self._state.lock:
            self._state.drop()

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

        P3.3 makes those dead letters that cannot be read. Deliveries from before this process do not count as
        failures: each session delivers what is pending once more.
        """
        results: list[_Result] = []
        done: list[EntryId] = []
        for entry in entries:
            read = None if entry.fields is None else read_result(entry.fields)
            failed = self.failures.of(entry.id) >= MOST_FAILURES
            if read is None or isinstance(read, DeadResult) or failed:
                done.append(entry.id)
                if failed:
                    self._log.warning("Result not settled: it has failed too often", entry_id=entry.id)
            else:
                results.append(_Result(entry.id, entry.fields or {}, read))
        return results, done

    async def settle_early(self, fence: FencingToken, now_ms: int) -> None:
        """Settle grants whose result came before them. Used under the state's lock."""
        early = self._early.of(self._state.grants, now_ms)
        if early:
            count, _ = await self._settle(early, fence)
            self._early.settled(early[:count])

    async def _settle(self, results: list[_Result], fence: FencingToken) -> tuple[int, list[EntryId]]:
        """Settle the first results in one write; return their number, and those still to be acknowledged.

        0 where Redis holds another state than this process knew.
        """
        now_ms = self._clocks.redis_now_ms()
        await self._state.provide((), now_ms)
        grants = [self._state.grants.get(each.read.plan_id) for each in results[:MOST_CHANGES]]
        await self._state.provide({each.symbol for each in grants if each is not None}, now_ms)
        #: Places of results with an effect, and of those without.
        taken: list[int] = []
        idle: list[int] = []
        self._changes.begin()
        with self._state.dropped_on_error():
            for place, result in enumerate(results[:MOST_CHANGES]):
                with self.failures.attributed_to((result.entry_id,) if result.entry_id else ()):
                    (taken if self._take(result, now_ms) else idle).append(place)
        written = await self._changes.write(fence, now_ms)
        if written is None:
            return 0, []
        count = len(taken) + len(idle) if written == len(taken) else taken[written - 1] + 1
        return count, [results[place].entry_id for place in idle if place < count]

    def _take(self, result: _Result, now_ms: int) -> bool:
        """Add a result's effect to the changes; False where it has none."""
        state = self._state
        plan_id = result.read.plan_id
        grant = state.grants.get(plan_id)
        if grant is None:
            self._early.add(result, now_ms)
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
