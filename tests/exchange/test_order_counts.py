"""Limits on orders in 10 s and a minute: our share, the account's count, and the fifth for closes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from brain.moment import Moment
from exchange.order_counts import OrderCounts
from tests.exchange.parts import HandClock


class Counted:
    """Order counts on clocks set by hand. The exchange's clock is this host's wall clock."""

    def __init__(self, per_10s: int = 240, per_min: int = 960) -> None:
        self.clock = HandClock()
        self.clock.wall_ms = 1_700_000_040_000  # a minute begins
        self.counts = OrderCounts(self.clock, per_10s=per_10s, per_min=per_min)

    def placed(self, orders: int, *, closing: bool) -> int:
        """Return how many of so many orders could be placed."""
        return sum(self.counts.reserve(closing=closing) is None for _ in range(orders))

    def show(self, ten_sec: str, minute: str, *, sent: Moment | None = None) -> None:
        headers = {"X-MBX-ORDER-COUNT-10S": ten_sec, "X-MBX-ORDER-COUNT-1M": minute}
        self.counts.answered(sent or self.clock.now(), headers)


def test_opens_have_four_fifths_of_our_share_and_closes_all_of_it() -> None:
    counted = Counted()
    assert counted.placed(300, closing=False) == 192
    assert counted.placed(300, closing=True) == 48
    assert counted.counts.used() == {"10s": 240, "1m": 240}


def test_a_refused_order_may_be_placed_at_the_moment_that_was_named_and_not_before() -> None:
    counted = Counted()
    counted.placed(240, closing=True)
    until = counted.counts.reserve(closing=True)
    assert until is not None
    assert until.monotonic_sec == counted.clock.monotonic_sec + 10
    counted.clock.turn(9.99)
    assert counted.counts.reserve(closing=True) is not None
    counted.clock.turn(0.01)
    assert counted.counts.reserve(closing=True) is None


def test_an_order_that_is_given_back_may_be_placed_again() -> None:
    counted = Counted()
    assert counted.placed(300, closing=True) == 240
    counted.counts.give_back()
    assert counted.placed(300, closing=True) == 1
    counted.clock.turn(60)
    counted.counts.give_back()
    assert counted.placed(300, closing=True) == 240


def test_a_minute_is_counted_beside_the_10_seconds() -> None:
    counted = Counted()
    placed = 0
    for _ in range(6):
        placed += counted.placed(300, closing=True)
        counted.clock.turn(10)
    assert placed == 960


def test_the_exchange_may_allow_less_than_our_share() -> None:
    counted = Counted()
    counted.counts.learn({10: 50, 60: 1200, 1: 5})
    assert counted.placed(100, closing=False) == 40
    assert counted.placed(100, closing=True) == 10


def test_orders_of_others_on_the_account_count_until_their_interval_ends() -> None:
    counted = Counted()
    counted.show("299", "400")
    assert counted.placed(5, closing=False) == 0
    assert counted.placed(5, closing=True) == 1
    until = counted.counts.reserve(closing=True)
    assert until is not None and until.wall_ms == 1_700_000_050_000
    counted.clock.turn(10)
    assert counted.placed(5, closing=False) == 5
    assert counted.counts.used() == {"10s": 5, "1m": 406}


def test_a_late_answer_neither_lowers_a_count_nor_fills_the_next_interval() -> None:
    counted = Counted()
    counted.show("200", "200")
    counted.show("150", "150")
    assert counted.counts.used() == {"10s": 200, "1m": 200}
    sent = counted.clock.now()
    counted.clock.turn(10)
    counted.show("299", "299", sent=sent)
    assert counted.counts.used() == {"10s": 0, "1m": 299}


def test_a_header_that_is_no_count_is_ignored() -> None:
    counted = Counted()
    for text in ("", "-5", "1e3", "٣", "9" * 30):
        counted.show(text, text)
    assert counted.counts.used() == {"10s": 0, "1m": 0}


def test_after_a_refusal_for_too_many_orders_none_is_placed_until_the_next_10_seconds() -> None:
    counted = Counted()
    counted.clock.turn(4)
    counted.counts.refused()
    until = counted.counts.reserve(closing=True)
    assert until is not None and until.monotonic_sec == counted.clock.monotonic_sec + 6
    counted.clock.turn(6)
    assert counted.counts.reserve(closing=False) is None


def test_a_share_of_nothing_lets_no_order_through() -> None:
    assert Counted(per_10s=0).placed(3, closing=True) == 0


@given(
    st.integers(1, 12),
    st.integers(1, 30),
    st.lists(st.tuples(st.floats(0, 12), st.booleans()), max_size=200),
)
def test_no_window_ever_has_more_orders_than_our_share(
    per_10s: int, per_min: int, asked: list[tuple[float, bool]]
) -> None:
    counted = Counted(per_10s, per_min)
    placed: list[tuple[float, bool]] = []
    for pause_sec, closing in asked:
        counted.clock.turn(pause_sec)
        until = counted.counts.reserve(closing=closing)
        if until is None:
            placed.append((counted.clock.monotonic_sec, closing))
        else:
            assert until.monotonic_sec > counted.clock.monotonic_sec
    for window_sec, share in ((10, per_10s), (60, per_min)):
        for count, (ends_sec, closing) in enumerate(placed, 1):
            within = [at for at, _ in placed[:count] if at > ends_sec - window_sec]
            assert len(within) <= (share if closing else share - share // 5)


@given(st.lists(st.tuples(st.floats(0.01, 30), st.booleans(), st.integers(0, 310)), max_size=80))
def test_an_order_that_waits_until_the_named_moment_gets_through(
    asked: list[tuple[float, bool, int]],
) -> None:
    counted = Counted(per_10s=3, per_min=9)
    for pause_sec, closing, account in asked:
        counted.clock.turn(pause_sec)
        counted.show(str(account), str(account))
        for _ in range(5):
            until = counted.counts.reserve(closing=closing)
            if until is None:
                break
            counted.clock.turn(max(until.monotonic_sec - counted.clock.monotonic_sec, 0.001))
        else:
            raise AssertionError("an order waits longer than was named")
