"""How REST rows and pushed rows become one position: the rules, one by one."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brain.merging import (
    StreamProof,
    SymbolState,
    apply_mark,
    apply_push,
    apply_rest,
    to_snapshot,
)
from brain.moment import Moment
from brain.position import Leg, LegPosition, VerifiedBy

EMPTY = SymbolState("BTCUSDT")
START = Moment(0.0, 0)


def at(ms: int) -> Moment:
    """A moment of a host whose clocks both show the exchange's time."""
    return Moment(ms / 1000, ms)


def row(amount: str, changed_ms: int, leg: Leg = Leg.BOTH) -> LegPosition:
    return LegPosition(leg, Decimal(amount), Decimal(100), changed_ms)


def read(
    state: SymbolState, *rows: LegPosition, sent: int, received: int, by: VerifiedBy = VerifiedBy.REST
) -> SymbolState:
    return apply_rest(
        state,
        rows,
        leverage=Decimal(10),
        mark_price=Decimal(101),
        sent=at(sent),
        received=at(received),
        verified_by=by,
    )[0]


def amounts(state: SymbolState) -> list[str]:
    return [str(known.row.amount) for known in state.legs]


def claim(state: SymbolState, proof: StreamProof | None = None) -> tuple[Moment, VerifiedBy] | None:
    snapshot = to_snapshot(state, proof)
    return None if snapshot is None else (snapshot.verified_at, snapshot.verified_by)


HELD = read(EMPTY, row("1", 100), sent=1000, received=1300)
HEDGED = read(EMPTY, row("1", 100, Leg.LONG), row("-2", 200, Leg.SHORT), sent=1000, received=1300)


def test_a_read_is_true_as_of_its_sending() -> None:
    snapshot = to_snapshot(HELD, None)
    assert snapshot is not None
    assert snapshot.amount == 1 and snapshot.leverage == 10 and snapshot.mark_price == 101
    assert (snapshot.mark_ts_ms, snapshot.verified_at) == (1000, at(1000))
    assert snapshot.verified_by is VerifiedBy.REST


def test_a_row_that_changed_after_the_read_was_sent_claims_nothing_until_something_confirms_it() -> None:
    """The exchange answered after the change, and it may have changed again since: nobody here knows when."""
    state = read(HELD, row("2", 1100), sent=1050, received=1300)
    assert amounts(state) == ["2"] and claim(state) is None
    assert claim(read(state, row("2", 1100), sent=1090, received=1400)) is None
    assert claim(read(state, row("2", 1100), sent=1120, received=1400)) == (at(1120), VerifiedBy.REST)
    assert claim(apply_push(state, row("2", 1100), at(1350))) == (at(1100), VerifiedBy.STREAM)
    assert claim(state, StreamProof(at(900), at(1099))) is None
    assert claim(state, StreamProof(at(900), at(1200))) == (at(1200), VerifiedBy.STREAM)


def test_a_row_whose_change_may_have_been_after_the_sending_counts_as_changed_after_it() -> None:
    for ahead_ms, claimed in [(0, (at(1000), VerifiedBy.REST)), (-101, None), (None, None)]:
        state, _ = apply_rest(
            EMPTY,
            [row("1", 900)],
            leverage=Decimal(10),
            mark_price=Decimal(101),
            sent=at(1000),
            received=at(1300),
            exchange_ahead_ms=ahead_ms,
        )
        assert claim(state) == claimed


def test_a_push_is_true_as_of_its_change() -> None:
    state = apply_push(HELD, row("2", 1500), at(1540))
    assert amounts(state) == ["2"] and claim(state) == (at(1500), VerifiedBy.STREAM)


def test_exchange_times_are_turned_into_this_hosts() -> None:
    state = apply_push(HELD, row("2", 61_500), at(1540), exchange_ahead_ms=60_000)
    assert claim(state) == (at(1500), VerifiedBy.STREAM)


def test_an_exchange_clock_that_is_ahead_makes_nothing_fresher_than_its_arrival() -> None:
    state = apply_push(HELD, row("2", 99_000), at(1540))
    assert claim(state) == (at(1540), VerifiedBy.STREAM)


def test_a_late_rest_answer_never_overwrites_a_newer_push() -> None:
    pushed = apply_push(HELD, row("2", 1500), at(1540))
    state = read(pushed, row("1", 100), sent=1400, received=2300)
    assert amounts(state) == ["2"] and claim(state) == (at(1500), VerifiedBy.STREAM)


def test_an_older_row_does_not_win_by_being_asked_for_later() -> None:
    pushed = apply_push(HELD, row("2", 1500), at(1540))
    state = read(pushed, row("1", 100), sent=5000, received=5300)
    assert amounts(state) == ["2"] and claim(state) == (at(1500), VerifiedBy.STREAM)


def test_the_same_amount_under_an_older_date_confirms_when_it_was_asked_for_later() -> None:
    pushed = apply_push(HELD, row("2", 1500), at(1540))
    assert claim(read(pushed, row("2", 1499), sent=5000, received=5300)) == (at(5000), VerifiedBy.REST)
    assert claim(read(pushed, row("2", 1499), sent=1530, received=5300)) == (at(1500), VerifiedBy.STREAM)


def test_an_older_push_changes_nothing() -> None:
    state = apply_push(HELD, row("2", 1500), at(1540))
    assert apply_push(state, row("3", 1400), at(1600)) == state


def test_the_same_row_by_both_ways_keeps_the_later_proof() -> None:
    pushed = apply_push(HELD, row("2", 1500), at(1540))
    assert claim(read(pushed, row("2", 1500), sent=1510, received=1800)) == (at(1510), VerifiedBy.REST)
    later_read = read(HELD, row("2", 1500), sent=1510, received=1530)
    assert claim(apply_push(later_read, row("2", 1500), at(1540))) == (at(1510), VerifiedBy.REST)


def test_at_equal_times_a_read_wins_only_if_it_was_sent_after_the_push_arrived() -> None:
    pushed = apply_push(HELD, row("2", 1500), at(1540))
    assert amounts(read(pushed, row("3", 1500), sent=1540, received=1800)) == ["2"]
    assert amounts(read(pushed, row("3", 1500), sent=1541, received=1800)) == ["3"]


def test_at_equal_times_the_later_push_wins() -> None:
    pushed = apply_push(HELD, row("2", 1500), at(1540))
    assert amounts(apply_push(pushed, row("3", 1500), at(1541))) == ["3"]


def test_an_answer_overtaken_by_a_later_one_takes_nothing_back() -> None:
    state = read(HELD, row("2", 1500), sent=2000, received=2100)
    state = read(state, row("1", 100), sent=1400, received=2300)
    assert amounts(state) == ["2"] and claim(state) == (at(2000), VerifiedBy.REST)


def test_an_on_demand_read_says_so() -> None:
    state = read(EMPTY, row("0", 0), sent=1000, received=1300, by=VerifiedBy.ONDEMAND)
    assert claim(state) == (at(1000), VerifiedBy.ONDEMAND)


def test_a_proof_freshens_what_it_covers() -> None:
    assert claim(HELD, StreamProof(at(900), at(3000))) == (at(3000), VerifiedBy.STREAM)
    assert claim(HELD, StreamProof(at(900), at(950))) == (at(1000), VerifiedBy.REST)


def test_a_proof_says_nothing_of_rows_from_before_its_stream() -> None:
    assert claim(HELD, StreamProof(at(1001), at(3000))) == (at(1000), VerifiedBy.REST)
    assert HELD.grounded_since(at(1000)) and not HELD.grounded_since(at(1001))
    assert not EMPTY.grounded_since(START)


def test_a_push_of_its_own_grounds_a_one_way_position() -> None:
    state = apply_push(HELD, row("2", 1500), at(1540))
    assert claim(state, StreamProof(at(1200), at(3000))) == (at(3000), VerifiedBy.STREAM)


def test_a_row_told_again_is_grounded_again() -> None:
    assert read(HELD, row("1", 100), sent=2000, received=2300).grounded_since(at(2000))
    assert apply_push(HELD, row("1", 100), at(2000)).grounded_since(at(2000))
    assert not read(HELD, row("3", 50), sent=2000, received=2300).grounded_since(at(2000))


def test_a_proof_from_before_a_change_does_not_date_it_back() -> None:
    state = apply_push(HELD, row("2", 1500), at(1540), stream_since=at(900))
    assert claim(state, StreamProof(at(900), at(1200))) == (at(1500), VerifiedBy.STREAM)


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
    assert to_snapshot(state, StreamProof(START, at(9000))) is None


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
    state = read(pushed, row("1", 100, Leg.LONG), row("-2", 200, Leg.SHORT), sent=4000, received=4300)
    assert claim(state) == (at(1500), VerifiedBy.STREAM)


def test_mark_prices_go_by_their_own_time() -> None:
    state = apply_mark(HELD, Decimal(105), 1200)
    assert state.mark_price == 105 and state.mark_ts_ms == 1200
    assert apply_mark(state, Decimal(104), 1199) == state
    assert read(state, row("1", 100), sent=1100, received=1900).mark_price == 105
    assert read(state, row("1", 100), sent=1300, received=1900).mark_price == 101


def test_a_row_begins_no_earlier_than_the_one_before_it_was_last_known_to_be_true() -> None:
    """The exchange's clock is known better by now than when the first push was dated."""
    first = apply_push(HELD, row("2", 1500), at(1560), exchange_ahead_ms=-40)
    assert claim(first) == (at(1540), VerifiedBy.STREAM)
    second = apply_push(first, row("3", 1510), at(1570), exchange_ahead_ms=-5)
    assert amounts(second) == ["3"] and claim(second) == (at(1540), VerifiedBy.STREAM)
    assert claim(read(first, row("3", 1510), sent=1530, received=1600)) is None
    assert claim(read(first, row("3", 1510), sent=1545, received=1600)) == (at(1545), VerifiedBy.REST)
