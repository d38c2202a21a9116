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
from brain.identifiers import EntryId, PlanId
from brain.intents.answer import Answer
from brain.intents.case import BridgeRules, IntentCase, Steps
from brain.intents.deciding import decide as decide_intent
from brain.intents.deciding import refuse, refuse_malformed
from brain.intents.intent import Lane, MalformedIntent
from brain.intents.reading import read_intent
from brain.intents.reasons import IntentReason
from brain.plans.permit import Decision
from brain.plans.plan import MalformedPlan, Plan, SkippedPlan
from brain.plans.plan_fields import read_plan
from brain.symbols.symbol_rules import SymbolRules
from commands.demo.exchange_client import TradedSymbol
from commands.demo.outcome import Outcome, Verdict, allowed, denied, no_plan, refused_by_governor
from commands.demo.plans import Fields
from commands.demo.roles import ALL_ROLES, switches_of
from commands.demo.scenario_catalog import CASES, choose
from commands.demo.scenarios import Cooling, Governor, Intent, Scenario, SymbolState, share_of
from tests.brain.cases import NOW_MS, case, ledger, open_permit, snapshot
from tests.brain.governor.cases import opening
from wiring.rules import governor_rules

_NOW_SEC = NOW_MS / 1000
_SYMBOLS = (
    TradedSymbol("BTCUSDT", Decimal("0.001"), Decimal("0.001"), Decimal(65000)),
    TradedSymbol("DOGEUSDT", Decimal(1), Decimal(1), Decimal("0.2")),
)
_SETTINGS = settings.load(switches_of(ALL_ROLES, outside_universe=())).settings
_GOVERNOR_RULES = governor_rules(_SETTINGS)
_BRIDGE_RULES = BridgeRules(
    max_age_sec=_SETTINGS.intent_max_age_sec,
    exit_max_age_sec=60,
    skip_flat_sell=_SETTINGS.skip_flat_sell,
    min_hold_sec=_SETTINGS.min_hold_sec,
    max_notional=_SETTINGS.max_intent_notional,
    taker_fee_rate=_SETTINGS.taker_fee_rate,
)


def _states() -> Iterator[SymbolState]:
    for symbol in _SYMBOLS:
        for steps in (0, 1, 2, 37, -1, -37, 3000):
            for cooling in Cooling:
                yield SymbolState(symbol, steps * symbol.step, cooling)
                yield SymbolState(symbol, steps * symbol.step, cooling, in_universe=False)
        for cooling in Cooling:
            yield SymbolState(symbol, Decimal(0), cooling, listed=False)


def _scenarios(
    times: int = 150, *, own_governor: bool = False, own_bridge: bool = False
) -> Iterator[tuple[SymbolState, Scenario]]:
    rng = Random(7)  # noqa: S311 - reproducible
    for state in _states():
        for _ in range(times):
            yield state, choose(state, rng, _NOW_SEC, own_governor=own_governor, own_bridge=own_bridge)


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
    assert min(tried[verdict] for verdict in Verdict if verdict is not Verdict.NO_PLAN) > 50


def _answered(state: SymbolState, intent: Intent, entry_id: EntryId, made: set[PlanId]) -> Answer:
    """Return what the daemon's bridge makes of an intent in this state, by the settings of the demo."""
    fields = {name.encode(): text.encode() for name, text in intent.fields.items()}
    read = read_intent(Lane(intent.stream.rpartition(":")[2]), entry_id, fields)
    if isinstance(read, MalformedIntent):
        return refuse_malformed(read)
    symbol = state.symbol
    answer = decide_intent(
        IntentCase(
            intent=read,
            published_ms=NOW_MS,
            now_ms=NOW_MS,
            mark_price=symbol.price if state.listed else None,
            position=state.amount if state.listed else None,
            hedge_mode=False,
            steps=Steps(symbol.step, symbol.smallest) if state.listed else None,
            in_universe=state.in_universe,
            lockdown=False,
            last_close_ms=None,
            rules=_BRIDGE_RULES,
        )
    )
    if answer.plan and answer.plan_id in made:
        return refuse(read, IntentReason.DUPLICATE_INTENT, {})
    made.add(answer.plan_id)
    return answer


def test_the_bridge_answers_and_the_service_decides_as_each_scenario_expects() -> None:
    refused: Counter[str] = Counter()
    lanes: Counter[str] = Counter()
    for state, scenario in _scenarios(own_bridge=True):
        before: list[Decision] = []
        made: set[PlanId] = set()
        for number, one in enumerate(scenario.plans):
            fields = one.fields
            if one.intent is not None:
                answer = _answered(state, one.intent, EntryId(f"{NOW_MS}-{number}"), made)
                lanes[one.intent.stream.rpartition(":")[2]] += 1
                if not answer.plan:
                    assert one.expects(no_plan(answer.reason)), (scenario, state)
                    refused[answer.reason] += 1
                    continue
                fields = answer.plan
            decision = _decided(state, scenario, fields, before)
            if decision is None:
                assert one.intent is None
                continue
            if one.governor is not Governor.GRANTS:
                assert decision.allow, scenario.name
                continue
            found = allowed(decision.reason, decision.quantity) if decision.allow else denied(decision.reason)
            assert one.expects(found), (scenario, state, found)
            before.append(decision)
    assert min(lanes.values()) > 500 and len(lanes) == 3
    assert set(refused) == {
        "malformed_intent", "duplicate_intent", "flat_close", "symbol_not_in_universe", "below_min_qty",
    }  # fmt: skip


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("bridged", [False, True])
def test_every_case_of_the_catalog_is_chosen_with_its_roles(own: bool, bridged: bool) -> None:
    chosen = {scenario.name for _, scenario in _scenarios(60, own_governor=own, own_bridge=bridged)}
    fitting = [one for one in CASES if one.played in (None, not own) and (bridged or not one.bridged)]
    assert chosen == {one.name for one in fitting}


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


@pytest.mark.parametrize("bridged", [False, True])
def test_the_governor_refuses_what_a_scenario_says_that_it_may_and_nothing_else(bridged: bool) -> None:
    refused = Counter[str]()
    for state, scenario in _scenarios(own_governor=True, own_bridge=bridged):
        made: set[PlanId] = set()
        for number, one in enumerate(scenario.plans):
            fields = one.fields
            if one.intent is not None:
                fields = _answered(state, one.intent, EntryId(f"{NOW_MS}-{number}"), made).plan
            plan = read_plan({name.encode(): text.encode() for name, text in fields.items()})
            # No trader has more than that.
            large = abs(state.amount) * state.symbol.price > 4000
            if not isinstance(plan, Plan) or plan.decision != "EXECUTE" or large:
                continue
            judgement = _judged(state, plan, fields)
            if judgement.granted:
                assert "critical" not in scenario.name
                continue
            assert one.expects(refused_by_governor(GovernorReason(judgement.reason))), (scenario, state)
            refused[judgement.reason] += 1
    # The bridge says of each plan what it is, and makes none of a symbol without a price.
    of_publishers = set() if bridged else {"eval_type_mismatch", "no_portfolio_state"}
    assert set(refused) == of_publishers | {
        "malformed_plan", "plan_expired", "kill_score_critical_open", "kill_score_entry",
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
