"""Results in, ledgers out: the lag of one fill, throughput of a burst."""

from __future__ import annotations

import time
from itertools import count

import msgspec

from bench.account import Holding
from bench.contenders import RESULTS, Session
from bench.figures import PREDECESSOR, Figure
from bench.key_watch import KeyWatch
from bench.latency import spread
from bench.plans import all_answered

LEDGER_PREFIX = "quantum:position:ledger:"

_LOOK_SEC = 0.005
_LONGEST_SEC = 60.0
_BURST = """
for _, fields in ipairs(cmsgpack.unpack(ARGV[1])) do redis.call('XADD', KEYS[1], '*', unpack(fields)) end
"""

_orders = count(700_000_001)


def fill_to_ledger(session: Session) -> list[Figure]:
    """Each result published after the one before was booked."""
    if session.contender == PREDECESSOR:
        return []
    latencies_sec: list[float] = []
    held = session.stage.held
    with KeyWatch(session.stage.redis_url, LEDGER_PREFIX) as watch:
        for number in range(session.stage.sizes.results):
            holding = held[number % len(held)]
            fields = _result(holding, "BUY" if number // len(held) % 2 else "SELL")
            order_id = fields[fields.index("order_id") + 1]
            begun_sec = time.perf_counter()
            watch.send(("XADD", RESULTS, "*", *fields))
            while True:
                watch.wait_for(holding.symbol)
                latency_sec = time.perf_counter() - begun_sec
                # A ledger is also touched when it is renewed.
                if (
                    session.redis.command("HGET", LEDGER_PREFIX + holding.symbol, "last_order_id")
                    == order_id.encode()
                ):
                    break
            latencies_sec.append(latency_sec)
    found = spread(latencies_sec)
    case = "fill → ledger, one at a time"
    return [Figure(case, "p50", "ms", found.p50), Figure(case, "p99", "ms", found.p99)]


def results_throughput(session: Session) -> list[Figure]:
    """A burst of results over all symbols."""
    if session.contender == PREDECESSOR:
        return []
    held, redis = session.stage.held, session.redis
    results = [
        _result(held[number % len(held)], "BUY" if number // len(held) % 2 else "SELL")
        for number in range(session.stage.sizes.results_burst)
    ]
    redis.command("EVAL", _BURST, 1, RESULTS, msgspec.msgpack.encode(results))
    begun_sec = time.perf_counter()
    while not all_answered(redis, RESULTS):
        if time.perf_counter() - begun_sec > _LONGEST_SEC:
            raise session.process.failure(f"did not book {len(results)} results in {_LONGEST_SEC:g} s")
        time.sleep(_LOOK_SEC)
    return [Figure("results", "booked", "/s", len(results) / (time.perf_counter() - begun_sec))]


def _result(holding: Holding, side: str) -> list[str]:
    order_id = str(next(_orders))
    return [
        "plan_id", f"filled-{order_id}", "symbol", holding.symbol, "action", "ENTRY_PROPOSED",
        "executed", "True", "reduceOnly", "false", "close_qty", "0", "filled_qty", holding.step_text,
        "order_id", order_id, "order_status", "FILLED", "side", side, "close_pct", "",
        "timestamp", f"{time.time():.3f}",
    ]  # fmt: skip
