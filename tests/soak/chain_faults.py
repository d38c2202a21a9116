"""Faults of the chain, drawn from a seed: each lasts seconds, and keeps what Redis has acknowledged."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterator
from random import Random

import trio

from simulator.faults import RestFault
from tests.integration.under_fire import keep_what_is_acknowledged
from tests.integration.waiting import until
from tests.soak.chain_rig import PATIENCE_SEC, ChainRig

ORDERS = "/fapi/v1/order"
#: These leave the outcome of an order open.
_OPEN: tuple[RestFault, ...] = (
    "503_unknown", "-1006", "-1007", "408", "bad_gateway", "reset", "hang", "truncated",
)  # fmt: skip
_LASTS_SEC = 1.0
_UNKNOWN = 6
_LAG_MS, _LAG_SEC = 4_000.0, 8.0

Fault = Callable[[ChainRig, Random], Awaitable[None]]


async def leader_killed(rig: ChainRig, _: Random) -> None:
    """Let the standby take over, then start the killed one again behind it."""
    await rig.standby_is_warm()
    killed = await rig.leader()
    await rig.stop(killed, signal.SIGKILL)
    # Started before, the killed one would have its own lease again.
    await rig.leader()
    await rig.start(killed)


async def all_killed(rig: ChainRig, _: Random) -> None:
    """Leave no standby: a new process has to find out what its predecessor had begun."""
    for instance in list(rig.daemons):
        await rig.stop(instance, signal.SIGKILL)
    await trio.sleep(_LASTS_SEC)
    for instance in ("first", "second"):
        await rig.start(instance)


async def redis_killed(rig: ChainRig, _: Random) -> None:
    await rig.server.kill()
    await trio.sleep(_LASTS_SEC)
    await rig.server.start()
    keep_what_is_acknowledged(rig.pipeline)


async def redis_demoted(rig: ChainRig, _: Random) -> None:
    rig.pipeline.redis.replicaof("127.0.0.1", "1")
    await trio.sleep(_LASTS_SEC)
    rig.pipeline.redis.replicaof("NO", "ONE")


async def exchange_failing(rig: ChainRig, _: Random) -> None:
    """Answer a part of all requests, orders among them, with a 503."""
    faults = rig.simulator.exchange.faults
    faults.rest_fault_rates = {"5xx": 0.6}
    await trio.sleep(_LASTS_SEC * 3)
    faults.rest_fault_rates = {}


async def orders_unanswered(rig: ChainRig, random: Random) -> None:
    """Leave the outcome of some orders open, each in its own way."""
    faults = rig.simulator.exchange.faults
    faults.rest_fault_paths, faults.rest_fault_methods = [ORDERS], ["POST"]
    faults.fail_before_effect = random.random() < 0.5
    faults.rest_faults_next = random.choices(_OPEN, k=_UNKNOWN)
    await until(lambda: not faults.rest_faults_next, "orders without an answer", PATIENCE_SEC)
    faults.rest_faults_next, faults.rest_fault_paths, faults.rest_fault_methods = [], [], []
    faults.fail_before_effect = False


async def private_stream_away(rig: ChainRig, _: Random) -> None:
    faults = rig.simulator.exchange.faults
    faults.refuse_streams = True
    await rig.simulator.streams.reset("private")
    await trio.sleep(_LASTS_SEC * 3)
    faults.refuse_streams = False


async def history_lagging(rig: ChainRig, random: Random) -> None:
    """Show fills late in the lists while some are needed there."""
    faults = rig.simulator.exchange.faults
    faults.history_lag_ms, faults.history_lag_jitter_ms = _LAG_MS, _LAG_MS / 4
    await orders_unanswered(rig, random)
    await trio.sleep(_LAG_SEC)
    faults.history_lag_ms = faults.history_lag_jitter_ms = 0.0


KILLS: tuple[Fault, ...] = (leader_killed, all_killed)
OTHERS: tuple[Fault, ...] = (
    redis_killed, redis_demoted, exchange_failing, orders_unanswered, private_stream_away, history_lagging,
)  # fmt: skip


def drawn(random: Random, kinds: tuple[Fault, ...]) -> Iterator[Fault]:
    """Draw without end; none comes again before all others have come."""
    while True:
        yield from random.sample(kinds, len(kinds))
