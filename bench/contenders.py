"""Contenders, and a session of one of them: started on an empty Redis, ready, running alone."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.account import API_KEY, API_SECRET, Exchange, Holding, ledger_commands
from bench.control_socket import daemon_path
from bench.delay_relay import ROUND_TRIPS_MS, FarRedis, far_redis
from bench.desk_handler import desk_commands
from bench.figures import (
    BRIDGE,
    CHAIN,
    COUNTING,
    DAEMON,
    DESKS,
    EXECUTING,
    FASTSTREAM,
    FLOOR,
    GOVERNED,
    HAND_WRITTEN,
    PREDECESSOR,
    RECONCILED,
    TOGETHER,
)
from bench.key_watch import KeyWatch
from bench.plans import BOTH_PERMITS_PREFIX, GROUP, PERMIT_PREFIX, PLANS, all_answered, fields
from bench.processes import Child, child
from bench.redis_socket import BlockingRedis
from bench.sizes import Sizes
from bench.stream_relay import StreamRelay
from commands.demo.children import free_port
from simulator import SimulatorAddresses
from store.keys import BridgeNames

RESULTS = "quantum:stream:apply.result"
CANDIDATES = 20
"""Number of symbols of the predecessor."""

_LONGEST_BURST_SEC = 60.0
_LOOK_SEC = 0.002
#: The limits let all plans pass, and each has a permit of the Governor, or its refusal.
_GOVERNED = {
    "P33_GOVERNOR": "on",
    "GOV_DENY_PERMITS": "true",
    "GOV_MAX_EXEC_PER_HOUR": "0",
    "GOV_MAX_EXEC_PER_5MIN": "0",
    "GOV_SYMBOL_COOLDOWN_SECONDS": "0",
    "GOV_MAX_OPEN_POSITIONS": "5000",
    "GOV_MAX_NOTIONAL_PER_TRADE_USDT": "1000000000",
    "GOV_MAX_TOTAL_NOTIONAL_USDT": "100000000000",
    "RISK_MAX_LEVERAGE": "0",
}
#: All that the exchange takes, so that no order waits for the next ten seconds.
_CHAIN = {
    **_GOVERNED,
    "GOV_ENABLE_AUTO_DISARM": "false",
    "P33_COOLDOWN_SEC": "0",
    "P33_INTENT_BRIDGE": "on",
    "INTENT_BRIDGE_EXIT_LANES": "exit.intent,harvest.intent",
    "MIN_HOLD_SECONDS": "0",
    "P33_EXECUTOR": "on",
    # A busy machine is slow, which is measured; it is no reason for a refusal.
    "APPLY_PERMIT_WAIT_MS": "20000",
    "EXEC_ORDERS_PER_10S": "300",
    "EXEC_ORDERS_PER_MIN": "1200",
    "P33_RECONCILE": "on",
    "P33_UNIVERSE": "on",
    "P33_DECISION_INTELLIGENCE": "on",
}
_EXECUTING = {"P33_EXECUTOR": "on", "APPLY_PERMIT_WAIT_MS": "20000"}
_ROLES = {
    GOVERNED: _GOVERNED,
    RECONCILED: {"P33_RECONCILE": "on"},
    EXECUTING: _EXECUTING,
    COUNTING: {**_EXECUTING, "P33_DECISION_INTELLIGENCE": "on"},
    CHAIN: _CHAIN,
}
_WITH_GOVERNOR = frozenset({GOVERNED, CHAIN})
_BRIDGE_NAMES = BridgeNames("quantum", shadow=False)
_LANES = (_BRIDGE_NAMES.trade_intents, _BRIDGE_NAMES.exit_intents, _BRIDGE_NAMES.harvest_intents)
_MODULES = {
    FLOOR: "bench.bare_floor",
    BRIDGE: "bench.bridge_floor",
    HAND_WRITTEN: "bench.hand_written",
    TOGETHER: "bench.hand_written",
    FASTSTREAM: "bench.faststream_consumer",
}


class Stage(NamedTuple):
    """Shared environment of all sessions of a run."""

    folder: Path
    redis_url: str
    exchange: Exchange
    rest_url: str
    relay: StreamRelay
    held: Sequence[Holding]
    sizes: Sizes
    exchange_latency_ms: float


class Session(NamedTuple):
    """Session of one contender. `cold_start_sec`: from the start of its process to its first permit.

    `process` answers plans; `working` has its processes by stream. `http_address`: of its pages, None for one
    without. `far`: what lies between all services and Redis, but for `redis`, which is near.
    """

    stage: Stage
    contender: str
    redis: BlockingRedis
    process: Child
    working: Mapping[str, Child]
    cold_start_sec: float
    http_address: str | None = None
    far: FarRedis | None = None


@contextmanager
def session(
    stage: Stage, contender: str, *, instrumented: bool = False, is_far: bool = False
) -> Iterator[Session]:
    """Open a session of a contender that has written its first permit.

    A plan is published before the process starts, as at a restart. Raises ChildFailedError.
    """
    with ExitStack() as running:
        redis = running.enter_context(BlockingRedis(stage.redis_url))
        redis.command("FLUSHALL")
        for stream in (PLANS, RESULTS):
            redis.command("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")
        if contender == CHAIN:
            for lane in _LANES:
                redis.command("XGROUP", "CREATE", lane.key, lane.group, "0", "MKSTREAM")
        if contender in _WITH_GOVERNOR:
            redis.command("XGROUP", "CREATE", PLANS, "governor", "0")
        redis.pipeline(ledger_commands(stage.held))
        if contender in DESKS:
            # They answer plans alone; others of the desk keep positions.
            redis.pipeline(desk_commands(stage.held))
        far = None
        if is_far:
            far = running.enter_context(far_redis(stage.folder, stage.redis_url))
            far.set_round_trip(ROUND_TRIPS_MS[0])
            stage = stage._replace(redis_url=far.url)
        watch = running.enter_context(permit_watch(stage, contender))
        plan = fields(stage.held[0], allowed=True, now_sec=time.time())
        redis.command("XADD", PLANS, "*", "plan_id", "cold", *plan)
        begun_sec = time.perf_counter()
        process, http_address = _started(running, stage, contender, instrumented=instrumented)
        process.wait_until(
            lambda: b"permit" if "cold" in watch.changed_within(0.01) else b"", "gave no permit"
        )
        cold_start_sec = time.perf_counter() - begun_sec
        if http_address is not None:
            process.wait_until(lambda: is_ready(http_address), "is not ready")
        working = {PLANS: process}
        if contender in _MODULES and contender not in DESKS:
            working[RESULTS] = running.enter_context(floor(stage, contender, RESULTS))
        yield Session(stage, contender, redis, process, working, cold_start_sec, http_address, far)


def permit_watch(stage: Stage, contender: str) -> KeyWatch:
    """Return a watch for permits by plan id: of P3.3, with a Governor those of both."""
    if contender in _WITH_GOVERNOR:
        return KeyWatch(stage.redis_url, BOTH_PERMITS_PREFIX, ("p33:", ""))
    return KeyWatch(stage.redis_url, PERMIT_PREFIX)


def wait_until_answered(session: Session, stream: str) -> None:
    """Wait until every entry of `stream` was delivered and acknowledged. Raises ChildFailedError."""
    give_up_sec = time.monotonic() + _LONGEST_BURST_SEC
    while not all_answered(session.redis, stream):
        if time.monotonic() > give_up_sec:
            raise session.process.failure(f"has not answered all of {stream} in {_LONGEST_BURST_SEC:g} s")
        time.sleep(_LOOK_SEC)


def floor(stage: Stage, contender: str, stream: str, name: str = "") -> AbstractContextManager[Child]:
    """Start a floor's process for one stream."""
    log = f"{contender}-{stream.rpartition(':')[2]}{name}"
    how = ("together",) if contender == TOGETHER else ()
    return child(log, stage.folder, _MODULES[contender], stage.redis_url, stream, *how)


def _started(
    running: ExitStack, stage: Stage, contender: str, *, instrumented: bool
) -> tuple[Child, str | None]:
    """Start a contender; return its process, and its HTTP address if it has one."""
    if contender in {DAEMON, *_ROLES}:
        port = free_port()
        settings = settings_of(stage, port) | _ROLES.get(contender, {})
        arguments = ["commands", "run"]
        if instrumented:
            socket_path = daemon_path(stage.folder)
            Path(socket_path).unlink(missing_ok=True)
            arguments = ["bench.instrumented_daemon", socket_path]
        process = child(contender, stage.folder, *arguments, settings=settings)
        return running.enter_context(process), f"127.0.0.1:{port}"
    if contender == PREDECESSOR:
        candidates = [holding.symbol for holding in stage.held[:CANDIDATES]]
        arguments = ["bench.predecessor", stage.redis_url, stage.rest_url, *candidates]
        return running.enter_context(child(contender, stage.folder, *arguments)), None
    return running.enter_context(floor(stage, contender, PLANS)), None


def settings_of(stage: Stage, port: int) -> dict[str, str]:
    """Return the settings of a daemon."""
    return {
        "REDIS_URL": stage.redis_url,
        "BINANCE_REST_URL": stage.rest_url,
        "BINANCE_WS_URL": stage.relay.url,
        "BINANCE_API_KEY": API_KEY,
        "BINANCE_API_SECRET": API_SECRET,
        "P33_ALLOWLIST_SOURCE": "env",
        "P33_ALLOWLIST": ",".join(holding.symbol for holding in stage.held),
        "P33_METRICS_PORT": str(port),
        "P33_INSTANCE": "bench",
        # A burst waits longer than an executor waits for a permit in production.
        "P33_PLAN_MAX_AGE_SEC": "120",
    }


def is_ready(address: str) -> bytes:
    """Ask a daemon; empty while it is not ready."""
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return b"ready" if connection.getresponse().status == http.HTTPStatus.OK else b""
    except OSError:
        return b""
    finally:
        connection.close()


@contextmanager
def exchange_process(
    folder: Path, latency_ms: float, symbols: int, name: str = "exchange", *, aside: bool = False
) -> Iterator[SimulatorAddresses]:
    """Start the simulated exchange with a latency of its REST answers. Raises ChildFailedError.

    `aside`: the measured processes come first on a processor.
    """
    arguments = [f"{latency_ms:g}", str(symbols), *(["aside"] if aside else [])]
    with child(name, folder, "bench.exchange", *arguments) as running:
        yield msgspec.json.decode(running.first_line(), type=SimulatorAddresses)
