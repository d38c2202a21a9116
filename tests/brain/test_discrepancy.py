"""Discrepancies between a read and a trusted stream, and the pushes that explain them."""

from __future__ import annotations

import pytest

from brain.positions.merging import apply_push, explained
from brain.positions.position import LegPosition
from brain.positions.symbol_state import Discrepancy, SymbolState
from tests.brain.positions.states import HELD, amounts, at, judged, row


def read(
    state: SymbolState, shown: LegPosition, *, since: int | None, sent: int = 2000
) -> tuple[SymbolState, tuple[Discrepancy, ...]]:
    return judged(state, shown, since=since, sent=sent, received=sent + 300)


def test_an_amount_that_a_trusted_stream_has_not_pushed_is_a_discrepancy() -> None:
    assert read(HELD, row("2", 1500), since=900)[1] == (
        Discrepancy("BTCUSDT", row("1", 100), row("2", 1500), at(2000), at(2300)),
    )
    pushed = apply_push(HELD, row("2", 1500), at(1540))
    assert len(read(pushed, row("3", 1500), since=900)[1]) == 1


@pytest.mark.parametrize(
    ("shown", "since"),
    [(row("2", 1500), None), (row("2", 1500), 1001), (row("1", 1500), 900), (row("1", 100), 900)],
    ids=["untrusted", "not yet synced", "same amount", "same row"],
)
def test_an_amount_that_a_stream_need_not_have_pushed_is_none(shown: LegPosition, since: int | None) -> None:
    assert read(HELD, shown, since=since)[1] == ()


def test_an_older_date_makes_another_amount_no_less_a_discrepancy() -> None:
    (found,) = read(HELD, row("2", 50), since=900, sent=2301)[1]
    assert found == Discrepancy("BTCUSDT", row("1", 100), row("2", 50), at(2301), at(2601))
    assert read(HELD, row("2", 50), since=900, sent=2300)[1] == ()


def test_only_a_push_that_came_after_the_read_was_sent_explains_it() -> None:
    pushed = apply_push(HELD, row("3", 1500), at(1540))
    state, (found,) = read(pushed, row("0", 0), since=900, sent=2600)
    assert not explained(state, found)
    assert not explained(apply_push(state, row("3", 1500), at(2700)), found)
    assert explained(apply_push(state, row("0", 2650), at(2700)), found)


def test_an_amount_that_was_pushed_out_of_order_is_no_discrepancy() -> None:
    pushed = apply_push(HELD, row("3", 1500), at(1540))
    disputed = apply_push(pushed, row("2", 1400), at(4000))
    state, found = read(disputed, row("2", 1400), since=900, sent=4100)
    assert found == () and amounts(state) == ["2"]


def test_an_event_in_flight_explains_what_a_read_had_shown_before_it() -> None:
    state, (discrepancy,) = read(HELD, row("2", 1500), since=900, sent=1490)
    assert not explained(state, discrepancy)
    assert not explained(apply_push(state, row("5", 1400), at(1830)), discrepancy)
    assert explained(apply_push(state, row("2", 1500), at(1840)), discrepancy)
    assert explained(apply_push(state, row("7", 1600), at(1840)), discrepancy)


def test_a_discrepancy_that_was_explained_once_stays_explained() -> None:
    state, (discrepancy,) = read(HELD, row("2", 1500), since=900, sent=1490)
    state = apply_push(state, row("2", 1500), at(1840))
    state, _ = read(state, row("3", 1900), since=900)
    assert explained(state, discrepancy)


def test_a_push_of_another_amount_explains_nothing() -> None:
    pushed = apply_push(HELD, row("2", 1500), at(1540))
    state, (discrepancy,) = read(pushed, row("3", 1500), since=900)
    assert not explained(state, discrepancy)
    again = apply_push(pushed, row("2", 1500), at(1550))
    assert not explained(again, discrepancy)


def test_a_push_of_the_very_amount_explains_a_read_though_it_is_dated_earlier_than_the_known_row() -> None:
    """The exchange's clock was set back: read and push are dated before what was known."""
    known = apply_push(HELD, row("3", 60_000), at(60_010))
    state, (discrepancy,) = read(known, row("2", 10_000), since=900, sent=70_000)
    assert not explained(state, discrepancy)
    assert not explained(apply_push(state, row("4", 10_000), at(70_350)), discrepancy)
    assert explained(apply_push(state, row("2", 10_000), at(70_350)), discrepancy)
