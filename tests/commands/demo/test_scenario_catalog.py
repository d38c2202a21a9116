"""The catalog against the service's own decision function: what a scenario expects is what is decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from random import Random

import msgspec
import pytest

import settings
from brain.decisions.decision import decide
from brain.governor.case import EquityView
from brain.governor.judgement import Judgement
from brain.governor.judging import judge
from brain.governor.kill_score import KillStats
from brain.governor.plan_inputs import planned_order, read_kill_score, read_leverage
from brain.governor.reasons import GovernorReason
from brain.plans.permit import Decision
from brain.plans.plan import MalformedPlan, Plan, SkippedPlan
from brain.plans.plan_fields import read_plan
from brain.symbols.symbol_rules import SymbolRules
from commands.demo.exchange_client import TradedSymbol
from commands.demo.outcome import Outcome, Verdict, allowed, denied, refused_by_governor
from commands.demo.plans import Fields
from commands.demo.roles import ALL_ROLES, switches_of
from commands.demo.scenario_catalog import CASES, choose
from commands.demo.scenarios import Cooling, Governor, Scenario, SymbolState, share_of
from tests.brain.cases import NOW_MS, case, ledger, open_permit, snapshot
from tests.brain.governor.cases import opening
from wiring.rules import governor_rules

_NOW_SEC = NOW_MS / 1000
_SYMBOLS = (
    TradedSymbol("BTCUSDT", Decimal("0.001"), Decimal("0.001"), Decimal(65000)),
    TradedSymbol("DOGEUSDT", Decimal(1), Decimal(1), Decimal("0.2")),
)
_GOVERNOR_RULES = governor_rules(settings.load(switches_of(ALL_ROLES, outside_universe=())).settings)


def _states() -> Iterator[SymbolState]:
    for symbol in _SYMBOLS:
        for steps in (0, 1, 2, 37, -1, -37, 3000):
            for cooling in Cooling:
                yield SymbolState(symbol, steps * symbol.step, cooling)
                yield SymbolState(symbol, steps * symbol.step, cooling, in_universe=False)
        for cooling in Cooling:
            yield SymbolState(symbol, Decimal(0), cooling, listed=False)


def _scenarios(*, own_governor: bool = False) -> Iterator[tuple[SymbolState, Scenario]]:
    rng = Random(7)  # noqa: S311 - reproducible
    for state in _states():
        for _ in range(300):
            yield state, choose(state, rng, _NOW_SEC, own_governor=own_governor)


def _decided(
    state: SymbolState, scenario: Scenario, fields: Fields, before: list[Decision]
) -> Decision | None:
    """Return the service's decision in this state; None for a plan that it skips."""
    plan = read_plan({name.encode(): text.encode() for name, text in fields.items()})
    if isinstance(plan, MalformedPlan | SkippedPlan):
        return None
    assert isinstance(plan, Plan)
    # A cooldown that began a second ago, or long ago; where that is unsure, nothing may depend on it.
    ago_sec = {Cooling.YES: 1, Cooling.NO: 600, Cooling.UNSURE: 1}[state.cooling]
    symbol = state.symbol
    rules = SymbolRules(
        symbol.name,
        trading=state.listed,
        market_step=symbol.step,
        market_min=symbol.smallest,
        market_max=Decimal(10**9),
    )
    open_permits = tuple(
        open_permit(one.kind, one.order_side or "", f"{one.reserve:f}") for one in before if one.reserve
    )
    return decide(
        case(
            plan,
            in_allowlist=state.in_universe,
            symbol_rules=rules if state.listed else None,
            hold=scenario.hold,
            snapshot=snapshot(f"{state.amount:f}") if state.listed else None,
            ledger=ledger(f"{state.amount:f}"),
            cooldown_text=str(NOW_MS - ago_sec * 1000),
            open_permits=open_permits,
        )
    )


def test_the_service_decides_as_each_scenario_expects() -> None:
    tried: Counter[Verdict] = Counter()
    for state, scenario in _scenarios():
        before: list[Decision] = []
        for plan in scenario.plans:
            decision = _decided(state, scenario, plan.fields, before)
            tried[plan.expected.verdict] += 1
            if decision is None:
                assert scenario.name in ("malformed", "nothing to execute")
                continue
            if plan.governor is not Governor.GRANTS:
                # Had the Governor not been in the way, the service would not have been either.
                assert decision.allow, scenario.name
                continue
            found = allowed(decision.reason, decision.quantity) if decision.allow else denied(decision.reason)
            assert found == plan.expected, (scenario, state)
            before.append(decision)
    assert min(tried[verdict] for verdict in Verdict) > 50


@pytest.mark.parametrize("own", [False, True])
def test_every_case_of_the_catalog_is_chosen_with_its_governor(own: bool) -> None:
    chosen = {scenario.name for _, scenario in _scenarios(own_governor=own)}
    assert chosen == {one.name for one in CASES if one.played in (None, not own)}


def _judged(state: SymbolState, plan: Plan, fields: Fields) -> Judgement:
    """Return what the daemon's Governor makes of a plan in this state, by the settings of the demo."""
    raw = {name.encode(): text.encode() for name, text in fields.items()}
    score, position = read_kill_score(raw), snapshot(f"{state.amount:f}")
    order = planned_order(plan, position.legs if state.listed else None)
    return judge(
        msgspec.structs.replace(
            opening(),
            plan=plan,
            kind=order.kind,
            kind_known=order.kind_known,
            quantity=order.quantity,
            mark_price=state.symbol.price if state.listed else None,
            leverage=read_leverage(raw),
            kill_score=score.value,
            kill_score_problem=score.problem,
            # Unusually low until now: the score of any entry lies above the cut-off.
            stats=KillStats(100, 0.01, 1e-9, NOW_MS - 1000),
            equity=EquityView(Decimal(10**6), Decimal(10**6), Decimal(10**6), 1.0),
            rules=_GOVERNOR_RULES,
        )
    )


def test_the_governor_refuses_what_a_scenario_says_that_it_may_and_nothing_else() -> None:
    refused = Counter[str]()
    for state, scenario in _scenarios(own_governor=True):
        for one in scenario.plans:
            plan = read_plan({name.encode(): text.encode() for name, text in one.fields.items()})
            # No trader has more than that.
            large = abs(state.amount) * state.symbol.price > 4000
            if not isinstance(plan, Plan) or plan.decision != "EXECUTE" or large:
                continue
            judgement = _judged(state, plan, one.fields)
            if judgement.granted:
                assert "critical" not in scenario.name
                continue
            assert one.expects(refused_by_governor(GovernorReason(judgement.reason))), (scenario, state)
            refused[judgement.reason] += 1
    assert set(refused) == {
        "malformed_plan", "plan_expired", "eval_type_mismatch", "no_portfolio_state",
        "kill_score_critical_open", "kill_score_entry",
    }  # fmt: skip


def test_every_plan_has_an_id_of_its_own() -> None:
    ids = [plan.fields["plan_id"] for _, scenario in _scenarios() for plan in scenario.plans]
    assert len(set(ids)) == len(ids)


def test_plans_at_once_are_at_most_as_large_as_the_position_together() -> None:
    for state, scenario in _scenarios():
        closes = [
            plan.expected.quantity
            for plan in scenario.plans
            if plan.expected.quantity and plan.expected.verdict is Verdict.ALLOWED
        ]
        assert sum(closes, Decimal(0)) <= abs(state.amount), scenario


@pytest.mark.parametrize(
    ("size", "percent", "step", "share"),
    [("0.038", 75, "0.001", "0.028"), ("7", 50, "1", "3"), ("1", 50, "1", "0"), ("0.5", 100, "0.1", "0.5")],
)
def test_a_share_is_rounded_down_to_the_step(size: str, percent: int, step: str, share: str) -> None:
    assert share_of(Decimal(size), percent, Decimal(step)) == Decimal(share)


def test_an_expectation_is_met_by_verdict_reason_and_quantity_together() -> None:
    expected = allowed("sanity_checks_passed", Decimal("0.50"))
    assert expected == allowed("sanity_checks_passed", Decimal("0.5"))
    assert expected != allowed("sanity_checks_passed", Decimal("0.4"))
    assert expected != Outcome(Verdict.DENIED, "sanity_checks_passed", Decimal("0.5"))
