"""Cases of plans: all inputs of their judgements, off the state as last read and the account now."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from actors.governor.account import AccountView
from actors.governor.errors import ErrorCount
from actors.governor.plans import GovernedPlan
from actors.governor.positions import AccountPositions, mark_of
from actors.governor.rules import GovernorActorRules
from actors.governor.state import GovernedState
from brain.governor import inputs
from brain.governor.case import CountsView, GovernorCase, NeighbourView
from brain.governor.facts import is_entry
from brain.governor.kill_score import KillStats
from brain.governor.plan_inputs import planned_order, read_leverage
from brain.identifiers import Symbol
from brain.moment import Moment
from brain.plans.plan import Plan
from brain.positions.position import Leg
from channels import LatestValue
from store.governor_records import GovernedSymbol

_BLOCKED_SINCE = 4
_NO_NEIGHBOURS = NeighbourView()
#: Far above the symbols of the exchange, with two evaluation types each.
_MOST_STATS = 10_000


class RedisChanges(msgspec.Struct):
    """First sight of a new run of Redis, and of evicted keys (Redis's clock, ms); 0: never."""

    redis_changed_ms: int = 0
    evicted_ms: int = 0


class PlanCase(NamedTuple):
    """A plan's case; its order's leg, None while unknown; its evaluation type in the statistics."""

    case: GovernorCase
    leg: Leg | None
    observed_as: str


class CaseMaking:
    """Makes cases. What no rule of a close reads is left out of its case: nothing there can stop it."""

    def __init__(
        self,
        state: GovernedState,
        positions: AccountPositions,
        hedge_mode: LatestValue[bool],
        changes: RedisChanges,
        errors: ErrorCount,
        rules: GovernorActorRules,
    ) -> None:
        self._state = state
        self._positions = positions
        self._hedge_mode = hedge_mode
        self._changes = changes
        self._errors = errors
        self._rules = rules.rules
        self._key_prefix = rules.key_prefix
        self._external_heat = rules.external_heat
        self._needs_heat = rules.rules.z_exit_base is not None
        #: By symbol and evaluation type: statistics as stored, and as read.
        self._stats: dict[tuple[Symbol, str], tuple[inputs.Texts, KillStats | None, bool]] = {}

    def case(
        self, governed: GovernedPlan, plan: Plan, account: AccountView, now: Moment, now_ms: int
    ) -> PlanCase:
        """Return the case of a plan at `now`, which is `now_ms` by Redis's clock."""
        state, changes = self._state, self._changes
        stored, facts = state.symbols[plan.symbol], state.facts
        legs, snapshot = self._positions.fresh_legs(plan.symbol, now)
        order = planned_order(plan, legs, hedge_mode=self._hedge_mode.value)
        enters, entry_ms = is_entry(order.kind), governed.entry.published_ms
        observed_as = "entry" if enters else "exit"
        exposure = None
        known = account.held is not None and state.countable and stored.countable
        if account.held is not None and known and (enters or self._needs_heat):
            exposure = state.entries.exposure(account.held, plan.symbol, now_ms)
        case = GovernorCase(
            plan=plan,
            kind=order.kind,
            kind_known=order.kind_known,
            quantity=order.quantity,
            mark_price=mark_of(snapshot, now),
            leverage=read_leverage(governed.fields),
            kill_score=governed.score.value,
            kill_score_problem=governed.score.problem,
            stats=self.stats(plan.symbol, stored, observed_as)[0],
            observed=governed.observed and not governed.was_observed,
            was_observed=governed.observed and governed.was_observed,
            unreadable=self._unreadable(plan.symbol, stored) if enters else (),
            # The estimate of Redis's clock may be a round trip behind.
            entry_ms=None if entry_ms is None else min(entry_ms, now_ms),
            now_ms=now_ms,
            redis_changed_ms=changes.redis_changed_ms,
            evicted_ms=changes.evicted_ms,
            trading_state=facts.trading_state,
            kill_switch=facts.kill_switch,
            book_trusted=account.believed,
            equity=account.equity,
            exposure=exposure,
            counts=_counts(stored, now_ms),
            neighbours=self._neighbours(stored, now_ms, of_entry=enters),
            errors_5min=self._errors.within(now_ms),
            disarmed_today=facts.disarmed,
            rules=self._rules,
            key_prefix=self._key_prefix,
        )
        return PlanCase(case, order.leg, observed_as)

    def _unreadable(self, symbol: Symbol, stored: GovernedSymbol) -> tuple[str, ...]:
        window = () if stored.countable else (f"window:{symbol}",)
        return (*self._state.unreadable_grants, *window)

    def stats(self, symbol: Symbol, stored: GovernedSymbol, name: str) -> tuple[KillStats | None, bool]:
        """Return a symbol's statistics, `entry` or `exit`, and whether there are some that cannot be read."""
        texts = stored.entry if name == "entry" else stored.exit
        known = self._stats.get((symbol, name))
        if known is None or known[0] is not texts:
            if len(self._stats) > _MOST_STATS:
                self._stats.clear()
            stats, unreadable = inputs.read_stats(texts)
            known = self._stats[symbol, name] = texts, stats, unreadable
        return known[1], known[2]

    def observed(self, symbol: Symbol, name: str, texts: inputs.Texts, stats: KillStats) -> None:
        """Note statistics as they will be stored."""
        self._stats[symbol, name] = texts, stats, False

    def _neighbours(self, stored: GovernedSymbol, now_ms: int, *, of_entry: bool) -> NeighbourView:
        facts, heat = self._state.facts, None
        if self._external_heat:
            heat = inputs.read_heat(self._state.heat)
        if not of_entry:
            return _NO_NEIGHBOURS if heat is None else NeighbourView(external_heat=heat)
        return NeighbourView(
            frozen=facts.frozen,
            blacklisted=stored.blacklisted,
            guards=facts.guards,
            budget_usd=inputs.enforced_budget(stored.budget, now_ms).amount,
            target_usd=inputs.enforced_target(stored.allocation, now_ms).amount,
            efficiency=inputs.read_efficiency(stored.efficiency, now_ms),
            external_heat=heat,
        )


def _counts(stored: GovernedSymbol, now_ms: int) -> CountsView:
    blocked_since = stored.exit[_BLOCKED_SINCE] if len(stored.exit) > _BLOCKED_SINCE else None
    return inputs.counts_of(stored.window, stored.opened, stored.last_exec, blocked_since, now_ms)
