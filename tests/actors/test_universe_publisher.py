"""The universe publisher over the store's twin, on virtual time, behind a real candidate planner."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import trio

from actors.universe_publisher.publications import BOOTSTRAPPED
from brain.identifiers import FencingToken
from channels import Channels, Lease
from exchange.errors import ExchangeUnavailable
from supervision import Heartbeat
from tests.actors.dictated_exchange import EPOCH_MS
from tests.actors.universe_rig import NAMES, SHADOW, Rig, names
from tests.background import background
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_the_first_listing_is_published_whole() -> None:
    rig = Rig(universe_volume_sec=3600)
    async with rig.running():
        assert rig.active() == names(10)
        assert rig.redis.get(NAMES.last_ok) == rig.redis.get(NAMES.active)
        asof = str(EPOCH_MS // 1000)
        assert rig.meta() == {
            "asof_epoch": asof,
            "last_ok_epoch": asof,
            "count": "10",
            "stale": "0",
            "error": "",
            "shrunk_by": "0",
            "published_by": "me",
        }
        assert 890_000 < rig.redis.pttl(NAMES.active) <= 900_000
        assert rig.redis.pttl(NAMES.last_ok) == -1
        assert f"Published universe: 10 symbols, asof={asof}" in rig.lines()
        assert rig.events() == []
        await trio.sleep(60)
        assert 7_100_000 < rig.redis.pttl(NAMES.volumes) <= 7_200_000
        volumes = json.loads(rig.redis.get(NAMES.volumes) or b"")
        assert volumes["rank"] == list(names(10))
        assert json.loads(rig.redis.get(NAMES.active) or b"")["ranked_by"] == "volume"
        assert await rig.counted("universe_refresh_total") == {"published": 2}


async def test_the_first_list_waits_for_the_volumes_but_not_for_long() -> None:
    rig = Rig(universe_min_quote_volume=Decimal(995), universe_max=4)
    async with rig.running():
        assert rig.active() == names(4)
    late = Rig(universe_min_quote_volume=Decimal(995), universe_max=8)
    late.exchange.volumes_latency_sec = 100
    async with late.running():
        assert late.active() is None
        await trio.sleep(5)
        assert late.active() == names(8)
        await trio.sleep(180)
        assert late.active() == names(6)
        assert late.meta()["stale"] == "0"
        assert late.events() == []


async def test_the_listing_is_read_once_for_planner_and_publisher_as_often_as_either_needs() -> None:
    rig = Rig(universe_refresh_sec=20.0, universe_volume_sec=600.0)
    async with rig.running():
        await trio.sleep(600)
        assert 28 <= rig.exchange.rules_reads <= 30
        assert rig.exchange.volumes_reads in (1, 2)
        assert rig.lines().count("Published universe: 10 symbols") == 0
        published = await rig.counted("universe_refresh_total")
        assert published == {"published": rig.exchange.rules_reads}


async def test_a_long_refresh_publishes_no_more_often_than_that_and_recovers_at_once() -> None:
    rig = Rig(universe_refresh_sec=300.0)
    async with rig.running():
        await trio.sleep(1_200)
        assert await rig.counted("universe_refresh_total") == {"published": 5}
        rig.exchange.failure = ExchangeUnavailable("no answer")
        await trio.sleep(301)
        assert rig.meta()["stale"] == "1"
        rig.exchange.failure = None
        await trio.sleep(61)
        assert rig.meta()["stale"] == "0"


async def test_a_redis_that_lost_everything_has_the_universe_again_with_the_lease() -> None:
    rig = Rig()
    async with rig.running():
        before = rig.redis.get(NAMES.active)
        await trio.sleep(10)
        rig.redis.flushall()
        await rig.lead()
        await trio.sleep(60)
        assert rig.active() == names(10)
        assert rig.redis.get(NAMES.volumes) is not None
        assert rig.redis.get(NAMES.active) != before


async def test_a_delisted_symbol_is_gone_within_one_refresh_and_a_new_one_is_there() -> None:
    rig = Rig()
    async with rig.running():
        rig.exchange.trading = (*names(10)[1:], "NEWUSDT")
        await trio.sleep(61)
        assert rig.active() == ("NEWUSDT", *names(10)[1:])
        assert rig.events() == [("LISTED", "NEWUSDT"), ("DELISTED", "S00USDT")]
        assert rig.channels.allowlist.value is not None
        assert await rig.counted("universe_changes_total") == {"LISTED": 1, "DELISTED": 1}
        await trio.sleep(61)
        assert rig.channels.allowlist.value.symbols == set(rig.active() or ())


async def test_an_announced_end_is_published_and_removes_the_symbol_in_time() -> None:
    rig = Rig(universe_delist_before_sec=300.0)
    end_ms = EPOCH_MS + 600_000
    rig.exchange.ends = {"S03USDT": end_ms}
    async with rig.running():
        assert json.loads(rig.redis.get(NAMES.closing) or b"") == {"S03USDT": end_ms // 1000}
        assert rig.events() == [("CLOSING", "S03USDT")]
        assert "S03USDT" in (rig.active() or ())
        await trio.sleep(370)
        assert "S03USDT" not in (rig.active() or ())
        assert rig.events() == [("CLOSING", "S03USDT")]


async def test_the_active_list_outlives_an_outage_of_the_exchange_but_not_its_publisher() -> None:
    rig = Rig(universe_active_ttl_sec=300)
    async with rig.running():
        rig.exchange.failure = ExchangeUnavailable("no answer")
        await trio.sleep(3_000)
        assert rig.active() == names(10)
        assert rig.meta()["stale"] == "1"
    await trio.sleep(301)
    assert rig.active() is None
    assert rig.redis.get(NAMES.last_ok) is not None


async def test_without_an_active_list_the_last_good_one_stands_in_until_the_next_read() -> None:
    rig = Rig()
    async with rig.running():
        last_ok = rig.redis.get(NAMES.last_ok)
    rig.redis.delete(NAMES.active)
    rig.exchange.failure = ExchangeUnavailable("no answer")
    await rig.lead()
    rig.channels.universe_channels = Channels(1, universe=True).universe_channels
    async with background(rig.publisher().run, Heartbeat()):
        await trio.sleep(1)
        assert rig.redis.get(NAMES.active) == last_ok
        meta = rig.meta()
        assert (meta["stale"], meta["error"], meta["count"]) == ("1", BOOTSTRAPPED, "10")
        assert rig.events() == [("STALE", "")]
        assert f"Universe marked stale: {BOOTSTRAPPED}" in rig.lines()
        await trio.sleep(150)
        assert rig.meta()["error"] == "fetch_failed: exchangeInfo was not read for 120 s"


async def test_a_list_of_the_other_exchange_is_not_put_in_the_place_of_a_missing_one() -> None:
    rig = Rig()
    rig.redis.set(NAMES.last_ok, b'{"asof_epoch": 5, "symbols": ["AUSDT"], "mode": "mainnet"}')
    await rig.lead()
    async with background(rig.publisher().run, Heartbeat()):
        await trio.sleep(1)
        assert rig.active() is None


async def test_a_last_good_list_with_a_byte_that_is_no_text_is_replaced_and_ends_nothing() -> None:
    rig = Rig()
    rig.redis.set(NAMES.last_ok, b'{"asof_epoch": 5, "symbols": ["AUSDT"], "other": "\xff"}')
    rig.exchange.failure = ExchangeUnavailable("no answer")
    async with rig.running():
        await trio.sleep(6)
        assert rig.active() is None
        assert rig.meta()["error"] == "fetch_failed: no answer"
        rig.exchange.failure = None
        await trio.sleep(120)
        assert rig.active() == names(10)


async def test_the_active_list_of_the_other_exchange_is_not_kept_alive() -> None:
    rig = Rig()
    async with rig.running():
        pass
    other = Rig(universe_mode="mainnet", binance_testnet=False)
    other.use(rig.redis)
    other.exchange.failure = ExchangeUnavailable("no answer")
    rig.redis.delete("quantum:p33:lease")
    async with other.running():
        await trio.sleep(60)
        assert other.active() == names(10)
        allowlist = other.channels.allowlist.value
        assert allowlist is not None
        assert allowlist.symbols == frozenset()
        assert "active: of 'testnet', not mainnet" not in allowlist.notes
        assert allowlist.notes[-1] == "last_ok: of 'testnet', not mainnet"
        await trio.sleep(900)
        assert other.active() is None


async def test_a_standby_publishes_nothing_and_takes_over_with_the_lease() -> None:
    rig = Rig()
    rig.channels.lease.send(Lease(None, "another"))
    async with background(rig.planner().run, Heartbeat()), background(rig.publisher().run, rig.heartbeat):
        await trio.sleep(200)
        assert rig.redis.keys() == []
        assert [wait.what for wait in rig.heartbeat.waits()] == ["the lease, held by another"]
        await rig.lead()
        await trio.sleep(61)
        assert rig.active() == names(10)


async def test_a_publisher_that_lost_the_lease_writes_nothing_more() -> None:
    rig = Rig()
    async with rig.running():
        await rig.store.release_lease(FencingToken((rig.redis.get("quantum:p33:lease") or b"").decode()))
        await rig.store.hold_lease("another", None, 86_400_000)
        before = rig.redis.get(NAMES.last_ok)
        rig.exchange.trading = names(9)
        await trio.sleep(180)
        assert rig.redis.get(NAMES.last_ok) == before


async def test_the_last_good_list_of_another_publisher_is_judged_again() -> None:
    rig = Rig()
    async with rig.running():
        other = json.dumps({"asof_epoch": 1, "symbols": [*names(10), "OUSDT", "PUSDT", "QUSDT"]})
        original = rig.store.published_universe
        looks = 0

        async def overtaken(*, shadow: bool) -> Any:
            nonlocal looks
            looks += 1
            found = await original(shadow=shadow)
            if looks == 1:
                rig.redis.set(NAMES.last_ok, other)
            return found

        rig.store.published_universe = overtaken  # type: ignore[method-assign]
        await trio.sleep(61)
        assert looks >= 2
        assert rig.meta()["error"] == "shrank: 3 of 13 symbols are gone"
        assert rig.redis.get(NAMES.last_ok) == other.encode()


async def test_redis_that_is_away_is_waited_for_by_name() -> None:
    rig = Rig()
    async with rig.running():
        rig.store.faults.forbid("publish_universe")
        rig.exchange.trading = names(9)
        await trio.sleep(61)
        assert any(wait.what.startswith("Redis at memory: ") for wait in rig.heartbeat.waits())
        rig.store.faults.permit("publish_universe")
        await trio.sleep(1)
        assert rig.active() == names(9)
        assert not any("Redis" in wait.what for wait in rig.heartbeat.waits())


async def test_the_shadow_writes_no_key_that_others_read() -> None:
    rig = Rig(universe="shadow")
    async with rig.running():
        rig.exchange.trading = names(9)
        await trio.sleep(61)
        written = {key for key in set(rig.redis.keys()) if not key.startswith("quantum:p33:")}
        assert written
        assert all(key.startswith("quantum:universe:shadow:") for key in written)
        assert rig.active(SHADOW) == names(9)
        assert rig.meta(SHADOW)["stale"] == "0"
        ((_, event),) = rig.redis.xrange(SHADOW.events)
        assert (event[b"event"], event[b"shadow"]) == (b"DELISTED", b"true")
        published = [call for call in rig.logged.calls if "Published universe" in str(call.kwargs["event"])]
        assert all(call.kwargs["shadow"] is True for call in published)
        assert rig.channels.allowlist.value is not None
        assert rig.channels.allowlist.value.symbols == frozenset()
