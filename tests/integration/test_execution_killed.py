"""SIGKILL at random moments under 50 plans a second: one order a plan or none, and the same in every book."""

from __future__ import annotations

import os
import signal
from random import Random

import trio

from simulator.symbols import load_symbols
from tests.integration.daemon_process import daemon_process
from tests.integration.exchange_process import exchange_process
from tests.integration.execution_load import ExecutionLoad, usual_symbols
from tests.integration.pipeline import Pipeline
from tests.integration.surroundings import environment

#: A few in the suite; fifty with P33_TEST_EXECUTOR_KILLS=50.
KILLS = int(os.environ.get("P33_TEST_EXECUTOR_KILLS", "3"))
SEED = 1
PLANS_PER_SEC = 50
#: A symbol is held while an order of it is undecided, so there must be more of them than kills.
SYMBOLS = 150
#: Many starts within a minute may exhaust the weight of that minute.
PATIENCE_SEC = 150.0
#: Proof that there is no order takes the settle time, and two answers that are 10 s apart.
SETTLED_WITHIN_SEC = 60.0
SETTINGS = {
    "P33_EXECUTOR": "on",
    "P33_PERMIT_TTL": "3",
    "P33_EXECUTION_GRACE_SEC": "10.5",
    "P33_WEIGHT_BUDGET_PER_MIN": "2400",
    "EXEC_UNKNOWN_SETTLE_SEC": "10.1",
}
#: An answer comes 20 ms behind its order, which is filled in two parts: kills find orders of every state.
FAULTS = {
    "rest_latency_ms": 20.0, "rest_latency_share_before": 0.1,
    "fills_per_order": 2, "first_fill_after_ms": 10.0, "fill_interval_ms": 30.0,
    "connections_per_5_min": None,
}  # fmt: skip


async def test_kills_under_load_leave_one_order_a_plan_and_one_truth_about_it(redis_server: str) -> None:
    random = Random(SEED)  # noqa: S311 - the same moments in every run
    symbols = usual_symbols(load_symbols(), SYMBOLS)
    names = ",".join(symbol.name for symbol in symbols)
    async with exchange_process() as exchange, trio.open_nursery() as nursery:
        await exchange.control("faults", FAULTS)
        # Each start looks for orphans of 150 symbols: fifty starts in two minutes would exhaust the weight.
        await exchange.control("weight", {"overrides": {"/fapi/v1/allOrders": 0}})
        environ = environment(redis_server, exchange.as_running(), {**SETTINGS, "P33_ALLOWLIST": names})
        load = ExecutionLoad(
            Pipeline(redis_server), exchange, SEED, symbols=symbols, plans_per_sec=PLANS_PER_SEC
        )
        for life in range(KILLS):
            async with daemon_process(environ) as daemon:
                if life == 0:
                    await daemon.ready()
                    await load.governor.executor_reads()
                    await load.governor.has_price(symbols[-1].name)
                    nursery.start_soon(load.run)
                if life % 4 == 3:
                    await trio.sleep(random.uniform(0.0, 3.0))  # it may not have sent anything
                else:
                    await load.more_is_executed(25, PATIENCE_SEC)
                    await trio.sleep(random.uniform(0.0, 0.5))
                assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
        async with daemon_process(environ) as daemon:
            await load.more_is_executed(25, PATIENCE_SEC)
            await load.drained(SETTLED_WITHIN_SEC)
            assert "Actor failed" not in daemon.output
            ended = await load.assert_books_agree()
        nursery.cancel_scope.cancel()
        print(f"{KILLS} kills, {len(load.published)} plans: {dict(ended)}")
    assert ended["executed"] >= 25 * KILLS // 2, ended
