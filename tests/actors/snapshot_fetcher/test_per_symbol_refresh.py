"""Accounts without bulk reads: the symbols that are kept warm, and their snapshots' ages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import msgspec
import pytest
import trio

from actors.snapshot_fetcher.per_symbol_refresh import PerSymbolRefresh
from actors.snapshot_fetcher.positions import ShardPositions
from actors.snapshot_fetcher.refresh import Refresh
from brain.moment import Moment
from brain.positions.position import LegPosition, VerifiedBy
from channels import Count
from exchange.book_read import BookRead
from exchange.errors import ExchangeUnavailable, RateLimited
from exchange.protocol import PositionsRead, Priority
from exchange.read_latency import ReadLatency
from exchange.read_pacer import ReadPacer
from exchange.weight_budget import WeightBudget
from settings import Settings
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from supervision import Heartbeat
from tests.actors.fetcher_rig import FetcherRig, running_fetcher
from tests.actors.planner_rig import TradedExchange, planner_of
from tests.integration.waiting import until
from tests.virtual_time import virtual_time
from wiring.rules import read_pace

pytestmark = virtual_time

BUDGET, STALE_SEC = Settings().weight_budget_per_min, Settings().stale_threshold_sec
UNIVERSE = [f"S{number:03}USDT" for number in range(200)]


class WeighedExchange(TradedExchange):
    """Takes the weight of each read from a real budget; volumes fall from the first symbol to the last."""

    trading = tuple(UNIVERSE)
    budget: WeightBudget
    most_used = 0

    async def positions(
        self, symbol: str | None = None, *, priority: Priority = Priority.PERIODIC
    ) -> PositionsRead:
        assert symbol is not None, "a bulk read"
        self.budget.reserve(5, priority)
        self.most_used = max(self.most_used, self.budget.own_used)
        read = await super().positions(symbol, priority=priority)
        self.budget.answered(read.sent)
        return read

    async def answer(self, *, weight: int) -> None:
        self.budget.reserve(weight, Priority.PERIODIC)
        sent = self.clock.now()
        await super().answer(weight=weight)
        self.budget.answered(sent)


class PerSymbolRig(FetcherRig):
    def __init__(self, *, min_top_k: int = 20) -> None:
        super().__init__()
        self.exchange = self.weighed = WeighedExchange(self.clock)
        self.weighed.budget = WeightBudget(self.clock, BUDGET)
        for symbol in UNIVERSE:
            self.exchange.set(symbol, "0", update_time_ms=0)
        self.redis = MemoryRedis(lambda: self.clock.now().wall_ms)
        self.keys = Keys("quantum")
        self.latency = ReadLatency()
        settings = Settings(allowlist_source="env", allowlist=tuple(UNIVERSE), min_top_k=min_top_k)
        self.pace = read_pace(settings)
        self.planner = planner_of(
            self,
            MemoryStore(self.redis, keys=self.keys, consumer="me"),
            self.weighed,
            self.latency,
            clock=self.clock,
            settings=settings,
        )

    def per_symbol(self, known: ShardPositions) -> Refresh:
        return PerSymbolRefresh(
            known,
            self.candidates,
            self.exchange,
            ReadPacer(self.pace),
            self.latency,
            metrics=self.metrics,
            log=self.log,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with running_fetcher(self, self.fetcher_with(self.per_symbol)), trio.open_nursery() as nursery:
            nursery.start_soon(self.planner.run, Heartbeat())
            yield
            nursery.cancel_scope.cancel()

    def warm(self) -> tuple[str, ...]:
        assert self.candidates.value is not None
        return self.candidates.value.symbols

    async def hold_the_promise_for(self, seconds: float) -> None:
        """Look at all that is promised to be warm, four times a second."""
        for _ in range(round(seconds * 4)):
            await trio.sleep(0.25)
            for symbol in self.warm():
                assert self.age_sec(symbol) <= STALE_SEC, symbol
        events = await self.metrics.receive_all()
        assert not [event for event in events if isinstance(event, Count) and "postponed" in event.labels]
        assert self.weighed.most_used <= BUDGET * 0.8


@pytest.fixture
async def rig() -> PerSymbolRig:
    return PerSymbolRig()


@pytest.mark.parametrize(
    ("latency_ms", "min_top_k", "k"),
    [(50, 20, 24), (299, 20, 20), (499, 20, 20), (299, 1, 10), (499, 1, 6)],
    ids=["50 ms: K is 60, the budget carries 24", "300 ms", "500 ms", "300 ms: 10", "500 ms: 6"],
)
async def test_warm_symbols_stay_within_budget_and_threshold(latency_ms: int, min_top_k: int, k: int) -> None:
    rig = PerSymbolRig(min_top_k=min_top_k)
    rig.exchange.latency_sec = latency_ms / 1000
    async with rig.running():
        await trio.sleep(12)
        assert rig.warm() == tuple(UNIVERSE[:k])
        await rig.hold_the_promise_for(180)
        assert rig.warm() == tuple(UNIVERSE[:k])
        assert rig.latency.ewma_ms == pytest.approx(latency_ms, rel=0.01)


async def test_symbols_stay_warm_from_the_start_and_through_a_flapping_stream(rig: PerSymbolRig) -> None:
    rig.exchange.latency_sec = 0.05
    async with rig.running():
        await trio.sleep(0.5)
        assert len(rig.book.symbols()) == 24, "all at once"
        for _ in range(40):
            rig.connect()
            await rig.hold_the_promise_for(1.5)
            rig.prove()
            await rig.hold_the_promise_for(1.5)
            rig.lose()


async def test_open_positions_and_intents_are_kept_warm_before_the_largest(rig: PerSymbolRig) -> None:
    for symbol, amount in (("S150USDT", "-0.5"), ("S160USDT", "0")):
        rig.redis.hset(rig.keys.ledger(symbol), {"last_known_amt": amount})
    rig.redis.xadd(rig.keys.intents, {"symbol": "S170USDT"})
    async with rig.running():
        await trio.sleep(10)
        assert rig.warm()[:3] == ("S150USDT", "S170USDT", "S000USDT")
        rig.push("S180USDT", rig.exchange.set("S180USDT", "3"))
        rig.push_fill("S180USDT", rig.exchange.now_ms() + 1)
        await trio.sleep(7)
        assert rig.warm()[:3] == ("S150USDT", "S180USDT", "S170USDT"), "a fill made it be read"
        assert rig.snapshot("S180USDT").amount == 3


async def test_a_symbol_that_is_unpublished_after_lost_trust_is_read_though_no_candidate(
    rig: PerSymbolRig,
) -> None:
    """The push is not published before a read, so it does not make the symbol a candidate."""
    async with rig.running():
        rig.connect()
        await trio.sleep(10)
        symbol = "S180USDT"
        rig.push(symbol, rig.exchange.set(symbol, "1"))
        await trio.sleep(7)
        rig.push(symbol, rig.exchange.set(symbol, "0"))
        await trio.sleep(7)
        assert symbol not in rig.warm()
        rig.lose()
        rig.connect()
        rig.push(symbol, rig.exchange.set(symbol, "-24"))
        await until(lambda: rig.snapshot(symbol).amount == -24, "the position", within_sec=STALE_SEC)
        await trio.sleep(7)
        assert symbol in rig.warm()
        assert rig.age_sec(symbol) <= STALE_SEC


async def test_the_stream_keeps_candidates_fresh_between_their_audits(rig: PerSymbolRig) -> None:
    async with rig.running():
        await trio.sleep(2)
        rig.connect()
        await trio.sleep(12)
        await rig.prove_for(20)
        asked = len(rig.exchange.reads)
        for _ in range(16):
            await rig.prove_for(1)
            assert max(rig.age_sec(symbol) for symbol in rig.warm()) < 1.5
        assert len(rig.exchange.reads) - asked <= 2 * len(rig.warm()) + 4, "audits alone"


async def test_the_stream_covers_no_symbol_that_is_not_audited(rig: PerSymbolRig) -> None:
    async with rig.running():
        rig.connect()
        await trio.sleep(12)
        await rig.prove_for(3)
        left, stayed = rig.warm()[-1], rig.warm()[0]
        rig.planner._rules = msgspec.structs.replace(rig.planner._rules, min_top_k=5, target_cycle_sec=0.1)
        await rig.prove_for(6)
        assert left not in rig.warm()
        rig.exchange.set(left, "1")  # and no push
        await rig.prove_for(10)
        assert rig.age_sec(stayed) < 1.5
        assert rig.age_sec(left) > 8
        assert rig.snapshot(left).amount == 0, "true as of then"
        times = rig.store.times[left]
        assert times == sorted(times)


async def test_an_event_lost_silently_is_found_within_the_stale_threshold(rig: PerSymbolRig) -> None:
    async with rig.running():
        rig.connect()
        await trio.sleep(12)
        await rig.prove_for(3)
        symbol = rig.warm()[0]
        rig.exchange.set(symbol, "0.1")
        await rig.prove_for(STALE_SEC)
        assert rig.snapshot(symbol).amount == Decimal("0.1")
        await rig.prove_for(2)
        assert Count("p33_stream_divergence_total") in await rig.metrics.receive_all()


async def test_a_ban_stops_every_read_and_symbols_are_warm_again_after_it(rig: PerSymbolRig) -> None:
    async with rig.running():
        await trio.sleep(12)
        rig.exchange.failure = RateLimited(rig.weighed.budget.ban(30), "418")
        await trio.sleep(1)
        rig.exchange.failure = None
        asked = len(rig.exchange.reads)
        await trio.sleep(28.5)
        assert len(rig.exchange.reads) == asked
        await trio.sleep(12)
        await rig.metrics.receive_all()
        await rig.hold_the_promise_for(30)


async def test_a_symbol_that_cannot_be_read_holds_up_no_other(rig: PerSymbolRig) -> None:
    class Moody(WeighedExchange):
        async def positions(
            self, symbol: str | None = None, *, priority: Priority = Priority.PERIODIC
        ) -> PositionsRead:
            read = await super().positions(symbol, priority=priority)
            if symbol == "S000USDT":
                raise ExchangeUnavailable("HTTP 502")
            return read if symbol != "S001USDT" else PositionsRead((), read.sent, read.received)

    rig.exchange.__class__ = Moody
    async with rig.running():
        await trio.sleep(12)
        for _ in range(60):
            await trio.sleep(0.5)
            for symbol in rig.warm()[2:]:
                assert rig.age_sec(symbol) <= STALE_SEC
    assert rig.exchange.reads.count("S001USDT") < 15


async def test_a_read_of_the_book_shows_nothing_older_than_its_start(rig: PerSymbolRig) -> None:
    async with rig.running():
        await trio.sleep(12)
        read = await BookRead(rig.book, rig.candidates, rig.clock).read()
        assert {row.symbol for row in read.rows} >= set(rig.warm())
        assert read.sent == Moment(12.0, rig.clock.epoch_ms + 12_000)
        assert 4 < read.received.monotonic_sec - 12 < 10
        assert all(isinstance(row.position, LegPosition) for row in read.rows)
        assert rig.snapshot(rig.warm()[0]).verified_by is VerifiedBy.REST


async def test_a_symbol_that_changed_while_it_was_read_is_read_again_soon(rig: PerSymbolRig) -> None:
    async with rig.running():
        await trio.sleep(12)
        rig.exchange.reads.clear()
        await until(lambda: "S003USDT" in rig.exchange.reads, "a read of the symbol", within_sec=10)
        await trio.sleep(0.05)
        rig.exchange.set("S003USDT", "3")
        changed = rig.clock.now()
        # The pace of all reads may make it wait for its turn.
        await until(lambda: rig.snapshot("S003USDT").amount == 3, "the change", within_sec=4)
        assert rig.snapshot("S003USDT").verified_at > changed
