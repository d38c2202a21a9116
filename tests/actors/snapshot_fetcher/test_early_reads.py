"""Rules 19 and 20: reads that ambiguous reads, disputes and unmatched fills make due early."""

from __future__ import annotations

from decimal import Decimal

from actors.snapshot_fetcher.early_reads import AmbiguousReads, UnmatchedFills
from brain.identifiers import ClientOrderId, OrderId, Symbol
from brain.moment import Moment
from brain.positions.position import Leg
from channels import FillObserved


def at(second: float) -> Moment:
    return Moment(second, round(second * 1000))


def fill(second: float, leg: Leg = Leg.BOTH) -> FillObserved:
    """Received at that second, half a second after it happened."""
    happened_ms = round(second * 1000) - 500
    return FillObserved(
        Symbol("BTCUSDT"),
        leg,
        OrderId("77"),
        ClientOrderId("web_1"),
        "BUY",
        Decimal(1),
        "FILLED",
        happened_ms,
        at(second),
    )


def unmatched(*fills: FillObserved) -> UnmatchedFills:
    waiting = UnmatchedFills()
    for each in fills:
        waiting.add(each)
    return waiting


def ambiguous(*reads: tuple[str, float]) -> AmbiguousReads:
    """A read of each symbol, sent at that second."""
    found = AmbiguousReads()
    for symbol, second in reads:
        found.add(symbol, at(second))
    return found


def cause(reads: AmbiguousReads, symbol: str | None = None) -> Moment | None:
    """Return the sending of the read to repeat."""
    repeat = reads.repeat(symbol)
    return None if repeat is None else repeat.cause


def test_an_update_covers_what_happened_until_its_own_time() -> None:
    fills = unmatched(fill(10), fill(11), fill(12))
    fills.updated("BTCUSDT", Leg.BOTH, 10_500)
    assert fills.oldest("BTCUSDT") == at(12)


def test_an_update_of_one_leg_covers_no_fill_of_the_other() -> None:
    fills = unmatched(fill(10, Leg.LONG), fill(11, Leg.SHORT))
    fills.updated("BTCUSDT", Leg.SHORT, 20_000)
    assert fills.oldest() == at(10)


def test_a_read_covers_fills_received_before_it_was_sent_on_every_leg() -> None:
    fills = unmatched(fill(10, Leg.LONG), fill(11, Leg.SHORT), fill(13, Leg.SHORT))
    fills.read("BTCUSDT", at(12))
    assert fills.oldest("BTCUSDT") == at(13)
    fills.read("BTCUSDT", at(14))
    assert fills.symbols() == set()
    assert fills.oldest() is None


def test_each_dispute_is_followed_by_one_read_sent_more_than_a_second_after_it() -> None:
    reads = AmbiguousReads()
    reads.dispute("BTCUSDT", at(10))
    repeat = reads.repeat("BTCUSDT")
    assert repeat is not None and repeat.due_sec == repeat.sent_after.monotonic_sec > 11
    reads.repeated("BTCUSDT", at(11))
    assert reads.repeat() == repeat, "sent too early to resolve it"
    reads.repeated("BTCUSDT", at(11.01))
    assert reads.repeat() is None
    reads.dispute("BTCUSDT", at(10))
    assert reads.repeat() is None, "the same dispute again"
    reads.dispute("BTCUSDT", at(12))
    assert cause(reads) == at(12)
    reads.resolved("BTCUSDT")
    assert reads.repeat() is None


def test_the_first_ambiguous_read_is_repeated_soon_and_the_second_one_is_not() -> None:
    reads = ambiguous(("BTCUSDT", 10))
    assert reads.since("BTCUSDT") == cause(reads, "BTCUSDT") == cause(reads) == at(10)
    reads.repeated("BTCUSDT", at(10.24))
    assert cause(reads) == at(10)
    for second in (11, 12):
        reads.repeated("BTCUSDT", at(second))
        reads.add("BTCUSDT", at(second))
        assert reads.since("BTCUSDT") == at(second)
        assert reads.repeat("BTCUSDT") is reads.repeat() is None


def test_an_ambiguous_read_after_a_published_position_is_a_first_one_again() -> None:
    reads = ambiguous(("BTCUSDT", 10), ("ETHUSDT", 10), ("BTCUSDT", 11))
    reads.resolved("BTCUSDT")
    assert reads.since("BTCUSDT") is None
    assert reads.symbols() == ["ETHUSDT"]
    reads.add("BTCUSDT", at(12))
    assert cause(reads, "BTCUSDT") == at(12)


def test_the_oldest_ambiguous_read_is_repeated_first() -> None:
    reads = ambiguous(("ETHUSDT", 11), ("BTCUSDT", 10), ("SOLUSDT", 12))
    assert cause(reads) == at(10)
    assert cause(reads, "SOLUSDT") == at(12)
    assert reads.repeat("XRPUSDT") is None
