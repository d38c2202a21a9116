"""Which snapshots a proof of the stream makes fresher, where symbols are read one by one."""

from __future__ import annotations

from trio.testing import MockClock

from actors.snapshot_fetcher.positions import ShardPositions
from brain.moment import Moment
from channels import PositionObserved, StreamConnected, StreamLost, StreamProven
from exchange.protocol import PositionsRead
from tests.actors.fetcher_rig import FetcherRig


class Shard:
    """What one shard knows, told directly."""

    def __init__(self) -> None:
        self.rig = FetcherRig()
        self.known: ShardPositions
        self.known, _ = self.rig.positions_of()

    def at(self, ms: int) -> Moment:
        """Milliseconds after the beginning."""
        start = self.rig.clock.now()
        return Moment(start.monotonic_sec + ms / 1000, start.wall_ms + ms)

    def set(self, symbol: str, amount: str, changed_ms: int) -> None:
        self.rig.exchange.set(symbol, amount, self.at(changed_ms).wall_ms)

    def read(self, symbol: str, *, sent_ms: int, received_ms: int) -> None:
        row = self.rig.exchange.row(symbol)
        self.known.apply_read(PositionsRead((row,), self.at(sent_ms), self.at(received_ms)))

    def push(self, symbol: str, received_ms: int) -> None:
        told = self.rig.exchange.row(symbol).position
        self.known.take_in([PositionObserved(symbol, told, self.at(received_ms))])

    def connect(self, ms: int) -> None:
        self.known.take_in([StreamConnected(1, self.at(ms))])

    def prove(self, as_of_ms: int) -> None:
        self.known.take_in([StreamProven(1, self.at(as_of_ms))])

    def cause(self, symbol: str | None = None) -> Moment | None:
        """Return what makes a read wanted soon: the sending of an earlier one, or the arrival of a push."""
        repeat = self.known.undated_reads.to_repeat(symbol)
        return None if repeat is None else repeat.cause

    def claim(self, symbol: str) -> tuple[str, int]:
        """The amount, and the milliseconds after the beginning at which it was so."""
        snapshot = self.rig.snapshot(symbol)
        return str(snapshot.amount), snapshot.verified_at.wall_ms - self.at(0).wall_ms


async def test_what_was_only_pushed_since_the_connection_is_not_vouched_for(
    autojump_clock: MockClock,
) -> None:
    shard = Shard()
    shard.set("BTCUSDT", "0.5", -9_000)
    shard.set("ETHUSDT", "2", -9_000)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        shard.read(symbol, sent_ms=0, received_ms=100)
    shard.connect(200)
    shard.read("ETHUSDT", sent_ms=300, received_ms=400)
    shard.set("BTCUSDT", "0.7", 450)
    shard.push("BTCUSDT", 460)
    shard.prove(900)
    assert shard.claim("ETHUSDT") == ("2", 900)
    assert shard.claim("BTCUSDT") == ("0.7", 450)
    shard.read("BTCUSDT", sent_ms=950, received_ms=980)
    shard.prove(1_000)
    assert shard.claim("BTCUSDT") == ("0.7", 1_000)


async def test_what_an_older_read_has_outdated_is_not_made_fresher_by_a_proof(
    autojump_clock: MockClock,
) -> None:
    """A read from before the connection shows a change that the stream has lost."""
    shard = Shard()
    for symbol, amount in (("BTCUSDT", "0.5"), ("ETHUSDT", "2")):
        shard.set(symbol, amount, -9_000)
        shard.read(symbol, sent_ms=0, received_ms=100)
    shard.connect(200)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        shard.read(symbol, sent_ms=210, received_ms=240)
    shard.prove(260)
    shard.set("BTCUSDT", "0.9", 300)
    shard.read("BTCUSDT", sent_ms=190, received_ms=320)
    shard.prove(500)
    assert shard.claim("ETHUSDT") == ("2", 500)
    amount, as_of_ms = shard.claim("BTCUSDT")
    assert (amount == "0.9") is (as_of_ms >= 300)


async def test_no_read_is_asked_for_again_and_again_because_of_a_symbol_that_reads_do_not_show(
    autojump_clock: MockClock,
) -> None:
    shard = Shard()
    shard.set("BTCUSDT", "0.5", -9_000)
    shard.push("BTCUSDT", 10)
    assert shard.known.undated_reads.to_repeat() is None
    shard.set("ETHUSDT", "2", 40)
    shard.read("ETHUSDT", sent_ms=20, received_ms=60)
    assert shard.cause() == shard.known.undated_reads.since("ETHUSDT") == shard.at(20)


async def test_a_position_that_could_be_dated_in_between_is_read_in_haste_once_more(
    autojump_clock: MockClock,
) -> None:
    shard = Shard()
    for sent_ms in (100, 600):
        shard.set("BTCUSDT", str(sent_ms), sent_ms + 20)
        shard.read("BTCUSDT", sent_ms=sent_ms, received_ms=sent_ms + 50)
        assert shard.cause("BTCUSDT") == shard.at(sent_ms)
        shard.read("BTCUSDT", sent_ms=sent_ms + 250, received_ms=sent_ms + 300)
        assert shard.known.undated_reads.to_repeat() is None
        assert shard.known.undated_reads.symbols() == []
        assert shard.claim("BTCUSDT") == (str(sent_ms), sent_ms + 250)


async def test_a_position_that_was_read_before_the_connection_gives_no_trust(
    autojump_clock: MockClock,
) -> None:
    shard = Shard()
    shard.set("BTCUSDT", "0.5", 20)
    shard.read("BTCUSDT", sent_ms=10, received_ms=60)
    shard.connect(100)
    shard.prove(500)
    assert not shard.known.stream_proven
    assert shard.rig.book.get("BTCUSDT") is None
    shard.read("BTCUSDT", sent_ms=510, received_ms=560)
    shard.prove(600)
    assert shard.known.stream_proven
    assert shard.claim("BTCUSDT") == ("0.5", 600)


async def test_what_was_proven_stays_proven_when_another_shard_ends_the_trust(
    autojump_clock: MockClock,
) -> None:
    shard = Shard()
    shard.set("BTCUSDT", "0.5", -9_000)
    shard.connect(100)
    shard.read("BTCUSDT", sent_ms=200, received_ms=300)
    shard.prove(900)
    assert shard.claim("BTCUSDT") == ("0.5", 900)
    shard.rig.book.lose_trust(shard.at(950))
    shard.prove(1_200)
    assert shard.claim("BTCUSDT") == ("0.5", 900)
    assert not shard.rig.book.believed(shard.rig.snapshot("BTCUSDT"))


async def test_a_stretch_that_began_before_another_shard_ended_the_trust_proves_nothing(
    autojump_clock: MockClock,
) -> None:
    """The shard learns of loss, connection and proof at once, when the trust was lost once more since."""
    shard = Shard()
    shard.set("BTCUSDT", "0.5", -9_000)
    shard.connect(100)
    shard.read("BTCUSDT", sent_ms=1_200, received_ms=1_300)
    shard.rig.book.lose_trust(shard.at(1_400))
    shard.known.take_in(
        [
            StreamLost(1, shard.at(1_000), "closed"),
            StreamConnected(2, shard.at(1_100)),
            StreamProven(2, shard.at(1_600)),
        ]
    )
    assert not shard.known.stream_proven
    assert shard.claim("BTCUSDT") == ("0.5", 1_200)
    assert not shard.rig.book.believed(shard.rig.snapshot("BTCUSDT"))


async def test_a_push_tells_how_far_the_exchanges_clock_is_ahead_and_later_ones_are_dated_by_it(
    autojump_clock: MockClock,
) -> None:
    shard = Shard()
    for symbol in ("BTCUSDT", "ETHUSDT"):
        shard.set(symbol, "1", -9_000)
        shard.read(symbol, sent_ms=0, received_ms=100)
    shard.set("BTCUSDT", "2", 540)
    shard.push("BTCUSDT", 500)
    assert shard.claim("BTCUSDT") == ("2", 500)
    shard.set("ETHUSDT", "2", 1_000)
    shard.push("ETHUSDT", 1_100)
    assert shard.claim("ETHUSDT") == ("2", 960)


async def test_a_push_after_a_loss_of_trust_waits_for_a_read_of_a_disputed_symbol_too(
    autojump_clock: MockClock,
) -> None:
    shard = Shard()
    shard.set("BTCUSDT", "3", -9_000)
    shard.read("BTCUSDT", sent_ms=0, received_ms=100)
    shard.set("BTCUSDT", "1", -60_000)
    shard.read("BTCUSDT", sent_ms=2_000, received_ms=2_100)
    assert shard.rig.book.is_disputed("BTCUSDT")
    shard.rig.book.lose_trust(shard.at(2_200))
    shard.connect(2_300)
    shard.set("BTCUSDT", "2", 2_400)
    shard.push("BTCUSDT", 2_410)
    assert not shard.rig.book.believed(shard.rig.snapshot("BTCUSDT"))
    shard.read("BTCUSDT", sent_ms=2_500, received_ms=2_600)
    assert shard.rig.book.believed(shard.rig.snapshot("BTCUSDT"))
    assert shard.claim("BTCUSDT") == ("2", 2_500)


async def test_a_symbol_that_could_never_be_read_and_is_listed_no_more_is_not_unreadable(
    autojump_clock: MockClock,
) -> None:
    shard = Shard()
    shard.known.apply_absence((), PositionsRead((), shard.at(0), shard.at(1), {"NEWUSDT": "no updateTime"}))
    assert shard.rig.book.unreadable == {"NEWUSDT": "no updateTime"}
    shard.known.apply_absence((), PositionsRead((), shard.at(2), shard.at(3)))
    assert shard.rig.book.unreadable == {}
