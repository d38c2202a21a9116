"""Has what a decision hangs on fetched, within what is left of its plan's patience."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from actors.decision_reports import DecisionReports
from actors.plan_work import Need, Work
from actors.redis_clock import RedisClock
from channels import LedgerWanted, OnDemandRead, PushBack
from clock import Clock

#: Of the 1.2 s that an executor waits, so many may pass before its plan is answered (seconds).
_PATIENCE_SEC = 0.9


class DecisionNeeds:
    """Part of the permit evaluator: asks the fetchers for a position, and the ledger writer for a ledger."""

    def __init__(
        self,
        on_demand: Callable[[str], PushBack[OnDemandRead]] | None,
        ledgers_wanted: PushBack[LedgerWanted],
        *,
        clock: Clock,
        redis_clock: RedisClock,
        reports: DecisionReports,
    ) -> None:
        """`on_demand` gives the channel of a symbol's snapshot fetcher; None when on-demand reads are off."""
        self._on_demand = on_demand
        self._ledgers_wanted = ledgers_wanted
        self._clock = clock
        self._redis_clock = redis_clock
        self._reports = reports

    async def provide(self, lane: Sequence[Work]) -> None:
        """Have fetched what the first of the lane's plans needs. All are of one symbol.

        One attempt serves all the plans that wait for it: where it fails, none of them tries again.
        """
        work = lane[0]
        if (need := work.need) is None:
            return
        for each in lane:
            each.need, each.tried = None, each.tried | {need}
        if need is Need.POSITION:
            await self._read_position(work)
        else:
            await self._have_ledger_adopted(work)

    async def _read_position(self, work: Work) -> None:
        if self._on_demand is None:
            return
        patience_sec = self._patience_sec(work)
        deadline_sec = self._clock.now().monotonic_sec + patience_sec
        reply, answer = trio.open_memory_channel[str | None](1)
        why_not: str | None = f"no answer within {patience_sec:.1f} s"
        with trio.move_on_after(patience_sec):
            await self._on_demand(work.plan.symbol).send(
                OnDemandRead(work.plan.symbol, work.plan.plan_id, deadline_sec, reply)
            )
            why_not = await answer.receive()
        self._reports.read_on_demand(work.plan, why_not)

    async def _have_ledger_adopted(self, work: Work) -> None:
        reply, answer = trio.open_memory_channel[bool](1)
        adopted = False
        with trio.move_on_after(self._patience_sec(work)):
            await self._ledgers_wanted.send(LedgerWanted(work.plan.symbol, reply))
            adopted = await answer.receive()
        if not adopted:
            self._reports.no_ledger(work.plan)

    def _patience_sec(self, work: Work) -> float:
        """What is left of it, or a last third."""
        now_ms = self._redis_clock.now_ms(self._clock.now().monotonic_sec)
        waited_sec = max(now_ms - work.entry.published_ms, 0) / 1000
        return max(_PATIENCE_SEC - waited_sec, _PATIENCE_SEC / 3)
