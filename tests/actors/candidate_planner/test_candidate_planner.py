"""The planner keeps its word on virtual time: which symbols trade, may be opened, and are kept warm."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

import msgspec
import pytest
import structlog
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors.candidate_planner.actor import CandidatePlanner, PlannerRules
from brain.moment import Moment
from brain.symbols.allowlist import Allowlist
from brain.symbols.candidates import Candidates
from brain.symbols.symbol_rules import SymbolRules
from channels import Conflating, DropOldest, LatestValue, MetricEvent, RulesWanted, SetGauge, SnapshotBook
from clock import TrioClock
from clocks.clocks import Clocks
from exchange.errors import ExchangeUnavailable
from exchange.protocol import SymbolsRead
from exchange.read_latency import ReadLatency
from exchange.read_pacer import WEIGHT_PER_READ
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from store.records import Entry
from supervision import Heartbeat
from tests.actors.dictated_exchange import EPOCH_MS, DictatedExchange
from tests.background import background
from tests.virtual_time import virtual_time

pytestmark = virtual_time

SYMBOLS = ("AAAUSDT", "BBBUSDT", "CCCUSDT", "DDDUSDT")


class TradedExchange(DictatedExchange):
    """Trades `trading`, the first of them most."""

    trading: tuple[str, ...] = SYMBOLS
    rules_reads = 0

    async def symbol_rules(self) -> SymbolsRead:
        self.rules_reads += 1
        await trio.sleep(self.latency_sec)
        if self.failure is not None:
            raise self.failure
        one = Decimal(1)
        return SymbolsRead({symbol: SymbolRules(symbol, True, one, one, one) for symbol in self.trading})

    async def hedge_mode(self) -> bool:
        await trio.sleep(self.latency_sec)
        return False

    async def quote_volumes(self) -> dict[str, Decimal]:
        await trio.sleep(self.latency_sec)
        return {symbol: Decimal(1000 - place) for place, symbol in enumerate(self.trading)}


class CountedStore(MemoryStore):
    """The twin, with the number of intents that each look has read."""

    def __init__(self, redis: MemoryRedis, *, keys: Keys, consumer: str) -> None:
        super().__init__(redis, keys=keys, consumer=consumer)
        self.intents_read: list[int] = []

    async def recent_intents(self, after: str, before: str | None, count: int) -> list[Entry]:
        entries = await super().recent_intents(after, before, count)
        self.intents_read.append(len(entries))
        return entries


class PlannerRig:
    """A planner over the store's twin; the universe is what the test writes."""

    def __init__(self, *, env: tuple[str, ...] = ()) -> None:
        self.clock = TrioClock(EPOCH_MS)
        self.heartbeat = Heartbeat()
        self.redis = MemoryRedis(lambda: self.clock.now().wall_ms)
        self.keys = Keys("quantum")
        self.store = CountedStore(self.redis, keys=self.keys, consumer="me")
        self.exchange = TradedExchange(self.clock)
        self.latency = ReadLatency()
        self.rules_wanted: Conflating[RulesWanted] = Conflating("rules_wanted", lambda _wish: None)
        self.rules_asked_at: LatestValue[Moment] = LatestValue("rules_asked_at")
        self.symbol_rules: LatestValue[Mapping[str, SymbolRules]] = LatestValue("symbol_rules")
        self.allowlist: LatestValue[Allowlist] = LatestValue("allowlist")
        self.candidates: LatestValue[Candidates] = LatestValue("candidates")
        self.metrics: DropOldest[MetricEvent] = DropOldest("metrics", 10_000)
        self.env = env

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        planner = CandidatePlanner(
            self.store,
            self.exchange,
            SnapshotBook("book"),
            self.latency,
            symbol_rules=self.symbol_rules,
            unreadable_rules=LatestValue("unreadable_rules"),
            rules_wanted=self.rules_wanted,
            rules_asked_at=self.rules_asked_at,
            hedge_mode=LatestValue("hedge_mode"),
            allowlist=self.allowlist,
            candidates=self.candidates,
            metrics=self.metrics,
            clocks=Clocks(self.clock),
            weight_per_read=lambda: WEIGHT_PER_READ,
            rules=PlannerRules(
                allowlist_source="universe",
                allowlist=self.env,
                universe_max_age_sec=300,
                last_ok_max_age_sec=1000,
                allowlist_refresh_sec=60,
                intent_window_sec=1800,
                target_cycle_sec=3.0,
                min_top_k=2,
                weight_per_min=900,
                stale_threshold_sec=10,
            ),
            log=structlog.get_logger(),
        )
        async with background(planner.run, self.heartbeat):
            yield

    def universe(self, *symbols: str, age_sec: int = 0, stale: str = "0") -> None:
        """The universe service publishes, and keeps a good list as the last that was."""
        asof = self.clock.now().wall_ms // 1000 - age_sec
        listed = msgspec.json.encode({"asof_epoch": asof, "symbols": symbols})
        self.redis.set(self.keys.universe_active, listed)
        self.redis.hset(self.keys.universe_meta, {"stale": stale, "count": str(len(symbols))})
        if stale == "0":
            self.redis.set(self.keys.universe_last_ok, listed)

    def intend(self, symbol: str) -> None:
        self.redis.xadd(self.keys.intents, {"symbol": symbol})

    def warm(self) -> tuple[str, ...]:
        assert self.candidates.value is not None
        return self.candidates.value.symbols

    def allowed(self) -> set[str]:
        assert self.allowlist.value is not None
        return set(self.allowlist.value.symbols)

    async def gauge(self, name: str) -> float:
        sent = await self.metrics.receive_all()
        return [event.value for event in sent if isinstance(event, SetGauge) and event.name == name][-1]


@pytest.fixture
async def rig(autojump_clock: MockClock) -> PlannerRig:
    return PlannerRig(env=("DDDUSDT",))


def lines(logs: Sequence[Mapping[str, object]], start: str) -> list[str]:
    return [text for each in logs if (text := str(each["event"])).startswith(start)]


async def test_the_allowlist_goes_down_its_tiers_and_says_so(rig: PlannerRig) -> None:
    asof = EPOCH_MS // 1000
    rig.universe("AAAUSDT", "BBBUSDT")
    with capture_logs() as logs:
        async with rig.running():
            await trio.sleep(1)
            assert rig.allowed() == {"AAAUSDT", "BBBUSDT"}
            rig.universe("CCCUSDT", stale="1")
            await trio.sleep(60)
            assert rig.allowed() == {"AAAUSDT", "BBBUSDT"}, "the last good list"
            await trio.sleep(1000)
            assert rig.allowed() == {"DDDUSDT"}
    said = lines(logs, "P3.3 allowlist")
    assert said[0] == f"P3.3 allowlist source=universe_active stale=0 count=2 asof_epoch={asof} age_s=0"
    assert said[1] == f"P3.3 allowlist source=last_ok stale=1 count=2 asof_epoch={asof} age_s=60"
    assert said[-1] == "P3.3 allowlist source=env stale=1 count=1 asof_epoch=none age_s=none"


async def test_after_a_long_outage_of_redis_the_list_is_read_again_within_seconds(rig: PlannerRig) -> None:
    rig.universe("AAAUSDT", "BBBUSDT")
    async with rig.running():
        await trio.sleep(1)
        with rig.redis.faults.outage("before"):
            await trio.sleep(200)
        rig.universe("AAAUSDT")
        await trio.sleep(2.1)
        assert rig.allowed() == {"AAAUSDT"}


async def test_without_any_list_nothing_may_be_opened() -> None:
    rig = PlannerRig()
    with capture_logs() as logs:
        async with rig.running():
            await trio.sleep(1)
            assert rig.allowed() == set()
            rig.universe("AAAUSDT")
            await trio.sleep(60)
            assert rig.allowed() == {"AAAUSDT"}
    said = lines(logs, "P3.3 allowlist")
    assert said[0] == "P3.3 allowlist source=none stale=1 count=0 asof_epoch=none age_s=none"


async def test_an_active_list_that_is_not_renewed_grows_stale(rig: PlannerRig) -> None:
    rig.universe("AAAUSDT")
    async with rig.running():
        await trio.sleep(299)
        assert rig.allowlist.value is not None
        assert not rig.allowlist.value.stale
        await trio.sleep(62)
        assert rig.allowlist.value.stale
        assert rig.allowed() == {"AAAUSDT"}


@pytest.mark.parametrize(("redis_ahead_sec", "used"), [(-61, False), (61, True)])
async def test_a_list_more_than_a_minute_ahead_of_redis_clock_is_not_used(
    rig: PlannerRig, redis_ahead_sec: int, used: bool
) -> None:
    rig.redis.now_ms = lambda: rig.clock.now().wall_ms + redis_ahead_sec * 1000
    rig.universe("AAAUSDT", age_sec=min(0, -redis_ahead_sec))
    async with rig.running():
        await trio.sleep(1)
        assert rig.allowed() == ({"AAAUSDT"} if used else {"DDDUSDT"})


async def test_a_delisted_symbol_is_gone_within_ten_minutes(rig: PlannerRig) -> None:
    async with rig.running():
        await trio.sleep(1)
        rig.intend("BBBUSDT")
        await trio.sleep(5)
        assert rig.symbol_rules.value is not None
        assert "BBBUSDT" in rig.symbol_rules.value
        assert "BBBUSDT" in rig.warm()
        rig.exchange.trading = tuple(symbol for symbol in SYMBOLS if symbol != "BBBUSDT")
        await trio.sleep(601)
        assert "BBBUSDT" not in rig.symbol_rules.value
        assert "BBBUSDT" not in rig.warm()


async def test_candidates_are_said_once_a_minute_and_measured(rig: PlannerRig) -> None:
    rig.universe("AAAUSDT", "BBBUSDT")
    rig.latency.cycle_ms, rig.latency.ewma_ms = 250.0, 120.0
    with capture_logs() as logs:
        async with rig.running():
            await trio.sleep(1)
            rig.intend("DDDUSDT")
            await trio.sleep(185)
            assert rig.warm() == ("DDDUSDT", "AAAUSDT", "BBBUSDT")
            assert await rig.gauge("p33_snapshot_candidates") == 3
        said = lines(logs, "P3.3 snapshot:")
    assert len(said) == 4, "at 0, 60, 120 and 180 s"
    assert set(said[1:]) == {"P3.3 snapshot: candidates=3, cycle_ms=250, ewma_ms=120"}


async def test_a_new_latency_is_measured(rig: PlannerRig) -> None:
    rig.latency.ewma_ms = 120.0
    async with rig.running():
        await trio.sleep(1)
        rig.latency.ewma_ms = 340.0
        await trio.sleep(5)
        assert await rig.gauge("p33_ewma_latency_ms") == 340


async def test_of_many_intents_none_is_forgotten_and_only_new_ones_are_read(rig: PlannerRig) -> None:
    rig.intend("CCCUSDT")
    await trio.sleep(1)
    for _ in range(1499):
        rig.intend("AAAUSDT")
    async with rig.running():
        await trio.sleep(6)
        assert rig.warm()[:2] == ("AAAUSDT", "CCCUSDT"), "also the one behind 1499 newer ones"
        await trio.sleep(1)
        rig.intend("BBBUSDT")
        rig.store.intents_read.clear()
        await trio.sleep(10)
        assert rig.warm()[:3] == ("BBBUSDT", "AAAUSDT", "CCCUSDT")
        assert rig.store.intents_read[-1] == 1, "the newest, whose millisecond may not be over"
        await trio.sleep(1785)
        assert rig.warm()[0] == "BBBUSDT"
        await trio.sleep(20)
        assert rig.warm() == ("DDDUSDT",), "their time has passed"


async def test_a_listed_symbol_is_known_within_a_minute(rig: PlannerRig) -> None:
    async with rig.running():
        await trio.sleep(1)
        rig.exchange.trading = (*SYMBOLS, "NEWUSDT")
        await trio.sleep(61)
        assert "NEWUSDT" in (rig.symbol_rules.value or {})
        await trio.sleep(600)
        assert 10 <= rig.exchange.rules_reads <= 12


async def test_exchange_info_that_is_wanted_is_read_at_once(rig: PlannerRig) -> None:
    async with rig.running():
        await trio.sleep(10)
        rig.exchange.trading = (*SYMBOLS, "NEWUSDT")
        rig.rules_wanted.send(RulesWanted("a plan names NEWUSDT"))
        await trio.sleep(rig.exchange.latency_sec + 0.01)
        assert "NEWUSDT" in (rig.symbol_rules.value or {})


@pytest.mark.parametrize("down", [False, True])
async def test_a_flood_of_wishes_reads_exchange_info_every_five_seconds(rig: PlannerRig, down: bool) -> None:
    async with rig.running():
        await trio.sleep(60.5)
        if down:
            rig.exchange.failure = ExchangeUnavailable("HTTP 502")
            await trio.sleep(600)
        before = rig.exchange.rules_reads
        for _ in range(600):
            rig.rules_wanted.send(RulesWanted("a plan names NOPEUSDT"))
            await trio.sleep(0.1)
        assert 10 <= rig.exchange.rules_reads - before <= 13


async def test_equal_rules_wake_no_reader(rig: PlannerRig) -> None:
    woken: list[float] = []

    async def read() -> None:
        while True:
            await rig.symbol_rules.changed()
            woken.append(trio.current_time())

    async with rig.running(), background(read):
        await trio.sleep(300)
        assert len(woken) == 1
        rig.exchange.trading = SYMBOLS[:2]
        await trio.sleep(62)
        assert len(woken) == 2
