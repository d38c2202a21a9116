"""The planner keeps its word on virtual time: which symbols trade, may be opened, and are kept warm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock

from channels import RulesWanted
from exchange.errors import ExchangeUnavailable
from store.errors import StoreUnavailableError
from store.universe_records import UniverseKeys
from tests.actors.dictated_exchange import EPOCH_MS
from tests.actors.planner_rig import SYMBOLS, PlannerRig
from tests.background import background
from tests.virtual_time import virtual_time

pytestmark = virtual_time


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


async def test_a_list_of_the_own_publisher_is_read_at_once() -> None:
    rig = PlannerRig(publishes=True)
    async with rig.running():
        await trio.sleep(1)
        assert rig.allowed() == set()
        rig.published("AAAUSDT")
        await trio.sleep(0.1)
        assert rig.allowed() == {"AAAUSDT"}
        rig.published("AAAUSDT", "BBBUSDT")
        await trio.sleep(0.1)
        assert rig.allowed() == {"AAAUSDT", "BBBUSDT"}


async def test_a_list_that_comes_while_one_is_read_is_read_next(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = PlannerRig(publishes=True)
    read, reads = rig.store.universe, 0

    async def read_then_published() -> UniverseKeys:
        nonlocal reads
        keys, reads = await read(), reads + 1
        if reads == 1:
            rig.published("AAAUSDT")
        return keys

    monkeypatch.setattr(rig.store, "universe", read_then_published)
    async with rig.running():
        await trio.sleep(1)
        assert rig.allowed() == {"AAAUSDT"}
        await trio.sleep(30)
        assert reads == 2


async def test_a_list_that_cannot_be_read_is_tried_at_the_usual_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = PlannerRig(publishes=True)
    reads = 0

    async def away() -> UniverseKeys:
        nonlocal reads
        reads += 1
        raise StoreUnavailableError("away")

    async with rig.running():
        await trio.sleep(1)
        monkeypatch.setattr(rig.store, "universe", away)
        rig.published("AAAUSDT")
        await trio.sleep(60)
        assert 0 < reads <= 40


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
