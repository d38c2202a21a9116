"""Bulk, symbol by symbol, or bulk until that is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest
import structlog
import trio

from actors.snapshot_fetcher.bulk_refresh import BulkRefresh
from actors.snapshot_fetcher.per_symbol_refresh import PerSymbolRefresh
from actors.snapshot_fetcher.position_sweep import PositionSweep, SweptSymbols
from actors.snapshot_fetcher.positions import ShardPositions
from actors.snapshot_fetcher.refresh import AutoRefresh, Refresh
from brain.symbols.candidates import Candidates
from brain.symbols.symbol_rules import SymbolRules
from exchange.book_read import BookRead
from exchange.errors import ExchangeError, ExchangeRejected, ExchangeUnavailable
from exchange.position_reads import PositionReads
from exchange.protocol import PositionsRead, Priority
from exchange.read_latency import ReadLatency
from exchange.read_pacer import ReadPacer, pace_within
from exchange.weight_budget import periodic_weight_per_min
from tests.actors.dictated_exchange import DictatedExchange
from tests.actors.fetcher_rig import FetcherRig, running_fetcher
from tests.actors.ledger_rig import LedgerRig, running_writer
from tests.virtual_time import virtual_time

pytestmark = virtual_time

WANTS_A_SYMBOL = ExchangeRejected(-1102, "Mandatory parameter 'symbol' was not sent")


class RefusesBulk(DictatedExchange):
    """Answers a read that names a symbol, and nothing else."""

    refusal: ExchangeError = WANTS_A_SYMBOL

    async def positions(
        self, symbol: str | None = None, *, priority: Priority = Priority.PERIODIC
    ) -> PositionsRead:
        if symbol is None:
            self.reads.append(None)
            await trio.sleep(self.latency_sec)
            raise self.refusal
        return await super().positions(symbol, priority=priority)


class AutoRig(FetcherRig):
    """One shard of three symbols, two of which are candidates."""

    def __init__(self, exchange: type[DictatedExchange], fetch_mode: str = "auto") -> None:
        super().__init__()
        self.exchange = exchange(self.clock)
        for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"):
            self.exchange.set(symbol, "1", update_time_ms=0)
        self.candidates.send(Candidates(("BTCUSDT", "ETHUSDT")))
        self.latency = ReadLatency()
        self.pacer = ReadPacer(pace_within(periodic_weight_per_min(1200), 10))
        self.reads = PositionReads(
            self.exchange,
            BookRead(self.book, self.candidates, self.clock),
            self.latency,
            fetch_mode=fetch_mode,
            clock=self.clock,
            log=structlog.get_logger(),
        )

    def refresh(self, known: ShardPositions) -> Refresh:
        return AutoRefresh(
            self.reads,
            bulk=BulkRefresh(
                known, self.reads.all, trio.Lock(), metrics=self.metrics, clock=self.clock, log=self.log
            ),
            one_by_one=PerSymbolRefresh(
                known,
                self.candidates,
                self.exchange,
                self.pacer,
                self.latency,
                metrics=self.metrics,
                log=self.log,
            ),
            sweep=PositionSweep(
                known,
                self.reads,
                self.exchange,
                self.pacer,
                SweptSymbols(self.symbol_rules, self.never_read),
                clock=self.clock,
                log=self.log,
            ),
        )


async def test_auto_is_bulk_until_a_bulk_read_is_refused() -> None:
    rig = AutoRig(DictatedExchange)
    async with running_fetcher(rig, rig.fetcher_with(rig.refresh)):
        await trio.sleep(30)
        assert not rig.reads.one_by_one
        assert set(rig.exchange.reads) == {None}
        assert sorted(rig.book.symbols()) == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]


@pytest.mark.parametrize("code", [-1102, -1105, -1128])
async def test_auto_reads_symbol_by_symbol_once_a_read_without_one_is_refused(code: int) -> None:
    rig = AutoRig(RefusesBulk)
    rig.exchange.refusal = ExchangeRejected(code, "no")  # type: ignore[attr-defined]
    async with running_fetcher(rig, rig.fetcher_with(rig.refresh)):
        for _ in range(60):
            await trio.sleep(1)
            for symbol in ("BTCUSDT", "ETHUSDT"):
                assert rig.age_sec(symbol) <= 10
        assert rig.reads.one_by_one
        assert rig.exchange.reads.count(None) == 1, "what is refused is not asked for again"
        assert rig.exchange.reads.count("SOLUSDT") == 0, "no candidate"


@pytest.mark.parametrize(
    "error", [ExchangeUnavailable("HTTP 502"), ExchangeRejected(-2015, "key")], ids=["502", "-2015"]
)
async def test_any_other_failure_leaves_auto_as_it_is(error: ExchangeError) -> None:
    rig = AutoRig(RefusesBulk)
    rig.exchange.refusal = error  # type: ignore[attr-defined]
    async with running_fetcher(rig, rig.fetcher_with(rig.refresh)):
        await trio.sleep(30)
        assert not rig.reads.one_by_one
        assert rig.exchange.reads.count(None) > 3
        assert set(rig.exchange.reads) == {None}


async def test_bulk_stays_bulk_whatever_is_refused() -> None:
    rig = AutoRig(RefusesBulk, "bulk")
    async with running_fetcher(rig, rig.fetcher_with(rig.refresh)):
        await trio.sleep(30)
        assert set(rig.exchange.reads) == {None}


def trade(rig: AutoRig, count: int) -> list[str]:
    """So many flat symbols beside the three."""
    symbols = [f"S{number:03}USDT" for number in range(count)]
    one = Decimal(1)
    for symbol in symbols:
        rig.exchange.set(symbol, "0", update_time_ms=0)
    rig.symbol_rules.send({s: SymbolRules(s, True, one, one, one) for s in rig.exchange.symbols()})
    return symbols


async def test_per_symbol_tries_one_read_of_all_and_remembers_its_refusal() -> None:
    rig = AutoRig(RefusesBulk, "per_symbol")
    trade(rig, 60)
    async with running_fetcher(rig, rig.fetcher_with(rig.refresh)):
        await trio.sleep(3600)
        assert rig.exchange.reads.count(None) == 1
        assert rig.age_sec("BTCUSDT") <= 10


async def test_per_symbol_finds_a_position_outside_the_candidates_by_one_read_of_all() -> None:
    rig = AutoRig(DictatedExchange, "per_symbol")
    flat = trade(rig, 60)
    async with running_fetcher(rig, rig.fetcher_with(rig.refresh)):
        await trio.sleep(1)
        assert rig.snapshot("SOLUSDT").amount == 1
        assert rig.book.holds("SOLUSDT")
        assert rig.book.get(flat[0]) is None, "flat symbols that are not read again would only grow stale"
        assert rig.never_read.value == ()
        await trio.sleep(1800)
        assert rig.exchange.reads.count(None) == 4
        assert not set(flat) & set(rig.exchange.reads)
        rig.exchange.set("SOLUSDT", "0")
        await trio.sleep(600)
        assert rig.snapshot("SOLUSDT").amount == 0, "a position that was closed is seen, too"


@pytest.mark.parametrize("fetch_mode", ["per_symbol", "auto"])
async def test_without_bulk_reads_each_symbol_is_swept_once_and_the_rest_is_named_until_then(
    fetch_mode: str,
) -> None:
    rig = AutoRig(RefusesBulk, fetch_mode)
    flat = trade(rig, 60)
    rig.exchange.set(flat[-1], "-3")
    async with running_fetcher(rig, rig.fetcher_with(rig.refresh)):
        await trio.sleep(5)
        assert flat[-1] in (rig.never_read.value or ())
        for _ in range(400):
            await trio.sleep(1)
            assert max(rig.age_sec("BTCUSDT"), rig.age_sec("ETHUSDT")) <= 10
        assert rig.never_read.value == ()
        assert rig.snapshot(flat[-1]).amount == -3
        assert {rig.exchange.reads.count(symbol) for symbol in flat} == {1}


async def test_the_sweep_goes_on_when_the_candidates_use_the_whole_pace() -> None:
    rig = AutoRig(RefusesBulk, "per_symbol")
    flat = trade(rig, 60)
    rig.candidates.send(Candidates(tuple(flat[:40])))
    async with running_fetcher(rig, rig.fetcher_with(rig.refresh)):
        await trio.sleep(600)
        assert rig.never_read.value == ()
        assert {rig.exchange.reads.count(symbol) for symbol in flat[40:]} == {1}


async def test_a_symbol_that_cannot_be_swept_stays_named_and_is_tried_again() -> None:
    class Moody(RefusesBulk):
        moody = True

        async def positions(
            self, symbol: str | None = None, *, priority: Priority = Priority.PERIODIC
        ) -> PositionsRead:
            read = await super().positions(symbol, priority=priority)
            if symbol == "S003USDT" and self.moody:
                raise ExchangeUnavailable("HTTP 502")
            return read

    rig = AutoRig(Moody, "per_symbol")
    trade(rig, 10)
    async with running_fetcher(rig, rig.fetcher_with(rig.refresh)):
        await trio.sleep(120)
        assert rig.never_read.value == ("S003USDT",)
        rig.exchange.moody = False  # type: ignore[attr-defined]
        await trio.sleep(120)
        assert not rig.never_read.value


@pytest.mark.parametrize("fetch_mode", ["per_symbol", "auto"])
async def test_a_result_of_a_symbol_without_ledger_and_snapshot_is_booked_on_one_read_of_it(
    fetch_mode: str,
) -> None:
    rig = LedgerRig(fetch_mode=fetch_mode)
    rig.exchange.set("BTCUSDT", "0", update_time_ms=0)
    rig.exchange.set("ETHUSDT", "-2", update_time_ms=5)
    rig.candidates.send(Candidates(("BTCUSDT",)))
    async with running_writer(rig), trio.open_nursery() as nursery:

        async def keep_candidate_fresh() -> None:
            while True:
                rig.observe("BTCUSDT")
                await trio.sleep(1)

        nursery.start_soon(keep_candidate_fresh)
        if fetch_mode == "auto":
            rig.exchange.failure = WANTS_A_SYMBOL
            await rig.positions.refused()
            rig.exchange.failure = None
        await trio.sleep(3)
        assert rig.ledgers_adopted.value
        assert rig.amount("ETHUSDT") is None, "it was not read yet"
        rig.exchange.reads.clear()
        rig.exchange.fill("ETHUSDT", "1", "BUY", "0.5")
        rig.publish_result("ETHUSDT", "1", "BUY", "0.5")
        await trio.sleep(3)
        assert rig.amount("ETHUSDT") == "-1.5", "the position from before counts, and the fill once"
        assert rig.exchange.reads == ["ETHUSDT"]
        nursery.cancel_scope.cancel()


async def test_a_flat_symbol_that_a_sweep_could_not_read_and_the_next_one_can_is_no_longer_unreadable() -> (
    None
):
    class Odd(DictatedExchange):
        odd = True

        async def positions(
            self, symbol: str | None = None, *, priority: Priority = Priority.PERIODIC
        ) -> PositionsRead:
            read = await super().positions(symbol, priority=priority)
            if not self.odd:
                return read
            rows = tuple(row for row in read.rows if row.symbol != "S003USDT")
            return PositionsRead(rows, read.sent, read.received, {"S003USDT": "no updateTime"})

    rig = AutoRig(Odd, "per_symbol")
    trade(rig, 10)
    async with running_fetcher(rig, rig.fetcher_with(rig.refresh)):
        await trio.sleep(5)
        assert rig.book.unreadable == {"S003USDT": "no updateTime"}
        rig.exchange.odd = False  # type: ignore[attr-defined]
        await trio.sleep(600)
        assert rig.book.unreadable == {}
