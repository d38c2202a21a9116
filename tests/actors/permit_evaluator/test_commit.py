"""A decision's commit: a permit that the gate accepts, and a complete record."""

from __future__ import annotations

import json
import time
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given

from actors.permit_evaluator.commit import DecisionWriter
from brain.decisions.answer import Answer
from brain.decisions.case import Case
from brain.decisions.dead_letter import dead_letter
from brain.decisions.decision import decide, deny_malformed, evaluation_failed
from brain.decisions.permit_text import read_audit
from brain.identifiers import EntryId, PlanId, Symbol
from brain.plans.plan import MalformedPlan
from brain.plans.plan_fields import read_plan
from permit_gate import P33
from permit_gate.answers import Refusal
from permit_gate.reading import Unusable, Yes, read_permit
from settings import Secret
from store.records import DecisionCommit
from tests.brain.cases import NOW_MS, RULES, case, entry, ledger
from tests.brain.strategies import cases

KEY = "clé secrète"
FIELDS = {b"plan_id": b"plan-1", b"symbol": b"BTCUSDT", b"k_heat": b"0.31", b"note": b"\xff"}


def commit(
    the_case: Case,
    *,
    key: str | None = KEY,
    fields: dict[bytes, bytes] | None = None,
    key_prefix: str = "quantum",
) -> DecisionCommit:
    writer = DecisionWriter(RULES, "build-1 host:8045", Secret(key) if key else None, key_prefix=key_prefix)
    answer = Answer(
        EntryId("1-0"), PlanId("plan-1"), Symbol("BTCUSDT"), decide(the_case), the_case, fields or FIELDS
    )
    return writer.commit(answer, assumed=None, deadline_ms=0, created_at_sec=time.time())


def at_the_gate(permit: str, key: str | None = KEY, *, symbol: str = "BTCUSDT") -> Yes | Unusable:
    signing_key = key.encode() if key else None
    return read_permit(
        P33,
        permit.encode(),
        plan_id="plan-1",
        symbol=symbol,
        key_prefix="quantum",
        signing_key=signing_key,
    )


def audited(written: DecisionCommit) -> bytes:
    return dict(zip(written.audit_fields[::2], written.audit_fields[1::2], strict=True))["record"].encode()


def test_a_signed_permit_passes_the_gate_with_its_quantity() -> None:
    read = at_the_gate(commit(case()).permit)
    assert isinstance(read, Yes) and read.terms is not None
    assert read.terms.safe_quantity == Decimal("0.028")


def test_a_permit_of_another_accounts_prefix_does_not_open_the_gate() -> None:
    refused = at_the_gate(commit(case(), key_prefix="other").permit)
    assert isinstance(refused, Unusable) and refused.refusal is Refusal.SIGNATURE_WRONG


def test_without_a_key_permits_carry_no_signature() -> None:
    permit = commit(case(), key=None).permit
    assert "signature" not in json.loads(permit)
    assert isinstance(at_the_gate(permit, None), Yes)
    refused = at_the_gate(permit)
    assert isinstance(refused, Unusable) and refused.refusal is Refusal.SIGNATURE_MISSING


def test_another_key_does_not_open_the_gate() -> None:
    refused = at_the_gate(commit(case()).permit, "another key")
    assert isinstance(refused, Unusable) and refused.refusal is Refusal.SIGNATURE_WRONG


@pytest.mark.parametrize(
    ("written", "forged"),
    [
        ('"plan_id":"plan-1"', '"plan_id":"plan-2"'),
        ('"symbol":"BTCUSDT"', '"symbol":"ETHUSDT"'),
        ('"side":"LONG"', '"side":"SHORT"'),
        ('"order_side":"SELL"', '"order_side":"BUY"'),
        ('"leg":"BOTH"', '"leg":"LONG"'),
        ('"kind":"close"', '"kind":"open"'),
        ('"safe_close_qty":0.028,"safe_qty":0.028', '"safe_close_qty":0.038,"safe_qty":0.038'),
        ('"plan_qty":null', '"plan_qty":100'),
        ('"created_at":', '"created_at":1'),
        ('"key_prefix":"quantum"', '"key_prefix":"quantum2"'),
    ],
)
def test_nothing_that_matters_can_be_changed_in_a_signed_permit(written: str, forged: str) -> None:
    permit = commit(case()).permit
    assert permit.count(written) == 1
    refused = at_the_gate(permit.replace(written, forged), symbol="BTCUSDT")
    assert isinstance(refused, Unusable) and refused.refusal is Refusal.SIGNATURE_WRONG


def test_a_signed_deny_can_not_be_turned_into_an_allow() -> None:
    permit = commit(case(ledger=ledger("0.03"))).permit
    denied = at_the_gate(permit)
    assert isinstance(denied, Unusable) and denied.refusal is Refusal.PERMIT_DENIED
    forged = at_the_gate(permit.replace('"allow":false', '"allow":true'))
    assert isinstance(forged, Unusable) and forged.refusal is Refusal.SIGNATURE_WRONG


def test_the_quantity_of_an_open_is_signed_too() -> None:
    permit = commit(case(entry(quantity="0.5"), "0")).permit
    assert isinstance(at_the_gate(permit), Yes)
    assert '"plan_qty":0.5' in permit


@given(cases())
def test_every_signed_permit_is_genuine_to_the_gate(the_case: Case) -> None:
    read = at_the_gate(commit(the_case).permit)
    if the_case.plan.symbol == "BTCUSDT" and decide(the_case).allow:
        assert isinstance(read, Yes)
    else:
        assert isinstance(read, Unusable) and read.refusal is Refusal.PERMIT_DENIED


def test_the_record_holds_case_permit_and_the_plan_as_published() -> None:
    written = commit(case())
    audit = read_audit(audited(written))
    assert audit.case == case()
    assert audit.fields == {"plan_id": "plan-1", "symbol": "BTCUSDT", "k_heat": "0.31", "note": "\\xff"}
    assert audit.issued_by == "build-1 host:8045"
    permit = json.loads(written.permit)
    assert permit.pop("signature")
    assert json.loads(bytes(audit.permit)) == permit


def test_nobody_finds_a_signature_in_the_record() -> None:
    written = commit(case())
    assert json.loads(written.permit)["signature"].encode() not in audited(written)
    assert KEY.encode() not in audited(written)


def test_the_record_of_a_malformed_plan_holds_its_fields() -> None:
    fields = {b"plan_id": b"plan-1", b"symbol": b"BTCUSDT", b"decision": b"EXECUTE", b"qty": b"x" * 3000}
    malformed = read_plan(fields)
    assert isinstance(malformed, MalformedPlan)
    answer = Answer(
        EntryId("1-0"), PlanId("plan-1"), malformed.symbol, deny_malformed(malformed), None, fields
    )
    written = DecisionWriter(RULES, "test").commit(answer, assumed=None, deadline_ms=0, created_at_sec=1.0)
    audit = read_audit(audited(written))
    assert audit.case is None
    assert audit.fields["decision"] == "EXECUTE"
    assert audit.fields["qty"].startswith("xxx") and "3000 bytes" in audit.fields["qty"]


def test_an_answer_without_a_case_is_signed_as_well() -> None:
    answer = Answer(EntryId("1-0"), PlanId("plan-1"), Symbol("BTCUSDT"), evaluation_failed(3), None, {})
    written = DecisionWriter(RULES, "test", Secret(KEY)).commit(
        answer, assumed=None, deadline_ms=0, created_at_sec=NOW_MS / 1000
    )
    denied = at_the_gate(written.permit)
    assert isinstance(denied, Unusable)
    assert (denied.refusal, denied.because) == (Refusal.PERMIT_DENIED, "evaluation_failed")
    assert msgspec.json.decode(bytes(read_audit(audited(written)).permit))["reason"] == "evaluation_failed"


def test_every_name_in_a_dead_letter_stands_once_whatever_the_entry_calls_its_fields() -> None:
    fields = {b"plan_id": b"q", b"error": b"", b"entry_id": b"evil", b"executed": b"True"}
    letter = dead_letter(fields, entry_id=EntryId("5-1"), error="no order")
    read = dict(zip(letter[::2], letter[1::2], strict=True))
    assert len(read) == len(letter) / 2
    assert (read["entry_id"], read["error"]) == ("5-1", "no order")
    assert (read["original_error"], read["original_entry_id"]) == ("", "evil")
    assert read["plan_id"] == "q"
