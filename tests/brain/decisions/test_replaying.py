from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given

from brain.decisions.case import Case, Rules
from brain.decisions.decision import decide, trail
from brain.decisions.permit_text import audit_record
from brain.decisions.replaying import COMPARED_RULES, decide_again
from brain.identifiers import PlanId, Symbol
from brain.numbers import plain
from brain.plans.permit import Decision, Reason
from tests.brain.cases import NOW_MS, case, entry, ledger, plan, snapshot
from tests.brain.strategies import cases

replace = msgspec.structs.replace


def record_of(the_case: Case, decision: Decision | None = None) -> bytes:
    return audit_record(
        decision or decide(the_case),
        the_case,
        plan_id=PlanId("plan-1"),
        symbol=Symbol("BTCUSDT"),
        issued_by="test",
        fields={},
        permit=b"{}",
    )


@given(cases())
def test_with_the_recorded_settings_every_decision_is_identical(the_case: Case) -> None:
    again = decide_again(record_of(the_case))
    assert again.identical and again.same_answer
    assert again.differences() == []
    assert again.audit.case is not None
    assert trail(again.audit.case) == trail(the_case)


def test_a_snapshot_without_trust_is_recorded_under_the_name_that_earlier_releases_read() -> None:
    assert b'"believed":false' in record_of(case(snapshot=snapshot("0.038", trusted=False)))


def test_another_outcome_is_listed_value_by_value() -> None:
    decision = replace(decide(case()), quantity=Decimal("0.027"), warnings=("odd",))
    again = decide_again(record_of(case(), decision))
    assert not again.identical and not again.same_answer
    assert again.differences() == [("quantity", "0.027", "0.028"), ("warnings", ["odd"], [])]


def test_other_settings_make_other_decisions() -> None:
    aged = case(snapshot=snapshot("0.038", age_sec=7.0))
    assert decide_again(record_of(aged)).decided.allow
    again = decide_again(record_of(aged), {"stale_threshold_sec": 5.0})
    assert not again.decided.allow
    assert again.decided.reason is Reason.STALE_EXCHANGE_STATE
    assert not again.same_answer


def test_another_limit_in_the_details_of_a_deny_is_the_same_answer() -> None:
    stale = case(snapshot=snapshot("0.038", age_sec=70.0))
    again = decide_again(record_of(stale), {"stale_threshold_sec": 5.0})
    assert again.same_answer and not again.identical


#: For each value of `Rules`, a case that it decides, and another value that decides otherwise.
DECIDED_BY: dict[str, tuple[Case, object]] = {
    "stale_threshold_sec": (case(snapshot=snapshot("0.038", age_sec=7.0)), 5.0),
    "cooldown_sec": (case(cooldown_text=str(NOW_MS - 10_000)), 5.0),
    "qty_tolerance_pct": (case(ledger=ledger("0.037")), Decimal(10)),
    "plan_max_age_sec": (case(entry_ms=NOW_MS - 3_000), 1.0),
    "decision_ttl_sec": (case(plan(timestamp_sec=NOW_MS / 1000 - 100)), 60),
    "permit_ttl_sec": (case(entry(), "0", redis_changed_ms=NOW_MS - 30_000), 20),
}


@pytest.mark.parametrize("name", [name for name in Rules.__struct_fields__ if name in DECIDED_BY])
def test_each_of_the_compared_settings_can_decide(name: str) -> None:
    the_case, value = DECIDED_BY[name]
    assert not decide_again(record_of(the_case), {name: value}).same_answer


@given(cases())
def test_no_other_setting_can(the_case: Case) -> None:
    assert set(DECIDED_BY) == set(COMPARED_RULES)
    [other] = set(Rules.__struct_fields__) - set(COMPARED_RULES)
    assert decide_again(record_of(the_case), {other: 0.001}).identical


def test_numbers_are_compared_by_value_not_by_their_text() -> None:
    the_case = case()
    written = record_of(the_case).replace(b'"stale_threshold_sec":10,', b'"stale_threshold_sec":10.0,')
    assert written != record_of(the_case)
    assert decide_again(written).identical
    assert plain(decide_again(written).recorded.quantity) == "0.028"
