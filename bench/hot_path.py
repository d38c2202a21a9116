"""Hot path from plan to permit: processor time of a plan, and round trips to Redis.

`python -m bench.hot_path` prints it as JSON. Evaluator and bridge floor alternate in one process on one
redis-server, and processor times are compared: a busy machine slows both.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec
import structlog
import trio

from actors.permit_evaluator.actor import PermitEvaluator
from actors.permit_evaluator.commit import DecisionWriter
from actors.permit_evaluator.plans import DecisionInputs
from actors.permit_evaluator.reports import DecisionReports
from actors.stream_consumer import FailureCounter
from bench import bridge_floor
from bench.account import Holding, holdings, ledger_commands
from bench.key_watch import KeyWatch
from bench.plans import GROUP, PERMIT_PREFIX, PLANS, all_answered, check_answers, publish_burst, series
from bench.redis_socket import BlockingRedis
from brain.decisions.case import Rules
from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy
from brain.symbols.allowlist import Allowlist, AllowlistSource
from brain.symbols.symbol_rules import SymbolRules
from channels import BookEntry, Channels, Lease
from clock import HostClock
from clocks.clocks import Clocks
from commands.clients.embedded_redis import private_redis
from commands.run.collector import spare_the_collector
from commands.run.logging_setup import configure
from monitoring.gate_distribution import GateDistribution
from monitoring.metrics.registry import MetricRegistry
from monitoring.recent_decisions import RecentDecisions
from store.redis.client import RedisLink
from store.redis.scripts import script_texts
from store.redis.store import open_redis_store
from supervision import Heartbeat

#: Plans of a burst: a multiple of the evaluator's batch.
BURST = 1280
SINGLES = 100
ROUNDS = 3
_LOOK_SEC = 0.01
_PRICE = Decimal("101.25")
_GIVE_UP_SEC = 60.0
_LEASE_MS = 3_600_000
_RULES = Rules(
    # Long enough that nothing expires on a busy machine.
    stale_threshold_sec=3600.0,
    cooldown_sec=15.0,
    qty_tolerance_pct=Decimal(1),
    plan_max_age_sec=120.0,
    decision_ttl_sec=3600.0,
    permit_ttl_sec=60.0,
    execution_grace_sec=30.0,
)


class HotPath(msgspec.Struct, frozen=True):
    """Measurements. Ratios are the evaluator's to the bridge floor's, medians over the rounds.

    Processor time is for each plan: of a burst, and of single ones. Latencies are medians of the single ones.

    `burst_crossings` and `single_crossings` are the round trips to Redis of each round, by command: for
    `burst_plans` published at once, and for `single_plans` published one after the other. Reads without an
    entry are left out.
    """

    burst_plans: int
    burst_crossings: list[dict[str, int]]
    single_plans: int
    single_crossings: list[dict[str, int]]
    cpu_us_a_plan: float
    floor_cpu_us_a_plan: float
    cpu_ratio: float
    single_cpu_us: float
    floor_single_cpu_us: float
    single_cpu_ratio: float
    latency_ms: float
    floor_latency_ms: float
    latency_ratio: float


class _Single(NamedTuple):
    cpu_us: float
    latency_ms: float


class _Round(NamedTuple):
    cpu_us: float
    floor_us: float
    single: _Single
    floor_single: _Single
    in_burst: dict[str, int]
    in_singles: dict[str, int]


class _Crossings:
    """Counter of round trips over `RedisLink`s, by command or script."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self._writing = 0
        script = script_texts()["commit_decisions"]
        self._commit = hashlib.sha1(script, usedforsecurity=False).hexdigest()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count answered round trips within the block."""
        original = RedisLink._across

        async def counting(link: RedisLink, call: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
            command = arguments[0] if arguments else "close"
            writing = command == "EVALSHA"
            self._writing += writing
            try:
                answer = await original(link, call, *arguments)
            finally:
                self._writing -= writing
            if answer or command != "XREADGROUP":
                self.counted[self._name(arguments)] += 1
            return answer

        RedisLink._across = counting  # type: ignore[assignment, method-assign]
        try:
            yield
        finally:
            RedisLink._across = original  # type: ignore[method-assign]

    async def over(self) -> dict[str, int]:
        """Wait until no write is under way; return the counts since the last call."""
        with trio.fail_after(_GIVE_UP_SEC):
            while self._writing or not self.counted["commit"]:  # noqa: ASYNC110 - as below
                await trio.sleep(_LOOK_SEC)
        counted = dict(self.counted)
        self.counted.clear()
        return counted

    def _name(self, arguments: Sequence[Any]) -> str:
        command = str(arguments[0] if arguments else "close")
        return "commit" if command == "EVALSHA" and arguments[1] == self._commit else command


async def measure() -> HotPath:
    """Measure all; takes about ten seconds on an idle machine."""
    held = holdings()
    crossings = _Crossings()
    rounds: list[_Round] = []
    async with private_redis() as url:
        with BlockingRedis(url) as redis, crossings.watching():
            for _ in range(ROUNDS):
                redis.command("FLUSHALL")
                redis.command("XGROUP", "CREATE", PLANS, GROUP, "0", "MKSTREAM")
                async with _running(partial(bridge_floor.serve, url, PLANS)):
                    await _burst(redis, held, "floor-warm-", len(held))
                    floor_us = await _burst(redis, held, "floor-burst-", BURST)
                    floor_single = await _one_by_one(url, held, "floor-single-")
                redis.command("FLUSHALL")
                redis.pipeline(ledger_commands(held))
                async with _evaluator(url, redis, held):
                    await _burst(redis, held, "warm-", len(held))
                    await crossings.over()
                    cpu_us = await _burst(redis, held, "burst-", BURST)
                    in_burst = await crossings.over()
                    single = await _one_by_one(url, held, "single-")
                    in_singles = await crossings.over()
                rounds.append(_Round(cpu_us, floor_us, single, floor_single, in_burst, in_singles))
    return HotPath(
        burst_plans=BURST,
        burst_crossings=[each.in_burst for each in rounds],
        single_plans=SINGLES,
        single_crossings=[each.in_singles for each in rounds],
        cpu_us_a_plan=median(each.cpu_us for each in rounds),
        floor_cpu_us_a_plan=median(each.floor_us for each in rounds),
        cpu_ratio=median(each.cpu_us / each.floor_us for each in rounds),
        single_cpu_us=median(each.single.cpu_us for each in rounds),
        floor_single_cpu_us=median(each.floor_single.cpu_us for each in rounds),
        single_cpu_ratio=median(each.single.cpu_us / each.floor_single.cpu_us for each in rounds),
        latency_ms=median(each.single.latency_ms for each in rounds),
        floor_latency_ms=median(each.floor_single.latency_ms for each in rounds),
        latency_ratio=median(each.single.latency_ms / each.floor_single.latency_ms for each in rounds),
    )


async def _burst(redis: BlockingRedis, held: Sequence[Holding], name: str, plans: int) -> float:
    """Return the processor time of this thread (µs) for each of so many plans published at once."""
    publish_burst(redis, name, held, plans)
    begun_sec = time.thread_time()
    with trio.fail_after(_GIVE_UP_SEC):
        while not all_answered(redis):  # noqa: ASYNC110 - the change comes from Redis
            await trio.sleep(_LOOK_SEC)
    took_sec = time.thread_time() - begun_sec
    check_answers(redis, [f"{name}{number}" for number in range(plans)])
    return took_sec / plans * 1e6


async def _one_by_one(url: str, held: Sequence[Holding], name: str) -> _Single:
    """Publish each plan after the permit of the one before; return median latency and processor time."""
    plans = series(name, held, SINGLES)

    def publish() -> list[float]:
        with KeyWatch(url, PERMIT_PREFIX) as watch:
            return watch.latencies_sec(plans)

    begun_sec = time.thread_time()
    latency_ms = median(await trio.to_thread.run_sync(publish)) * 1000
    return _Single((time.thread_time() - begun_sec) / SINGLES * 1e6, latency_ms)


@asynccontextmanager
async def _running(serve: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _evaluator(url: str, redis: BlockingRedis, held: Sequence[Holding]) -> AsyncIterator[None]:
    """Run the evaluator as wired by the service, with all positions known and constant."""
    clock, channels, log = HostClock(), Channels(shards=1), structlog.get_logger()
    now = clock.now()
    for holding in held:
        leg = LegPosition(Leg.BOTH, holding.amount, _PRICE, now.wall_ms)
        snapshot = Snapshot(
            symbol=holding.symbol,
            legs=(leg,),
            leverage=Decimal(10),
            mark_price=_PRICE,
            mark_ts_ms=now.wall_ms,
            verified_at=now,
            verified_by=VerifiedBy.REST,
        )
        channels.book.publish(0, BookEntry(snapshot, None))
    symbols = {
        each.symbol: SymbolRules(each.symbol, True, each.step, each.step, each.step * 10**6) for each in held
    }
    channels.symbol_rules.send(symbols)
    channels.allowlist.send(Allowlist(AllowlistSource.ENV, False, frozenset(symbols), None, None))
    channels.hedge_mode.send(False)
    channels.ledgers_adopted.send(True)
    registry = MetricRegistry(channels, clock, log)
    async with open_redis_store(url, prefix="quantum", consumer="bench") as store:
        channels.lease.send(Lease((await store.hold_lease("bench", None, _LEASE_MS)).fence, "bench"))
        evaluator = PermitEvaluator(
            store,
            DecisionInputs(
                book=channels.book,
                results=channels.results,
                symbol_rules=channels.symbol_rules,
                rules_wanted=channels.rules_wanted,
                rules_asked_at=channels.rules_asked_at,
                allowlist=channels.allowlist,
                hedge_mode=channels.hedge_mode,
                ledgers_adopted=channels.ledgers_adopted,
                lease=channels.lease,
            ),
            None,
            channels.ledgers_wanted,
            failures=FailureCounter(),
            clocks=Clocks(clock),
            rules=_RULES,
            writer=DecisionWriter(_RULES, "bench"),
            reports=DecisionReports(
                channels.metrics, channels.symbol_rules, GateDistribution(clock), RecentDecisions(), log
            ),
            key_prefix="quantum",
            log=log,
        )

        async def drain_metrics() -> None:
            while True:
                for event in await channels.metrics.receive_all():
                    registry.apply(event)

        async with _running(partial(evaluator.run, Heartbeat())), _running(drain_metrics):
            with trio.fail_after(_GIVE_UP_SEC):
                while not redis.command("EXISTS", PLANS):  # noqa: ASYNC110 - as above
                    await trio.sleep(_LOOK_SEC)
            yield


def main() -> None:
    """Measure, and print a `HotPath` as JSON."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        configure("INFO", "text", stream=nowhere)
        spare_the_collector()
        found = trio.run(measure)
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")


if __name__ == "__main__":
    main()
