"""The book never makes a snapshot fresher than its publisher proved it to be."""

from __future__ import annotations

from decimal import Decimal

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from brain.moment import Moment
from brain.positions.merging import StreamProof
from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy
from channels import BookEntry, MarkPrice, SnapshotBook


def at(second: float) -> Moment:
    return Moment(second, 1_700_000_000_000 + round(second * 1000))


def snapshot(symbol: str, verified: float, amount: str = "1") -> Snapshot:
    return Snapshot(
        symbol=symbol,
        legs=(LegPosition(Leg.BOTH, Decimal(amount), Decimal(100), 5),),
        leverage=Decimal(10),
        mark_price=Decimal(101),
        mark_ts_ms=5,
        verified_at=at(verified),
        verified_by=VerifiedBy.REST,
    )


@pytest.fixture
def book() -> SnapshotBook:
    return SnapshotBook("test")


def verified(book: SnapshotBook, symbol: str) -> tuple[float, VerifiedBy]:
    found = book.get(symbol)
    assert found is not None
    return found.verified_at.monotonic_sec, found.verified_by


def test_what_was_never_published_is_not_there(book: SnapshotBook) -> None:
    assert book.get("BTCUSDT") is None
    assert book.symbols() == []


def test_a_proof_freshens_what_is_grounded_in_the_stretch_it_covers(book: SnapshotBook) -> None:
    book.publish(0, BookEntry(snapshot("BTCUSDT", 10), grounded=at(10)))
    book.prove(0, StreamProof(since=at(9), as_of=at(20)))
    assert verified(book, "BTCUSDT") == (20, VerifiedBy.STREAM)


def test_a_proof_leaves_alone_what_was_grounded_before_its_stretch(book: SnapshotBook) -> None:
    book.publish(0, BookEntry(snapshot("BTCUSDT", 10), grounded=at(10)))
    book.prove(0, StreamProof(since=at(11), as_of=at(20)))
    assert verified(book, "BTCUSDT") == (10, VerifiedBy.REST)


def test_a_proof_leaves_alone_what_is_not_grounded_at_all(book: SnapshotBook) -> None:
    book.publish(0, BookEntry(snapshot("BTCUSDT", 10), grounded=None))
    book.prove(0, StreamProof(since=at(1), as_of=at(20)))
    assert verified(book, "BTCUSDT") == (10, VerifiedBy.REST)


def test_a_proof_of_one_shard_says_nothing_of_another(book: SnapshotBook) -> None:
    book.publish(0, BookEntry(snapshot("BTCUSDT", 10), grounded=at(10)))
    book.publish(1, BookEntry(snapshot("ETHUSDT", 10), grounded=at(10)))
    book.prove(1, StreamProof(since=at(9), as_of=at(20)))
    assert verified(book, "BTCUSDT")[0] == 10
    assert verified(book, "ETHUSDT")[0] == 20


def test_a_proof_never_makes_a_snapshot_older(book: SnapshotBook) -> None:
    book.publish(0, BookEntry(snapshot("BTCUSDT", 30), grounded=at(10)))
    book.prove(0, StreamProof(since=at(9), as_of=at(20)))
    assert verified(book, "BTCUSDT") == (30, VerifiedBy.REST)


def test_lost_trust_ends_belief_in_all_that_was_verified_before(book: SnapshotBook) -> None:
    book.publish(0, BookEntry(snapshot("BTCUSDT", 10), grounded=at(10)))
    book.prove(0, StreamProof(since=at(9), as_of=at(20)))
    book.lose_trust(at(25))
    found = book.get("BTCUSDT")
    assert found is not None
    assert found.verified_at == at(10), "the proof went with the trust"
    assert not book.believed(found)


def test_a_read_after_the_loss_is_believed(book: SnapshotBook) -> None:
    book.lose_trust(at(25))
    book.publish(0, BookEntry(snapshot("BTCUSDT", 26), grounded=at(26)))
    found = book.get("BTCUSDT")
    assert found is not None
    assert book.believed(found)


def test_an_earlier_loss_that_is_told_late_changes_nothing(book: SnapshotBook) -> None:
    book.lose_trust(at(25))
    book.lose_trust(at(20))
    assert book.trust_lost_at == at(25)


async def test_whoever_waits_is_woken_by_a_publication(book: SnapshotBook, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(book.changed)
        await wait_all_tasks_blocked()
        book.publish(0, BookEntry(snapshot("BTCUSDT", 10), grounded=None))


def test_a_mark_price_is_shown_with_the_snapshot_and_makes_nothing_fresher(book: SnapshotBook) -> None:
    book.publish(0, BookEntry(snapshot("BTCUSDT", 10), grounded=at(10)))
    book.mark({"BTCUSDT": MarkPrice(Decimal(99), 6), "ETHUSDT": MarkPrice(Decimal(1), 6)})
    found = book.get("BTCUSDT")
    assert found is not None
    assert found.mark_price == 99 and found.mark_ts_ms == 6
    assert found.verified_at == at(10) and found.amount == 1
    assert book.get("ETHUSDT") is None
    book.prove(0, StreamProof(since=at(9), as_of=at(20)))
    assert verified(book, "BTCUSDT") == (20, VerifiedBy.STREAM)


def test_a_mark_price_from_before_the_snapshot_s_own_is_not_shown(book: SnapshotBook) -> None:
    book.mark({"BTCUSDT": MarkPrice(Decimal(99), 4)})
    book.publish(0, BookEntry(snapshot("BTCUSDT", 10), grounded=None))
    found = book.get("BTCUSDT")
    assert found is not None and found.mark_price == 101 and found.mark_ts_ms == 5


def test_it_tells_which_symbols_have_a_position(book: SnapshotBook) -> None:
    book.publish(0, BookEntry(snapshot("BTCUSDT", 10), grounded=None))
    book.publish(0, BookEntry(snapshot("ETHUSDT", 10, "0"), grounded=None))
    assert [s for s in ("BTCUSDT", "ETHUSDT", "XRPUSDT") if book.holds(s)] == ["BTCUSDT"]
