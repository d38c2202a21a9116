"""Judges every plan, in the order of the stream, and writes the judgements of a batch in one step."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from structlog.typing import FilteringBoundLogger

from actors.governor.account import account_view
from actors.governor.equity_keeper import EquityKeeper
from actors.governor.plans import GovernedPlan, sort_entries
from actors.governor.positions import AccountPositions
from actors.governor.proposals import PlanJudging, Proposal
from actors.governor.reports import GovernorReports
from actors.governor.state import GovernedState
from actors.one_player import OnePlayer
from actors.stream_consumer import Batch, FailureCounter, Session, StreamConsumer
from brain.governor import inputs
from brain.governor.facts import is_entry
from brain.identifiers import EntryId, FencingToken, PlanId
from brain.plans.shared_plans import SharedPlans, read_alone
from brain.symbols.symbol_rules import SymbolRules
from channels import LatestValue, Lease
from clocks.clocks import Clocks
from store.governor_protocol import GovernorStore

BATCH = 64
#: One is read while the other is written; they are judged one after the other.
_READERS = 2


class PlanJudge(StreamConsumer):
    """Judges plans while this instance holds the lease. It waits for nothing but that and Redis."""

    on_begin: Callable[[Session], Awaitable[None]]
    on_sweep: Callable[[Session], Awaitable[None]]

    def __init__(
        self,
        store: GovernorStore,
        lease: LatestValue[Lease],
        failures: FailureCounter,
        state: GovernedState,
        judging: PlanJudging,
        positions: AccountPositions,
        equity: EquityKeeper,
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        reports: GovernorReports,
        *,
        clocks: Clocks,
        one_player: OnePlayer | None,
        log: FilteringBoundLogger,
        shared: SharedPlans | None = None,
    ) -> None:
        """`failures` outlives the actor. `shared`: plans that another role reads, too."""
        super().__init__(
            store.judged_plans, store, lease, failures, clocks=clocks, log=log,
            batch=BATCH, readers=_READERS, one_player=one_player,
        )  # fmt: skip
        self._store = store
        self._state = state
        self._judging = judging
        self._positions = positions
        self._equity = equity
        self._symbol_rules = symbol_rules
        self._reports = reports
        self._plan_of = read_alone if shared is None else shared.read
        self._ages_sec: dict[str, float] = {}

    async def begin(self, session: Session) -> None:
        """Let the actor prepare a session."""
        await self.on_begin(session)

    async def sweep(self, session: Session) -> None:
        """Let the actor do what is due each second."""
        await self.on_sweep(session)

    async def handle(self, batch: Batch) -> None:
        """Judge the batch behind the one that was read before it."""
        if not batch.entries:
            return
        async with self._state.lock:
            batch.read_on()
            entries = sort_entries(batch.entries, self.failures, self._symbol_rules.value, self._plan_of)
            for entry_id, error in entries.unanswerable:
                self._log.warning("Plan without a usable id", entry_id=entry_id, error=error)
            with self._state.dropped_on_error():
                pending = deque(entries.pending)
                while pending:
                    for _ in range(await self._judge(pending, batch.fence)):
                        pending.popleft()
                if entries.done:
                    await self.group.acknowledge(batch.fence, entries.done)
            for entry_id in entries.done:
                self.failures.done(entry_id)

    async def _judge(self, pending: deque[GovernedPlan], fence: FencingToken) -> int:
        """Judge plans, each on the state that those before it leave, and write them.

        Returns the number of those that are written or were decided before. The rest is judged again.
        """
        symbols = {each.symbol for each in pending if each.symbol is not None}
        await self._state.provide(symbols, self._clocks.redis_now_ms())
        now = self._clocks.now()
        now_ms = self._clocks.redis.now_ms(now)
        account = account_view(self._positions, self._equity, now, now_ms)
        self._discount_shown()
        version = self._state.next_version(fence, now_ms)
        proposals: list[Proposal] = []
        proposed: set[PlanId] = set()
        judged: list[EntryId] = []
        with self.failures.attributed_to(judged):
            for governed in pending:
                # A plan that was published twice is judged once: the second finds its mark.
                if governed.plan_id in proposed:
                    break
                proposed.add(governed.plan_id)
                judged[:] = (governed.entry.id,)
                proposals.append(self._judging.propose(governed, account, version, now, now_ms))
        commits = [each.commit for each in proposals]
        sent = self._clocks.now()
        with self.failures.attributed_to([commit.entry_id for commit in commits]):
            reply = await self._store.judge_plans(fence, commits)
        self._clocks.redis.observe(reply.now_ms, sent, self._clocks.now())
        return self._learn(proposals, reply.verdicts, reply.now_ms)

    def _learn(self, proposals: list[Proposal], verdicts: tuple[str, ...], now_ms: int) -> int:
        committed: list[Proposal] = []
        dealt_with = 0
        as_proposed = len(verdicts) == len(proposals)
        for proposal, verdict in zip(proposals, verdicts, strict=False):
            if verdict == "committed":
                committed.append(proposal)
                # The mark of an auto-disarm has Redis's time.
                as_proposed = as_proposed and proposal.commit.disarm is None
            else:
                as_proposed = False
                if verdict == "observed":
                    proposal.governed.was_observed = True
                    break
                if verdict != "decided":
                    proposal.governed.attempts += 1
                    break
            self.failures.done(proposal.governed.entry.id)
            dealt_with += 1
        if not as_proposed:
            self._state.drop()
        elif any(each.commit.basis is not None and not each.commit.basis.part for each in committed):
            self._state.confirmed()
        self._note_neighbours(committed)
        self._reports.judged(committed, now_ms)
        return dealt_with

    def neighbours_age_sec(self) -> dict[str, float]:
        """Return the ages of other services' inputs, as the latest judgement of an open met them."""
        return self._ages_sec

    def _note_neighbours(self, committed: list[Proposal]) -> None:
        for proposal in committed:
            case, basis = proposal.case, proposal.commit.basis
            if case is None or basis is None or not is_entry(case.kind):
                continue
            found = {
                "budget": inputs.enforced_budget(basis.symbol.budget, case.now_ms).age_sec,
                "allocation": inputs.enforced_target(basis.symbol.allocation, case.now_ms).age_sec,
                "efficiency": None
                if case.neighbours.efficiency is None
                else case.neighbours.efficiency.age_sec,
            }
            self._ages_sec = {name: age_sec for name, age_sec in found.items() if age_sec is not None}

    def _discount_shown(self) -> None:
        """Count settled fills no longer that a snapshot shows: the position counts instead."""
        entries = self._state.entries
        for plan_id, grant in list(entries.filled.items()):
            if grant.filled_ms is not None and self.is_shown(grant.symbol, grant.filled_ms):
                entries.discount(plan_id)

    def is_shown(self, symbol: str, filled_ms: int) -> bool:
        """Return True if the symbol's snapshot was true later than a time of Redis's clock."""
        verified_at = self._positions.verified_at(symbol)
        return verified_at is not None and self._clocks.redis.now_ms(verified_at) > filled_ms
