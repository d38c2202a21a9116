from __future__ import annotations

from brain.identifiers import FencingToken
from store.keys import Keys
from store.protocol import Store
from store.records import MarkWrite, SnapshotWrite
from tests.store.backends import Backend, Outside
from tests.store.commits import SYMBOL

TIMES = {"ts_epoch": "1760000002", "ts_epoch_ms": "1760000002345", "ts_iso": "2025-10-09T08:53:22.345Z"}


def snapshot(symbol: str, amount: str, ttl_sec: int = 3600) -> SnapshotWrite:
    return SnapshotWrite(symbol, ttl_sec, _fields(amount))


def _fields(amount: str) -> tuple[str, ...]:
    return ("position_amt", amount, "ts_epoch", "1", "ts_epoch_ms", "1000", "verified_by", "rest")


async def test_snapshots_are_written_with_their_life(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    await store.write_snapshots(fence, [snapshot("A", "1"), snapshot("B", "-2", 300)])
    assert outside.hgetall(keys.snapshot("A")) == {
        b"position_amt": b"1", b"ts_epoch": b"1", b"ts_epoch_ms": b"1000", b"verified_by": b"rest",
    }  # fmt: skip
    assert 3_595_000 < outside.pttl(keys.snapshot("A")) <= 3_600_000
    assert 295_000 < outside.pttl(keys.snapshot("B")) <= 300_000
    await store.write_snapshots(fence, [])


async def test_a_snapshot_is_replaced_whole_whatever_was_there(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    outside.hset(keys.snapshot("A"), {"position_amt": "9", "long_amt": "10", "short_amt": "-1"})
    outside.set(keys.snapshot("B"), "of a wrong type")
    await store.write_snapshots(fence, [snapshot("A", "1"), snapshot("B", "2")])
    for symbol in "AB":
        held = set(outside.hgetall(keys.snapshot(symbol)))
        assert held == {b"position_amt", b"ts_epoch", b"ts_epoch_ms", b"verified_by"}


async def test_a_snapshot_is_gone_once_its_life_is_over(
    backend: Backend, store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    await store.write_snapshots(fence, [snapshot("A", "1", 1)])
    await backend.pass_ms(1_001)
    assert outside.kind(keys.snapshot("A")) == "none"


async def test_a_proof_moves_the_times_of_snapshots_that_exist_and_names_the_others(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    await store.write_snapshots(fence, [snapshot("A", "1", 300)])
    outside.hset(keys.snapshot("B"), {"ts_epoch": "1"})
    outside.set(keys.snapshot("C"), "of a wrong type")
    missing = await store.prove_snapshots(
        fence, dict.fromkeys("DABC", 1000), times=TIMES, verified_by="stream", ttl_sec=3600
    )
    assert missing == ["D", "B", "C"]
    assert outside.hgetall(keys.snapshot("A")) == {
        b"position_amt": b"1", b"verified_by": b"stream", b"ts_epoch": b"1760000002",
        b"ts_epoch_ms": b"1760000002345", b"ts_iso": b"2025-10-09T08:53:22.345Z",
    }  # fmt: skip
    assert 3_595_000 < outside.pttl(keys.snapshot("A")) <= 3_600_000
    assert outside.hgetall(keys.snapshot("B")) == {b"ts_epoch": b"1"}
    assert outside.kind(keys.snapshot("D")) == "none"


async def test_a_proof_passes_by_a_snapshot_that_is_not_as_it_was_last_written(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    """A Redis that lost its last second holds an older position: that is not what was proven."""
    await store.write_snapshots(fence, [snapshot("A", "1"), snapshot("B", "2")])
    missing = await store.prove_snapshots(
        fence, {"A": 999, "B": 1000}, times=TIMES, verified_by="stream", ttl_sec=3600
    )
    assert missing == ["A"]
    assert outside.hgetall(keys.snapshot("A"))[b"ts_epoch_ms"] == b"1000"
    assert outside.hgetall(keys.snapshot("B"))[b"ts_epoch_ms"] == b"1760000002345"


async def test_hundreds_of_snapshots_are_written_and_proven_at_once(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    symbols = [f"S{n}USDT" for n in range(569)]
    await store.write_snapshots(fence, [snapshot(symbol, "0") for symbol in symbols])
    written_ms = dict.fromkeys(symbols, 1000)
    proven = await store.prove_snapshots(fence, written_ms, times=TIMES, verified_by="stream", ttl_sec=3600)
    assert proven == []
    assert outside.hgetall(keys.snapshot(symbols[-1]))[b"ts_epoch"] == b"1760000002"


async def test_marks_reach_the_snapshots_that_exist_and_leave_their_life_alone(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    await store.write_snapshots(fence, [snapshot(SYMBOL, "1", 300)])
    outside.hset(keys.snapshot("B"), {"ts_epoch": "1"})
    outside.set(keys.snapshot("C"), "of a wrong type")
    await store.write_marks(
        fence, [MarkWrite(symbol, "100.5", "-3", "1760000000999") for symbol in ("D", "C", "B", SYMBOL)]
    )
    stored = outside.hgetall(keys.snapshot(SYMBOL))
    assert stored[b"mark_price"] == b"100.5"
    assert stored[b"unrealized_pnl"] == b"-3"
    assert stored[b"mark_ts_epoch_ms"] == b"1760000000999"
    assert stored[b"position_amt"] == b"1"
    assert stored[b"ts_epoch"] == b"1"
    assert 295_000 < outside.pttl(keys.snapshot(SYMBOL)) <= 300_000
    assert outside.hgetall(keys.snapshot("B")) == {b"ts_epoch": b"1"}
    assert outside.get(keys.snapshot("C")) == b"of a wrong type"
    assert outside.kind(keys.snapshot("D")) == "none"
