"""The answers of a foreign Governor: proven, read from an absence, or unknown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from explanation.comparison import Basis
from explanation.governor_evidence import GovernorEvidence, governors_answer

BLOCK = '{"reason": "hourly_limit_exceeded", "timestamp": 1.5, "symbol": "BTCUSDT"}'
GRANT = '{"granted": true, "symbol": "BTCUSDT"}'


def answer(**evidence: Any) -> tuple[str, bool | None, str]:
    """Return basis, grant and reason; of an unknown one why."""
    theirs = governors_answer(GovernorEvidence(**evidence))
    if theirs.side is None:
        return theirs.basis.value, None, theirs.seen_in
    return theirs.basis.value, theirs.side.yes, theirs.side.reason


def result(error: str = "", executed: str = "False", **fields: str) -> dict[str, Any]:
    return {"results": ({"executed": executed, "error": error, **fields},)}


@pytest.mark.parametrize(
    ("evidence", "granted", "reason"),
    [
        ({"block": BLOCK}, False, "hourly_limit_exceeded"),
        ({"block": "[1"}, False, "its block cannot be read"),
        ({"permit": GRANT}, True, "granted"),
        ({"permit": '{"granted": true, "reason": "scaled"}'}, True, "scaled"),
        ({"permit": '{"granted": false, "reason": "symbol_cooldown"}'}, False, "symbol_cooldown"),
        ({"consumed": GRANT}, True, "granted"),
        (result("permit_denied (Governor: burst_limit_exceeded)"), False, "burst_limit_exceeded"),
        (result("permit_denied (Governor)"), False, "denied"),
        (result("permit_timeout (missing: P3.3)"), True, "granted"),
        (result(executed="True", steps_results="[]"), True, "granted"),
        (result("binance_error:-2019", steps_results="[]"), True, "granted"),
        (result(executed="false", details=json.dumps({"error": "permit_denied (Governor: a)"})), False, "a"),
    ],
)
def test_its_answer_is_proven_by_its_traces(evidence: dict[str, Any], granted: bool, reason: str) -> None:
    assert answer(**evidence) == (Basis.PROOF, granted, reason)


@pytest.mark.parametrize("missing", ["Governor", "Governor, P3.3"])
def test_a_permit_that_did_not_come_in_time_is_read_as_a_refusal(missing: str) -> None:
    found = answer(**result(f"permit_timeout (missing: {missing})"))
    assert found == (Basis.ABSENCE, False, "no permit in time")


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        ({}, "it has left nothing"),
        ({"trimmed": True}, "its results are trimmed"),
        ({"permit": "1"}, "its permit cannot be read"),
        ({"permit": '{"granted": "false"}'}, "its permit cannot be read"),
        (result("permit_denied (P3.3: no_position)"), "which permit was missing"),
        (result("missing_or_denied_permits"), "which permit was missing"),
        (result(executed="true", source="intent_executor"), "may not have asked for its permit"),
        (result("kill_switch_active"), "it has left nothing"),
        (result("insufficient margin", steps_results="[]"), "it has left nothing"),
    ],
)
def test_an_answer_that_nothing_shows_is_unknown(evidence: dict[str, Any], why: str) -> None:
    basis, granted, said = answer(**evidence)
    assert (basis, granted) == (Basis.UNKNOWN, None) and why in said


def test_a_proof_outweighs_an_absence_and_what_says_nothing() -> None:
    silent, late = result("permit_denied (P3.3: x)")["results"], result("permit_timeout (missing: Governor)")
    assert answer(results=(*silent, *late["results"]))[:2] == (Basis.ABSENCE, False)
    assert answer(results=silent, block=BLOCK)[:2] == (Basis.PROOF, False)
    assert answer(block=BLOCK, permit=GRANT)[:2] == (Basis.PROOF, False)
