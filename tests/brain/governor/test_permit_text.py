"""The Governor's answers as text: permit, denial, block, and the entry of the audit stream."""

from __future__ import annotations

import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from brain.decisions.permit_text import with_signature
from brain.governor.case import Efficiency, GovernorCase, NeighbourView
from brain.governor.efficiency import efficiency_hint
from brain.governor.judging import evaluation_failed, judge
from brain.governor.permit_text import block_json, permit_json
from brain.governor.record import (
    UnreadableRecordError,
    audit_fields,
    case_of,
    read_record,
    recorded_judgement,
    same_outcome,
)
from brain.identifiers import EntryId, PlanId, Symbol
from brain.plans.permit import Kind
from permit_gate.signature import verified
from tests.brain.cases import NOW_MS
from tests.brain.governor.cases import RULES, closing, opening

NAMES: dict[str, Any] = {"plan_id": PlanId("plan-1"), "symbol": Symbol("BTCUSDT")}
CREATED_AT_SEC = 1_760_000_000.25
#: Members of the service before, with their types.
FORMER = {
    "granted": bool,
    "symbol": str,
    "decision": str,
    "computed_qty": float,
    "computed_notional": float,
    "created_at": float,
    "consumed": bool,
    "eff_score": str,
    "eff_confidence": str,
    "eff_stale": str,
    "eff_factor": str,
    "eff_action": str,
    "eff_reason": str,
    "downsize_factor": str,
    "extra_cooldown_sec": str,
}
ADDED = {
    "plan_id", "kind", "eval_type", "reason", "qty_scale", "kill_score", "kill_z", "z_cutoff",
    "trading_state", "issued_by",
}  # fmt: skip


def permit_of(case: GovernorCase, **more: Any) -> dict[str, Any]:
    text = permit_json(judge(case), case, **NAMES, created_at_sec=CREATED_AT_SEC, issued_by="test", **more)
    permit: dict[str, Any] = json.loads(text, parse_int=float)
    return permit


def audit_of(case: GovernorCase, **more: Any) -> dict[str, str]:
    flat = audit_fields(
        judge(case),
        case,
        **NAMES,
        entry_id=EntryId("1-1"),
        decided_ms=NOW_MS,
        issued_by="test",
        fields={},
        **more,
    )
    return dict(zip(flat[::2], flat[1::2], strict=True))


@pytest.mark.parametrize("case", [opening(), closing(), opening(kill_switch=True)])
def test_a_permit_has_all_members_in_their_types(case: GovernorCase) -> None:
    permit = permit_of(case)
    assert {name: type(permit[name]) for name in FORMER} == FORMER
    assert permit.keys() >= ADDED
    assert permit["decision"] == "EXECUTE"
    assert permit["consumed"] is False
    assert permit["created_at"] == CREATED_AT_SEC


def test_an_entry_s_permit_names_order_and_score() -> None:
    permit = permit_of(opening(kill_score=0.32))
    assert permit["granted"] is True
    assert (permit["computed_qty"], permit["computed_notional"]) == (0.001, 60)
    assert (permit["kind"], permit["eval_type"], permit["reason"]) == ("open", "ENTRY", "governor_granted")
    assert permit["kill_score"] == 0.32
    assert permit["kill_z"] < permit["z_cutoff"] == 0.7
    assert permit["trading_state"] == "ACTIVE"
    assert "details" not in permit


def test_a_close_s_permit_has_null_for_scores_and_nothing_for_an_unknown_notional() -> None:
    permit = permit_of(closing())
    assert (permit["kind"], permit["eval_type"], permit["reason"]) == (
        "close",
        "EXIT",
        "governor_granted_close",
    )
    assert (permit["kill_score"], permit["kill_z"], permit["z_cutoff"]) == (None, None, None)
    assert permit["computed_notional"] == 0
    assert permit["qty_scale"] == 1


def test_a_stop_loss_update_has_the_kind_none() -> None:
    assert permit_of(closing(kind=Kind.NONE))["kind"] == "none"


def test_a_denial_is_not_granted_and_carries_the_numbers() -> None:
    permit = permit_of(opening(mark_price=Decimal(300_000)))
    assert permit["granted"] is False
    assert permit["details"] == {"notional": 300, "limit": 200}


def test_an_exit_let_go_after_its_blocks_says_so() -> None:
    case = opening()
    judgement = msgspec.structs.replace(judge(case), exit_block_expired=True)
    text = permit_json(judgement, case, **NAMES, created_at_sec=1.0, issued_by="test")
    assert json.loads(text)["exit_block_expired"] is True
    assert "exit_block_expired" not in permit_of(case)


def test_a_signed_permit_is_verified_by_the_gate() -> None:
    permit = permit_json(
        judge(opening()), opening(), **NAMES, created_at_sec=1.0, issued_by="test", key_prefix="quantum"
    )
    signature = hmac.new(b"key", permit, hashlib.sha256).hexdigest()
    signed = with_signature(permit, signature)
    assert json.loads(signed)["key_prefix"] == "quantum"
    assert verified(signed, b"key")


def test_the_hint_of_capital_efficiency_is_in_the_permit_of_an_entry_alone() -> None:
    seen = NeighbourView(efficiency=Efficiency(0.225, 0.9, 1.0))
    permit = permit_of(opening(neighbours=seen))
    assert permit["granted"] is True
    assert (permit["eff_score"], permit["eff_confidence"], permit["eff_stale"]) == ("0.225", "0.9", "0")
    assert (permit["eff_action"], permit["eff_reason"]) == ("DOWNSIZE", "low_efficiency")
    assert permit["eff_factor"] == permit["downsize_factor"] == "0.5"
    assert permit["extra_cooldown_sec"] == "93"
    assert permit_of(closing(neighbours=seen))["eff_action"] == "NONE"


@pytest.mark.parametrize(
    ("efficiency", "action", "reason", "factor"),
    [
        (None, "NONE", "missing_eff", 1.0),
        (Efficiency(0.1, 0.9, 600.5), "NONE", "stale_eff", 1.0),
        (Efficiency(0.1, 0.64, 600.0), "NONE", "low_confidence", 1.0),
        (Efficiency(0.45, 0.65, 1.0), "NONE", "ok", 1.0),
        (Efficiency(0.09, 0.65, 1.0), "DOWNSIZE", "low_efficiency", 0.25),
    ],
)
def test_the_hint_has_its_boundaries(
    efficiency: Efficiency | None, action: str, reason: str, factor: float
) -> None:
    hint = efficiency_hint(efficiency, RULES)
    assert (hint.action, hint.reason, hint.factor) == (action, reason, factor)


def test_a_block_names_reason_and_numbers() -> None:
    case = opening(kill_switch=True)
    block = json.loads(block_json(judge(case), case, **NAMES, created_at_sec=1.5, issued_by="test"))
    assert block == {
        "reason": "kill_switch_active",
        "timestamp": 1.5,
        "symbol": "BTCUSDT",
        "plan_id": "plan-1",
        "kind": "open",
        "eval_type": "ENTRY",
        "details": {"trading_state": "ACTIVE", "kill_switch": True},
        "issued_by": "test",
    }


def test_a_block_without_a_case_has_null_for_what_is_not_known() -> None:
    text = block_json(
        evaluation_failed(3, "exit", None),
        None,
        plan_id=PlanId("p"),
        symbol=None,
        created_at_sec=1.0,
        issued_by="test",
    )
    block = json.loads(text)
    assert (block["symbol"], block["kind"], block["eval_type"]) == (None, None, None)


def test_an_audit_entry_is_flat_and_has_the_whole_record() -> None:
    entry = audit_of(opening(kill_score=0.32))
    assert entry["granted"] == "true"
    assert entry["kill_score"] == "0.32000000000000001"
    assert float(entry["kill_z"]) == judge(opening(kill_score=0.32)).z
    assert "shadow" not in entry
    assert audit_of(opening(), shadow=True)["shadow"] == "true"
    assert json.loads(entry["record"])["v"] == 1


def test_a_record_of_a_later_release_is_read_without_the_fields_that_are_not_known() -> None:
    text = audit_of(opening())["record"]
    later = json.loads(text) | {"added_later": [1]}
    later["case"]["added_later"] = {"x": 1}
    later["judgement"]["added_later"] = 2
    record = read_record(json.dumps(later))
    assert case_of(record) == opening()
    assert recorded_judgement(record).granted


def test_a_record_of_another_outcome_is_not_the_same() -> None:
    record = read_record(audit_of(opening())["record"])
    assert same_outcome(record, judge(opening()))
    assert not same_outcome(record, judge(opening(kill_score=0.31)))


def test_an_outcome_that_did_not_come_from_the_case_is_not_judged_again() -> None:
    flat = audit_fields(
        evaluation_failed(3, "exit", None),
        opening(),
        **NAMES,
        entry_id=EntryId("1-1"),
        decided_ms=NOW_MS,
        issued_by="test",
        fields={},
    )
    with pytest.raises(UnreadableRecordError, match="evaluation_failed"):
        case_of(read_record(flat[-1]))


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b"\xff", b"{" * 100_000])
def test_other_bytes_are_no_record(text: bytes) -> None:
    with pytest.raises(UnreadableRecordError):
        read_record(text)
