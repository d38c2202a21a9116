"""Failover behind one address: the old primary lives on as a replica and keeps its connections."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
import trio

from simulator import RunningSimulator, external_events
from tests.integration.daemon_process import daemon_process
from tests.integration.pipeline import PLANS, RESULTS, Pipeline, full_close
from tests.integration.redis_pair import redis_pair
from tests.integration.surroundings import SYMBOLS, environment, is_ready, trade
from tests.store.redis_servers import redis_servers

TIMES = 10
WITHIN_SEC = 3.0


@pytest.mark.parametrize("program", redis_servers().values(), ids=redis_servers().keys())
async def test_after_every_demotion_plans_are_decided_and_results_booked_within_three_seconds(
    simulator: RunningSimulator, program: Path
) -> None:
    for symbol in SYMBOLS:
        external_events.move_position(simulator.exchange, symbol, target=Decimal(-20))
    async with redis_pair(program) as pair:
        environ = environment(pair.address.url, simulator, {"P33_PLAN_MAX_AGE_SEC": "200"})
        async with daemon_process(environ) as daemon:
            url = await daemon.ready()
            await Pipeline(pair.primary.url).ask("before", full_close(SYMBOLS[-1]))
            took_sec, published = [], ["before"]
            for number, symbol in enumerate(SYMBOLS[:TIMES]):
                await pair.fail_over(promote_first=number % 2 == 1)
                begun_sec = trio.current_time()
                pipeline = Pipeline(pair.primary.url)
                # What was published before the new Redis was noticed is answered, and not allowed.
                first, allowed = f"first-{number}", f"allowed-{number}"
                answer = await pipeline.ask(first, full_close(symbol), within_sec=130)
                assert answer["reason"] in ("recovering", "sanity_checks_passed")
                if not answer["allow"]:
                    answer = await pipeline.ask(allowed, full_close(symbol), WITHIN_SEC)
                took_sec.append(round(trio.current_time() - begun_sec, 2))
                assert answer["reason"] == "sanity_checks_passed"
                pipeline.publish_fill(answer["plan_id"], trade(simulator.exchange, symbol, "BUY", "20"))
                await pipeline.ledger_reaches(symbol, "0", WITHIN_SEC)
                await is_ready(lambda: url)
                published += [first, answer["plan_id"]]
            assert max(took_sec) <= WITHIN_SEC, took_sec
            await pipeline.decided_once(published)
            await pipeline.nothing_pends(PLANS, RESULTS)
            print("seconds from first write to first allowed exit", took_sec)
            assert "Actor failed" not in daemon.output
            assert daemon.alive
