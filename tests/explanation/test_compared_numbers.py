from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings

from brain.decisions.case import Case
from brain.decisions.decision import evaluation_failed, trail
from brain.plans.permit import Details
from explanation.compared_numbers import _PHRASES, in_words, value_text
from tests.brain.strategies import cases


@given(cases())
@settings(max_examples=400)
def test_everything_that_a_check_compares_has_its_words(the_case: Case) -> None:
    for check in trail(the_case):
        # A malformed plan's details are named after its fields.
        unknown = set(check.compared) - set(_PHRASES) - {"reduceOnly", "close_qty"}
        assert not unknown
        assert "{}" not in in_words(check.compared)


def test_the_rest_is_told_by_its_name() -> None:
    assert in_words({"leverage": "not a number"}) == "leverage: not a number"
    assert in_words(evaluation_failed(3).details) == "attempts 3"


def test_values_carry_their_units_and_no_more_digits_than_one_reads() -> None:
    assert in_words({"snapshot_age_sec": 0.5, "threshold_sec": 10}) == "snapshot 0.5 s old, threshold 10 s"
    assert in_words({"seconds_since_exec": None, "cooldown_sec": 15.0}) == "no execution known, cooldown 15 s"
    assert in_words({"entry_age_sec": None}) == "of unknown age: its id is ahead of Redis's clock"
    assert in_words({"tolerance_pct": Decimal("1.0"), "trading": True}) == "tolerance 1 %, trading: yes"
    assert in_words({"difference": Decimal("1E-8")}) == "difference 0.00000001"
    assert [value_text(value) for value in (0.12345, -0.0001, 1e9)] == ["0.123", "0", "1000000000"]


def test_a_key_that_cannot_be_read_is_named_with_what_to_do() -> None:
    compared: Details = {"cooldown": "unreadable", "key": "quantum:cooldown:x", "stored": "'soon'"}
    assert in_words(compared) == (
        "cooldown key unreadable: delete it, or set it to epoch ms, key quantum:cooldown:x, it holds 'soon'"
    )


def test_evictions_are_told_with_their_time() -> None:
    compared: Details = {"seconds_since_redis_evicted": 2.5, "reservations_unsure_for_sec": 61.0}
    assert in_words(compared) == (
        "Redis evicted keys 2.5 s ago, what another process reserved may be evicted, for another 61 s"
    )
