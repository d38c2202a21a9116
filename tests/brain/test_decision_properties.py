"""Properties of every decision, for any case."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import msgspec
from hypothesis import Phase, assume, given, seed, settings
from hypothesis import strategies as st

from brain.decisions.case import Case
from brain.decisions.decision import decide, trail
from brain.decisions.permit_text import audit_record, case_of, read_audit, same_outcome
from brain.identifiers import PlanId, Symbol
from brain.plans.check_results import Outcome
from brain.plans.permit import Decision, Kind, OpenPermit, Reason
from brain.plans.plan import PlanDecision
from brain.positions.position import Leg
from tests.brain.strategies import any_decimals, cases, open_permits, reconcile_closes

ALLOWS = {
    Reason.SANITY_CHECKS_PASSED,
    Reason.OPEN_PERMIT_GRANTED,
    Reason.RECONCILE_CLOSE_BYPASS,
    Reason.NO_QUANTITY_CHANGE,
}


def covered_by_closes(case: Case, decision: Decision) -> Decimal:
    """Return the quantity that live close permits on the decision's leg still cover."""
    return sum(
        (
            permit.remaining
            for permit in case.open_permits
            if permit.kind is Kind.CLOSE and permit.leg is decision.leg and permit.expires_ms > case.now_ms
        ),
        Decimal(0),
    )


def test_the_random_cases_reach_every_way_to_allow_and_most_ways_to_deny() -> None:
    """Check that the cases reach every allow and most denies: the properties below need such cases."""
    reached: Counter[Reason] = Counter()

    @seed(1)
    @given(cases())
    @settings(max_examples=600, database=None, phases=[Phase.generate])
    def decide_many(case: Case) -> None:
        reached[decide(case).reason] += 1

    decide_many()
    for reason in ALLOWS:
        assert reached[reason] > 10, (reason, reached)
    assert len(reached) >= len(Reason) - 8, set(Reason) - set(reached)


@given(reconcile_closes(), st.floats(0, 20))
@settings(max_examples=300)
def test_a_reconcile_close_is_allowed_within_its_guardrails_alone(case: Case, age_sec: float) -> None:
    quantity = case.plan.quantity
    assert case.snapshot is not None and quantity is not None
    case = msgspec.structs.replace(case, snapshot=msgspec.structs.replace(case.snapshot, age_sec=age_sec))
    decision = decide(case)
    if age_sec > case.rules.stale_threshold_sec:
        assert decision.reason is Reason.STALE_EXCHANGE_STATE
    else:
        assert decision.reason in (Reason.RECONCILE_CLOSE_BYPASS, Reason.BELOW_MIN_QTY)
    assert decision.quantity <= quantity
    for broken in (
        {"hold": False},
        {"plan": msgspec.structs.replace(case.plan, reduce_only=False)},
        {"plan": msgspec.structs.replace(case.plan, order_type="LIMIT")},
        {"plan": msgspec.structs.replace(case.plan, reason="drift")},
        {"plan": msgspec.structs.replace(case.plan, quantity=None)},
        {"plan": msgspec.structs.replace(case.plan, quantity=quantity + 10**9)},
    ):
        assert not decide(msgspec.structs.replace(case, **broken)).allow


@given(cases())
@settings(max_examples=500)
def test_an_allow_never_exceeds_what_the_rules_leave(case: Case) -> None:
    decision = decide(case)
    assert decision.allow is (decision.reason in ALLOWS)
    if not decision.allow:
        assert decision.quantity == decision.reserve == 0
        return
    plan, snapshot = case.plan, case.snapshot
    assert snapshot is not None
    assert snapshot.trusted
    assert snapshot.age_sec <= case.rules.stale_threshold_sec
    assert case.entry_ms is not None
    assert case.now_ms - case.entry_ms <= case.rules.plan_max_age_sec * 1000
    assert not case.settled
    assert case.hold is (plan.decision is PlanDecision.RECONCILE_CLOSE)
    amount = sum((row.amount for row in snapshot.legs if row.leg is decision.leg), Decimal(0))
    if decision.kind is Kind.NONE:
        assert decision.quantity == decision.reserve == 0
        return
    assert case.symbol_rules is not None
    if decision.kind is Kind.CLOSE:
        step, largest = case.symbol_rules.market_step, case.symbol_rules.market_max
        assert 0 < decision.quantity <= abs(amount) - covered_by_closes(case, decision)
        assert case.symbol_rules.market_min <= decision.quantity <= largest
        assert decision.quantity % step == 0
        assert plan.quantity is None or decision.quantity <= plan.quantity
        assert decision.reserve == decision.quantity
        assert decision.order_side == ("SELL" if amount > 0 else "BUY")
    else:
        assert case.in_allowlist
        assert case.symbol_rules.trading
        assert case.now_ms - case.redis_changed_ms >= case.rules.permit_ttl_sec * 1000
        assert plan.side is not None
        assert (decision.quantity, decision.reserve) == (Decimal(0), plan.quantity)
        assert decision.order_side == plan.side.value
        assert (decision.kind is Kind.OPEN) is (amount == 0)
    if plan.decision is PlanDecision.EXECUTE:
        amounts = {
            Leg.BOTH: case.ledger.last_known_amt,
            Leg.LONG: case.ledger.long_amt,
            Leg.SHORT: case.ledger.short_amt,
        }
        booked = Decimal(amounts[decision.leg] or 0)
        assert abs(amount - booked) * 100 <= case.rules.qty_tolerance_pct * abs(amount)


@given(cases())
def test_a_decision_depends_on_its_case_alone(case: Case) -> None:
    assert decide(case) == decide(case)


@given(cases())
def test_the_trail_ends_where_the_decision_was_made(case: Case) -> None:
    decision, results = decide(case), trail(case)
    denied = [result for result in results if result.outcome is Outcome.DENIED]
    if decision.allow:
        assert denied == []
        assert all(result.outcome in (Outcome.PASSED, Outcome.SKIPPED) for result in results)
        return
    [deciding] = denied
    assert deciding.reason is decision.reason
    assert deciding.compared == decision.details
    position = results.index(deciding)
    assert all(result.outcome in (Outcome.PASSED, Outcome.SKIPPED) for result in results[:position])
    assert all(result.outcome is Outcome.NOT_REACHED for result in results[position + 1 :])


@given(cases())
def test_an_audit_record_gives_the_same_decision_again(case: Case) -> None:
    decision = decide(case)
    record = audit_record(
        decision,
        case,
        plan_id=PlanId("plan-1"),
        symbol=Symbol("BTCUSDT"),
        issued_by="test",
        fields={},
        permit=b"{}",
    )
    again = case_of(read_audit(record), decision.reason)
    assert again == case
    assert decide(again) == decision
    assert same_outcome(read_audit(record), decide(again))


@given(cases(), st.floats(0, 1000))
def test_an_older_snapshot_never_turns_a_deny_into_an_allow(case: Case, older_sec: float) -> None:
    assume(case.snapshot is not None)
    assert case.snapshot is not None
    aged = msgspec.structs.replace(case.snapshot, age_sec=case.snapshot.age_sec + older_sec)
    before, after = decide(case), decide(msgspec.structs.replace(case, snapshot=aged))
    assert before.allow or not after.allow
    if after.allow:
        assert after == before


@given(cases(), open_permits())
def test_one_more_open_permit_never_gives_more(case: Case, permits: tuple[OpenPermit, ...]) -> None:
    fewer = decide(msgspec.structs.replace(case, open_permits=permits[1:]))
    more = decide(msgspec.structs.replace(case, open_permits=permits))
    if more.allow:
        assert fewer.allow
        assert more.quantity <= fewer.quantity


@given(
    cases(),
    st.sampled_from(
        (
            {"snapshot": None},
            {"settled": True},
            {"symbol_rules": None},
            {"entry_ms": 0},
            {"entry_ms": None},
            {"exchange_known": False},
        )
    ),
)
def test_no_allow_without_what_an_allow_rests_on(case: Case, lacking: dict[str, object]) -> None:
    changed = msgspec.structs.replace(case, **lacking)
    decision = decide(changed)
    assert not decision.allow or (decision.kind is Kind.NONE and "symbol_rules" in lacking)


@given(cases())
def test_no_execute_is_allowed_under_a_hold(case: Case) -> None:
    decision = decide(msgspec.structs.replace(case, hold=True))
    assert not decision.allow or case.plan.decision is PlanDecision.RECONCILE_CLOSE


@given(cases(), any_decimals(), any_decimals())
def test_numbers_of_any_size_are_decided_exactly(case: Case, amount: Decimal, booked: Decimal) -> None:
    assume(case.snapshot is not None)
    assert case.snapshot is not None
    legs = tuple(msgspec.structs.replace(row, amount=amount) for row in case.snapshot.legs)
    changed = msgspec.structs.replace(case.ledger, last_known_amt=f"{booked:f}")
    decision = decide(
        msgspec.structs.replace(
            case, snapshot=msgspec.structs.replace(case.snapshot, legs=legs), ledger=changed
        )
    )
    assert decision.quantity <= amount.copy_abs()
