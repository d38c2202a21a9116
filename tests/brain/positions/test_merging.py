"""Merging of REST rows and pushed rows into one position: the rules, one by one."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brain.positions.merging import apply_mark, apply_push, not_shown
from brain.positions.position import Leg, LegPosition, VerifiedBy
from brain.positions.symbol_state import StreamProof, SymbolState, to_snapshot
from tests.brain.positions.states import EMPTY, HELD, PUSHED, amounts, at, claim, read, row


def test_a_read_is_true_as_of_its_sending() -> None:
    snapshot = to_snapshot(HELD, None)
    assert snapshot is not None
    assert snapshot.amount == 1 and snapshot.leverage == 10 and snapshot.mark_price == 101
    assert (snapshot.mark_ts_ms, snapshot.verified_at) == (1000, at(1000))
    assert snapshot.verified_by is VerifiedBy.REST


def test_a_row_that_changed_after_the_read_was_sent_claims_nothing_until_something_confirms_it() -> None:
    """The exchange answered after the change, and it may have changed again since, at an unknown time."""
    state = read(HELD, row("2", 1100), sent=1050, received=1300)
    assert amounts(state) == ["2"] and claim(state) is None
    assert claim(read(state, row("2", 1100), sent=1090, received=1400)) is None
    assert claim(read(state, row("2", 1100), sent=1120, received=1400)) == (at(1120), VerifiedBy.REST)
    assert claim(apply_push(state, row("2", 1100), at(1350))) == (at(1100), VerifiedBy.STREAM)
    assert claim(state, StreamProof(at(900), at(1099))) is None
    assert claim(state, StreamProof(at(900), at(1200))) == (at(1200), VerifiedBy.STREAM)


def test_a_row_whose_change_may_have_been_after_the_sending_counts_as_changed_after_it() -> None:
    for ahead_ms, claimed in [(0, (at(1000), VerifiedBy.REST)), (-101, None), (None, None)]:
        state = read(EMPTY, row("1", 900), sent=1000, received=1300, ahead_ms=ahead_ms)
        assert claim(state) == claimed


def test_a_push_is_true_as_of_its_change() -> None:
    assert amounts(PUSHED) == ["2"] and claim(PUSHED) == (at(1500), VerifiedBy.STREAM)


@pytest.mark.parametrize(
    ("date_ms", "ahead_ms", "true_ms"),
    [(61_500, 60_000, 1500), (99_000, 0, 1540)],
    ids=["turned into this host's time", "no fresher than its arrival where the clock is ahead"],
)
def test_a_push_is_dated_by_the_exchanges_clock(date_ms: int, ahead_ms: int, true_ms: int) -> None:
    state = apply_push(HELD, row("2", date_ms), at(1540), exchange_ahead_ms=ahead_ms)
    assert claim(state) == (at(true_ms), VerifiedBy.STREAM)


@pytest.mark.parametrize(
    ("sent", "received"), [(1400, 2300), (2540, 5300)], ids=["late answer", "newer one may be in flight"]
)
def test_a_read_never_overwrites_a_push_that_it_may_not_contain(sent: int, received: int) -> None:
    state = read(PUSHED, row("1", 100), sent=sent, received=received)
    assert amounts(state) == ["2"] and claim(state) == (at(1500), VerifiedBy.STREAM)


def test_an_older_row_asked_for_well_after_the_newer_one_came_leaves_nothing_claimed() -> None:
    state = read(PUSHED, row("1", 100), sent=2541, received=2800)
    assert amounts(state) == ["2"] and claim(state) is None
    assert claim(state, StreamProof(at(900), at(9000))) is None


@pytest.mark.parametrize("date_ms", [0, 100, 1499])
def test_a_second_read_of_another_amount_is_accepted_whatever_its_date(date_ms: int) -> None:
    """The account was wiped, or the exchange's clock set back."""
    for amount, later_ms in (("0", 4001), ("3", date_ms + 1)):
        once = read(PUSHED, row(amount, date_ms), sent=3000, received=3300)
        assert claim(read(once, row(amount, date_ms), sent=4000, received=4300)) is None
        twice = read(once, row(amount, date_ms), sent=4001, received=4300)
        assert amounts(twice) == [amount] and claim(twice) == (at(4001), VerifiedBy.REST)
        pushed_later = apply_push(twice, row("5", later_ms), at(5000))
        assert amounts(pushed_later) == ["5"]


def test_two_reads_apart_that_come_after_a_third_one_settle_nothing_before_it() -> None:
    """A slow answer that was asked for before the dispute arose does not end it."""
    once = read(HELD, row("0", 0), sent=3000, received=3300)
    assert claim(read(once, row("1", 100), sent=2900, received=4300)) is None
    assert claim(read(once, row("7", 2950), sent=2940, received=4300)) is None
    assert claim(read(once, row("1", 100), sent=3001, received=4300)) == (at(3001), VerifiedBy.REST)


def test_a_newer_push_ends_what_a_read_disputed() -> None:
    once = read(HELD, row("0", 0), sent=3000, received=3300)
    state = apply_push(once, row("0", 3100), at(3350))
    assert amounts(state) == ["0"] and claim(state) == (at(3100), VerifiedBy.STREAM)


def test_the_same_amount_under_an_older_date_confirms_when_it_was_asked_for_later() -> None:
    assert claim(read(PUSHED, row("2", 1499), sent=5000, received=5300)) == (at(5000), VerifiedBy.REST)
    assert claim(read(PUSHED, row("2", 1499), sent=1530, received=5300)) == (at(1500), VerifiedBy.STREAM)


def test_a_repeated_older_push_of_the_known_amount_changes_nothing() -> None:
    assert apply_push(PUSHED, row("2", 1400), at(1600)) == PUSHED


def test_an_older_push_behind_a_read_that_was_faster_changes_nothing() -> None:
    state = read(HELD, row("3", 1500), sent=1510, received=1530)
    raced = apply_push(state, row("2", 1450), at(2530))
    assert amounts(raced) == ["3"] and claim(raced) == claim(state)


def test_a_push_out_of_order_leaves_nothing_claimed_until_a_read_sent_after_it() -> None:
    disputed = apply_push(PUSHED, row("3", 1400), at(1600))
    assert amounts(disputed) == ["2"] and claim(disputed, StreamProof(at(900), at(9000))) is None
    assert claim(read(disputed, row("2", 1500), sent=1600, received=1900)) is None
    assert claim(read(disputed, row("2", 1500), sent=1601, received=1900)) == (at(1601), VerifiedBy.REST)


@pytest.mark.parametrize("shown_ms", [0, 100])
def test_a_push_dated_before_a_read_that_showed_the_leg_flat_leaves_nothing_claimed(shown_ms: int) -> None:
    """The leg was opened and closed before the read, whose flat row has no date or an older one."""
    flat = read(EMPTY, row("0", 100), sent=1000, received=1300)
    state = read(flat, row("0", shown_ms), sent=2000, received=2020)
    late = apply_push(state, row("2", 1999), at(2500))
    assert amounts(late) == ["0"] and claim(late, StreamProof(at(900), at(9000))) is None
    assert claim(read(late, row("0", shown_ms), sent=3501, received=3520)) == (at(3501), VerifiedBy.REST)
    assert claim(apply_push(state, row("2", 2000), at(2500))) == (at(2000), VerifiedBy.STREAM)


def test_answers_older_than_a_push_do_not_settle_that_the_leg_is_flat() -> None:
    """The exchange answers reads from a state of up to a second ago: the order was filled before them."""
    state = read(read(EMPTY, row("0", 0), sent=1000, received=1300), row("0", 0), sent=2000, received=2020)
    pushed = apply_push(state, row("2", 1980), at(2030))
    for sent in (2040, 3030):
        assert (
            claim(read(pushed, row("0", 0), sent=sent, received=sent + 20), StreamProof(at(900), at(9000)))
            is None
        )
    shown = read(pushed, row("2", 1980), sent=2040, received=2060)
    assert amounts(shown) == ["2"] and claim(shown) == (at(2040), VerifiedBy.REST)


def test_the_latest_date_ahead_of_the_exchanges_clock_is_kept_beside_the_row() -> None:
    state = EMPTY
    for date_ms in (9_000_000, 9_500_000, 9_200_000):
        state = read(state, row("2", date_ms), sent=2000, received=2300, not_after_ms=2400)
    assert [(leg.row.update_time_ms, leg.row.dated_ahead_ms) for leg in state.legs] == [(0, 9_500_000)]


def test_a_read_of_the_row_that_was_pushed_out_of_order_is_accepted_at_once() -> None:
    """The exchange's clock was set back: event and read agree against the known row."""
    disputed = apply_push(PUSHED, row("3", 1400), at(4000))
    assert claim(read(disputed, row("3", 1399), sent=4001, received=4300)) is None
    accepted = read(disputed, row("3", 1400), sent=4001, received=4300)
    assert amounts(accepted) == ["3"] and claim(accepted) == (at(4001), VerifiedBy.REST)


@pytest.mark.parametrize("ahead_ms", [1, 5_000, 3_600_000, 1_700_000_000_000_000])
def test_a_push_dated_ahead_of_the_exchanges_clock_is_not_merged(ahead_ms: int) -> None:
    disputed = apply_push(HELD, row("0", 2000 + ahead_ms), at(1950), not_after_ms=2000)
    assert amounts(disputed) == ["1"] and claim(disputed) is None
    merged = apply_push(disputed, row("0", 2010), at(2020), not_after_ms=2070)
    assert amounts(merged) == ["0"] and claim(merged) is None
    assert claim(read(merged, row("0", 2010), sent=2021, received=2300)) == (at(2021), VerifiedBy.REST)


def dated_ahead(state: SymbolState, amount: str, sent: int) -> SymbolState:
    return read(state, row(amount, 9_999_999), sent=sent, received=sent + 300, not_after_ms=sent + 400)


def test_a_read_dated_ahead_is_ordered_by_its_sending_alone() -> None:
    assert amounts(dated_ahead(PUSHED, "3", 1540)) == ["2"]
    state = dated_ahead(PUSHED, "3", 1541)
    assert amounts(state) == ["3"]
    assert amounts(apply_push(state, row("4", 1600), at(1900))) == ["4"]
    assert claim(dated_ahead(HELD, "1", 1541)) == (at(1541), VerifiedBy.REST)


@pytest.mark.parametrize("known", [HELD, EMPTY])
def test_a_read_dated_ahead_of_another_amount_claims_nothing_until_another_one(known: SymbolState) -> None:
    """Its date does not show whether it changed before the read was sent, or while it was read."""
    once = dated_ahead(known, "0", 2000)
    assert amounts(once) == ["0"] and claim(once) is None
    assert claim(dated_ahead(once, "0", 2299)) is None
    assert claim(dated_ahead(once, "0", 2301)) == (at(2301), VerifiedBy.REST)
    assert claim(once, StreamProof(at(900), at(2299))) is None
    assert claim(once, StreamProof(at(900), at(2301))) == (at(2301), VerifiedBy.STREAM)


def test_a_symbol_that_a_read_does_not_show_claims_nothing_until_one_does() -> None:
    gone = not_shown(HELD, at(2000))
    assert claim(gone, StreamProof(at(900), at(9000))) is None
    assert claim(read(gone, row("1", 100), sent=1999, received=2500)) is None
    assert claim(read(gone, row("1", 100), sent=2001, received=2500)) == (at(2001), VerifiedBy.REST)
    assert not_shown(HELD, at(999)) == HELD


def test_an_entry_price_that_becomes_readable_is_taken_into_the_known_row() -> None:
    unpriced = LegPosition(Leg.BOTH, Decimal(1), None, 100)
    state = read(read(EMPTY, unpriced, sent=1000, received=1300), row("1", 100), sent=2000, received=2300)
    assert [known.row.entry_price for known in state.legs] == [Decimal(100)]


def test_the_same_row_by_both_ways_keeps_the_later_proof() -> None:
    assert claim(read(PUSHED, row("2", 1500), sent=1510, received=1800)) == (at(1510), VerifiedBy.REST)
    later_read = read(HELD, row("2", 1500), sent=1510, received=1530)
    assert claim(apply_push(later_read, row("2", 1500), at(1540))) == (at(1510), VerifiedBy.REST)


def test_at_equal_times_a_read_wins_only_if_it_was_sent_after_the_push_arrived() -> None:
    assert amounts(read(PUSHED, row("3", 1500), sent=1540, received=1800)) == ["2"]
    assert amounts(read(PUSHED, row("3", 1500), sent=1541, received=1800)) == ["3"]


def test_at_equal_times_the_later_push_wins() -> None:
    assert amounts(apply_push(PUSHED, row("3", 1500), at(1541))) == ["3"]


def test_an_answer_overtaken_by_a_later_one_takes_nothing_back() -> None:
    state = read(HELD, row("2", 1500), sent=2000, received=2100)
    state = read(state, row("1", 100), sent=1400, received=2300)
    assert amounts(state) == ["2"] and claim(state) == (at(2000), VerifiedBy.REST)


def test_an_on_demand_read_is_verified_by_it() -> None:
    state = read(EMPTY, row("0", 0), sent=1000, received=1300, by=VerifiedBy.ONDEMAND)
    assert claim(state) == (at(1000), VerifiedBy.ONDEMAND)


def test_a_proof_extends_rows_of_its_session() -> None:
    assert claim(HELD, StreamProof(at(900), at(3000))) == (at(3000), VerifiedBy.STREAM)
    assert claim(HELD, StreamProof(at(900), at(950))) == (at(1000), VerifiedBy.REST)


def test_a_proof_does_not_extend_rows_from_before_its_session() -> None:
    assert claim(HELD, StreamProof(at(1001), at(3000))) == (at(1000), VerifiedBy.REST)
    assert (HELD.synced_at, EMPTY.synced_at) == (at(1000), None)


def test_a_push_syncs_a_one_way_position() -> None:
    assert claim(PUSHED, StreamProof(at(1200), at(3000))) == (at(3000), VerifiedBy.STREAM)


def test_a_repeated_row_is_synced_again() -> None:
    assert read(HELD, row("1", 100), sent=2000, received=2300).synced_at == at(2000)
    assert apply_push(HELD, row("1", 100), at(2000)).synced_at == at(2000)
    assert read(HELD, row("3", 50), sent=2000, received=2300).synced_at == at(1000)


def test_a_proof_from_before_a_change_does_not_date_it_back() -> None:
    state = apply_push(HELD, row("2", 1500), at(1540), stream_since=at(900))
    assert claim(state, StreamProof(at(900), at(1200))) == (at(1500), VerifiedBy.STREAM)


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


SET_BACK = apply_push(HELD, row("3", 60_000), at(60_010))
LATE_PROOF = StreamProof(at(900), at(75_000))


@pytest.mark.parametrize(
    ("shown", "pushed"),
    [(row("5", 10_000), row("4", 11_400)), (row("3", 10_000), row("4", 11_400))],
    ids=["second witness", "same amount"],
)
def test_a_push_out_of_order_that_came_while_a_read_was_under_way_keeps_the_leg_disputed(
    shown: LegPosition, pushed: LegPosition
) -> None:
    """The read may be from before the push."""
    state = read(SET_BACK, row("5", 9_000), sent=70_000, received=70_300)
    state = apply_push(state, pushed, at(71_400))
    state = read(state, shown, sent=71_300, received=71_600)
    assert claim(state, LATE_PROOF) is None
    assert state.disputed_at == at(71_400)
    settled = read(state, pushed, sent=72_500, received=72_800)
    assert (amounts(settled), claim(settled)) == (["4"], (at(72_500), VerifiedBy.REST))


def test_a_push_back_to_the_known_amount_of_a_disputed_leg_outdates_the_read_that_is_under_way() -> None:
    state = apply_push(SET_BACK, row("2", 10_000), at(70_000))
    state = apply_push(state, row("3", 11_400), at(71_400))
    state = read(state, row("2", 10_000), sent=71_300, received=71_600)
    assert claim(state, LATE_PROOF) is None
    settled = read(state, row("3", 11_400), sent=72_500, received=72_800)
    assert (amounts(settled), claim(settled)) == (["3"], (at(72_500), VerifiedBy.REST))
