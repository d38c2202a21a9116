from __future__ import annotations

from store.records import MarkWrite, SnapshotWrite
from tests.store.backends import KEYS, Backend
from tests.store.commits import SYMBOL

TIMES = {"ts_epoch": "1760000002", "ts_epoch_ms": "1760000002345", "ts_iso": "2025-10-09T08:53:22.345Z"}


def snapshot(symbol: str, amount: str, ttl_sec: int = 3600) -> SnapshotWrite:
    return SnapshotWrite(symbol, ttl_sec, _fields(amount))


def _fields(amount: str) -> tuple[str, ...]:
    return ("position_amt", amount, "ts_epoch", "1", "ts_epoch_ms", "1000", "verified_by", "rest")


async def test_snapshots_are_written_with_their_life(leased: Backend) -> None:
    await leased.store.write_snapshots(leased.fence, [snapshot("A", "1"), snapshot("B", "-2", 300)])
    assert leased.outside.hgetall(KEYS.snapshot("A")) == {
        b"position_amt": b"1", b"ts_epoch": b"1", b"ts_epoch_ms": b"1000", b"verified_by": b"rest",
    }  # fmt: skip
    assert 3_595_000 < leased.outside.pttl(KEYS.snapshot("A")) <= 3_600_000
    assert 295_000 < leased.outside.pttl(KEYS.snapshot("B")) <= 300_000
    await leased.store.write_snapshots(leased.fence, [])


async def test_a_snapshot_is_replaced_whole_whatever_was_there(leased: Backend) -> None:
    leased.outside.hset(KEYS.snapshot("A"), {"position_amt": "9", "long_amt": "10", "short_amt": "-1"})
    leased.outside.set(KEYS.snapshot("B"), "of a wrong type")
    await leased.store.write_snapshots(leased.fence, [snapshot("A", "1"), snapshot("B", "2")])
    for symbol in "AB":
        held = set(leased.outside.hgetall(KEYS.snapshot(symbol)))
        assert held == {b"position_amt", b"ts_epoch", b"ts_epoch_ms", b"verified_by"}


async def test_a_snapshot_is_gone_once_its_life_is_over(leased: Backend) -> None:
    await leased.store.write_snapshots(leased.fence, [snapshot("A", "1", 1)])
    await leased.pass_ms(1_001)
    assert leased.outside.kind(KEYS.snapshot("A")) == "none"


async def test_a_proof_moves_the_times_of_snapshots_that_exist_and_names_the_others(leased: Backend) -> None:
    await leased.store.write_snapshots(leased.fence, [snapshot("A", "1", 300)])
    leased.outside.hset(KEYS.snapshot("B"), {"ts_epoch": "1"})
    leased.outside.set(KEYS.snapshot("C"), "of a wrong type")
    missing = await leased.store.prove_snapshots(
        leased.fence, dict.fromkeys("DABC", 1000), times=TIMES, verified_by="stream", ttl_sec=3600, marks={}
    )
    assert missing == ["D", "B", "C"]
    assert leased.outside.hgetall(KEYS.snapshot("A")) == {
        b"position_amt": b"1", b"verified_by": b"stream", b"ts_epoch": b"1760000002",
        b"ts_epoch_ms": b"1760000002345", b"ts_iso": b"2025-10-09T08:53:22.345Z",
    }  # fmt: skip
    assert 3_595_000 < leased.outside.pttl(KEYS.snapshot("A")) <= 3_600_000
    assert leased.outside.hgetall(KEYS.snapshot("B")) == {b"ts_epoch": b"1"}
    assert leased.outside.kind(KEYS.snapshot("D")) == "none"


async def test_a_proof_passes_by_a_snapshot_that_is_not_as_it_was_last_written(leased: Backend) -> None:
    """A Redis that lost its last second holds an older position: that is not what was proven."""
    await leased.store.write_snapshots(leased.fence, [snapshot("A", "1"), snapshot("B", "2")])
    missing = await leased.store.prove_snapshots(
        leased.fence, {"A": 999, "B": 1000}, times=TIMES, verified_by="stream", ttl_sec=3600, marks={}
    )
    assert missing == ["A"]
    assert leased.outside.hgetall(KEYS.snapshot("A"))[b"ts_epoch_ms"] == b"1000"
    assert leased.outside.hgetall(KEYS.snapshot("B"))[b"ts_epoch_ms"] == b"1760000002345"


async def test_hundreds_of_snapshots_are_written_and_proven_at_once(leased: Backend) -> None:
    symbols = [f"S{n}USDT" for n in range(569)]
    await leased.store.write_snapshots(leased.fence, [snapshot(symbol, "0") for symbol in symbols])
    written_ms = dict.fromkeys(symbols, 1000)
    proven = await leased.store.prove_snapshots(
        leased.fence, written_ms, times=TIMES, verified_by="stream", ttl_sec=3600, marks={}
    )
    assert proven == []
    assert leased.outside.hgetall(KEYS.snapshot(symbols[-1]))[b"ts_epoch"] == b"1760000002"


async def test_marks_reach_the_snapshots_that_exist_and_leave_their_life_alone(leased: Backend) -> None:
    await leased.store.write_snapshots(leased.fence, [snapshot(SYMBOL, "1", 300)])
    leased.outside.hset(KEYS.snapshot("B"), {"ts_epoch": "1"})
    leased.outside.set(KEYS.snapshot("C"), "of a wrong type")
    await leased.store.write_marks(
        leased.fence,
        [MarkWrite(symbol, "100.5", "-3", "1760000000999") for symbol in ("D", "C", "B", SYMBOL)],
    )
    stored = leased.outside.hgetall(KEYS.snapshot(SYMBOL))
    assert stored[b"mark_price"] == b"100.5"
    assert stored[b"unrealized_pnl"] == b"-3"
    assert stored[b"mark_ts_epoch_ms"] == b"1760000000999"
    assert stored[b"position_amt"] == b"1"
    assert stored[b"ts_epoch"] == b"1"
    assert 295_000 < leased.outside.pttl(KEYS.snapshot(SYMBOL)) <= 300_000
    assert leased.outside.hgetall(KEYS.snapshot("B")) == {b"ts_epoch": b"1"}
    assert leased.outside.get(KEYS.snapshot("C")) == b"of a wrong type"
    assert leased.outside.kind(KEYS.snapshot("D")) == "none"


async def test_a_proof_takes_a_mark_price_along(leased: Backend) -> None:
    await leased.store.write_snapshots(leased.fence, [snapshot(symbol, "1") for symbol in "ABC"])
    leased.outside.hset(KEYS.snapshot("B"), {"unrealized_pnl": "7", "mark_price": "6"})
    leased.outside.hset(KEYS.snapshot("C"), {"unrealized_pnl": "7", "mark_price": "6"})
    marks = {"A": MarkWrite("A", "100.5", "-3", "999"), "B": MarkWrite("B", "8", "", "998")}
    marks["D"] = MarkWrite("D", "1", "1", "1")
    missing = await leased.store.prove_snapshots(
        leased.fence,
        dict.fromkeys("ABCD", 1000),
        times=TIMES,
        verified_by="stream",
        ttl_sec=3600,
        marks=marks,
    )
    assert missing == ["D"]
    found = {symbol: leased.outside.hgetall(KEYS.snapshot(symbol)) for symbol in "ABC"}
    assert all(fields[b"ts_epoch_ms"] == b"1760000002345" for fields in found.values())
    names = (b"mark_price", b"unrealized_pnl", b"mark_ts_epoch_ms")
    assert [[fields.get(name) for name in names] for fields in found.values()] == [
        [b"100.5", b"-3", b"999"],
        [b"8", None, b"998"],
        [b"6", b"7", None],
    ]


async def test_a_proof_renews_the_life_once_in_a_minute(leased: Backend) -> None:
    await leased.store.write_snapshots(leased.fence, [snapshot("A", "1", 300)])

    async def life_after(was_ms: int, ms: int) -> float:
        times = {"ts_epoch": "1", "ts_epoch_ms": str(ms), "ts_iso": "2025"}
        assert not await leased.store.prove_snapshots(
            leased.fence, {"A": was_ms}, times=times, verified_by="stream", ttl_sec=3600, marks={}
        )
        return round(leased.outside.pttl(KEYS.snapshot("A")) / 1000, -2)

    assert await life_after(1000, 59_999) == 300
    assert await life_after(59_999, 60_000) == 3600
