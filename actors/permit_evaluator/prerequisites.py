"""Fetches the inputs that a decision lacks, or waits for them, before the plan's deadline."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import trio

from actors.permit_evaluator.plans import Need, WhatIsKnown, Work
from actors.permit_evaluator.reports import DecisionReports
from channels import LedgerWanted, OnDemandRead, PushBack, RulesWanted
from clocks.clocks import Clocks
from store.errors import StoreRefusedError
from store.protocol import PlanStore
from store.records import id_order

#: A push comes a few milliseconds after its fill's result, if at all; then the position is read (seconds).
_PUSHED_WITHIN_SEC = 0.1
#: A result that takes longer to be booked waits for the exchange, or fails (seconds).
BOOKED_WITHIN_SEC = 2.0
#: A result that was published before a plan is read so soon after that plan's publication, or its reader
#: hangs (ms).
READ_WITHIN_MS = 300
#: Results that are older than a plan by this much were read, or do not concern it (ms).
_LOOK_BACK_MS = 1_000

#: Of the 1.2 s that an executor waits, so many may pass before its plan is answered (seconds).
_PATIENCE_SEC = 0.9


class DecisionNeeds:
    """Part of the permit evaluator: asks the fetchers for a position, the ledger writer for a ledger and the
    planner for exchangeInfo; waits for pushes and results that are on their way."""

    def __init__(
        self,
        store: PlanStore,
        known: WhatIsKnown,
        on_demand: Callable[[str], PushBack[OnDemandRead]] | None,
        ledgers_wanted: PushBack[LedgerWanted],
        *,
        clocks: Clocks,
        reports: DecisionReports,
    ) -> None:
        """`on_demand` gives the channel of a symbol's snapshot fetcher; None when on-demand reads are off."""
        self._store = store
        self._known = known
        self._on_demand = on_demand
        self._ledgers_wanted = ledgers_wanted
        self._clocks = clocks
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
        match need:
            case Need.POSITION:
                await self._read_position(work)
            case Need.LEDGER:
                await self._have_ledger_adopted(work)
            case Need.PUSH:
                await self._await_push(work)
            case Need.RESULT:
                await self._await_result(work)
            case Need.RULES:
                await self._have_rules_read(work)

    async def _read_position(self, work: Work) -> None:
        if self._on_demand is None:
            return
        patience_sec = self._patience_sec(work)
        deadline_sec = self._clocks.now().monotonic_sec + patience_sec
        reply, answer = trio.open_memory_channel[str | None](1)
        why_not: str | None = f"no answer within {patience_sec:.1f} s"
        with trio.move_on_after(patience_sec):
            await self._on_demand(work.plan.symbol).send(
                OnDemandRead(
                    work.plan.symbol,
                    work.plan.plan_id,
                    deadline_sec,
                    reply,
                    self._known.results.latest(work.plan.symbol),
                )
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

    async def _await_push(self, work: Work) -> None:
        """Wait until the symbol's snapshot contains what results report: a moment where it can be read
        otherwise, not at all where no push can be expected."""
        patience_sec, symbol = max(_PATIENCE_SEC - self._waited_sec(work), 0), work.plan.symbol
        if self._on_demand is not None:
            follows = self._known.book.follows_stream(symbol)
            patience_sec = min(patience_sec, _PUSHED_WITHIN_SEC if follows else 0)

        def shown() -> bool:
            snapshot = self._known.book.get(symbol)
            return snapshot is not None and self._known.results.all_in(snapshot)

        with trio.move_on_after(patience_sec):
            await _until(shown, self._known.book.changed, self._known.results.changed)

    async def _await_result(self, work: Work) -> None:
        """Wait until results from before the plan are delivered, and those of its symbol booked.

        Ids of plans and results may be ahead of one another, so every result that is there by now counts.
        """
        results, symbol = self._known.results, work.plan.symbol
        if not results.unsettled(symbol, self._clocks.now(), BOOKED_WITHIN_SEC):
            look_back_ms = max(self._published_ms(work) - _LOOK_BACK_MS, 0)
            after = max(id_order(results.read_until), (look_back_ms, 0))
            with trio.move_on_after(max(READ_WITHIN_MS / 1000 - self._waited_sec(work), 0)):
                unread = None
                with suppress(StoreRefusedError):  # the ledger writer reports a stream of another type
                    unread = await self._store.unread_result(f"{after[0]}-{after[1]}")
                while unread is not None and id_order(results.read_until) < id_order(unread):
                    await results.changed()
        with trio.move_on_after(max(_PATIENCE_SEC - self._waited_sec(work), 0)):
            while results.unsettled(symbol, self._clocks.now(), BOOKED_WITHIN_SEC):
                await results.changed()

    async def _have_rules_read(self, work: Work) -> None:
        with trio.move_on_after(self._patience_sec(work)):
            self._known.rules_wanted.send(RulesWanted(f"a plan names {work.plan.symbol}"))
            await self._known.rules_asked_at.changed()

    def _patience_sec(self, work: Work) -> float:
        """What is left of it, or a last third."""
        return max(_PATIENCE_SEC - self._waited_sec(work), _PATIENCE_SEC / 3)

    def _waited_sec(self, work: Work) -> float:
        """Return the time since the plan was published (seconds, by Redis's clock)."""
        return max(self._clocks.redis_now_ms() - self._published_ms(work), 0) / 1000

    def _published_ms(self, work: Work) -> int:
        """Return when the plan was published (Redis's clock); where that is unknown, long ago."""
        return work.entry.published_ms or 0


async def _until(true: Callable[[], bool], *changes: Callable[[], Awaitable[None]]) -> None:
    """Wait for `true`, which is looked at after each change.

    Each change has a task that looks and parks without a pause between, so that no change is missed.
    """

    async def follow(changed: Callable[[], Awaitable[None]]) -> None:
        while not true():
            await changed()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for changed in changes:
            nursery.start_soon(follow, changed)
