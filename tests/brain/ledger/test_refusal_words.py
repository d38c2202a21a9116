"""Conclusions from the words of a refusal: no permit, a refused order, or an unknown outcome."""

from __future__ import annotations

import json

import pytest

from brain.identifiers import ClientOrderId, OrderId, PlanId, Symbol
from brain.ledger.refusal_words import LONGEST_READ, Proof, proof_of
from brain.ledger.result import (
    ExecutedResult,
    RefusedResult,
    UnknownOrder,
    names_wrong_precision,
    read_result,
)
from tests.brain.unknown_wordings import NO_PERMIT, REFUSED, UNKNOWN

PLAN = {b"plan_id": b"plan-1", b"symbol": b"BTCUSDT", b"executed": b"False"}
PERMIT = {
    "plan_id": "plan-1",
    "symbol": "BTCUSDT",
    "allow": True,
    "reason": "sanity_checks_passed",
    "safe_close_qty": 3,
    "issued_by": "p33 permit_",
}


def refusal(**fields: str) -> RefusedResult:
    encoded = {name.encode(): value.encode() for name, value in fields.items()}
    result = read_result(PLAN | encoded)
    assert isinstance(result, RefusedResult)
    return result


@pytest.mark.parametrize("field", ["error", "reason"])
@pytest.mark.parametrize("text", UNKNOWN)
def test_a_text_that_says_that_the_outcome_is_unknown_is_no_refusal(text: str, field: str) -> None:
    result = refusal(**{field: text})
    assert result.unknown is not None
    assert not result.had_no_permit


@pytest.mark.parametrize("text", REFUSED)
def test_a_text_that_says_that_nothing_was_filled_is_a_refusal(text: str) -> None:
    assert refusal(error=text) == RefusedResult(PlanId("plan-1"), Symbol("BTCUSDT"))


@pytest.mark.parametrize("field", ["error", "reason"])
@pytest.mark.parametrize("text", NO_PERMIT)
def test_a_consumer_without_a_permit_is_known_by_how_its_text_begins(text: str, field: str) -> None:
    assert refusal(**{field: text}) == RefusedResult(PlanId("plan-1"), Symbol("BTCUSDT"), had_no_permit=True)


@pytest.mark.parametrize(
    "details",
    [
        json.dumps({"permit": PERMIT, "order_status": "REJECTED"}),
        json.dumps(PERMIT),
        json.dumps({"message": "permit_timeout", "permit": {"error": "permit_timeout"}}),
        "permit_timeout",
        "not JSON, and it names the permit and -1007 and a timeout",
        "[" * 2_000,
        "\x00",
    ],
)
def test_a_permit_quoted_in_the_details_of_a_refused_order_decides_nothing(details: str) -> None:
    assert refusal(error="binance_error:-2019", details=details) == RefusedResult(
        PlanId("plan-1"), Symbol("BTCUSDT")
    )


def test_the_error_of_the_details_dialect_stands_inside_its_details() -> None:
    text = json.dumps({"error": "APIError(code=-1007)", "order_id": 17, "client_order_id": "desk-1"})
    assert refusal(details=text).unknown == UnknownOrder(OrderId("17"), ClientOrderId("desk-1"))
    assert refusal(details=json.dumps({"error": "permit_timeout (missing: Governor)"})).had_no_permit


def test_a_step_whose_outcome_is_unknown_makes_the_whole_outcome_unknown() -> None:
    steps = [{"step": "CANCEL", "status": "ok"}, {"step": "CLOSE", "error": "ReadTimeout", "order_id": None}]
    assert refusal(error="steps failed", steps_results=json.dumps(steps)).unknown == UnknownOrder()


@pytest.mark.parametrize(
    "fields",
    [
        {"details": json.dumps({"error": {"code": -1007, "msg": "Timeout waiting for response"}})},
        {"details": json.dumps({"reason": ["ReadTimeout", "POST /fapi/v1/order"]})},
        {"steps_results": json.dumps([{"step": "CLOSE", "error": {"code": -1006}}])},
        {"steps_results": json.dumps([{"step": "CLOSE", "error": "ReadTimeout"}, None])},
        {"steps_results": json.dumps(["CANCEL", {"step": "CLOSE", "error": "ReadTimeout"}])},
        {"steps_results": "[{'step': 'CLOSE'}]", "details": json.dumps({"error": "ReadTimeout"})},
    ],
)
def test_other_text_beside_or_around_an_unknown_outcome_does_not_hide_it(fields: dict[str, str]) -> None:
    assert refusal(error="order failed", **fields).unknown == UnknownOrder()


def test_an_unknown_outcome_outweighs_a_missing_permit() -> None:
    result = refusal(error="permit_timeout", reason="execution status unknown")
    assert result.unknown is not None
    assert not result.had_no_permit


def test_the_ids_of_an_unknown_order_are_taken_where_they_can_be_used() -> None:
    named = refusal(error="timeout", order_id="9007199254740993", client_order_id="p33-0f")
    assert named.unknown == UnknownOrder(OrderId("9007199254740993"), ClientOrderId("p33-0f"))
    odd = refusal(error="timeout", order_id="0", client_order_id="no spaces | here")
    assert odd.unknown == UnknownOrder()


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    assert proof_of(["x" * 10 + " timeout"]) is Proof.UNKNOWN
    assert refusal(error="x" * LONGEST_READ + " timeout").unknown is None


def test_an_error_makes_no_refusal_of_an_executed_result() -> None:
    order = {b"executed": b"True", b"order_id": b"1", b"filled_qty": b"1"}
    assert isinstance(read_result(PLAN | order | {b"error": b"timeout"}), ExecutedResult)


def test_a_wrong_precision_is_named_by_the_error_and_not_by_a_quoted_quantity() -> None:
    assert names_wrong_precision(PLAN | {b"error": b"APIError(code=-1111): Precision is over the maximum"})
    assert names_wrong_precision(PLAN | {b"details": b'{"error": "binance_error:-1111"}'})
    assert not names_wrong_precision(PLAN | {b"details": b'{"permit": {"position_amt": "-1111"}}'})
    assert not names_wrong_precision(PLAN | {b"error": b"-11110"})
