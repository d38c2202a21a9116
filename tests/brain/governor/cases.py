"""Cases of the Governor in which everything is granted, and what tests change in them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from brain.execution.switches import TradingState
from brain.governor.case import CountsView, EquityView, ExposureView, GovernorCase, NeighbourView
from brain.governor.grants import Grant
from brain.governor.judging import judge
from brain.governor.kill_score import KillStats
from brain.governor.rules import GovernorRules
from brain.identifiers import PlanId, Symbol
from brain.plans.permit import Kind
from brain.plans.plan import Plan
from brain.positions.position import Leg
from tests.brain.cases import NOW_MS, entry, plan

#: The defaults of the settings.
RULES = GovernorRules(
    max_exec_per_hour=3,
    max_exec_per_5min=2,
    max_open_positions=10,
    max_notional_per_trade=Decimal(200),
    max_total_notional=Decimal(2000),
    symbol_cooldown_sec=60.0,
    max_open_notional_per_day=None,
    kill_score_critical=0.8,
    kill_score_open_threshold=0.6,
    kill_score_open_qty_scale_alpha=2.0,
    kill_score_open_min_scale=0.25,
    z_alpha=0.1,
    z_warmup=20,
    z_max_age_sec=86_400.0,
    z_entry_base=1.0,
    z_entry_heat=0.5,
    z_entry_drawdown=0.3,
    z_exit_base=None,
    z_exit_heat=0.0,
    z_exit_drawdown=0.0,
    exit_block_max_sec=60.0,
    max_heat=2.0,
    warmup_blocks_entries=False,
    require_kill_score=False,
    max_daily_loss=Decimal("0.025"),
    max_drawdown=Decimal("0.08"),
    max_leverage=Decimal(10),
    equity_max_age_sec=60.0,
    auto_disarm=True,
    disarm_on_burst_breach=True,
    disarm_on_error_count=5,
    min_confidence=0.65,
    downsize_threshold=0.45,
    min_factor=0.25,
    max_extra_cooldown_sec=120.0,
    efficiency_ttl_sec=600.0,
    plan_max_age_sec=30.0,
    stale_threshold_sec=10.0,
    permit_ttl_sec=60.0,
    p33_permit_ttl_sec=60.0,
    decision_ttl_sec=86_400.0,
    execution_grace_sec=30.0,
)
EQUITY = EquityView(Decimal(1000), Decimal(1000), Decimal(1000), 1.0)
EXPOSURE = ExposureView(0, False, Decimal(0), Decimal(0), Decimal(0))
COUNTS = CountsView(0, 0, Decimal(0), None)
#: Warm statistics of a usual score of 0.3 with a standard deviation of 0.1.
WARM = KillStats(100, 0.3, 0.01, NOW_MS - 10_000)
MARK = Decimal(60_000)


def rules(**changes: Any) -> GovernorRules:
    """The defaults with `changes`."""
    return msgspec.structs.replace(RULES, **changes)


def opening(**changes: Any) -> GovernorCase:
    """A plan to open 0.001 BTC at 60 000 (60 USDT) that is granted. `rules` may be a dict of changes."""
    the_plan = changes.pop("plan", None) or entry(quantity="0.001")
    return _case(the_plan, Kind.OPEN, Decimal("0.001"), changes)


def adding(**changes: Any) -> GovernorCase:
    """A plan to add 0.001 BTC to a position of 0.002 that is granted."""
    held = Decimal(120)
    changes.setdefault("exposure", ExposureView(1, True, held, held, held))
    return _case(changes.pop("plan", None) or entry(quantity="0.001"), Kind.ADD, Decimal("0.001"), changes)


def closing(**changes: Any) -> GovernorCase:
    """A full close of 0.038 BTC that is granted, with no input but plan, trading state and Redis's clock."""
    missing = {
        "mark_price": None,
        "book_trusted": False,
        "equity": None,
        "exposure": None,
        "kill_score": None,
        "stats": None,
        "kind_known": False,
    }
    kind = changes.pop("kind", Kind.CLOSE)
    return _case(changes.pop("plan", None) or plan(), kind, Decimal("0.038"), missing | changes)


def scored(score: float | None, case: GovernorCase | None = None, **changes: Any) -> GovernorCase:
    """The case, an opening by default, with a kill score and warm statistics."""
    return msgspec.structs.replace(
        case or opening(),
        **{"kill_score": score, "stats": WARM, "equity": EQUITY, "exposure": EXPOSURE} | changes,
    )


def grant(**changes: Any) -> Grant:
    """A live grant of an open of 0.001 BTC at 60 000, given a second ago."""
    usual = Grant(
        plan_id=PlanId("granted"),
        symbol=Symbol("BTCUSDT"),
        kind=Kind.OPEN,
        leg=Leg.BOTH,
        quantity=Decimal("0.001"),
        notional=Decimal(60),
        granted_ms=NOW_MS - 1000,
        ends_ms=NOW_MS + 89_000,
        mark=MARK,
    )
    return msgspec.structs.replace(usual, **changes)


def refusal(case: GovernorCase) -> str:
    """The reason of a refusal, empty for a grant; a refusal names what it compared."""
    judgement = judge(case)
    assert judgement.granted or judgement.details
    return "" if judgement.granted else judgement.reason


def counts(**changes: Any) -> CountsView:
    """Counts of nothing, with `changes`."""
    return msgspec.structs.replace(COUNTS, **changes)


def exposure(**changes: Any) -> ExposureView:
    """An account without positions, with `changes`."""
    return msgspec.structs.replace(EXPOSURE, **changes)


def equity(value: str, **changes: Any) -> EquityView:
    """An equity of `value`; its peak and the day's first are 1 000."""
    return msgspec.structs.replace(EQUITY, equity=Decimal(value), **changes)


def _case(the_plan: Plan, kind: Kind, quantity: Decimal, changes: dict[str, Any]) -> GovernorCase:
    changed_rules = changes.pop("rules", {})
    usual = GovernorCase(
        plan=the_plan,
        kind=kind,
        kind_known=True,
        quantity=quantity,
        mark_price=MARK,
        leverage=None,
        kill_score=0.3,
        kill_score_problem="",
        stats=WARM,
        observed=True,
        entry_ms=NOW_MS - 100,
        now_ms=NOW_MS,
        redis_changed_ms=0,
        evicted_ms=0,
        trading_state=TradingState.ACTIVE,
        kill_switch=False,
        book_trusted=True,
        equity=EQUITY,
        exposure=EXPOSURE,
        counts=COUNTS,
        neighbours=NeighbourView(),
        errors_5min=0,
        disarmed_today=False,
        rules=changed_rules if isinstance(changed_rules, GovernorRules) else rules(**changed_rules),
    )
    return msgspec.structs.replace(usual, **changes)
