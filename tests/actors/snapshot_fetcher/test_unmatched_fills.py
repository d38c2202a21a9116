"""Which fills still wait for their account update."""

from __future__ import annotations

from decimal import Decimal

from actors.snapshot_fetcher.read_schedule import UnmatchedFills
from brain.moment import Moment
from brain.positions.position import Leg
from channels import FillObserved


def at(second: float) -> Moment:
    return Moment(second, round(second * 1000))


def fill(second: float, leg: Leg = Leg.BOTH) -> FillObserved:
    """Told at that second, half a second after it happened."""
    happened_ms = round(second * 1000) - 500
    return FillObserved("BTCUSDT", leg, "77", "web_1", "BUY", Decimal(1), "FILLED", happened_ms, at(second))


def waiting(*fills: FillObserved) -> UnmatchedFills:
    unmatched = UnmatchedFills()
    for each in fills:
        unmatched.expect_update_for(each)
    return unmatched


def test_an_update_covers_what_happened_until_its_own_time() -> None:
    unmatched = waiting(fill(10), fill(11), fill(12))
    unmatched.updated("BTCUSDT", Leg.BOTH, 10_500)
    assert unmatched.oldest("BTCUSDT") == at(12)


def test_an_update_of_one_leg_says_nothing_of_the_other() -> None:
    unmatched = waiting(fill(10, Leg.LONG), fill(11, Leg.SHORT))
    unmatched.updated("BTCUSDT", Leg.SHORT, 20_000)
    assert unmatched.oldest() == at(10)


def test_a_read_covers_what_was_told_before_it_was_sent_on_every_leg() -> None:
    unmatched = waiting(fill(10, Leg.LONG), fill(11, Leg.SHORT), fill(13, Leg.SHORT))
    unmatched.read("BTCUSDT", at(12))
    assert unmatched.oldest("BTCUSDT") == at(13)
    unmatched.read("BTCUSDT", at(14))
    assert unmatched.symbols() == set()
    assert unmatched.oldest() is None
