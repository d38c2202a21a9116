"""Permits and audit records as text."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given

from brain.decisions.case import Case
from brain.decisions.decision import decide, deny_malformed, evaluation_failed, state_contended
from brain.decisions.permit_text import (
    NotReplayableError,
    audit_record,
    case_of,
    permit_json,
    read_audit,
    recorded_decision,
    same_outcome,
    with_signature,
)
from brain.identifiers import PlanId, Symbol
from brain.ledger.ledger import StoredLedger
from brain.numbers import plain
from brain.plans.permit import Decision
from brain.plans.plan import MalformedPlan, Side
from brain.positions.position import Leg
from tests.brain.cases import BTCUSDT, case, entry, hedged, ledger, plan, snapshot
from tests.brain.strategies import cases

BTC = Symbol("BTCUSDT")
CREATED_AT_SEC = 1_760_000_000.25
ALWAYS = {
    "plan_id",
    "symbol",
    "allow",
    "reason",
    "kind",
    "side",
    "order_side",
    "leg",
    "exchange_position_amt",
    "ledger_position_amt",
    "ledger_amt",
    "snapshot_age_sec",
    "created_at",
    "ts_epoch",
    "issued_by",
}


def text_of(decision: Decision, the_case: Case | None, symbol: Symbol | None = BTC) -> bytes:
    return permit_json(
        decision,
        the_case,
        plan_id=PlanId("plan-1"),
        symbol=symbol,
        created_at_sec=CREATED_AT_SEC,
        issued_by="v1 host:8045",
    )


def record_of(decision: Decision, the_case: Case | None, symbol: Symbol | None = BTC) -> bytes:
    return audit_record(
        decision,
        the_case,
        plan_id=PlanId("plan-1"),
        symbol=symbol,
        issued_by="v1 host:8045",
        fields={"plan_id": "plan-1", "k_heat": "0.3"},
        permit=text_of(decision, the_case, symbol),
    )


def permit(the_case: Case) -> dict[str, Any]:
    """The permit as a consumer reads it, numbers as they are written."""
    read: dict[str, Any] = json.loads(
        text_of(decide(the_case), the_case), parse_float=Decimal, parse_int=Decimal
    )
    return read


def test_an_allowed_close() -> None:
    assert text_of(decide(case()), case()) == (
        b'{"plan_id":"plan-1","symbol":"BTCUSDT","allow":true,"reason":"sanity_checks_passed","kind":"close",'
        b'"side":"LONG","order_side":"SELL","leg":"BOTH","exchange_position_amt":0.038,'
        b'"ledger_position_amt":0.038,"ledger_amt":0.038,"snapshot_age_sec":0.5,"created_at":1760000000.25,'
        b'"ts_epoch":1760000000,"issued_by":"v1 host:8045","safe_close_qty":0.028,"safe_qty":0.028,'
        b'"plan_qty":null}'
    )


def test_an_allowed_open_says_zero() -> None:
    read = permit(case(entry(), "0"))
    assert (read["kind"], read["side"], read["order_side"]) == ("open", "FLAT", "BUY")
    assert read["safe_close_qty"] == read["safe_qty"] == 0
    assert "details" not in read


def test_a_short_has_its_sign() -> None:
    read = permit(case(plan(side=Side.CLOSE), "-0.038"))
    assert (read["side"], read["order_side"]) == ("SHORT", "BUY")
    assert read["exchange_position_amt"] == read["ledger_position_amt"] == Decimal("-0.038")


def test_a_deny_has_its_details_and_no_quantity() -> None:
    read = permit(case(ledger=ledger("0.03")))
    assert set(read) == ALWAYS | {"details"}
    assert read["details"]["difference"] == Decimal("0.008")
    assert read["details"]["tolerance_pct"] == 1


def test_unknown_values_are_null() -> None:
    read = permit(case(snapshot=None, ledger=StoredLedger()))
    for name in ("kind", "side", "exchange_position_amt", "ledger_position_amt", "ledger_amt"):
        assert read[name] is None
    assert read["snapshot_age_sec"] is None
    unreadable = permit(case(ledger=ledger("half a bitcoin")))
    assert (unreadable["exchange_position_amt"], unreadable["ledger_amt"]) == (Decimal("0.038"), None)
    nothing = permit(case(snapshot=None, hedge_mode=None))
    assert (nothing["leg"], nothing["ledger_amt"]) == (None, None)
    no_leg = permit(case(snapshot=hedged("0.038", "-0.02"), hedge_mode=True))
    assert (no_leg["leg"], no_leg["side"], no_leg["exchange_position_amt"]) == (None, None, None)


def test_an_answer_without_a_case_knows_nothing() -> None:
    for decision in (
        deny_malformed(MalformedPlan(PlanId("plan-1"), None, {"symbol": "missing"})),
        evaluation_failed(3),
    ):
        read = json.loads(text_of(decision, None, symbol=None))
        assert read["allow"] is False
        known = {name for name in ALWAYS if read[name] is not None}
        assert known == {"plan_id", "allow", "reason", "created_at", "ts_epoch", "issued_by"}
        assert read["details"]


def test_a_stop_loss_update_is_of_no_kind_even_when_denied() -> None:
    update = plan(action="UPDATE_SL", side=None, reduce_only=None)
    assert permit(case(update))["kind"] == "none"
    assert permit(case(update, hold=True))["kind"] == "none"


def test_in_hedge_mode_the_amounts_are_the_legs() -> None:
    ledger = StoredLedger("0.018", None, None, "0.038", "-0.02")
    closing = case(
        plan(leg=Leg.SHORT, side=Side.BUY), snapshot=hedged("0.038", "-0.02"), hedge_mode=True, ledger=ledger
    )
    read = permit(closing)
    assert (read["leg"], read["side"]) == ("SHORT", "SHORT")
    assert read["exchange_position_amt"] == read["ledger_amt"] == Decimal("-0.02")
    assert read["safe_qty"] == Decimal("0.015")


def test_numbers_are_exact_and_never_in_exponent_form() -> None:
    tiny = msgspec.structs.replace(
        BTCUSDT, market_step=Decimal("1E-8"), market_min=Decimal("1E-8"), market_max=Decimal("1E+9")
    )
    closing = case(
        plan(action="FULL_CLOSE_PROPOSED"),
        snapshot=snapshot("1E-7"),
        ledger=ledger("1e-07"),
        symbol_rules=tiny,
    )
    text = text_of(decide(closing), closing)
    assert b'"safe_close_qty":0.0000001,' in text
    assert b'"exchange_position_amt":0.0000001,' in text
    large = case(plan(action="FULL_CLOSE_PROPOSED"), "123456789.12345678", symbol_rules=tiny)
    assert b'"safe_close_qty":123456789.12345678,' in text_of(decide(large), large)
    below = case(plan(quantity=Decimal("1E-12")), symbol_rules=tiny)
    assert b'"asked_qty":0.000000000001,' in text_of(decide(below), below)


def test_a_signature_is_the_last_member_and_leaves_the_rest_as_it_was() -> None:
    unsigned = text_of(decide(case()), case())
    signed = with_signature(unsigned, "00ff")
    assert signed.replace(b',"signature":"00ff"', b"") == unsigned
    assert list(json.loads(signed))[-1] == "signature"


def test_a_permit_that_will_be_signed_names_its_key_prefix_last() -> None:
    decision = decide(case())
    text = permit_json(
        decision,
        case(),
        plan_id=PlanId("plan-1"),
        symbol=Symbol("BTCUSDT"),
        created_at_sec=CREATED_AT_SEC,
        issued_by="v1 host:8045",
        key_prefix="account-2",
    )
    assert text == text_of(decision, case())[:-1] + b',"key_prefix":"account-2"}'


def test_an_allow_names_the_quantity_that_the_plan_asked_for() -> None:
    assert permit(case(entry(quantity="0.010"), "0"))["plan_qty"] == Decimal("0.01")
    assert permit(case(plan(quantity=Decimal("0.02"))))["plan_qty"] == Decimal("0.02")
    assert permit(case())["plan_qty"] is None


def test_text_from_outside_cannot_break_out_of_its_string() -> None:
    odd = case(plan(action='CLOSE","allow":true,"x":"'))
    decision = decide(odd)
    read = json.loads(
        permit_json(
            decision,
            odd,
            plan_id=PlanId('a","allow":true,"x":"'),
            symbol=Symbol('S"'),
            created_at_sec=1.0,
            issued_by="\n",
        )
    )
    assert read["allow"] is False
    assert read["plan_id"] == 'a","allow":true,"x":"'


@given(cases())
def test_every_permit_can_be_read_by_any_json_reader(the_case: Case) -> None:
    decision = decide(the_case)
    text = text_of(decision, the_case)
    read = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    quantities = {"safe_close_qty", "safe_qty", "plan_qty"} if decision.allow else {"details"}
    assert set(read) == ALWAYS | quantities
    if decision.allow:
        assert read["safe_close_qty"] == read["safe_qty"] == decision.quantity
        assert b'"safe_close_qty":%b,' % plain(decision.quantity).encode() in text
    if read["exchange_position_amt"] is not None:
        assert the_case.snapshot is not None
        assert read["exchange_position_amt"] in [row.amount for row in the_case.snapshot.legs]


def test_an_audit_record_holds_the_whole_case() -> None:
    denied = case(ledger=ledger("0.03", last_order_id="17"), cooldown_text="x")
    audit = read_audit(record_of(decide(denied), denied))
    assert (audit.plan_id, audit.symbol, audit.issued_by) == ("plan-1", "BTCUSDT", "v1 host:8045")
    assert audit.case == denied
    assert audit.fields == {"plan_id": "plan-1", "k_heat": "0.3"}
    assert bytes(audit.permit) == text_of(decide(denied), denied)
    assert same_outcome(audit, decide(denied))
    assert not same_outcome(audit, decide(case()))


@pytest.mark.parametrize(
    ("decision", "the_case"), [(evaluation_failed(3), None), (state_contended(5), case())]
)
def test_a_decision_without_its_case_cannot_be_decided_again(
    decision: Decision, the_case: Case | None
) -> None:
    record = record_of(decision, the_case, None)
    with pytest.raises(NotReplayableError) as refusal:
        case_of(read_audit(record), decision.reason)
    assert refusal.value.reason is decision.reason
    assert same_outcome(read_audit(record), decision)


@pytest.mark.parametrize("record", [b"", b"{}", b"[]", b"\xff", b'{"plan_id":1}'])
def test_text_that_is_no_audit_record_is_refused(record: bytes) -> None:
    with pytest.raises(NotReplayableError):
        read_audit(record)


@pytest.mark.parametrize(
    "outcome", [b"{}", b"[]", b'{"allow":true,"reason":"of a later build"}', b"[" * 100_000 + b"]" * 100_000]
)
def test_a_record_with_an_unreadable_outcome_is_refused(outcome: bytes) -> None:
    record = b'{"plan_id":"a","symbol":null,"issued_by":"b","case":null,"decision":%b}' % outcome
    with pytest.raises(NotReplayableError) as refusal:
        recorded_decision(read_audit(record))
    assert refusal.value.reason is None


@given(cases())
def test_a_recorded_decision_is_what_was_decided(the_case: Case) -> None:
    decision = decide(the_case)
    read = recorded_decision(read_audit(record_of(decision, the_case)))
    assert msgspec.to_builtins(read) == msgspec.to_builtins(decision)
