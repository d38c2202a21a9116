"""The Governor: judges plans by limits, kill score and switches, and settles what it granted by results."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from actors.governor.cases import RedisChanges
from actors.governor.equity_keeper import EquityKeeper
from actors.governor.judge import PlanJudge
from actors.governor.positions import AccountPositions
from actors.governor.reports import GovernorReports
from actors.governor.settler import ResultSettler
from actors.governor.state import GovernedState
from actors.governor.sweep import GovernorSweep
from actors.stream_consumer import Session
from clocks.clocks import Clocks
from store.governor_protocol import GovernorStore
from supervision import Heartbeat

Work = Callable[[Heartbeat], Awaitable[None]]


class Governor:
    """Tasks around one state: the judge of plans, the settler of results, and the account's equity.

    Judgements wait for Redis and the lease alone; whatever else is missing is missing in them.
    """

    def __init__(
        self,
        store: GovernorStore,
        state: GovernedState,
        judge: PlanJudge,
        settler: ResultSettler,
        equity: EquityKeeper,
        positions: AccountPositions,
        sweep: GovernorSweep,
        changes: RedisChanges,
        reports: GovernorReports,
        *,
        tag: str,
        clocks: Clocks,
    ) -> None:
        """`tag`: the build, for the log. `changes` outlives the actor."""
        self._store = store
        self._state = state
        self._judge = judge
        self._settler = settler
        self._equity = equity
        self._positions = positions
        self._sweep = sweep
        self._changes = changes
        self._reports = reports
        self._tag = tag
        self._clocks = clocks
        self._run_id: str | None = None
        judge.on_begin = self._begin
        judge.on_sweep = self._swept

    async def run(self, heartbeat: Heartbeat) -> None:
        """Judge and settle until asked to stop; what is in hand then is finished."""
        self._reports.begun(self._tag)
        async with trio.open_nursery() as background:
            for work in (self._positions.watch, self._equity.read, self._equity.follow):
                background.start_soon(self._in_task, work, heartbeat)
            async with trio.open_nursery() as readers:
                readers.start_soon(self._settle, heartbeat)
                await self._judge.run(heartbeat)
            background.cancel_scope.cancel()

    async def _settle(self, heartbeat: Heartbeat) -> None:
        with heartbeat.task() as task:
            await self._settler.run(task)

    async def _in_task(self, work: Work, heartbeat: Heartbeat) -> None:
        with heartbeat.task() as task:
            await work(task)

    async def _begin(self, _session: Session) -> None:
        """Learn Redis's run; nothing of what was known under another lease counts."""
        await self._learn_run()
        async with self._state.lock:
            self._state.drop()

    async def _swept(self, session: Session) -> None:
        await self._learn_run()
        await self._sweep.sweep(session.fence, session.heartbeat)

    async def _learn_run(self) -> None:
        """Learn Redis's clock, whether it is the same run of Redis, and whether it has evicted keys."""
        sent = self._clocks.now()
        run = await self._store.governor_run(self._run_id)
        self._clocks.redis.observe(run.now_ms, sent, self._clocks.now())
        if run.run_id != self._run_id:
            self._judge.times.forget()
            self._settler.times.forget()
            async with self._state.lock:
                self._state.drop()
        self._run_id = run.run_id
        self._changes.redis_changed_ms = run.changed_ms
        self._changes.evicted_ms = run.evicted_ms
