"""Answers every plan: reads it, decides, and commits the decision in one step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import trio
from structlog.typing import FilteringBoundLogger

from actors.permit_evaluator.commit import DecisionWriter
from actors.permit_evaluator.deciding import PlanSettler
from actors.permit_evaluator.plans import PlanBatch, WhatIsKnown, Work, sort_entries
from actors.permit_evaluator.prerequisites import DecisionNeeds
from actors.permit_evaluator.reports import DecisionReports
from actors.permit_evaluator.symbol_locks import SymbolTurns
from actors.stream_consumer import EntryTimes, Failures
from actors.waiting import REDIS_TROUBLE, RedisTrouble, lease_fence
from brain.decisions.case import Rules
from brain.decisions.dead_letter import dead_letter
from channels import LedgerWanted, OnDemandRead, PushBack
from clocks.clocks import Clocks
from store.errors import FencedError, GroupLostError
from store.keys import Keys
from store.protocol import PlanStore
from store.records import Entry
from supervision import Heartbeat

#: So many are decided, logged and written in the time that Redis takes for as many: a few milliseconds, in
#: which nobody else is served.
_BATCH = 64
#: One is decided while the other is written.
_BATCHES_IN_HAND = 2
_BLOCK_MS = 2_000
_MOST_FAILURES = 3
_STRANDED_AFTER_MS = 1_500
_SWEEP_SEC = 1.0
_OUTAGE_PAUSE_SEC = 0.1
#: Of a plan's age limit, so much may pass while what every decision rests on is still missing after a start.
_PATIENT_SHARE = 0.5


class PermitEvaluator:
    """Reads plans in batches, decides different symbols together and one symbol's plans in order.

    Two tasks take turns at reading, so that the next plans are read and decided while the last are written.

    A plan whose answer hangs on a missing or stale snapshot, or on a missing ledger, goes to a lane of its
    symbol, which has that fetched first; plans of other symbols pass it by. Whatever happens, an entry is
    acknowledged by the script that writes its decision and by nothing else: what is in hand when this actor
    or Redis dies is delivered again.
    """

    def __init__(
        self,
        store: PlanStore,
        known: WhatIsKnown,
        on_demand: Callable[[str], PushBack[OnDemandRead]] | None,
        ledgers_wanted: PushBack[LedgerWanted],
        *,
        failures: Failures,
        clocks: Clocks,
        rules: Rules,
        writer: DecisionWriter,
        reports: DecisionReports,
        keys: Keys,
        redis_address: str,
        log: FilteringBoundLogger,
    ) -> None:
        """`on_demand` gives the channel of a symbol's snapshot fetcher; None when on-demand reads are off.
        `failures` outlives this actor. `keys` and `redis_address` are names for people to read."""
        self._store = store
        self._known = known
        self._failures = failures
        self._clocks = clocks
        self._patience_ms = rules.plan_max_age_sec * 1000 * _PATIENT_SHARE
        self._permit_ttl_ms = rules.permit_ttl_sec * 1000
        self._writer = writer
        self._reports = reports
        self._plan_stream = keys.plans
        self._trouble = RedisTrouble(f"Redis at {redis_address}", log)
        self._log = log
        self._times = EntryTimes(clocks, store, "apply.plan")
        self._settler = PlanSettler(
            store,
            known,
            clocks=clocks,
            rules=rules,
            on_demand=on_demand is not None,
            writer=writer,
            reports=reports,
            failures=failures,
            key_prefix=keys.prefix,
        )
        self._needs = DecisionNeeds(
            store,
            known,
            on_demand,
            ledgers_wanted,
            clocks=clocks,
            reports=reports,
        )
        self._lanes: dict[str, deque[Work]] = {}
        self._turns = SymbolTurns()
        self._holding_back = False
        self._reading = trio.CancelScope()
        self._run_id: str | None = None
        self._fence: str | None = None
        self._taking_over = trio.Lock()

    async def run(self, heartbeat: Heartbeat) -> None:
        """Answer plans until asked to stop; what is in hand then is finished."""
        had_group = False
        while not heartbeat.stopping.is_set():
            try:
                # Before all else: a plan that is published while the rest is waited for is not to be missed.
                # One that has vanished begins at the start: old plans answer themselves as expired.
                await self._store.create_plan_group(lost=had_group)
                if not had_group:
                    self._log.info(f"Consumer group: p33 on {self._plan_stream}")
                had_group = True
                fence = await lease_fence(self._known.lease, heartbeat, self._trouble)
                await self._begin()
                await self._answer(fence, heartbeat)
            except* FencedError:
                with heartbeat.waiting_for("the lease, held by another instance"):
                    await trio.sleep(_OUTAGE_PAUSE_SEC)
            except* GroupLostError:
                self._times.forget()
                self._log.warning("Consumer group lost", stream="apply.plan")
            except* REDIS_TROUBLE as trouble:
                self._trouble.begin(trouble, heartbeat)
                with heartbeat.waiting_for(self._trouble.text):
                    await trio.sleep(_OUTAGE_PAUSE_SEC)

    async def _begin(self) -> None:
        """Learn Redis's clock, whether it is the Redis that we knew, and whether it has evicted keys."""
        sent = self._clocks.now()
        run = await self._store.redis_run(self._run_id)
        self._clocks.redis.told(run.now_ms, sent, self._clocks.now())
        if run.run_id != self._run_id:
            self._times.forget()
        self._run_id = run.run_id
        recently = run.now_ms - run.changed_ms < self._permit_ttl_ms
        if recently and run.changed_ms != self._settler.redis_changed_ms:
            self._log.warning(
                "Redis is another run than before, or was emptied: opens wait for one permit TTL"
            )
        self._settler.redis_changed_ms = run.changed_ms
        if run.evicted_ms - self._settler.evicted_ms > self._permit_ttl_ms:
            self._log.warning("Redis has evicted keys: opens wait for one permit TTL")
        self._settler.evicted_ms = run.evicted_ms

    async def _take_over(self, fence: str) -> None:
        """Learn the open permits, once under each lease, then whether keys were evicted before.

        While the symbols of the exchange are not known, no order is allowed.
        """
        rules, lease = self._known.symbol_rules.value, self._known.lease.value
        if lease is not None and lease.fence == fence and lease.since is not None:
            fence = lease.since  # no other process has decided since
        if rules is None or fence == self._fence:
            return
        async with self._taking_over:
            if fence == self._fence:
                return
            stored = await self._store.open_permits(list(rules))
            await self._begin()
            self._settler.take_over(stored, self._clocks.redis_now_ms())
            self._fence = fence

    async def _answer(self, fence: str, heartbeat: Heartbeat) -> None:
        """Answer what was delivered before and not decided, then what comes; finish the lanes last."""
        self._lanes.clear()
        self._turns = SymbolTurns()
        await self._take_over(fence)
        self._times.begin()
        async with trio.open_nursery() as lanes, trio.open_nursery() as watchers:
            watchers.start_soon(self._watch_for_stop, heartbeat)
            await self._recover(fence, lanes, heartbeat)
            self._settler.all_delivered_again()
            watchers.start_soon(self._sweep, fence, lanes, heartbeat)
            reading = trio.Lock()
            with heartbeat.idle():
                async with trio.open_nursery() as readers:
                    for _ in range(_BATCHES_IN_HAND):
                        readers.start_soon(self._read, reading, fence, lanes, heartbeat)
            watchers.cancel_scope.cancel()

    async def _recover(self, fence: str, lanes: trio.Nursery, heartbeat: Heartbeat) -> None:
        """Answer what was delivered before and not decided, oldest first.

        One by one if any plan in hand has failed: the one that fails must not take others with it each time.
        """
        after, count = "0", 1 if self._failures.any else _BATCH
        while entries := await self._store.recover_plans(fence=fence, after=after, idle_ms=0, count=count):
            dated = [await self._times.recovered(entry) for entry in entries]
            await self._take(dated, fence, lanes, heartbeat)
            heartbeat.beat()
            after = entries[-1].id

    async def _watch_for_stop(self, heartbeat: Heartbeat) -> None:
        await heartbeat.stopping.wait()
        self._reading.cancel()

    async def _sweep(self, fence: str, lanes: trio.Nursery, heartbeat: Heartbeat) -> None:
        """Find what was delivered and lies idle, because a cancelled read or a dead reader swallowed it."""
        with heartbeat.strand() as strand:
            while True:
                with strand.idle():
                    await trio.sleep(_SWEEP_SEC)
                await self._begin()
                await self._take_over(fence)
                if self._holding_back:
                    continue  # what lies idle is in hand
                while entries := await self._store.recover_plans(
                    fence=fence, after="0", idle_ms=_STRANDED_AFTER_MS, count=_BATCH
                ):
                    dated = [await self._times.recovered(entry) for entry in entries]
                    await self._take(dated, fence, lanes, heartbeat)
                    strand.beat()

    async def _read(self, reading: trio.Lock, fence: str, lanes: trio.Nursery, heartbeat: Heartbeat) -> None:
        """Read a batch, let the next one be read, and settle it; again and again."""
        with heartbeat.strand() as strand:
            while True:
                with strand.idle():
                    await reading.acquire()
                try:
                    if heartbeat.stopping.is_set():
                        return
                    entries: list[Entry] = []
                    # While Redis is waited for, the first read ends that: it is not to wait for a plan.
                    sent, block_ms = self._clocks.now(), self._times.block_ms(_BLOCK_MS)
                    if self._trouble.text:
                        block_ms = 0
                    with strand.idle(), trio.CancelScope() as self._reading:
                        entries = await self._store.new_plans(count=_BATCH, block_ms=block_ms)
                    self._trouble.over()
                    entries = await self._times.delivered(entries, sent, full=len(entries) == _BATCH)
                    if not entries:
                        continue
                    batch = await self._begin_batch(entries, fence, heartbeat)
                finally:
                    reading.release()
                await self._finish_batch(batch, fence, lanes, heartbeat)

    async def _take(
        self, entries: Sequence[Entry], fence: str, lanes: trio.Nursery, heartbeat: Heartbeat
    ) -> None:
        batch = await self._begin_batch(entries, fence, heartbeat)
        await self._finish_batch(batch, fence, lanes, heartbeat)

    async def _begin_batch(self, entries: Sequence[Entry], fence: str, heartbeat: Heartbeat) -> PlanBatch:
        """Read the entries, and wait until it is their symbols' turn."""
        if not self._known.complete:
            await self._hold_back(entries[0], heartbeat)
        await self._take_over(fence)
        batch = sort_entries(entries, self._failures, _MOST_FAILURES)
        await self._turns.take(batch.symbols)
        return batch

    async def _finish_batch(
        self, batch: PlanBatch, fence: str, lanes: trio.Nursery, heartbeat: Heartbeat
    ) -> None:
        """Decide what can be decided at once; leave the rest, and what comes after it, to lanes."""
        try:
            await self._answer_without_state(batch, fence)
            works: list[Work] = []
            for work in batch.works:
                lane = self._lanes.get(work.plan.symbol)
                if lane is None:
                    works.append(work)
                else:
                    lane.append(work)
            for work in await self._settler.settle(works, fence):
                lane = self._lanes.get(work.plan.symbol)
                if lane is None:
                    lane = self._lanes[work.plan.symbol] = deque()
                    lanes.start_soon(self._run_lane, lane, work.plan.symbol, fence, heartbeat)
                lane.append(work)
        finally:
            self._turns.give_back(batch.symbols)

    async def _hold_back(self, first: Entry, heartbeat: Heartbeat) -> None:
        """Wait for what a service that has just started lacks, but not so long that plans go unanswered.

        Decided after that, they are denied for what is missing.
        """
        age_ms = self._clocks.redis_now_ms() - (first.published_ms or 0)
        self._holding_back = True
        try:
            with trio.move_on_after(max(self._patience_ms - age_ms, 0) / 1000):
                await self._known.wait_until_complete(heartbeat)
        finally:
            self._holding_back = False
        # Redis may have become another run meanwhile, and nothing was under way that would have failed.
        await self._begin()

    async def _run_lane(self, lane: deque[Work], symbol: str, fence: str, heartbeat: Heartbeat) -> None:
        """Have fetched what the first plan of a symbol needs, and decide them in order until none is left."""
        with heartbeat.strand() as strand:
            while lane:
                with self._failures.blamed_on((lane[0].entry.id,)):
                    await self._needs.provide(lane)
                works = list(lane)
                lane.clear()
                lane.extendleft(reversed(await self._settler.settle(works, fence)))
                strand.beat()
        del self._lanes[symbol]

    async def _answer_without_state(self, batch: PlanBatch, fence: str) -> None:
        """Acknowledge, set aside or deny what needs no look at any symbol."""
        for entry, error in batch.unanswerable:
            fields = dead_letter(entry.fields or {}, entry_id=entry.id, error=error)
            await self._store.bury_plan(fence, entry.id, fields)
            self._failures.done(entry.id)
            self._reports.buried(entry.id, error)
        for skipped in batch.skipped:
            self._reports.skipped(skipped)
        if batch.done:
            await self._store.acknowledge_plans(fence, batch.done)
            for entry_id in batch.done:
                self._failures.done(entry_id)
        if batch.refusals:
            await self._settler.refuse(batch.refusals, fence)
