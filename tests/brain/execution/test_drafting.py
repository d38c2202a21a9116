"""Orders drafted again from their records, and with other limits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.execution import reasons
from brain.execution.case import ExecutionCase
from brain.execution.draft_record import UnreadableDraftError, draft_again, record_text
from brain.execution.drafting import draft
from brain.execution.sizing import SizeLimits
from brain.execution.switches import TradingState
from brain.identifiers import PlanId, Symbol
from brain.plans.permit import Kind
from brain.plans.plan import PlanDecision
from tests.brain.execution.test_sizing import RULES

D = Decimal
CASE = ExecutionCase(
    plan_id=PlanId("p1"),
    symbol=Symbol("BTCUSDT"),
    decision=PlanDecision.EXECUTE,
    kind=Kind.OPEN,
    order_side="BUY",
    leg="BOTH",
    permitted=D("0.5"),
    qty_scale=D("0.5"),
    downsize_factor=D(1),
    trading_state=TradingState.ACTIVE,
    kill_switch=False,
    held=False,
    in_allowlist=True,
    symbol_rules=RULES,
    mark_price=D(100),
    position=D(0),
    stream_trusted=True,
    limits=SizeLimits(),
)


def case(**changes: Any) -> ExecutionCase:
    return msgspec.structs.replace(CASE, **changes)


@st.composite
def cases_drawn(draw: st.DrawFn) -> ExecutionCase:
    numbers = st.decimals(0, 2, places=3)
    return case(
        decision=draw(st.sampled_from(PlanDecision)),
        kind=draw(st.sampled_from(Kind)),
        order_side=draw(st.sampled_from(["BUY", "SELL", ""])),
        leg=draw(st.sampled_from(["BOTH", "LONG", ""])),
        permitted=draw(numbers),
        qty_scale=draw(st.decimals(0, 1, places=2)),
        trading_state=draw(st.sampled_from(TradingState)),
        kill_switch=draw(st.booleans()),
        held=draw(st.booleans()),
        in_allowlist=draw(st.booleans()),
        symbol_rules=draw(st.sampled_from([RULES, RULES, None])),
        mark_price=draw(st.none() | st.just(D(100))),
        position=draw(st.none() | numbers),
        stream_trusted=draw(st.booleans()),
        limits=SizeLimits(
            apply_downsize=draw(st.booleans()),
            allow_upsize=draw(st.booleans()),
            min_notional=draw(st.sampled_from([D(0), D(20)])),
            max_notional=draw(st.sampled_from([None, D(60)])),
        ),
    )


@given(cases_drawn())
def test_each_case_is_drafted_identically_from_its_record(drawn: ExecutionCase) -> None:
    drafted = draft(drawn)
    again = draft_again(record_text(drafted))
    assert again.drafted == drafted
    assert again.identical and again.same_answer and again.differences() == []
    assert (drafted.order is None) is bool(drafted.error)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"trading_state": TradingState.HALTED}, reasons.TRADING_HALTED),
        ({"kill_switch": True}, reasons.KILL_SWITCH_ACTIVE),
        ({"held": True}, reasons.RECONCILE_HOLD_ACTIVE),
        ({"order_side": ""}, "permit_unreadable (P3.3: no side or leg of the order)"),
        ({"in_allowlist": False}, "symbol_not_in_allowlist:BTCUSDT"),
        ({"position": None, "stream_trusted": False}, "not_sent:the exchange shows no position"),
        ({"symbol_rules": None}, reasons.BELOW_MIN_QTY),
        ({"limits": SizeLimits(max_notional=D(49))}, reasons.POSITION_TOO_LARGE),
    ],
)
def test_each_refusal(changes: dict[str, Any], error: str) -> None:
    assert draft(case(**changes)).error == error


def test_a_hold_stops_no_reconcile_close() -> None:
    assert draft(case(held=True, decision=PlanDecision.RECONCILE_CLOSE)).order is not None


def test_other_limits_give_another_order_or_none() -> None:
    text = record_text(draft(CASE))
    smaller = draft_again(text, {"apply_downsize": True})
    assert smaller.differences() == [("quantity", "0.500", "0.250")]
    refused = draft_again(text, {"max_notional": D(49)})
    assert not refused.same_answer and refused.drafted.error == reasons.POSITION_TOO_LARGE
    assert ("error", "", reasons.POSITION_TOO_LARGE) in refused.differences()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"case":{},"order":null,"error":""}'])
def test_bytes_that_are_no_record_are_named(text: str) -> None:
    with pytest.raises(UnreadableDraftError, match="not a record of a drafted order"):
        draft_again(text)
