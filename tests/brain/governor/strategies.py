"""Cases of the Governor drawn at random, most of them near a limit.

Strategies are made once: one that is made inside of another is looked through anew for every example.
"""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from brain.execution.switches import TradingState
from brain.governor.case import CountsView, Efficiency, EquityView, ExposureView, GovernorCase, NeighbourView
from brain.governor.kill_score import KillStats
from brain.governor.reasons import GUARDS
from brain.plans.permit import Kind
from brain.plans.plan import Side
from tests.brain.cases import NOW_MS, entry, plan
from tests.brain.governor.cases import opening, rules

money = st.decimals("0", "3000", places=2)
scores = st.floats(0, 1)
ages_sec = st.sampled_from([0.0, 1.0, 60.0, 60.5, 1e6])
times_ms = st.sampled_from([0, NOW_MS - 90_000, NOW_MS - 1000, NOW_MS])

equities = st.builds(EquityView, money, money, money, ages_sec)
exposures = st.builds(ExposureView, st.integers(0, 12), st.booleans(), money, money, money)
counts = st.builds(
    CountsView,
    st.integers(0, 5),
    st.integers(0, 5),
    money,
    st.none() | st.integers(NOW_MS - 100_000, NOW_MS + 1000).map(lambda ms: Decimal(ms).scaleb(-3)),
    st.none() | st.integers(NOW_MS - 100_000, NOW_MS),
)
efficiencies = st.builds(Efficiency, scores, scores, ages_sec)
neighbours = st.builds(
    NeighbourView,
    st.booleans(),
    st.booleans(),
    st.lists(st.sampled_from(GUARDS), unique=True).map(tuple),
    st.none() | money,
    st.none() | money,
    st.none() | efficiencies,
    st.none() | st.floats(0, 5),
)
statistics = st.builds(
    KillStats, st.integers(1, 40), scores, st.floats(0, 0.1), st.sampled_from([NOW_MS, NOW_MS - 10**8])
)
plans_by_kind = {
    Kind.OPEN: entry(quantity="0.001"),
    Kind.ADD: entry(quantity="0.001"),
    Kind.CLOSE: plan(),
    Kind.NONE: plan(action="UPDATE_SL", side=Side.SELL, quantity=None, reduce_only=None),
}


rule_sets = st.builds(
    rules,
    z_exit_base=st.none() | st.floats(-1, 3),
    z_exit_heat=st.floats(-1, 1),
    warmup_blocks_entries=st.booleans(),
    require_kill_score=st.booleans(),
    max_open_notional_per_day=st.none() | money,
    auto_disarm=st.booleans(),
    max_drawdown=st.sampled_from([Decimal(0), Decimal("0.08")]),
)
_SCORES = st.none() | scores
_SCORE_PROBLEMS = st.sampled_from(["", "not a number"])
#: The inputs that do not depend on the plan.
_INPUTS = st.fixed_dictionaries(
    {
        "kind_known": st.booleans(),
        "mark_price": st.none() | st.decimals("1", "300000", places=1),
        "leverage": st.none() | st.decimals("1", "20", places=1),
        "stats": st.none() | statistics,
        "observed": st.booleans(),
        "entry_ms": st.sampled_from([NOW_MS - 100, NOW_MS - 31_000, None]),
        "redis_changed_ms": times_ms,
        "evicted_ms": times_ms,
        "trading_state": st.sampled_from(TradingState),
        "kill_switch": st.booleans(),
        "book_trusted": st.booleans(),
        "equity": st.none() | equities,
        "exposure": st.none() | exposures,
        "counts": counts,
        "neighbours": neighbours,
        "errors_5min": st.integers(0, 9),
        "disarmed_today": st.booleans(),
        "rules": rule_sets,
    }
)


@st.composite
def cases(draw: st.DrawFn, kinds: tuple[Kind, ...] = tuple(Kind)) -> GovernorCase:
    """A well-formed plan with any inputs."""
    kind = draw(st.sampled_from(kinds))
    score = draw(_SCORES)
    return opening(
        plan=plans_by_kind[kind],
        kind=kind,
        kill_score=score,
        kill_score_problem="" if score is not None else draw(_SCORE_PROBLEMS),
        **draw(_INPUTS),
    )
