from __future__ import annotations

from decimal import Decimal

import pytest

from commands.demo.outcome import (
    UNANSWERED,
    Outcome,
    allowed,
    denied,
    depends_on_time,
    no_plan,
    outcome_of_result,
    refused,
)
from permit_gate import Kind, Terms

_CLOSE = allowed("sanity_checks_passed", Decimal(2))
_SMALLER = allowed("sanity_checks_passed", Decimal(1))
_COOLING = denied("cooldown_in_flight")
_TIMEOUT = refused("permit_timeout (missing: P3.3, Governor)")


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (_CLOSE, _TIMEOUT),
        (denied("no_position"), _TIMEOUT),
        (refused("permit_timeout (missing: Governor)"), _TIMEOUT),
        (_CLOSE, refused("redis_error (no answer)")),
        (_CLOSE, refused("permit_timeout (too late to begin)")),
        (denied("no_position"), refused("source_not_allowed:harvest_brain")),
        (_CLOSE, denied("stale_exchange_state")),
        (_CLOSE, denied("reconcile_required_qty_mismatch")),
        (refused("permit_timeout (missing: Governor)"), denied("stale_exchange_state")),
        (_COOLING, _CLOSE),
        (_COOLING, denied("no_position")),
        (denied("in_flight_permit"), denied("no_position")),
        (_CLOSE, no_plan("intent_expired")),
        (no_plan("flat_close"), denied("no_position")),
        (no_plan("flat_close"), denied("stale_exchange_state")),
    ],
)
def test_late_answers_and_bookings_depend_on_time(expected: Outcome, actual: Outcome) -> None:
    assert depends_on_time(expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (denied("in_flight_permit"), _CLOSE),
        (denied("no_position"), _CLOSE),
        (denied("symbol_not_in_allowlist"), allowed("open_permit_granted", Decimal(0))),
        (_SMALLER, _CLOSE),
        (_CLOSE, _SMALLER),
        (_CLOSE, denied("malformed_plan")),
        (denied("plan_expired"), denied("no_position")),
        (_CLOSE, no_plan("flat_close")),
        (no_plan("flat_close"), _CLOSE),
        (no_plan("duplicate_intent"), _CLOSE),
        (no_plan("duplicate_intent"), denied("no_position")),
        (UNANSWERED, _CLOSE),
        (UNANSWERED, denied("stale_exchange_state")),
        (_CLOSE, refused("permit_already_consumed (P3.3: demo)")),
        (_CLOSE, refused("signature_wrong (P3.3)")),
    ],
)
def test_a_wrong_answer_does_not_depend_on_time(expected: Outcome, actual: Outcome) -> None:
    assert not depends_on_time(expected, actual)


TERMS = Terms(
    kind=Kind.CLOSE,
    safe_quantity=Decimal(2),
    reason="sanity_checks_passed",
    order_side="SELL",
    leg="BOTH",
    position_side="LONG",
    plan_quantity=None,
    created_at_sec=Decimal(1),
    issued_by=None,
)


@pytest.mark.parametrize(
    ("error", "terms", "outcome"),
    [
        ("", TERMS, _CLOSE),
        ("nothing_to_execute", TERMS, _CLOSE),
        ("permit_denied (P3.3: no_position)", None, denied("no_position")),
        (
            "permit_denied (Governor: daily_loss_limit)",
            None,
            refused("permit_denied (Governor: daily_loss_limit)"),
        ),
        ("permit_timeout (missing: Governor)", None, refused("permit_timeout (missing: Governor)")),
        ("binance_error:-2019", TERMS, refused("binance_error:-2019")),
        ("harvest_target", None, refused("harvest_target")),
    ],
)
def test_a_result_of_the_executor_shows_the_answer_that_the_plan_had(
    error: str, terms: Terms | None, outcome: Outcome
) -> None:
    assert outcome_of_result({"error": error}, terms) == outcome
