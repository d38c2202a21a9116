"""Any number of shards; and a Redis that is emptied while all runs."""

from __future__ import annotations

from decimal import Decimal

import pytest

from simulator import external_events
from tests.integration.pipeline import PLANS, RESULTS, entry, full_close
from tests.integration.site import Site
from tests.integration.surroundings import SYMBOLS, is_ready, trade
from tests.integration.waiting import until


@pytest.mark.parametrize("shards", ["1", "8"])
async def test_every_symbol_is_decided_and_followed_with_any_number_of_shards(
    site: Site, shards: str
) -> None:
    async with site.service(P33_SHARDS=shards) as service:
        assert sum(name.startswith("snapshot_fetcher_") for name in service.actors()) == int(shards)
        for symbol in SYMBOLS:
            answer = await site.ask(f"open-{symbol}", entry(symbol, "20"))
            assert answer["reason"] == "open_permit_granted"
            external_events.move_position(site.exchange, symbol, target=Decimal(-20))
        await until(
            lambda: {site.snapshot(symbol).get("position_amt") for symbol in SYMBOLS} == {"-20"},
            "every snapshot has the new position",
        )
        assert service.restarts() == {}


async def test_a_flushed_redis_gets_its_groups_ledgers_and_snapshots_back_and_decisions_go_on(
    site: Site,
) -> None:
    exchange = site.exchange
    for symbol in SYMBOLS[:4]:
        external_events.move_position(exchange, symbol, target=Decimal(20))
    async with site.service() as service:
        await site.ask("before", full_close("BTCUSDT"))
        site.redis.flushall()
        for symbol in SYMBOLS:
            site.publish_plan(f"since-{symbol}", full_close(symbol))
        site.publish_fill("r", trade(exchange, "ETHUSDT", "BUY", "1.5"))
        for symbol in SYMBOLS:
            await site.permit(f"since-{symbol}")
        await site.nothing_pends(PLANS, RESULTS)
        await until(lambda: all(map(site.ledger, SYMBOLS)), "every ledger is back")
        await until(lambda: all(map(site.snapshot, SYMBOLS)), "every snapshot is back")
        await is_ready(lambda: service.url)
        for symbol in SYMBOLS:
            assert Decimal(site.ledger(symbol)["last_known_amt"]) == exchange.position(symbol).amount
        # What was open and in flight is forgotten: a while without opens, as after a restart.
        answer = await site.ask("after-open", entry("LTCUSDT", "1"))
        assert answer["reason"] == "recovering"
        answer = await site.ask("after-close", full_close("SOLUSDT"))
        assert answer["reason"] in ("sanity_checks_passed", "in_flight_permit")
        await site.decided_once(f"since-{symbol}" for symbol in SYMBOLS)
        assert service.restarts() == {}
