"""The bridge beside another one, on a Redis that is emptied, and among hostile entries."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from tests.integration.bridged import CHAIN, EXITS, HARVESTS, INTENTS, NAMES, Intents, reads
from tests.integration.governed_plans import asked, prices_are_known
from tests.integration.site import Site
from tests.integration.surroundings import SYMBOLS
from tests.integration.under_fire import restarts
from tests.integration.waiting import until, until_async

ALONE = {**CHAIN, "P33_GOVERNOR": "off", "P33_EXECUTOR": "off"}
MEGABYTE = b"9" * 1_000_000
HOSTILE: tuple[tuple[str, Mapping[bytes, bytes]], ...] = tuple(
    (stream, fields)
    for stream in (INTENTS, EXITS, HARVESTS)
    for fields in (
        {b"x": b"y"},
        {b"symbol": b"\xff\xfe"},
        {b"symbol": b"BTC:USDT", b"side": b"BUY", b"quantity": b"1"},
        {b"symbol": MEGABYTE},
        {b"payload": MEGABYTE},
        {b"payload": b"[" * 20_000},
        {b"payload": b'{"symbol":"BTCUSDT","side":"BUY","quantity":NaN}'},
        {b"payload": b'{"symbol":"BTCUSDT","side":"BUY","quantity":1e999}', b"data": b"\xff"},
        {b"symbol": b"BTCUSDT", b"side": b"BUY", b"quantity": b"-1", b"action": b"BUY"},
        {b"symbol": b"BTCUSDT", b"side": b"BUY", b"quantity": b"9" * 400, b"action": b"HOLD"},
        {b"symbol": b"BTCUSDT", b"side": b"BUY", b"position_usd": b"1e14", b"leverage": b"1e14"},
        {b"symbol": b"BTCUSDT", b"side": b"BUY", b"size": b"1e14", b"price": b"1e-18"},
        {b"symbol": b"BTCUSDT", b"action": b"FULL_CLOSE", b"percentage": b"1e14", b"side": b"\x00"},
        {b"symbol": b"BTCUSDT", b"action": b"FULL_CLOSE", b"intent_id": b"\x00" * 300},
        {b"symbol": b"BTCUSDT", b"side": b"BUY", b"quantity": b"1", b"regime": b"a\nb", b"action": b"X"},
        {b"symbol": b"XXUSDT", b"side": b"BUY", b"quantity": b"1", b"action": b"CLOSE_ALL"},
    )
)


async def test_while_another_bridge_works_this_one_waits_and_takes_nothing_from_it(site: Site) -> None:
    lane, intents = NAMES.trade_intents, Intents(site)
    site.redis.xgroup_create(lane.key, lane.group, "$", mkstream=True)
    theirs = True

    async def other() -> None:
        """Ask for intents as another bridge does, and answer them; strategies go on publishing."""
        while theirs:
            intents.buy("SOLUSDT")
            for _, entries in site.redis.xreadgroup(lane.group, "theirs", {lane.key: ">"}, count=9) or ():
                site.redis.xack(lane.key, lane.group, *(entry_id for entry_id, _ in entries))
            await trio.sleep(0.2)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        async with site.daemon(ALONE) as daemon:
            url = await daemon.ready()
            await prices_are_known(site.redis, *SYMBOLS)

            async def waits() -> bool:
                role = (await asked(url, "/status")).json()["roles"]["intent_bridge"]
                return (role["waits_for"] or "").startswith(f"another Intent Bridge works on `{lane.key}`")

            await until_async(waits, "the bridge waits for the other one", 10)
            assert intents.answers() == {}
            theirs = False
            await until(lambda: not site.redis.xinfo_groups(lane.key)[0]["lag"], "theirs has read all", 5)
            site.redis.xgroup_delconsumer(lane.key, lane.group, "theirs")
            later = intents.buy("SOLUSDT")
            assert await intents.outcome(later, within_sec=10) == "plan"
    assert list(intents.answers()) == [("trade.intent", later)]


async def test_after_redis_was_emptied_the_bridge_goes_on(site: Site) -> None:
    intents = Intents(site)
    async with site.daemon(ALONE) as daemon:
        url = await daemon.ready()
        await reads(site)
        await prices_are_known(site.redis, *SYMBOLS)
        before = intents.buy("SOLUSDT")
        assert await intents.outcome(before) == "plan"
        site.redis.flushall()
        after = intents.buy("SOLUSDT")
        assert await intents.outcome(after, within_sec=15) == "plan"
        assert list(intents.answers()) == [("trade.intent", after)]
        assert daemon.alive and "Actor failed" not in daemon.output, daemon.output[-2000:]
        assert (await restarts(url)).get("intent_bridge", 0) == 0


async def test_hostile_entries_have_one_answer_each_and_stop_nothing(site: Site) -> None:
    intents = Intents(site)
    async with site.daemon(ALONE) as daemon:
        url = await daemon.ready()
        await reads(site)
        await prices_are_known(site.redis, *SYMBOLS)
        published = [intents.publish(stream, fields) for stream, fields in HOSTILE]
        last = intents.buy("SOLUSDT")
        assert await intents.outcome(last, within_sec=20) == "plan"
        await until(lambda: site.redis.xlen(NAMES.audit) == len(published) + 1, "all answers", 20)
        reasons = {row["reason"] for _, row in site.entries(NAMES.audit)}
        assert reasons <= {"", "malformed_intent", "flat_close", "symbol_not_in_universe"}, reasons
        # Closes of an unknown symbol: P3.3 denies them, and nothing here stops a close for lack of data.
        plans = [row for row in intents.plans().values() if row["symbol"] != "SOLUSDT"]
        assert {(row["symbol"], row["reduceOnly"], row["eval_type"]) for row in plans} == {
            ("XXUSDT", "true", "EXIT")
        }
        assert (await site.permit(plans[0]["plan_id"]))["reason"] == "symbol_not_in_allowlist"
        assert await restarts(url) == {}
        assert daemon.alive and "Actor failed" not in daemon.output, daemon.output[-2000:]
