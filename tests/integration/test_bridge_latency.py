"""From a published intent to its plan, one at a time and many at once."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from statistics import median

import pytest
import trio

from simulator import running
from tests.integration.bridged import INTENTS, NAMES, reads
from tests.integration.daemon_process import DaemonProcess
from tests.integration.governed_plans import prices_are_known
from tests.integration.pipeline import PLANS
from tests.integration.site import Site
from tests.integration.waiting import until

pytestmark = pytest.mark.timing

ALONE, BURST, ROUNDS = 200, 5_000, 3
P50_MS, PER_SEC = 10.0, 800
SETTINGS = {"P33_INTENT_BRIDGE": "on", "MIN_HOLD_SECONDS": "0", "INTENT_BRIDGE_MAX_AGE_SEC": "600"}
_TICKS_PER_SEC = 100


async def test_a_plan_comes_within_ten_milliseconds_and_many_come_fast(redis_server: str) -> None:
    async with running() as simulator:
        site = Site(redis_server, simulator)
        symbols = [symbol.name for symbol in site.exchange.listing.symbols.values()][:40]
        async with site.daemon({**SETTINGS, "P33_ALLOWLIST": ",".join(symbols)}) as daemon:
            await daemon.ready()
            await reads(site, lanes=(NAMES.trade_intents,))
            await prices_are_known(site.redis, *symbols)
            took_ms = sorted([await _one(site, symbol) for _, symbol in _symbols(symbols, ALONE)])
            print(f"intent to plan: p50 {median(took_ms):.2f} ms, p99 {took_ms[int(ALONE * 0.99)]:.2f} ms")
            assert median(took_ms) < P50_MS
            rates = [await _burst(site, daemon, symbols) for _ in range(ROUNDS)]
            assert max(rates) > PER_SEC, rates


def _symbols(symbols: list[str], count: int) -> list[tuple[int, str]]:
    return list(zip(range(count), itertools.cycle(symbols), strict=False))


async def _one(site: Site, symbol: str) -> float:
    """Publish an intent, and return the milliseconds until its plan is there."""
    before = site.redis.xlen(PLANS)
    published_sec = time.perf_counter()
    site.publish(INTENTS, {"symbol": symbol, "side": "BUY", "position_usd": "500"})
    while site.redis.xlen(PLANS) == before:
        await trio.sleep(0.0002)
        assert time.perf_counter() - published_sec < 5
    return (time.perf_counter() - published_sec) * 1000


async def _burst(site: Site, daemon: DaemonProcess, symbols: list[str]) -> float:
    """Publish many intents at once, and return how many a second became plans."""
    pipeline, before = site.redis.pipeline(transaction=False), site.redis.xlen(NAMES.audit)
    used_sec = _processor_sec(daemon)
    for _, symbol in _symbols(symbols, BURST):
        pipeline.xadd(INTENTS, {"symbol": symbol, "side": "BUY", "position_usd": "500", "leverage": "2"})
    began_sec = time.perf_counter()
    await trio.to_thread.run_sync(pipeline.execute)
    await until(lambda: site.redis.xlen(NAMES.audit) >= before + BURST, "all answers", 60)
    took_sec = time.perf_counter() - began_sec
    each_us = (_processor_sec(daemon) - used_sec) / BURST * 1e6
    print(f"{BURST} intents at once: {BURST / took_sec:.0f}/s, {each_us:.0f} µs of processor time each")
    return BURST / took_sec


def _processor_sec(daemon: DaemonProcess) -> float:
    fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SEC
