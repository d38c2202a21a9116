"""Redis away and back: not ready, nothing issued, no exit; then decisions go on, none lost, none doubled."""

from __future__ import annotations

from decimal import Decimal

import pytest

from commands.clients.embedded_redis import PrivateRedis, private_redis_server
from simulator import RunningSimulator, outside
from tests.integration.daemon_process import daemon_process
from tests.integration.pipeline import AUDIT, PLANS, RESULTS, Pipeline, entry, executed, full_close
from tests.integration.surroundings import SYMBOLS, environment, is_ready, is_unready, trade
from tests.integration.waiting import until

#: Plans stay young for longer than the outage lasts.
PATIENT = {"P33_PLAN_MAX_AGE_SEC": "60"}
HELD = SYMBOLS[:8]
FLAT = SYMBOLS[8:]


def hold_positions(simulator: RunningSimulator) -> None:
    for symbol in HELD:
        outside.move_position(simulator.exchange, symbol, target=Decimal(-20))


async def end(server: PrivateRedis, how: str) -> None:
    await (server.kill() if how == "SIGKILL" else server.stop())


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
async def test_a_redis_that_goes_and_comes_back_costs_no_decision_and_doubles_none(
    simulator: RunningSimulator, how: str
) -> None:
    hold_positions(simulator)
    async with private_redis_server(append_only=True) as server:
        pipeline = Pipeline(server.url)
        async with daemon_process(environment(server.url, simulator, PATIENT)) as daemon:
            url = await daemon.ready()
            first = await pipeline.ask("first", full_close(HELD[0]))
            assert (first["reason"], first["safe_close_qty"]) == ("sanity_checks_passed", 20)
            await pipeline.nothing_pends(PLANS)

            # Cut off in the middle of its work: some of these are decided, some delivered, some neither.
            for symbol in HELD[1:]:
                pipeline.publish_plan(f"before-{symbol}", full_close(symbol))
                order = trade(simulator.exchange, symbol, "BUY", "20")
                pipeline.publish_result(
                    executed(f"before-{symbol}", symbol, order.order_id, "BUY", order.executed)
                )
            await end(server, how)
            await is_unready(url, "Redis")
            assert daemon.alive

            await server.start()
            for symbol in HELD:
                pipeline.publish_plan(f"after-{symbol}", full_close(symbol))
            for symbol in FLAT:
                pipeline.publish_plan(f"after-{symbol}", entry(symbol, "20"))
            await is_ready(lambda: url)
            published = [
                "first",
                *(f"before-{symbol}" for symbol in HELD[1:]),
                *(f"after-{symbol}" for symbol in SYMBOLS),
            ]
            await pipeline.decided_once(published)
            await pipeline.nothing_pends(PLANS, RESULTS)
            reasons = {plan_id: (await pipeline.permit(plan_id))["reason"] for plan_id in published}
            assert "plan_expired" not in reasons.values()
            assert {reasons[f"after-{symbol}"] for symbol in FLAT} == {"recovering"}
            for symbol in HELD[1:]:
                await pipeline.ledger_reaches(symbol, "0")
                assert pipeline.ledger(symbol)["version"] == "2"
            assert daemon.alive
            assert "Actor failed" not in daemon.output


async def test_nothing_is_issued_while_redis_is_away_and_a_closing_goes_on_right_after(
    simulator: RunningSimulator,
) -> None:
    hold_positions(simulator)
    async with private_redis_server(append_only=True) as server:
        pipeline = Pipeline(server.url)
        async with daemon_process(environment(server.url, simulator, PATIENT)) as daemon:
            url = await daemon.ready()
            await pipeline.ask("before", full_close(HELD[0]))
            await server.kill()
            await is_unready(url, "Redis")
            lines = daemon.output.count("P3.3 ALLOW")
            await server.start()
            assert [fields["plan_id"] for _, fields in pipeline.entries(AUDIT)] == ["before"]
            await is_ready(lambda: url)
            assert daemon.output.count("P3.3 ALLOW") == lines
            answer = await pipeline.ask("after", full_close(HELD[1]))
            assert answer["reason"] == "sanity_checks_passed"


async def test_a_redis_that_comes_back_empty_loses_no_plan_that_was_published_since(
    simulator: RunningSimulator,
) -> None:
    hold_positions(simulator)
    async with private_redis_server() as server:
        pipeline = Pipeline(server.url)
        async with daemon_process(environment(server.url, simulator, PATIENT)) as daemon:
            url = await daemon.ready()
            await pipeline.ask("before", full_close(HELD[0]))
            await server.kill()
            await is_unready(url, "Redis")
            await server.start()
            for symbol in SYMBOLS:
                pipeline.publish_plan(f"after-{symbol}", full_close(symbol))
            for symbol in SYMBOLS:
                await pipeline.permit(f"after-{symbol}", within_sec=5)
            await until(lambda: pipeline.ledger_amount(HELD[0]) == "-20", "the ledgers are adopted again")
            await until(lambda: all(map(pipeline.snapshot, SYMBOLS)), "the snapshots are written again")
            answer = await pipeline.ask("later", full_close(HELD[0]))
            assert answer["reason"] in ("sanity_checks_passed", "in_flight_permit")
            await is_ready(lambda: url)


async def test_a_frozen_redis_makes_the_service_unready_and_nothing_is_lost_when_it_goes_on(
    simulator: RunningSimulator,
) -> None:
    hold_positions(simulator)
    async with private_redis_server() as server:
        pipeline = Pipeline(server.url)
        async with daemon_process(environment(server.url, simulator, PATIENT)) as daemon:
            url = await daemon.ready()
            pipeline.redis.client_pause(1500)
            await is_unready(url, "Redis")
            await is_ready(lambda: url)
            answer = await pipeline.ask("after", full_close(HELD[0]))
            assert answer["reason"] == "sanity_checks_passed"
            assert "Actor failed" not in daemon.output
