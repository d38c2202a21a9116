"""The book never makes a snapshot fresher than its publisher proved it to be."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from brain.moment import Moment
from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy
from brain.positions.symbol_state import StreamProof
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


def test_a_symbol_that_was_never_published_is_not_there(book: SnapshotBook) -> None:
    assert book.get("BTCUSDT") is None
    assert book.symbols() == []


@pytest.mark.parametrize(
    ("verified_sec", "synced_sec", "since_sec", "shown"),
    [
        pytest.param(10, 10, 9, (20, VerifiedBy.STREAM), id="synced in the session"),
        pytest.param(10, 10, 11, (10, VerifiedBy.REST), id="synced before the session"),
        pytest.param(10, None, 1, (10, VerifiedBy.REST), id="never synced"),
        pytest.param(30, 10, 9, (30, VerifiedBy.REST), id="verified later than the proof"),
    ],
)
def test_a_proof_extends_older_entries_synced_in_its_session_and_no_others(
    book: SnapshotBook, verified_sec: float, synced_sec: float | None, since_sec: float, shown: object
) -> None:
    synced_at = None if synced_sec is None else at(synced_sec)
    book.publish(0, BookEntry(snapshot("BTCUSDT", verified_sec), synced_at))
    book.prove(0, StreamProof(since=at(since_sec), as_of=at(20)))
    assert verified(book, "BTCUSDT") == shown


def test_a_proof_is_no_read_of_the_whole_position(book: SnapshotBook) -> None:
    assert book.read_at("BTCUSDT") is None
    book.publish(0, BookEntry(snapshot("BTCUSDT", 10), at(12)))
    book.prove(0, StreamProof(at(1), at(20)))
    assert book.read_at("BTCUSDT") == at(12)
    book.publish(0, BookEntry(snapshot("BTCUSDT", 15), None))
    assert book.read_at("BTCUSDT") == at(15)
    proven = msgspec.structs.replace(snapshot("BTCUSDT", 18), verified_by=VerifiedBy.STREAM)
    book.publish(0, BookEntry(proven, None))
    assert book.read_at("BTCUSDT") is None


def test_a_proof_of_one_shard_does_not_extend_entries_of_another(book: SnapshotBook) -> None:
    book.publish(0, BookEntry(snapshot("BTCUSDT", 10), synced_at=at(10)))
    book.publish(1, BookEntry(snapshot("ETHUSDT", 10), synced_at=at(10)))
    book.prove(1, StreamProof(since=at(9), as_of=at(20)))
    assert verified(book, "BTCUSDT")[0] == 10
    assert verified(book, "ETHUSDT")[0] == 20


def test_no_entry_from_before_a_loss_of_trust_is_trusted(book: SnapshotBook) -> None:
    book.publish(0, BookEntry(snapshot("BTCUSDT", 10), synced_at=at(10)))
    book.prove(0, StreamProof(since=at(9), as_of=at(20)))
    book.lose_trust(at(25))
    found = book.get("BTCUSDT")
    assert found is not None
    assert found.verified_at == at(10), "the proof went with the trust"
    assert not book.is_trusted(found)


def test_a_read_after_the_loss_is_trusted(book: SnapshotBook) -> None:
    book.lose_trust(at(25))
    book.publish(0, BookEntry(snapshot("BTCUSDT", 26), synced_at=at(26)))
    found = book.get("BTCUSDT")
    assert found is not None
    assert book.is_trusted(found)


def test_an_earlier_loss_that_is_reported_late_changes_nothing(book: SnapshotBook) -> None:
    book.lose_trust(at(25))
    book.lose_trust(at(20))
    assert book.trust_lost_at == at(25)


async def test_a_publication_wakes_waiting_tasks(book: SnapshotBook, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(book.changed)
        await wait_all_tasks_blocked()
        book.publish(0, BookEntry(snapshot("BTCUSDT", 10), synced_at=None))


def test_a_mark_price_is_shown_with_the_snapshot_and_makes_nothing_fresher(book: SnapshotBook) -> None:
    book.publish(0, BookEntry(snapshot("BTCUSDT", 10), synced_at=at(10)))
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
    book.publish(0, BookEntry(snapshot("BTCUSDT", 10), synced_at=None))
    found = book.get("BTCUSDT")
    assert found is not None and found.mark_price == 101 and found.mark_ts_ms == 5


def test_it_knows_which_symbols_have_a_position(book: SnapshotBook) -> None:
    book.publish(0, BookEntry(snapshot("BTCUSDT", 10), synced_at=None))
    book.publish(0, BookEntry(snapshot("ETHUSDT", 10, "0"), synced_at=None))
    assert [s for s in ("BTCUSDT", "ETHUSDT", "XRPUSDT") if book.holds(s)] == ["BTCUSDT"]
