"""What an adopted ledger contains, as text in the ledger."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.adoption import AdoptedState, adopted_state, decode_adopted, encode_adopted
from brain.position import Leg, LegPosition


def row(leg: Leg, changed_ms: int) -> LegPosition:
    return LegPosition(leg, Decimal(1), Decimal(100), changed_ms)


def test_each_leg_contains_its_own_changes() -> None:
    state = adopted_state([row(Leg.LONG, 5), row(Leg.SHORT, 9)])
    assert state.changed_ms_of(Leg.LONG) == 5
    assert state.changed_ms_of(Leg.SHORT) == 9
    assert state.changed_ms_of(Leg.BOTH) == -1


@given(st.dictionaries(st.sampled_from(Leg), st.integers(0, 10**15 - 1), min_size=1))
def test_what_is_stored_is_what_is_read(changed_ms: dict[Leg, int]) -> None:
    state = AdoptedState(changed_ms)
    assert decode_adopted(encode_adopted(state)) == state


@pytest.mark.parametrize("text", [None, "", "BOTH", "BOTH:x", "BOTH:1;", "NONE:1", "BOTH:1,", "BOTH:-1"])
def test_anything_else_is_a_ledger_that_was_not_adopted(text: str | None) -> None:
    assert decode_adopted(text) is None
