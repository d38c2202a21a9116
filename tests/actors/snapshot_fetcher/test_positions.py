"""Snapshots that a proof of the stream extends, where symbols are read one by one."""

from __future__ import annotations

import pytest

from actors.snapshot_fetcher.positions import ShardPositions
from brain.moment import Moment
from channels import PositionObserved, StreamConnected, StreamLost, StreamProven
from exchange.protocol import PositionsRead
from tests.actors.dictated_exchange import DictatedExchange
from tests.actors.fetcher_rig import FetcherRig
from tests.virtual_time import virtual_time

pytestmark = virtual_time


class Shard:
    """Positions of one shard, without an actor."""

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
        pushed = self.rig.exchange.row(symbol).position
        self.known.take_in([PositionObserved(symbol, pushed, self.at(received_ms))])

    def connect(self, ms: int) -> None:
        self.known.take_in([StreamConnected(1, self.at(ms))])

    def prove(self, as_of_ms: int) -> None:
        self.known.take_in([StreamProven(1, self.at(as_of_ms))])

    def cause(self, symbol: str | None = None) -> Moment | None:
        """Return the cause of a read that is due early: the sending of an earlier one, or a push."""
        repeat = self.known.schedule.ambiguous_reads.repeat(symbol)
        return None if repeat is None else repeat.cause

    def claim(self, symbol: str) -> tuple[str, int]:
        """The amount, and the milliseconds after the beginning at which it was true."""
        snapshot = self.rig.snapshot(symbol)
        return str(snapshot.amount), snapshot.verified_at.wall_ms - self.at(0).wall_ms


@pytest.fixture
def shard() -> Shard:
    return Shard()


async def test_a_symbol_that_was_only_pushed_in_the_session_is_not_covered(shard: Shard) -> None:
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


async def test_a_proof_does_not_extend_a_snapshot_that_an_older_read_has_outdated(shard: Shard) -> None:
    """A read from before the connection shows a change that the stream has lost."""
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


async def test_a_symbol_that_reads_do_not_show_makes_no_read_due_early(shard: Shard) -> None:
    shard.set("BTCUSDT", "0.5", -9_000)
    shard.push("BTCUSDT", 10)
    assert shard.known.schedule.ambiguous_reads.repeat() is None
    shard.set("ETHUSDT", "2", 40)
    shard.read("ETHUSDT", sent_ms=20, received_ms=60)
    assert shard.cause() == shard.known.schedule.ambiguous_reads.since("ETHUSDT") == shard.at(20)


async def test_an_ambiguous_read_after_a_published_one_is_repeated_early_again(shard: Shard) -> None:
    for sent_ms in (100, 600):
        shard.set("BTCUSDT", str(sent_ms), sent_ms + 20)
        shard.read("BTCUSDT", sent_ms=sent_ms, received_ms=sent_ms + 50)
        assert shard.cause("BTCUSDT") == shard.at(sent_ms)
        shard.read("BTCUSDT", sent_ms=sent_ms + 250, received_ms=sent_ms + 300)
        assert shard.known.schedule.ambiguous_reads.repeat() is None
        assert shard.known.schedule.ambiguous_reads.symbols() == []
        assert shard.claim("BTCUSDT") == (str(sent_ms), sent_ms + 250)


async def test_a_read_from_before_the_session_makes_no_proof_count(shard: Shard) -> None:
    shard.set("BTCUSDT", "0.5", 20)
    shard.read("BTCUSDT", sent_ms=10, received_ms=60)
    shard.connect(100)
    shard.prove(500)
    assert not shard.known.schedule.stream_proven
    assert shard.rig.book.get("BTCUSDT") is None
    shard.read("BTCUSDT", sent_ms=510, received_ms=560)
    shard.prove(600)
    assert shard.known.schedule.stream_proven
    assert shard.claim("BTCUSDT") == ("0.5", 600)


async def test_a_proven_snapshot_keeps_its_time_when_another_shard_ends_the_trust(shard: Shard) -> None:
    shard.set("BTCUSDT", "0.5", -9_000)
    shard.connect(100)
    shard.read("BTCUSDT", sent_ms=200, received_ms=300)
    shard.prove(900)
    assert shard.claim("BTCUSDT") == ("0.5", 900)
    shard.rig.book.lose_trust(shard.at(950))
    shard.prove(1_200)
    assert shard.claim("BTCUSDT") == ("0.5", 900)
    assert not shard.rig.book.is_trusted(shard.rig.snapshot("BTCUSDT"))


async def test_a_session_that_began_before_another_shard_ended_the_trust_proves_nothing(shard: Shard) -> None:
    """Loss, connection and proof arrive together, after the trust was lost once more."""
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
    assert not shard.known.schedule.stream_proven
    assert shard.claim("BTCUSDT") == ("0.5", 1_200)
    assert not shard.rig.book.is_trusted(shard.rig.snapshot("BTCUSDT"))


async def test_a_push_bounds_the_exchanges_clock_by_which_later_pushes_are_dated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(DictatedExchange, "exchange_ms_at_most", lambda self, at: self.exchange_ms(at) + 100)
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


async def test_a_push_after_a_loss_of_trust_waits_for_a_read_of_a_disputed_symbol_too(shard: Shard) -> None:
    shard.set("BTCUSDT", "3", -9_000)
    shard.read("BTCUSDT", sent_ms=0, received_ms=100)
    shard.set("BTCUSDT", "1", -60_000)
    shard.read("BTCUSDT", sent_ms=2_000, received_ms=2_100)
    assert shard.rig.book.is_disputed("BTCUSDT")
    shard.rig.book.lose_trust(shard.at(2_200))
    shard.connect(2_300)
    shard.set("BTCUSDT", "2", 2_400)
    shard.push("BTCUSDT", 2_410)
    assert not shard.rig.book.is_trusted(shard.rig.snapshot("BTCUSDT"))
    shard.read("BTCUSDT", sent_ms=2_500, received_ms=2_600)
    assert shard.rig.book.is_trusted(shard.rig.snapshot("BTCUSDT"))
    assert shard.claim("BTCUSDT") == ("2", 2_500)


async def test_a_symbol_that_could_never_be_read_and_is_listed_no_more_is_not_unreadable() -> None:
    shard = Shard()
    shard.known.apply_absence((), PositionsRead((), shard.at(0), shard.at(1), {"NEWUSDT": "no updateTime"}))
    assert shard.rig.book.unreadable == {"NEWUSDT": "no updateTime"}
    shard.known.apply_absence((), PositionsRead((), shard.at(2), shard.at(3)))
    assert shard.rig.book.unreadable == {}
