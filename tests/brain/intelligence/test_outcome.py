"""Outcomes of results in their three dialects, and of entries that are none."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from brain.execution.results import Outcome as ExecutorsOutcome
from brain.execution.results import result_fields
from brain.identifiers import PlanId, Symbol
from brain.intelligence.outcome import Outcome, ResultOutcome, read_outcome
from brain.intelligence.reasons import LONGEST_NAME, Gate


def entry(**fields: str) -> dict[bytes, bytes]:
    named = {"plan_id": "plan-1", "symbol": "BTCUSDT"} | fields
    return {name.encode(): value.encode() for name, value in named.items()}


def outcome(
    decision: Outcome, reason: str = "none", gate: Gate | None = None, raw: str = ""
) -> ResultOutcome:
    return ResultOutcome(outcome=decision, reason=reason, gate=gate, raw=raw, symbol=Symbol("BTCUSDT"))


DETAILS = json.dumps({"order_id": "17", "error": "permit_timeout (missing: Governor)", "filled_qty": 0})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # Apply Layer: steps.
        (entry(decision="EXECUTE", executed="True", steps_results="[]", error=""), outcome(Outcome.EXECUTE)),
        (
            entry(
                decision="EXECUTE",
                executed="False",
                would_execute="True",
                error="p33_permit_denied:no_position",
            ),
            outcome(Outcome.BLOCKED, "p33_permit_denied:no_position", Gate.P33),
        ),
        (
            entry(decision="BLOCKED", executed="False", error="kill_score_critical"),
            outcome(Outcome.BLOCKED, "kill_score_critical", Gate.PLAN),
        ),
        (
            entry(decision="SKIP", executed="False", reason_codes='["no_change", "dust"]'),
            outcome(Outcome.SKIP, "no_change", Gate.PLAN),
        ),
        (
            entry(decision="SKIP", executed="False", reason_codes="no_change,dust"),
            outcome(Outcome.SKIP, "no_change", Gate.PLAN),
        ),
        # Harvest path: flat.
        (entry(executed="true", order_id="17", filled_qty="0.3"), outcome(Outcome.EXECUTE)),
        (entry(executed="false"), outcome(Outcome.SKIP, gate=Gate.PLAN)),
        (
            entry(executed="False", reason="quantity_too_small"),
            outcome(Outcome.BLOCKED, "quantity_too_small", Gate.EXECUTOR),
        ),
        (
            entry(executed="0", error="APIError(code=-2019): no"),
            outcome(Outcome.ERROR, "binance_error:-2019", Gate.EXCHANGE),
        ),
        # Intent Executor: details.
        (
            entry(executed="false", details=DETAILS),
            outcome(Outcome.BLOCKED, "permit_timeout:governor", Gate.GOVERNOR),
        ),
        (
            entry(executed="false", details='{"error": {"code": -2022, "msg": "no"}}'),
            outcome(Outcome.ERROR, "binance_error:-2022", Gate.EXCHANGE),
        ),
        # `error` before `details.error` before `reason` before `reason_codes`.
        (
            entry(executed="false", error="below_min_qty", details=DETAILS, reason="r", reason_codes="c"),
            outcome(Outcome.BLOCKED, "below_min_qty", Gate.EXECUTOR),
        ),
        (
            entry(executed="false", details=DETAILS, reason="r", reason_codes="c"),
            outcome(Outcome.BLOCKED, "permit_timeout:governor", Gate.GOVERNOR),
        ),
        (entry(executed="false", reason="r", reason_codes="c"), outcome(Outcome.BLOCKED, "r", Gate.EXECUTOR)),
        (
            entry(executed="false", error="None", details="{}", reason="null", reason_codes="[]"),
            outcome(Outcome.SKIP, gate=Gate.PLAN),
        ),
        # The exchange refused what both permits allowed: the plan was not executed, hence BLOCKED.
        (
            entry(decision="EXECUTE", executed="false", error="binance_error:-2022"),
            outcome(Outcome.BLOCKED, "binance_error:-2022", Gate.EXCHANGE),
        ),
        (entry(decision="RECONCILE_CLOSE", executed="true"), outcome(Outcome.EXECUTE)),
        (
            entry(decision="RECONCILE_CLOSE", executed="false", error="plan_expired"),
            outcome(Outcome.BLOCKED, "plan_expired", Gate.PLAN),
        ),
        # Not understood.
        (entry(decision="HOLD", executed="false"), outcome(Outcome.UNKNOWN, gate=Gate.PLAN, raw="HOLD")),
        (
            entry(decision="no idea, sorry", executed="false"),
            outcome(Outcome.UNKNOWN, gate=Gate.PLAN, raw="no_idea,_sorry"),
        ),
        (entry(executed="perhaps"), outcome(Outcome.UNKNOWN, gate=Gate.PLAN, raw="perhaps")),
        (entry(), outcome(Outcome.UNKNOWN, gate=Gate.PLAN, raw="none")),
        # Unreadable parts hide nothing of the others.
        (entry(executed="false", details="{", reason="r"), outcome(Outcome.BLOCKED, "r", Gate.EXECUTOR)),
        (
            entry(executed="false", details="[" * 5_000, reason="r"),
            outcome(Outcome.BLOCKED, "r", Gate.EXECUTOR),
        ),
    ],
)
def test_a_result_has_an_outcome_a_reason_and_a_gate(
    fields: dict[bytes, bytes], expected: ResultOutcome
) -> None:
    assert read_outcome(fields) == expected


@pytest.mark.parametrize(
    ("word", "decision"),
    [
        ("EXECUTE", Outcome.EXECUTE),
        ("EXECUTED", Outcome.EXECUTE),
        ("exec", Outcome.EXECUTE),
        ("SKIP", Outcome.SKIP),
        ("Skipped", Outcome.SKIP),
        ("BLOCKED", Outcome.BLOCKED),
        ("BLOCK", Outcome.BLOCKED),
        ("ERROR", Outcome.ERROR),
        ("FAILED", Outcome.ERROR),
        ("fail", Outcome.ERROR),
    ],
)
def test_synonyms_of_decisions_are_understood_in_any_case(word: str, decision: Outcome) -> None:
    assert read_outcome(entry(decision=word)).outcome is decision
    assert read_outcome(entry(decision=word, executed="True")).outcome is decision
    blocked = Outcome.BLOCKED if decision is Outcome.EXECUTE else decision
    for executed in ("false", "False", "FALSE", "0"):
        assert read_outcome(entry(decision=word, executed=executed)).outcome is blocked


def test_an_unknown_decision_is_counted_by_its_text() -> None:
    assert read_outcome(entry(decision="HOLD")).decision == "UNKNOWN:HOLD"
    assert read_outcome(entry(decision="SKIP")).decision == "SKIP"


def published(executed: bool, decision: str = "EXECUTE", error: str = "") -> dict[bytes, bytes]:
    flat = result_fields(
        ExecutorsOutcome(
            plan_id=PlanId("plan-1"),
            symbol=Symbol("BTCUSDT"),
            executed=executed,
            published_sec=1_760_000_000,
            instance="i",
            decision=decision,
            action="ENTRY_PROPOSED",
            error=error,
        )
    )
    return {name.encode(): value.encode() for name, value in zip(flat[::2], flat[1::2], strict=True)}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (published(executed=True), outcome(Outcome.EXECUTE)),
        (
            published(executed=False, error="permit_denied (P3.3: cooldown_in_flight)"),
            outcome(Outcome.BLOCKED, "p33_permit_denied:cooldown_in_flight", Gate.P33),
        ),
        (
            published(executed=False, decision="SKIP", error="skip"),
            outcome(Outcome.SKIP, "skip", Gate.PLAN),
        ),
    ],
)
def test_results_of_our_own_executor_are_understood(
    fields: dict[bytes, bytes], expected: ResultOutcome
) -> None:
    assert read_outcome(fields) == expected


def test_the_symbol_of_a_result_is_read_only_where_it_is_one() -> None:
    assert read_outcome(entry()).symbol == "BTCUSDT"
    for text in ("", "a:b", "x" * 33, "BTC USDT"):
        assert read_outcome(entry(symbol=text)).symbol is None


NAMES = (
    b"decision",
    b"executed",
    b"error",
    b"reason",
    b"reason_codes",
    b"details",
    b"symbol",
    b"steps_results",
)
VALUES = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass")),
    st.sampled_from(
        [b"true", b"False", b"EXECUTE", b"SKIP", b'{"error": "x"}', b"[1]", b"{", b"\xff" * 70_000]
    ),
)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
@example({b"decision": b"\xff" * 100_000, b"error": b"\xff" * 100_000})
@example({b"executed": b"false", b"details": b'{"error": "' + b"x" * 60_000 + b'"}'})
@example({b"executed": b"false", b"reason_codes": b"[" * 4_000})
def test_any_entry_has_an_outcome_of_bounded_length(fields: dict[bytes, bytes]) -> None:
    read = read_outcome(fields)
    assert len(read.decision) <= 40
    assert 1 <= len(read.reason) <= LONGEST_NAME
    assert len(read.symbol or "") <= 32
    assert (read.gate is None) == (read.outcome is Outcome.EXECUTE)
    assert read.decision.isascii() and read.decision.isprintable() and " " not in read.decision
