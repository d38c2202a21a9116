"""The leader of two executors is killed again and again: the standby resolves what it left, and sends on."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack
from functools import partial
from random import Random

import trio

from simulator.symbols import load_symbols
from tests.integration.daemon_process import DaemonProcess, daemon_process
from tests.integration.exchange_process import exchange_process
from tests.integration.execution_load import ExecutionLoad, usual_symbols
from tests.integration.pipeline import Pipeline
from tests.integration.surroundings import environment
from tests.integration.test_execution_killed import (
    FAULTS,
    PATIENCE_SEC,
    SETTINGS,
    SETTLED_WITHIN_SEC,
    SYMBOLS,
)
from tests.integration.test_two_instances import LEASE, is_warm_standby, lease
from tests.integration.waiting import until

KILLS = 4
SEED = 3
PLANS_PER_SEC = 25
#: Of these one holds the lease.
INSTANCES = ("first", "second")


def has_the_lease(pipeline: Pipeline, instance: str) -> bool:
    # One read: the lease of a killed leader ends at any moment.
    return str(pipeline.redis.get(LEASE)).partition(":")[2] == instance


async def test_the_standby_takes_over_the_orders_of_a_killed_leader_and_none_is_sent_twice(
    redis_server: str,
) -> None:
    random = Random(SEED)  # noqa: S311 - the same moments in every run
    symbols = usual_symbols(load_symbols(), SYMBOLS)
    pipeline = Pipeline(redis_server)
    async with exchange_process() as exchange, AsyncExitStack() as stack, trio.open_nursery() as nursery:
        await exchange.control("faults", FAULTS)
        names = {"P33_ALLOWLIST": ",".join(symbol.name for symbol in symbols)}
        load = ExecutionLoad(pipeline, exchange, SEED, symbols=symbols, plans_per_sec=PLANS_PER_SEC)
        daemons: dict[str, DaemonProcess] = {}

        async def start(instance: str) -> None:
            settings = {**SETTINGS, **names, "P33_INSTANCE": instance}
            environ = environment(redis_server, exchange.as_running(), settings)
            daemons[instance] = await stack.enter_async_context(daemon_process(environ))

        await start(INSTANCES[0])
        await daemons[INSTANCES[0]].ready()
        await load.governor.executor_reads()
        await load.governor.has_price(symbols[-1].name)
        await start(INSTANCES[1])
        nursery.start_soon(load.run)
        for _ in range(KILLS):
            await load.more_is_executed(25, PATIENCE_SEC)
            _, leader = lease(pipeline)
            standby = next(name for name in INSTANCES if name != leader)
            await is_warm_standby(daemons[standby], leader, PATIENCE_SEC)
            await trio.sleep(random.uniform(0.0, 0.5))
            assert await daemons[leader].stop(signal.SIGKILL) == -signal.SIGKILL
            # Started before, the killed one would have its own lease again.
            await until(partial(has_the_lease, pipeline, standby), f"the lease of {standby}", PATIENCE_SEC)
            await start(leader)
        await load.more_is_executed(25, PATIENCE_SEC)
        await load.drained(SETTLED_WITHIN_SEC)
        ended = await load.assert_books_agree()
        nursery.cancel_scope.cancel()
        failed = [name for name, daemon in daemons.items() if "Actor failed" in daemon.output]
        executing = {
            row["instance"] for row in map(load.governor.record, load.published) if row.get("order_id")
        }
    print(f"{KILLS} kills of the leader, {len(load.published)} plans: {dict(ended)}")
    assert not failed
    assert executing == set(INSTANCES)
