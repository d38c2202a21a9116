"""Names of reasons, and the gates that they belong to."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from brain.execution import reasons as executing
from brain.governor.reasons import GovernorReason
from brain.intelligence.reasons import LONGEST_NAME, NO_REASON, Gate, name_reason
from brain.plans.permit import Reason
from permit_gate.answers import Refusal, Refused
from tests.brain.unknown_wordings import UNKNOWN

SYMBOL = "BTCUSDT"


@pytest.mark.parametrize(
    ("text", "name", "gate"),
    [
        # As executors of others publish them.
        ("p33_permit_denied:no_exchange_snapshot", "p33_permit_denied:no_exchange_snapshot", Gate.P33),
        ("permit_timeout:governor", "permit_timeout:governor", Gate.GOVERNOR),
        ("symbol_not_in_allowlist:BTCUSDT", "symbol_not_in_allowlist", Gate.EXECUTOR),
        ("symbol_not_in_allowlist: ETHUSDT", "symbol_not_in_allowlist", Gate.EXECUTOR),
        ("binance_error:-2022", "binance_error:-2022", Gate.EXCHANGE),
        ("missing_or_denied", "missing_or_denied", Gate.EXECUTOR),
        ("missing_or_denied: P3.3", "missing_or_denied:p3.3", Gate.P33),
        ("no_permit (Governor)", "no_permit:governor", Gate.GOVERNOR),
        # As the gate words its refusals.
        ("permit_timeout (missing: Governor, P3.3)", "permit_timeout:governor_p33", Gate.GOVERNOR),
        ("permit_timeout (missing: P3.3)", "permit_timeout:p33", Gate.P33),
        ("permit_timeout (missing: P26)", "permit_timeout:p26", Gate.EXECUTOR),
        ("permit_denied (P3.3: stale_exchange_state)", "p33_permit_denied:stale_exchange_state", Gate.P33),
        (
            "permit_denied (Governor: symbol_cooldown)",
            "governor_permit_denied:symbol_cooldown",
            Gate.GOVERNOR,
        ),
        ("permit_too_old (P3.3: 75.2 s)", "permit_too_old:p33", Gate.P33),
        # As our executor does.
        ("source_not_allowed:somebot", "source_not_allowed:somebot", Gate.EXECUTOR),
        ("not_sent:ConnectError -1001", "not_sent:connecterror_-1001", Gate.EXECUTOR),
        ("leverage_refused:-4028", "leverage_refused:-4028", Gate.EXCHANGE),
        ("binance_error:503", "binance_error:503", Gate.EXCHANGE),
        ("plan_expired", "plan_expired", Gate.PLAN),
        ("nothing_to_execute", "nothing_to_execute", Gate.PLAN),
        # As libraries and the exchange do.
        ("APIError(code=-2019): Margin is insufficient.", "binance_error:-2019", Gate.EXCHANGE),
        ('{"code":-2022,"msg":"ReduceOnly Order is rejected."}', "binance_error:-2022", Gate.EXCHANGE),
        ("-4116 ClientOrderId is duplicated", "binance_error:-4116", Gate.EXCHANGE),
        ("HTTP 502", "binance_error:502", Gate.EXCHANGE),
        ("order timed out after 10 s", "order_timed_out_after_10_s", Gate.EXCHANGE),
        # Bare words of one gate or another.
        ("no_position", "no_position", Gate.P33),
        ("kill_score_entry", "kill_score_entry", Gate.GOVERNOR),
        # What no one knows.
        ("Some thing:  went WRONG!", "some_thing:went_wrong", None),
        ("rsi_overbought:BTCUSDT", "rsi_overbought", None),
        ("größer als 0,5", "gr_er_als_0_5", None),
        ("!!!", NO_REASON, None),
        (None, NO_REASON, None),
    ],
)
def test_a_reason_has_a_name_and_a_gate(text: str | None, name: str, gate: Gate | None) -> None:
    named = name_reason(text, SYMBOL)
    assert (named.name, named.gate) == (name, gate)


NAMES = re.compile(rf"[a-z0-9_:.-]{{1,{LONGEST_NAME}}}")


@given(st.text(max_size=300), st.one_of(st.none(), st.text(max_size=40)))
@example("permit_denied (: )", None)
@example("permit_denied (" + "x" * 100 + ")", None)
@example("\ud800", None)
@example(f"{'a' * 63}::b", None)
def test_any_text_gives_a_short_plain_name(text: str, symbol: str | None) -> None:
    name = name_reason(text, symbol).name
    assert NAMES.fullmatch(name)
    # Names are stable: what is published once more under its name keeps it.
    if not name.startswith(("p33_permit", "governor_permit")):
        assert name_reason(name, None).name == name


@pytest.mark.parametrize("refusal", Refusal)
@pytest.mark.parametrize("service", ["Governor", "P3.3"])
def test_every_refusal_of_the_gate_belongs_to_who_refused(refusal: Refusal, service: str) -> None:
    texts = [str(Refused("p", SYMBOL, refusal, denied_by=service, because="no_position"))]
    if refusal is Refusal.PERMIT_TIMEOUT:
        texts.append(str(Refused("p", SYMBOL, refusal, missing=(service,))))
    for text in texts:
        named = name_reason(text, SYMBOL)
        if refusal.value.startswith("permit_"):
            assert named.gate is (Gate.GOVERNOR if service == "Governor" else Gate.P33), text
            assert named.name.count(service.lower().replace(".", "")) == 1
        else:
            assert named.gate in (Gate.EXECUTOR, Gate.PLAN), text


@pytest.mark.parametrize("reason", [*Reason, *GovernorReason])
def test_every_reason_of_a_judge_keeps_its_name_and_has_a_gate(reason: str) -> None:
    named = name_reason(str(reason), SYMBOL)
    assert named.name == str(reason)
    assert named.gate is not None


def test_every_reason_of_the_executor_has_a_gate() -> None:
    words = [value for name, value in vars(executing).items() if name.isupper() and isinstance(value, str)]
    assert len(words) > 10
    assert all(name_reason(word, SYMBOL).gate is not None for word in words)


@pytest.mark.parametrize("text", UNKNOWN)
def test_an_outcome_that_only_the_exchange_knows_belongs_to_the_exchange(text: str) -> None:
    assert name_reason(text, SYMBOL).gate is Gate.EXCHANGE
