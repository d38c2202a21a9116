"""Merging of both legs of a position in hedge mode into one snapshot."""

from __future__ import annotations

import pytest

from brain.positions.merging import apply_push
from brain.positions.position import Leg, VerifiedBy
from brain.positions.symbol_state import StreamProof, SymbolState, to_snapshot
from tests.brain.positions.states import EMPTY, HEDGED, HELD, amounts, at, claim, read, row


def test_a_push_dated_before_the_event_of_the_other_leg_opens_a_flat_leg_all_the_same() -> None:
    """Events overtook each other: no read speaks against the later one."""
    legs = row("0", 0, Leg.LONG), row("-2", 200, Leg.SHORT)
    state = read(EMPTY, *legs, sent=1000, received=1300)
    state = apply_push(state, row("-3", 1700, Leg.SHORT), at(1740), stream_since=at(900))
    assert amounts(apply_push(state, row("2", 1600, Leg.LONG), at(1760))) == ["2", "-3"]


def test_a_flat_both_row_of_a_symbol_with_legs_changes_nothing() -> None:
    assert apply_push(HEDGED, row("0", 1500), at(1540)) == HEDGED
    assert claim(apply_push(HEDGED, row("1", 1500), at(1540))) is None


@pytest.mark.parametrize(
    "state",
    [
        EMPTY,
        apply_push(EMPTY, row("1", 100), at(150)),
        apply_push(EMPTY, row("1", 100, Leg.LONG), at(150)),
        apply_push(HELD, row("1", 1500, Leg.LONG), at(1540)),
        read(EMPTY, row("1", 100, Leg.LONG), sent=1000, received=1300),
    ],
)
def test_a_part_of_a_position_is_no_snapshot(state: SymbolState) -> None:
    assert to_snapshot(state, StreamProof(at(0), at(9000))) is None


def test_a_read_names_all_legs() -> None:
    state = read(HELD, row("1", 1500, Leg.LONG), row("0", 0, Leg.SHORT), sent=2000, received=2100)
    assert [known.row.leg for known in state.legs] == [Leg.LONG, Leg.SHORT]
    assert claim(state) == (at(2000), VerifiedBy.REST)


def test_a_hedged_snapshot_is_as_old_as_its_oldest_leg() -> None:
    proof = StreamProof(at(1200), at(3000))
    pushed = apply_push(HEDGED, row("0", 1500, Leg.LONG), at(1540), stream_since=at(900))
    assert claim(pushed) == (at(1500), VerifiedBy.STREAM)
    assert claim(pushed, proof) == (at(1500), VerifiedBy.STREAM)
    assert claim(pushed, StreamProof(at(900), at(3000))) == (at(3000), VerifiedBy.STREAM)


def test_legs_that_were_never_known_together_are_no_snapshot() -> None:
    pushed = apply_push(HEDGED, row("0", 1500, Leg.LONG), at(1540))
    assert claim(pushed) is None
    assert claim(pushed, StreamProof(at(900), at(1400))) is None
    assert claim(pushed, StreamProof(at(900), at(3000))) == (at(3000), VerifiedBy.STREAM)


def test_a_push_says_nothing_of_a_leg_that_may_have_changed_before_the_stream_began() -> None:
    pushed = apply_push(HEDGED, row("0", 1500, Leg.LONG), at(1540), stream_since=at(1001))
    assert claim(pushed) is None
    pushed = apply_push(HEDGED, row("0", 1500, Leg.LONG), at(1540), stream_since=at(1000))
    assert claim(pushed) == (at(1500), VerifiedBy.STREAM)


def test_one_answer_shows_both_legs_at_one_moment() -> None:
    state = read(HEDGED, row("0", 1350, Leg.LONG), row("-2", 200, Leg.SHORT), sent=1400, received=1700)
    assert claim(state) == (at(1400), VerifiedBy.REST)


def test_a_leg_that_changed_while_it_was_read_makes_the_whole_position_undated() -> None:
    state = read(HEDGED, row("0", 1500, Leg.LONG), row("-2", 200, Leg.SHORT), sent=1400, received=1700)
    assert claim(state) is None
    state = read(state, row("0", 1500, Leg.LONG), row("-2", 200, Leg.SHORT), sent=1600, received=1800)
    assert claim(state) == (at(1600), VerifiedBy.REST)


def test_a_leg_whose_row_was_rejected_keeps_its_own_verification() -> None:
    pushed = apply_push(HEDGED, row("0", 1500, Leg.LONG), at(1540), stream_since=at(900))
    state = read(pushed, row("1", 100, Leg.LONG), row("-2", 200, Leg.SHORT), sent=2000, received=4300)
    assert claim(state) == (at(1500), VerifiedBy.STREAM)


def test_a_dispute_of_one_leg_is_not_ended_by_news_of_the_other() -> None:
    both = read(HEDGED, row("0", 0, Leg.LONG), row("0", 0, Leg.SHORT), sent=4000, received=4300)
    half = apply_push(both, row("0", 4100, Leg.LONG), at(4350))
    assert claim(half) is None
    whole = read(half, row("0", 4100, Leg.LONG), row("0", 0, Leg.SHORT), sent=5500, received=5800)
    assert amounts(whole) == ["0", "0"] and claim(whole) == (at(5500), VerifiedBy.REST)
