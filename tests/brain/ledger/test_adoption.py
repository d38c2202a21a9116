"""Contents of adopted ledgers, and their text in the ledger."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.ledger.adoption import AdoptedState, Contained, adopted_state, decode_adopted, encode_adopted
from brain.positions.position import Leg, LegPosition


def row(leg: Leg, changed_ms: int) -> LegPosition:
    return LegPosition(leg, Decimal(1), Decimal(100), changed_ms)


def test_each_leg_contains_its_own_changes() -> None:
    state = adopted_state([row(Leg.LONG, 5), row(Leg.SHORT, 9)], 20)
    assert state.changed_ms_of(Leg.LONG) == 5
    assert state.changed_ms_of(Leg.SHORT) == 9
    assert state.changed_ms_of(Leg.BOTH) == -1


def test_a_row_without_a_date_contains_the_fills_until_it_was_read() -> None:
    state = adopted_state([row(Leg.LONG, 0), row(Leg.SHORT, 9)], 20)
    assert (state.changed_ms_of(Leg.LONG), state.changed_ms_of(Leg.SHORT)) == (20, 9)


@pytest.mark.parametrize(("at_ms", "holds"), [(9, True), (10, True), (11, False), (20, False), (21, False)])
def test_fills_until_the_rows_date_are_contained(at_ms: int, holds: bool) -> None:
    assert Contained(10, 20).holds(at_ms) is holds


@pytest.mark.parametrize(("at_ms", "holds"), [(10, True), (11, False), (19, False), (20, True), (21, False)])
def test_a_date_ahead_of_the_exchanges_clock_contains_only_its_own_fill(at_ms: int, holds: bool) -> None:
    assert Contained(20, 10).holds(at_ms) is holds


@given(st.dictionaries(st.sampled_from(Leg), st.integers(0, 10**19 - 1), min_size=1))
def test_the_stored_text_reads_back_as_it_was(changed_ms: dict[Leg, int]) -> None:
    state = AdoptedState(changed_ms)
    assert decode_adopted(encode_adopted(state)) == state


@pytest.mark.parametrize("text", [None, "", "BOTH", "BOTH:x", "BOTH:1;", "NONE:1", "BOTH:1,", "BOTH:-1"])
def test_anything_else_is_a_ledger_that_was_not_adopted(text: str | None) -> None:
    assert decode_adopted(text) is None
