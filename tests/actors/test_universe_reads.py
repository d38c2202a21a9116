"""Reads of the listing that are late, fail, or show a list that shrank, on virtual time."""

from __future__ import annotations

import trio

from channels import RulesWanted
from exchange.errors import ExchangeUnavailable
from tests.actors.dictated_exchange import EPOCH_MS
from tests.actors.universe_rig import NAMES, Rig, names
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_a_list_that_shrank_by_a_third_is_published_at_its_third_read() -> None:
    rig = Rig()
    async with rig.running():
        rig.exchange.trading = names(7)
        await trio.sleep(61)
        assert rig.active() == names(10)
        meta = rig.meta()
        assert (meta["stale"], meta["error"], meta["shrunk_by"], meta["count"]) == (
            "1", "shrank: 3 of 10 symbols are gone", "3", "10",
        )  # fmt: skip
        assert rig.events() == [("SHRUNK", ""), ("STALE", "")]
        await trio.sleep(60)
        assert rig.active() == names(10)
        await trio.sleep(60)
        assert rig.active() == names(7)
        assert rig.meta()["stale"] == "0"
        assert rig.events()[2:] == [("RECOVERED", ""), *(("DELISTED", name) for name in names(10)[7:])]
        assert await rig.counted("universe_refresh_total") == {"published": 2, "shrank": 2}


async def test_a_list_that_comes_back_begins_the_count_anew() -> None:
    rig = Rig()
    async with rig.running():
        for trading in (names(7), names(7), names(10), names(7), names(7)):
            rig.exchange.trading = trading
            await trio.sleep(60.5)
        assert rig.active() == names(10)
        assert rig.meta()["stale"] == "1"
        await trio.sleep(60.5)
        assert rig.active() == names(7)


async def test_early_reads_of_a_shrunk_list_do_not_count_as_reads_of_their_own() -> None:
    rig = Rig()
    async with rig.running():
        rig.exchange.trading = names(7)
        for _ in range(9):
            rig.channels.rules_wanted.send(RulesWanted("a plan names an unknown symbol"))
            await trio.sleep(6)
        assert rig.exchange.rules_reads > 8
        assert rig.active() == names(10)
        await trio.sleep(180)
        assert rig.active() == names(7)


async def test_a_failed_read_leaves_the_list_and_marks_it_as_stale_until_the_next_good_one() -> None:
    rig = Rig()
    async with rig.running():
        before = rig.redis.get(NAMES.active)
        rig.exchange.failure = ExchangeUnavailable("no answer " + "x" * 600)
        await trio.sleep(120)
        assert rig.redis.get(NAMES.active) == before
        assert rig.redis.get(NAMES.last_ok) == before
        meta = rig.meta()
        assert meta["stale"] == "1"
        assert meta["error"].startswith("fetch_failed: no answer")
        assert len(meta["error"]) == 500
        assert (meta["count"], meta["asof_epoch"]) == ("10", str(EPOCH_MS // 1000))
        assert rig.lines().count(f"Universe marked stale: {meta['error']}") == 1
        rig.exchange.failure = None
        await trio.sleep(120)
        assert rig.meta()["stale"] == "0"
        assert rig.events() == [("STALE", ""), ("RECOVERED", "")]


async def test_meta_is_of_the_lists_that_stand_although_it_was_lost() -> None:
    rig = Rig()
    async with rig.running():
        rig.redis.delete(NAMES.meta)
        rig.exchange.failure = ExchangeUnavailable("no answer")
        await trio.sleep(61)
        meta, asof = rig.meta(), str(EPOCH_MS // 1000)
        assert (meta["count"], meta["asof_epoch"], meta["last_ok_epoch"]) == ("10", asof, asof)
        rig.redis.hset(NAMES.meta, {"count": "9", "asof_epoch": "9", "last_ok_epoch": "9"})
        await trio.sleep(60)
        assert rig.meta() == meta


async def test_a_listing_that_is_empty_is_not_published() -> None:
    rig = Rig()
    async with rig.running():
        rig.exchange.trading = ()
        await trio.sleep(61)
        assert rig.active() == names(10)
        assert rig.meta()["error"].startswith("validation_failed: ")


async def test_a_listing_that_was_published_is_not_published_again_where_no_other_comes() -> None:
    rig = Rig()
    async with rig.running():
        before = rig.redis.get(NAMES.last_ok)
        rig.exchange.listing_latency_sec = 100_000
        await trio.sleep(1_000)
        assert rig.redis.get(NAMES.last_ok) == before
        assert rig.meta()["error"] == "fetch_failed: exchangeInfo was not read for 120 s"
        assert rig.events() == [("STALE", "")]
        published = await rig.counted("universe_refresh_total")
        assert published["published"] == 1
        assert published["fetch_failed"] >= 7


async def test_the_cause_of_failed_reads_stays_in_sight_where_no_other_read_comes() -> None:
    rig = Rig()
    async with rig.running():
        rig.exchange.failure = ExchangeUnavailable("no answer")
        await trio.sleep(61)
        rig.exchange.listing_latency_sec = 100_000
        await trio.sleep(1_000)
        assert rig.meta()["error"] == "fetch_failed: no answer"
        marked = [line for line in rig.lines() if line.startswith("Universe marked stale")]
        assert marked == ["Universe marked stale: fetch_failed: no answer"]


async def test_an_old_listing_is_not_published_with_a_lease_that_comes_back() -> None:
    rig = Rig()
    async with rig.running():
        rig.exchange.listing_latency_sec = 100_000
        await trio.sleep(1_000)
        before = rig.redis.get(NAMES.last_ok)
        await rig.regain()
        await trio.sleep(300)
        assert rig.redis.get(NAMES.last_ok) == before
        assert rig.meta()["stale"] == "1"


async def test_a_row_of_reads_of_a_shrunk_list_ends_with_the_lease() -> None:
    rig = Rig()
    async with rig.running():
        rig.exchange.trading = names(7)
        await trio.sleep(121)
        await rig.regain()
        await trio.sleep(90)
        assert rig.active() == names(10)
        await trio.sleep(120)
        assert rig.active() == names(7)


async def test_a_list_of_one_is_not_published_after_two_reads_of_a_list_of_seven() -> None:
    rig = Rig()
    async with rig.running():
        for trading in (names(7), names(7), names(1)):
            rig.exchange.trading = trading
            await trio.sleep(60.5)
        assert rig.active() == names(10)
        await trio.sleep(121)
        assert rig.active() == names(1)
