"""Snapshots follow the exchange: from the stream while it is proven, by REST otherwise."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
import trio

from brain.positions.position import VerifiedBy
from channels import LeverageObserved
from exchange.errors import ExchangeUnavailable
from tests.actors.fetcher_rig import FetcherRig, running_fetcher, trusted, trusted_fetcher
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_the_first_read_gives_every_symbol_a_snapshot_as_of_its_sending(rig: FetcherRig) -> None:
    rig.exchange.set("BTCUSDT", "0.5", update_time_ms=5)
    rig.exchange.set("ETHUSDT", "0", update_time_ms=0)
    async with running_fetcher(rig):
        await trio.sleep(0.31)
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.5")
        assert rig.snapshot("BTCUSDT").verified_by is VerifiedBy.REST
        assert rig.age_sec("ETHUSDT") == pytest.approx(0.31, abs=0.002)
        assert rig.store.hashes["BTCUSDT"]["position_amt"] == "0.5"


async def test_without_a_stream_positions_are_polled(rig: FetcherRig) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trio.sleep(16)
    assert len(rig.exchange.reads) == 4, "at 0, 5, 10 and 15 s"


async def test_a_proven_stream_keeps_quiet_symbols_fresh_without_reads(trusted_rig: FetcherRig) -> None:
    reads = len(trusted_rig.exchange.reads)
    for _ in range(6):
        await trusted_rig.prove_for(1)
        assert trusted_rig.age_sec("BTCUSDT") < 1.5
    assert len(trusted_rig.exchange.reads) == reads
    assert trusted_rig.snapshot("BTCUSDT").verified_by is VerifiedBy.STREAM
    assert trusted_rig.store.hashes["BTCUSDT"]["verified_by"] == "stream"


async def test_a_trusted_stream_is_audited_at_its_own_pace(trusted_rig: FetcherRig) -> None:
    reads = len(trusted_rig.exchange.reads)
    await trusted_rig.prove_for(25)
    assert len(trusted_rig.exchange.reads) - reads == 3


async def test_a_push_is_in_book_and_redis_without_a_read(trusted_rig: FetcherRig) -> None:
    reads = len(trusted_rig.exchange.reads)
    trusted_rig.push("BTCUSDT", trusted_rig.exchange.set("BTCUSDT", "-0.7"))
    await trio.sleep(0.01)
    assert trusted_rig.snapshot("BTCUSDT").amount == Decimal("-0.7")
    assert trusted_rig.store.hashes["BTCUSDT"]["position_amt"] == "-0.7"
    assert trusted_rig.store.hashes["BTCUSDT"]["side"] == "SHORT"
    assert len(trusted_rig.exchange.reads) == reads


async def test_a_late_rest_answer_never_overwrites_a_newer_push(rig: FetcherRig) -> None:
    rig.exchange.set("BTCUSDT", "0.5", update_time_ms=5)
    rig.exchange.latency_sec = 0.8
    async with running_fetcher(rig):
        rig.connect()
        await trio.sleep(0.5)  # the answer of 0.4 s is on its way
        rig.push("BTCUSDT", rig.exchange.set("BTCUSDT", "0.9"))
        await trio.sleep(0.35)
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.9")


async def test_proofs_count_only_after_a_read_sent_since_the_connection_stands(rig: FetcherRig) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trio.sleep(1)
        rig.exchange.failure = ExchangeUnavailable("down")
        rig.connect()
        await trio.sleep(0.1)
        await rig.prove_for(5)
        assert rig.age_sec("BTCUSDT") > 5, "the base is older than the connection"
        rig.exchange.failure = None
        await trio.sleep(2)
        rig.prove()
        await trio.sleep(0.01)
        assert rig.age_sec("BTCUSDT") < 1


async def test_a_fill_without_its_account_update_causes_a_read(trusted_rig: FetcherRig) -> None:
    reads = len(trusted_rig.exchange.reads)
    trusted_rig.exchange.set("BTCUSDT", "1.5")
    trusted_rig.push_fill("BTCUSDT", trusted_rig.exchange.now_ms())
    await trio.sleep(0.9)
    assert len(trusted_rig.exchange.reads) == reads
    await trio.sleep(0.5)
    assert len(trusted_rig.exchange.reads) == reads + 1
    assert trusted_rig.snapshot("BTCUSDT").amount == Decimal("1.5")


@pytest.mark.parametrize("fill_first", [True, False])
async def test_a_fill_with_its_account_update_causes_no_read(
    trusted_rig: FetcherRig, fill_first: bool
) -> None:
    reads = len(trusted_rig.exchange.reads)
    position = trusted_rig.exchange.set("BTCUSDT", "1.5")
    if fill_first:
        trusted_rig.push_fill("BTCUSDT", position.update_time_ms)
    trusted_rig.push("BTCUSDT", position)
    if not fill_first:
        trusted_rig.push_fill("BTCUSDT", position.update_time_ms)
    await trusted_rig.prove_for(3)
    assert len(trusted_rig.exchange.reads) == reads


@pytest.mark.simulation
async def test_an_exchange_that_is_down_for_half_a_day_is_read_when_it_is_back(rig: FetcherRig) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trio.sleep(1)
        rig.exchange.failure = ExchangeUnavailable("down")
        await trio.sleep(12 * 3600)
        assert len(rig.exchange.reads) > 10_000
        rig.exchange.set("BTCUSDT", "1.5")
        rig.exchange.failure = None
        await trio.sleep(3)
        assert rig.snapshot("BTCUSDT").amount == Decimal("1.5")


async def test_snapshots_are_written_when_redis_is_back(rig: FetcherRig) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    rig.store.away = True
    async with trusted_fetcher(rig):
        rig.push("BTCUSDT", rig.exchange.set("BTCUSDT", "0.6"))
        await trio.sleep(1)
        assert rig.store.hashes == {}
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.6"), "decisions see it all the same"
        rig.store.away = False
        await trio.sleep(0.2)
        assert rig.store.hashes["BTCUSDT"]["position_amt"] == "0.6"


async def test_written_snapshots_never_go_back_in_time(rig: FetcherRig) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT"):
        rig.exchange.set(symbol, "0.5")
    async with trusted_fetcher(rig):
        for step in range(40):
            if step % 3 == 0:
                rig.push("BTCUSDT", rig.exchange.set("BTCUSDT", str(step)))
            if step % 11 == 0:
                rig.lose()
                rig.connect()
            rig.prove()
            await trio.sleep(0.5)
    for times in rig.store.times.values():
        assert times == sorted(times)


async def test_a_restarted_fetcher_begins_with_a_read_and_trusts_later_proofs(rig: FetcherRig) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trusted(rig)
    rig.exchange.set("BTCUSDT", "0.4")
    async with running_fetcher(rig):
        await trio.sleep(0.4)
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.4")
        await rig.prove_for(3)
        assert rig.age_sec("BTCUSDT") < 1.5


async def test_the_latest_leverage_counts(rig: FetcherRig) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    rig.exchange.latency_sec = 0.8
    async with running_fetcher(rig):
        rig.inbox.send(LeverageObserved("BTCUSDT", Decimal(25), rig.clock.now()))
        await trio.sleep(1)
        assert rig.snapshot("BTCUSDT").leverage == 25, "the read was sent before this change"
        assert rig.store.hashes["BTCUSDT"]["leverage"] == "25"
        await trio.sleep(6)
        assert rig.snapshot("BTCUSDT").leverage == 10
        assert rig.store.hashes["BTCUSDT"]["leverage"] == "10"
        rig.inbox.send(LeverageObserved("BTCUSDT", Decimal(3), rig.clock.now()))
        await trio.sleep(0.01)
        assert rig.store.hashes["BTCUSDT"]["leverage"] == "3"


async def test_the_first_fill_of_a_burst_is_written_at_once_and_the_rest_together(
    trusted_rig: FetcherRig,
) -> None:
    await trio.sleep(0.1)
    written = len(trusted_rig.store.written)
    trusted_rig.store.takes_sec = 0.001
    for step in range(1, 6):
        trusted_rig.push(
            "BTCUSDT", trusted_rig.exchange.set("BTCUSDT", str(step), trusted_rig.exchange.now_ms() + step)
        )
        await trio.sleep(0.0001)
        assert trusted_rig.snapshot("BTCUSDT").amount == step
    await trio.sleep(0.0007)
    assert trusted_rig.store.hashes["BTCUSDT"]["position_amt"] == "1"
    await trio.sleep(0.01)
    assert len(trusted_rig.store.written) == written + 2
    assert trusted_rig.store.hashes["BTCUSDT"]["position_amt"] == "5"


async def test_a_read_of_the_same_position_writes_time_and_mark_price_alone(rig: FetcherRig) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trio.sleep(1)
        written, before = len(rig.store.written), dict(rig.store.hashes["BTCUSDT"])
        await rig.changes.receive_all()
        rig.exchange.mark_price = Decimal(99)
        await trio.sleep(5)
        after = rig.store.hashes["BTCUSDT"]
        assert len(rig.store.written) == written
        assert int(after["ts_epoch_ms"]) == int(before["ts_epoch_ms"]) + 5000
        assert (after["mark_price"], after["unrealized_pnl"]) == ("99", "-0.5")
        assert after["mark_ts_epoch_ms"] == after["ts_epoch_ms"]
        assert after["verified_by"] == "rest"
        assert rig.changes.depth == 0


async def test_a_pushed_snapshot_is_written_before_the_rest_of_a_long_read(rig: FetcherRig) -> None:
    symbols = [f"S{number}USDT" for number in range(1000)]
    for symbol in symbols:
        rig.exchange.set(symbol, "1", update_time_ms=5)
    rig.store.takes_sec = 0.001
    async with running_fetcher(rig):
        # The read takes 0.3 s, and each write of 50 symbols a millisecond.
        await trio.sleep(0.3025)
        assert rig.store.written
        pushed = symbols[-1]
        assert pushed not in rig.store.hashes
        rig.push(pushed, rig.exchange.set(pushed, "2"))
        await trio.sleep(0.0022)
        assert rig.store.hashes[pushed]["position_amt"] == "2"
        assert len(rig.store.hashes) < 300
        await trio.sleep(1)
        assert set(rig.store.hashes) == set(symbols)
        assert max(map(len, rig.store.written)) <= 50


class BookSizes(trio.abc.Instrument):
    """Count the symbols in the book in each round of trio's loop."""

    def __init__(self, rig: FetcherRig) -> None:
        self.seen: list[int] = []
        self._rig = rig

    def before_io_wait(self, timeout: float) -> None:
        self.seen.append(self._rig.book.depth)


async def test_a_push_that_arrives_with_the_loss_is_written_and_announced(trusted_rig: FetcherRig) -> None:
    await trio.sleep(0.1)
    await trusted_rig.changes.receive_all()
    trusted_rig.push("BTCUSDT", trusted_rig.exchange.set("BTCUSDT", "2"))
    trusted_rig.lose()
    await trio.sleep(0.01)
    assert trusted_rig.snapshot("BTCUSDT").amount == 2
    assert trusted_rig.store.hashes["BTCUSDT"]["position_amt"] == "2"
    assert [change.snapshot.amount for change in await trusted_rig.changes.receive_all()] == [2]
    await trio.sleep(20)
    assert trusted_rig.store.hashes["BTCUSDT"]["position_amt"] == "2"


async def test_a_leverage_that_arrives_with_the_loss_is_written(trusted_rig: FetcherRig) -> None:
    trusted_rig.inbox.send(LeverageObserved("BTCUSDT", Decimal(3), trusted_rig.clock.now()))
    trusted_rig.lose()
    await trio.sleep(0.01)
    assert trusted_rig.store.hashes["BTCUSDT"]["leverage"] == "3"


async def test_a_long_read_delays_no_other_task(rig: FetcherRig) -> None:
    for number in range(1000):
        rig.exchange.set(f"S{number}USDT", "1", update_time_ms=5)
    sizes = BookSizes(rig)
    trio.lowlevel.add_instrument(sizes)
    async with running_fetcher(rig):
        await trio.sleep(0.5)
    trio.lowlevel.remove_instrument(sizes)
    assert sizes.seen[-1] == 1000
    assert max(later - earlier for earlier, later in itertools.pairwise(sizes.seen)) <= 16


async def test_the_fill_whose_update_is_lost_causes_a_read(trusted_rig: FetcherRig) -> None:
    first = trusted_rig.exchange.set("BTCUSDT", "1.0")
    await trio.sleep(0.01)
    second = trusted_rig.exchange.set("BTCUSDT", "1.5")
    for fill in (first, second):
        trusted_rig.push_fill("BTCUSDT", fill.update_time_ms)
    trusted_rig.push("BTCUSDT", first)
    await trio.sleep(1.5)
    assert trusted_rig.snapshot("BTCUSDT").amount == Decimal("1.5")
