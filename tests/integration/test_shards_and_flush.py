"""Any number of shards; and a Redis that is emptied while all runs."""

from __future__ import annotations

from decimal import Decimal

import pytest

from simulator import RunningSimulator, external_events
from tests.integration.pipeline import PLANS, RESULTS, Pipeline, entry, executed, full_close
from tests.integration.service_in_process import running_service
from tests.integration.surroundings import SYMBOLS, is_ready, trade
from tests.integration.waiting import until


@pytest.mark.parametrize("shards", ["1", "8"])
async def test_every_symbol_is_decided_and_followed_with_any_number_of_shards(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator, shards: str
) -> None:
    async with running_service(redis_server, simulator, P33_SHARDS=shards) as service:
        assert sum(name.startswith("snapshot_fetcher_") for name in service.actors()) == int(shards)
        for symbol in SYMBOLS:
            answer = await pipeline.ask(f"open-{symbol}", entry(symbol, "20"))
            assert answer["reason"] == "open_permit_granted"
            external_events.move_position(simulator.exchange, symbol, target=Decimal(-20))
        await until(
            lambda: {pipeline.snapshot(symbol).get("position_amt") for symbol in SYMBOLS} == {"-20"},
            "every snapshot has the new position",
        )
        assert service.restarts() == {}


async def test_a_flushed_redis_gets_its_groups_ledgers_and_snapshots_back_and_decisions_go_on(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    exchange = simulator.exchange
    for symbol in SYMBOLS[:4]:
        external_events.move_position(exchange, symbol, target=Decimal(20))
    async with running_service(redis_server, simulator) as service:
        await pipeline.ask("before", full_close("BTCUSDT"))
        pipeline.redis.flushall()
        for symbol in SYMBOLS:
            pipeline.publish_plan(f"since-{symbol}", full_close(symbol))
        order = trade(exchange, "ETHUSDT", "BUY", "1.5")
        pipeline.publish_result(executed("r", "ETHUSDT", order.order_id, "BUY", order.executed))
        for symbol in SYMBOLS:
            await pipeline.permit(f"since-{symbol}")
        await pipeline.nothing_pends(PLANS, RESULTS)
        await until(lambda: all(map(pipeline.ledger, SYMBOLS)), "every ledger is back")
        await until(lambda: all(map(pipeline.snapshot, SYMBOLS)), "every snapshot is back")
        await is_ready(lambda: service.url)
        for symbol in SYMBOLS:
            assert Decimal(pipeline.ledger(symbol)["last_known_amt"]) == exchange.position(symbol).amount
        # What was open and in flight is forgotten: a while without opens, as after a restart.
        answer = await pipeline.ask("after-open", entry("LTCUSDT", "1"))
        assert answer["reason"] == "recovering"
        answer = await pipeline.ask("after-close", full_close("SOLUSDT"))
        assert answer["reason"] in ("sanity_checks_passed", "in_flight_permit")
        await pipeline.decided_once(f"since-{symbol}" for symbol in SYMBOLS)
        assert service.restarts() == {}
