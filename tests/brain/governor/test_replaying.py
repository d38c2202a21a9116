"""Recorded judgements are judged again: bit by bit the same, or with other settings."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from brain.execution.switches import TradingState
from brain.governor.case import GovernorCase
from brain.governor.judgement import Judgement
from brain.governor.judging import evaluation_failed, judge, refuse_malformed, state_contended
from brain.governor.record import UnreadableRecordError, audit_fields
from brain.governor.replaying import SHAPE_NO_JUDGEMENT, NotJudgedOnACaseError, judge_again
from brain.governor.rules import GovernorRules
from brain.identifiers import EntryId, PlanId
from brain.plans.plan import MalformedPlan
from tests.brain.cases import NOW_MS
from tests.brain.governor.cases import closing, opening, scored


def record_of(case: GovernorCase | None, judgement: Judgement | None = None) -> bytes:
    """Return the record of a judgement, of `case` where no other one is given."""
    if judgement is None:
        assert case is not None
        judgement = judge(case)
    fields = audit_fields(
        judgement,
        case,
        plan_id=PlanId("plan-1"),
        symbol=None if case is None else case.plan.symbol,
        entry_id=EntryId("1-0"),
        decided_ms=NOW_MS,
        issued_by="build here:8045",
        fields={"kill_score": "0.31"},
    )
    return fields[-1].encode()


@pytest.mark.parametrize(
    "case",
    [
        opening(),
        closing(),
        scored(0.1),
        scored(0.333333333333333333),
        scored(0.7),
        scored(0.95),
        opening(trading_state=TradingState.HALTED),
        opening(equity=None, exposure=None),
    ],
)
def test_a_record_is_judged_identically_again(case: GovernorCase) -> None:
    again = judge_again(record_of(case))
    assert again.identical and again.same_answer and again.differences() == []


def test_one_bit_of_z_is_a_difference_and_no_other_answer() -> None:
    case = scored(0.31)
    judged = judge(case)
    assert judged.z is not None
    other = msgspec.structs.replace(judged, z=judged.z * (1 + 2**-52))
    again = judge_again(record_of(case, other))
    assert not again.identical and again.same_answer
    assert [name for name, _, _ in again.differences()] == ["z"]


def test_another_limit_gives_another_answer() -> None:
    again = judge_again(record_of(opening()), {"max_notional_per_trade": Decimal(50)})
    assert (again.recorded.granted, again.judged.granted) == (True, False)
    assert str(again.judged.reason) == "notional_per_trade_exceeded"
    assert not again.same_answer


def test_another_weight_moves_the_cut_off_and_not_the_answer() -> None:
    again = judge_again(record_of(scored(0.31)), {"z_entry_base": 2.0})
    assert again.same_answer and not again.identical
    assert "cutoff" in {name for name, _, _ in again.differences()}


@pytest.mark.parametrize("name", sorted(SHAPE_NO_JUDGEMENT))
@pytest.mark.parametrize("case", [opening(), closing(), scored(0.7)])
def test_a_rule_that_shapes_no_judgement_changes_none(name: str, case: GovernorCase) -> None:
    assert name in GovernorRules.__struct_fields__
    assert judge_again(record_of(case), {name: 1.0}).identical


def other_value(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if value is None:
        return -100.0
    return type(value)(7) if isinstance(value, int | Decimal) else 0.5


@pytest.mark.parametrize("name", list(GovernorRules.__struct_fields__))
def test_each_rule_can_be_replaced(name: str) -> None:
    case = opening()
    changes: dict[str, Any] = {name: other_value(getattr(case.rules, name))}
    assert judge_again(record_of(case), changes).record.case == case


@pytest.mark.parametrize(
    ("case", "judgement", "reason"),
    [
        (
            None,
            refuse_malformed(MalformedPlan(PlanId("p"), None, {"symbol": "missing"}), "entry", None),
            "malformed_plan",
        ),
        (None, evaluation_failed(3, "exit", None), "evaluation_failed"),
        (opening(), state_contended(judge(opening()), 5, None), "state_contended"),
    ],
)
def test_an_outcome_without_a_case_is_named(
    case: GovernorCase | None, judgement: Judgement, reason: str
) -> None:
    with pytest.raises(NotJudgedOnACaseError) as error:
        judge_again(record_of(case, judgement))
    assert error.value.reason == reason


@pytest.mark.parametrize("text", [b"", b"{}", b"[" * 10_000, b"\xff", b'{"plan_id":1}'])
def test_bytes_that_are_no_record_are_unreadable(text: bytes) -> None:
    with pytest.raises(UnreadableRecordError):
        judge_again(text)
