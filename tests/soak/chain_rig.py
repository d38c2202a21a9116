"""The whole chain under fault injection: two daemons of which one leads, their Redis and their exchange."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import redis
import trio

from commands.clients.embedded_redis import PrivateRedis, private_redis_server
from simulator import RunningSimulator, SimulatedExchange, running
from simulator.symbols import load_symbols
from tests.integration.bridged import CHAIN, reads
from tests.integration.chain_load import ChainLoad
from tests.integration.counted_results import group_exists
from tests.integration.daemon_process import DaemonProcess, daemon_process
from tests.integration.execution_load import usual_symbols
from tests.integration.governed_plans import knows_the_account, prices_are_known
from tests.integration.pipeline import Pipeline
from tests.integration.surroundings import Readiness, environment, readiness
from tests.integration.test_two_instances import COLD, LEASE
from tests.integration.under_fire import keep_what_is_acknowledged
from tests.integration.waiting import until, until_async

PATIENCE_SEC = 120.0
SYMBOLS = 100
INTENTS_PER_SEC = 20
_REST_LATENCY_MS = 20.0
_EXECUTED_BEFORE = 20
_ASKS_SEC = 0.05
_LATEST = 25

#: Every role acts. What is unknown is settled within seconds, and what was lost is looked for soon.
SETTINGS = {
    **CHAIN,
    # It would stop entries until the end of the day.
    "GOV_ENABLE_AUTO_DISARM": "false",
    "P33_RECONCILE": "on",
    "P33_UNIVERSE": "on",
    "P33_DECISION_INTELLIGENCE": "on",
    "P33_ALLOWLIST_SOURCE": "universe",
    "P33_ALLOWLIST": "",
    "P33_PERMIT_TTL": "3",
    "P33_EXECUTION_GRACE_SEC": "10.5",
    "P33_WEIGHT_BUDGET_PER_MIN": "2400",
    "EXEC_UNKNOWN_SETTLE_SEC": "10.1",
    "P34_CLEAR_AFTER_SEC": "0.2",
    "P34_WEIGHT_PER_MIN": "600",
}


class ChainRig:
    """The parts of a run; `daemons` by instance, those alone that should live."""

    def __init__(
        self,
        server: PrivateRedis,
        simulator: RunningSimulator,
        pipeline: Pipeline,
        load: ChainLoad,
        processes: AsyncExitStack,
    ) -> None:
        self.server = server
        self.simulator = simulator
        self.pipeline = pipeline
        self.load = load
        self.daemons: dict[str, DaemonProcess] = {}
        self.ended: list[DaemonProcess] = []
        self._processes = processes

    async def start(self, instance: str) -> DaemonProcess:
        """Start a daemon; it is not awaited."""
        settings = {**SETTINGS, "P33_INSTANCE": instance}
        environ = environment(self.server.url, self.simulator, settings)
        daemon = await self._processes.enter_async_context(daemon_process(environ))
        self.daemons[instance] = daemon
        return daemon

    async def stop(self, instance: str, number: signal.Signals) -> None:
        """Send a signal that ends a daemon, and wait for its end."""
        daemon = self.daemons.pop(instance)
        self.ended.append(daemon)
        daemon.process.send_signal(number)
        await daemon.ends(PATIENCE_SEC)

    async def leader(self) -> str:
        """Wait until a daemon that lives holds the lease; its instance."""

        async def look() -> str | None:
            await trio.sleep(_ASKS_SEC)
            try:
                holder = str(self.pipeline.redis.get(LEASE)).partition(":")[2]
            except redis.RedisError:
                return None
            return holder if holder in self.daemons else None

        found = await until_async(look, "a leader", PATIENCE_SEC)
        assert found is not None
        return found

    async def standby_is_warm(self) -> None:
        """Wait until the daemon that does not lead could, where there are two."""

        async def warm() -> bool:
            leader = await self.leader()
            for name, daemon in self.daemons.items():
                try:
                    _, shown = await readiness(await daemon.url())
                except httpx.TransportError:
                    return False
                if name != leader and not _could_lead(shown, leader):
                    return False
            return True

        await until_async(warm, "a warm standby", PATIENCE_SEC)

    def assert_all_live(self) -> None:
        """Check that every daemon that should live does."""
        for name, daemon in self.daemons.items():
            assert daemon.alive, (name, daemon.process.returncode, daemon.errors[-2000:])

    def latest_lines(self) -> list[str]:
        """Return the ends of the logs, for the analysis of a failure."""
        daemons = (*self.ended[-1:], *self.daemons.values())
        return [line for daemon in daemons for line in daemon.output.splitlines()[-_LATEST:]]

    def failures(self) -> list[str]:
        """Return the lines of all logs about actors that failed."""
        outputs = (daemon.output for daemon in (*self.ended, *self.daemons.values()))
        return [line for output in outputs for line in output.splitlines() if "Actor failed" in line]


def _could_lead(shown: Readiness, leader: str) -> bool:
    stands_by = any("standing by" in reason and leader in reason for reason in shown.reasons)
    return stands_by and not any(what in reason for reason in shown.reasons for what in COLD)


@asynccontextmanager
async def chain_rig(seed: int) -> AsyncIterator[ChainRig]:
    """Yield the chain at work, a warm standby beside it."""
    symbols = usual_symbols(load_symbols(), SYMBOLS)
    account = SimulatedExchange(symbols={symbol.name: symbol for symbol in symbols})
    account.faults.fills_per_order = 2
    account.faults.fill_interval_ms = 20.0
    # Each start looks for orders that nothing is known of, symbol by symbol.
    account.weights.overrides = {"/fapi/v1/allOrders": 0}
    async with (
        private_redis_server(append_only=True) as server,
        running(account, latency_ms=_REST_LATENCY_MS) as simulator,
        AsyncExitStack() as processes,
        trio.open_nursery() as nursery,
    ):
        pipeline = Pipeline(server.url)
        keep_what_is_acknowledged(pipeline)
        load = ChainLoad(pipeline, seed, symbols=symbols, intents_per_sec=INTENTS_PER_SEC)
        rig = ChainRig(server, simulator, pipeline, load, processes)
        url = await (await rig.start("first")).ready()
        await reads(pipeline)
        await load.executor.executor_reads()
        await until(lambda: group_exists(pipeline), "the group of decision intelligence", 10)
        await knows_the_account(url, 30)
        await prices_are_known(pipeline.redis, *(symbol.name for symbol in symbols))
        await rig.start("second")
        await rig.standby_is_warm()
        nursery.start_soon(load.run)
        await load.more_is_executed(_EXECUTED_BEFORE, PATIENCE_SEC)
        yield rig
        nursery.cancel_scope.cancel()
