"""Facts of one judgement, derived from its case for the checks."""

from __future__ import annotations

from decimal import Decimal

from brain.governor.case import EquityView, ExposureView, GovernorCase, NeighbourView
from brain.governor.efficiency import MISSING, EfficiencyHint, efficiency_hint
from brain.governor.kill_score import Cutoffs, KillStats, cutoffs, is_warm, observe, z_of
from brain.governor.rules import GovernorRules
from brain.numbers import ZERO
from brain.plans.permit import Kind

#: Bound once: up to Python 3.11, access to an enum member costs as much as ten attributes.
_OPEN, _ADD = Kind.OPEN, Kind.ADD


def is_entry(kind: Kind) -> bool:
    """Return True for opens and adds."""
    return kind is _OPEN or kind is _ADD


def account_cutoffs(
    rules: GovernorRules, equity: EquityView | None, exposure: ExposureView | None, neighbours: NeighbourView
) -> Cutoffs | None:
    """Return the cut-offs of the account; None while its equity is unknown, too old or not above zero.

    The heat of another service, where it is the source, replaces our own.
    """
    if equity is None or not equity.age_sec <= rules.equity_max_age_sec or equity.equity <= ZERO:
        return None
    heat, owned = neighbours.external_heat, float(equity.equity)
    if heat is None:
        if exposure is None:
            return None
        heat = float(exposure.positions_notional) / owned
    return cutoffs(rules, portfolio_heat=heat, equity=owned, peak=float(equity.peak))


class Facts:
    """Case with derived values.

    `stats`: with this observation, None without one; `z` and `cutoff` are None where there is no verdict.
    `equity` is None while it is unknown or too old. The checks set `exit_blocked_since_ms` and
    `exit_block_expired`; `warnings` are for the log.
    """

    __slots__ = (
        "case",
        "cutoff",
        "entry",
        "equity",
        "exit_block_expired",
        "exit_blocked_since_ms",
        "hint",
        "notional",
        "plan",
        "rules",
        "stats",
        "warm",
        "warnings",
        "z",
    )

    def __init__(self, case: GovernorCase) -> None:
        self.case, self.plan, self.rules = case, case.plan, case.rules
        rules, score = case.rules, case.kill_score
        self.entry = is_entry(case.kind)
        equity = case.equity
        self.equity = None if equity is None or not equity.age_sec <= rules.equity_max_age_sec else equity
        self.notional: Decimal | None = None if case.mark_price is None else case.quantity * case.mark_price
        self.hint: EfficiencyHint = MISSING
        if self.entry:
            self.hint = efficiency_hint(case.neighbours.efficiency, rules)
        self.stats: KillStats | None = None
        self.z: float | None = None
        self.cutoff: float | None = None
        self.warm = is_warm(case.stats, case.now_ms, rules)
        if score is not None and (case.observed or case.was_observed):
            observed = case.stats
            if case.observed:
                at_ms = case.now_ms if case.entry_ms is None else case.entry_ms
                self.stats = observed = observe(case.stats, score, alpha=rules.z_alpha, ts_ms=at_ms)
            if self.warm and observed is not None:
                self.z = z_of(observed, score)
                if self.entry or rules.z_exit_base is not None:
                    both = account_cutoffs(rules, case.equity, case.exposure, case.neighbours)
                    if both is not None:
                        self.cutoff = both.entry if self.entry else both.exit
        self.exit_blocked_since_ms = case.counts.exit_blocked_since_ms
        self.exit_block_expired = False
        self.warnings: tuple[str, ...] = ()
        if case.kill_score_problem and not self.entry:
            self.warnings = (f"kill_score ignored: {case.kill_score_problem}",)

    @property
    def judged_equity(self) -> EquityView:
        """Return the equity, for checks behind that of the portfolio's state."""
        if self.equity is None:
            raise LookupError("no check has found the equity yet")
        return self.equity

    @property
    def exposure(self) -> ExposureView:
        """Return the exposure, for checks behind that of the portfolio's state."""
        if self.case.exposure is None:
            raise LookupError("no check has found the exposure yet")
        return self.case.exposure

    @property
    def order_notional(self) -> Decimal:
        """Return the order's notional, for checks behind that of the portfolio's state."""
        if self.notional is None:
            raise LookupError("no check has found the mark price yet")
        return self.notional
