"""Plans over random intents and states, and their audit records."""

from __future__ import annotations

from decimal import Decimal, localcontext

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from brain.intents.case import Exposure, IntentCase, Steps
from brain.intents.deciding import decide
from brain.intents.intent import Intent, Lane
from brain.intents.plan_text import plan_id_of
from brain.intents.record import UnreadableRecordError, answer_again, audit_fields, recorded_rules
from brain.plans.kinds import contradiction, row_for
from brain.plans.permit import Kind, Reason
from brain.plans.plan import Plan
from brain.plans.plan_fields import read_plan
from brain.positions.position import Leg
from tests.brain.intents.cases import NOW_MS, case, read

amounts = st.decimals("0.0000001", "100000000", allow_nan=False).map(lambda number: f"{number:f}")
signed = st.decimals("-1000", "1000", places=3)
_AMOUNTS = (
    "quantity", "position_usd", "size", "price", "position_size_usd", "entry_price", "sl_pct", "tp_pct",
    "leverage", "stop_loss",
)  # fmt: skip
trades = st.fixed_dictionaries(
    {"symbol": st.just("BTCUSDT"), "side": st.sampled_from(["BUY", "SELL", "CLOSE"])},
    optional={**dict.fromkeys(_AMOUNTS, amounts), "reduceOnly": st.sampled_from(["true", "false"])},
)
exits = st.fixed_dictionaries(
    {"symbol": st.just("BTCUSDT"), "action": st.sampled_from(["FULL_CLOSE", "PARTIAL_50", "CLOSE", ""])},
    optional={"percentage": amounts, "quantity": amounts, "side": st.sampled_from(["LONG", "SHORT"])},
)
intents = (
    st.tuples(st.just(Lane.TRADE), trades) | st.tuples(st.sampled_from([Lane.EXIT, Lane.HARVEST]), exits)
).map(lambda pair: read(pair[1], pair[0]))
readable = intents.filter(lambda found: isinstance(found, Intent))
steps = st.none() | st.builds(
    Steps,
    st.sampled_from([Decimal(text) for text in ("0.001", "1", "0.00001", "10")]),
    st.just(Decimal("0.001")),
)
cases = st.builds(
    lambda of, **changes: case(of, **changes),
    readable,
    published_ms=st.sampled_from([NOW_MS, NOW_MS - 30_000, NOW_MS - 45_000, NOW_MS - 61_000, None]),
    mark_price=st.none() | st.decimals("0.000001", "200000", places=6),
    position=st.none() | signed | st.just(Decimal(0)),
    steps=steps,
    in_universe=st.booleans(),
    lockdown=st.booleans(),
    last_close_ms=st.none() | st.integers(NOW_MS - 1_000_000, NOW_MS + 1000),
    exposure=st.none()
    | st.builds(Exposure, st.none() | amounts.map(Decimal), st.none() | amounts.map(Decimal)),
    rules=st.fixed_dictionaries(
        {
            "max_notional": st.sampled_from([Decimal(0), Decimal(3000)]),
            "skip_flat_sell": st.booleans(),
            "max_exposure_pct": st.none() | st.just(Decimal(80)),
        }
    ),
)


def as_plan(found: IntentCase) -> Plan | None:
    """The plan of a case, as the guard reads it; None where there is none."""
    fields = decide(found).plan
    plan = read_plan({name.encode(): text.encode() for name, text in fields.items()})
    if not fields:
        return None
    assert isinstance(plan, Plan), plan
    return plan


@given(cases)
def test_the_guard_can_read_every_plan_and_finds_no_contradiction(found: IntentCase) -> None:
    plan = as_plan(found)
    assert plan is None or contradiction(plan) is None


@given(cases)
def test_the_evaluation_type_agrees_with_the_kind_at_the_position(found: IntentCase) -> None:
    plan, position = as_plan(found), found.position
    if plan is None or position is None:
        return
    kind = row_for(plan, Leg.BOTH, position).outcome
    if plan.eval_type == "EXIT":
        assert kind in (Kind.CLOSE, Reason.REDUCE_ONLY_SIDE_MISMATCH)
    else:
        assert kind in (Kind.OPEN, Kind.ADD, Reason.WOULD_FLIP_POSITION)


@given(cases)
def test_quantities_are_multiples_of_the_step_and_never_above_what_was_wanted(found: IntentCase) -> None:
    plan, intent = as_plan(found), found.intent
    if plan is None or plan.quantity is None:
        return
    if found.steps is not None:
        assert plan.quantity % found.steps.step == 0
        assert plan.quantity >= found.steps.least
    if intent.quantity is not None:
        assert plan.quantity <= intent.quantity
    elif intent.notional is not None:
        price = intent.price or found.mark_price
        assert price is not None
        with localcontext(prec=120):
            assert plan.quantity * price <= intent.notional
    if intent.fraction is not None and found.position is not None:
        assert plan.quantity <= abs(found.position) * intent.fraction
    if plan.eval_type == "ENTRY" and found.rules.max_notional and found.mark_price is not None:
        assert plan.quantity * found.mark_price <= found.rules.max_notional


@given(cases)
def test_a_partial_is_never_a_full_close(found: IntentCase) -> None:
    plan = as_plan(found)
    if plan is not None and found.intent.fraction is not None:
        assert plan.action in ("PARTIAL_50", "PARTIAL_75") or (
            plan.action == "PARTIAL_CLOSE" and plan.quantity is not None
        )


@given(cases, st.integers(0, 10_000))
def test_a_plan_is_a_function_of_entry_price_and_position(found: IntentCase, later_ms: int) -> None:
    """Nothing else changes a field: whatever else is another, there is the same plan or none."""
    other = replace(
        found, now_ms=found.now_ms + later_ms, in_universe=True, lockdown=False, last_close_ms=None,
        exposure=Exposure(Decimal(0), Decimal(10**12)),
    )  # fmt: skip
    first, second = decide(found), decide(other)
    assert first.plan_id == second.plan_id == plan_id_of(found.intent)
    assert not first.plan or not second.plan or first.plan == second.plan


@given(cases, st.none() | st.decimals("1", "100", places=2), st.none() | signed)
def test_the_id_is_a_function_of_the_entry_alone(
    found: IntentCase, price: Decimal | None, position: Decimal | None
) -> None:
    other = replace(found, mark_price=price, position=position)
    assert decide(other).plan_id == decide(found).plan_id


@given(cases)
def test_the_audit_gives_the_same_answer_again(found: IntentCase) -> None:
    fields = audit(found)
    again = answer_again(fields["record"])
    assert again.identical, again.differences()
    assert (fields["reason"], fields["plan_id"]) == (again.answer.reason, again.answer.plan_id)


def audit(found: IntentCase) -> dict[str, str]:
    flat = audit_fields(
        decide(found), found, entry_id=found.intent.entry_id, lane=found.intent.lane, symbol="BTCUSDT",
        decided_ms=found.now_ms, issued_by="me", fields={}, rules=recorded_rules(found.rules), shadow=False,
    )  # fmt: skip
    return dict(zip(flat[::2], flat[1::2], strict=True))


def test_other_settings_give_another_answer() -> None:
    fields = audit(case(last_close_ms=NOW_MS - 500_000))
    assert fields["reason"] == "anti_churn"
    again = answer_again(fields["record"], {"min_hold_sec": 400})
    assert again.recorded.reason == "anti_churn"
    assert again.answer.plan["qty"] == "1"
    assert not again.identical
    assert {name for name, _, _ in again.differences()} == {"reason", "plan", "details"}


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff", b'{"entry_id":1}'])
def test_other_bytes_are_no_record(text: bytes) -> None:
    with pytest.raises(UnreadableRecordError):
        answer_again(text)


def test_a_case_goes_through_json_unchanged() -> None:
    found = case(steps=Steps(Decimal("0.10"), Decimal(1)), exposure=Exposure(None, Decimal("1.50")))
    assert msgspec.json.decode(msgspec.json.encode(found), type=IntentCase) == found
