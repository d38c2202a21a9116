"""Makes the Governor with its parts."""

from __future__ import annotations

from collections.abc import Iterator

from structlog.typing import FilteringBoundLogger

from actors.governor.actor import Governor
from actors.governor.cases import CaseMaking, RedisChanges
from actors.governor.changes import GrantChanges
from actors.governor.equity_keeper import EquityKeeper
from actors.governor.errors import ErrorCount
from actors.governor.judge import PlanJudge
from actors.governor.positions import AccountPositions
from actors.governor.proposals import PlanJudging
from actors.governor.reports import GovernorReports
from actors.governor.rules import GovernorActorRules
from actors.governor.settler import ResultSettler
from actors.governor.state import GovernedState
from actors.governor.sweep import GovernorSweep
from actors.one_player import OnePlayer
from actors.stream_consumer import FailureCounter
from brain.identifiers import PlanId
from brain.plans.shared_plans import SharedPlans
from channels import Channels
from clocks.clocks import Clocks
from exchange.protocol import AccountLookup
from monitoring.recent_judgements import RecentJudgements
from monitoring.service_log import build_tag
from store.governor_protocol import GovernorStore
from store.protocol import ConsumerGroup

#: Of its child spec: a write of Redis that is under way.
GOVERNOR_GRACE_SEC = 1.5


class GovernorMaking:
    """Makes Governors, every incarnation anew. Failures and counts of errors outlive an incarnation."""

    def __init__(
        self,
        channels: Channels,
        store: GovernorStore,
        exchange: AccountLookup,
        recent: RecentJudgements,
        *,
        clocks: Clocks,
        rules: GovernorActorRules,
        log: FilteringBoundLogger,
        shared: SharedPlans | None = None,
    ) -> None:
        """`channels` are those of a service with a Governor. Raises ValueError for others."""
        if channels.governor is None or channels.balances is None:
            raise ValueError("the channels of the Governor were not made")
        self._channels = channels
        self._shown, self._balances = channels.governor, channels.balances
        self._store = store
        self._exchange = exchange
        self._recent = recent
        self._clocks = clocks
        self._rules = rules
        self._log = log
        self._shared = shared
        self._plan_failures, self._result_failures = FailureCounter(), FailureCounter()
        self._errors, self._redis_changes = ErrorCount(), RedisChanges()

    def governor(self) -> Governor:
        """Return a new Governor."""
        channels, store, rules, clocks, log = (
            self._channels, self._store, self._rules, self._clocks, self._log,
        )  # fmt: skip
        state = GovernedState(store, shadow=rules.shadow)
        changes = GrantChanges(store, state)
        positions = AccountPositions(
            channels.book,
            channels.results,
            channels.symbol_rules,
            channels.never_read,
            stale_threshold_sec=rules.stale_threshold_sec,
            clock=clocks,
        )
        equity = EquityKeeper(
            store,
            self._exchange,
            self._balances,
            channels.lease,
            channels.ban_recalled,
            every_sec=rules.equity_sec,
            clocks=clocks,
            log=log,
        )
        cases = CaseMaking(state, positions, channels.hedge_mode, self._redis_changes, self._errors, rules)
        reports = GovernorReports(channels.metrics, channels.symbol_rules, self._recent, rules, log)
        judge = PlanJudge(
            store,
            channels.lease,
            self._plan_failures,
            state,
            PlanJudging(state, cases, rules),
            positions,
            equity,
            channels.symbol_rules,
            reports,
            clocks=clocks,
            one_player=self._one_player(store.judged_plans),
            log=log,
            shared=self._shared,
        )
        settler = ResultSettler(
            store,
            channels.lease,
            self._result_failures,
            state,
            changes,
            self._errors,
            rules,
            clocks=clocks,
            one_player=self._one_player(store.settled_results),
            log=log,
        )
        return Governor(
            store,
            state,
            judge,
            settler,
            equity,
            positions,
            GovernorSweep(
                state,
                changes,
                judge,
                settler,
                positions,
                equity,
                self._shown,
                reports,
                rules,
                undecided=self._undecided,
                clocks=clocks,
            ),
            self._redis_changes,
            reports,
            tag=build_tag(),
            clocks=clocks,
        )

    def _undecided(self) -> Iterator[PlanId]:
        """Yield plans of which neither the own executor nor a result says whether they were executed."""
        own = self._channels.open_executions
        for each in (own.value if own is not None else None) or ():
            yield each.plan_id
        for outcome in self._channels.unknown_executions.value or ():
            yield outcome.plan_id

    def _one_player(self, group: ConsumerGroup) -> OnePlayer | None:
        """Return the wait for another player; a shadow works beside one, in a group of its own."""
        if self._rules.shadow:
            return None
        return OnePlayer(group, "Governor", take_over=self._rules.take_over, log=self._log)
