"""SIGKILL, again and again at random moments under load: every plan one decision, every fill booked once."""

from __future__ import annotations

import signal
from random import Random

import trio

from simulator import RunningSimulator
from tests.integration.daemon_process import daemon_process
from tests.integration.pipeline import Pipeline
from tests.integration.surroundings import environment
from tests.integration.trading_load import SETTINGS, TradingLoad

KILLS = 10
SEED = 1
#: Several times as many are allowed; with next to none the rest would prove nothing.
FEWEST_ALLOWED = 100


async def test_ten_kills_under_load_leave_one_decision_a_plan_and_the_ledger_the_sum_of_the_fills(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    random = Random(SEED)  # noqa: S311 - the same moments in every run
    environ = environment(redis_server, simulator, SETTINGS)
    load = TradingLoad(pipeline, simulator, SEED, plans_per_sec=200, results_per_sec=100)
    async with trio.open_nursery() as nursery:
        for life in range(KILLS):
            async with daemon_process(environ) as daemon:
                if life == 0:
                    await daemon.ready()
                    nursery.start_soon(load.run)
                if life % 4 == 3:
                    await trio.sleep(random.uniform(0.0, 1.0))  # it may not have decided anything
                else:
                    await load.more_is_decided()
                    await trio.sleep(random.uniform(0.1, 1.3))
                assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
        async with daemon_process(environ) as daemon:
            await load.more_is_decided()
            await load.settled()
            assert "Actor failed" not in daemon.output
    load.assert_exactly_once()
    assert sum(decided.allow for decided in load.decided) >= FEWEST_ALLOWED
