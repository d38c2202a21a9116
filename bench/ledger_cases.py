"""Cases of results and ledgers: lag of one fill, throughput of a burst."""

from __future__ import annotations

import time
from itertools import count

import msgspec

from bench.account import Holding
from bench.contenders import RESULTS, Session, wait_until_answered
from bench.control_socket import ControlSocket
from bench.figures import Figure, latency_figures
from bench.key_watch import KeyWatch
from bench.plans import GROUP

LEDGER_PREFIX = "quantum:position:ledger:"

_BURST = """
for _, fields in ipairs(cmsgpack.unpack(ARGV[1])) do redis.call('XADD', KEYS[1], '*', unpack(fields)) end
"""

_TAKEN_IN_HAND = """
redis.call('XREADGROUP', 'GROUP', ARGV[2], 'dead', 'COUNT', ARGV[3], 'STREAMS', KEYS[1], '>')
"""
_ONE_SYMBOL = "results of one symbol"

_orders = count(700_000_001)


def fill_to_ledger(session: Session) -> list[Figure]:
    """Measure single results, each published after the one before was booked."""
    latencies_sec: list[float] = []
    held = session.stage.held
    with KeyWatch(session.stage.redis_url, LEDGER_PREFIX) as watch:
        for number in range(session.stage.sizes.results):
            holding = held[number % len(held)]
            fields = result_fields(holding, "BUY" if number // len(held) % 2 else "SELL")
            order_id = fields[fields.index("order_id") + 1]
            last_order = ("HGET", LEDGER_PREFIX + holding.symbol, "last_order_id")
            begun_sec = time.perf_counter()
            watch.send(("XADD", RESULTS, "*", *fields))
            latency_sec = None
            while latency_sec is None or session.redis.command(*last_order) != order_id.encode():
                # The renewal of a ledger changes its key, too.
                watch.wait_for(holding.symbol)
                latency_sec = time.perf_counter() - begun_sec
            latencies_sec.append(latency_sec)
    return latency_figures("fill → ledger, one at a time", latencies_sec)


def results_throughput(session: Session) -> list[Figure]:
    """Measure a burst of results over all symbols."""
    held, redis = session.stage.held, session.redis
    results = [
        result_fields(held[number % len(held)], "BUY" if number // len(held) % 2 else "SELL")
        for number in range(session.stage.sizes.results_burst)
    ]
    redis.command("EVAL", _BURST, 1, RESULTS, msgspec.msgpack.encode(results))
    begun_sec = time.perf_counter()
    wait_until_answered(session, RESULTS)
    return [Figure("results", "booked", "/s", len(results) / (time.perf_counter() - begun_sec))]


def one_symbol(session: Session) -> list[Figure]:
    """Measure results of one symbol: pending ones of a dead consumer, then as many published at once.

    The ledger writer is made to fail, and recovers the pending results at its restart, which is included.
    """
    holding, redis, wanted = session.stage.held[2], session.redis, session.stage.sizes.results_waiting

    def results() -> bytes:
        sides = ("SELL", "BUY")
        return msgspec.msgpack.encode([result_fields(holding, sides[n % 2]) for n in range(wanted)])

    with ControlSocket(session.stage.folder) as control:
        redis.command("EVAL", _BURST + _TAKEN_IN_HAND, 1, RESULTS, results(), GROUP, wanted)
        begun_sec = control.fail("ledger_writer").at_sec
        wait_until_answered(session, RESULTS)
        ended_sec = time.perf_counter()
    if begun_sec is None:
        raise session.process.failure("has no ledger writer")
    pending_sec = ended_sec - begun_sec
    redis.command("EVAL", _BURST, 1, RESULTS, results())
    begun_sec = time.perf_counter()
    wait_until_answered(session, RESULTS)
    unread_sec = time.perf_counter() - begun_sec
    return [
        Figure(_ONE_SYMBOL, "pending at a start", "/s", wanted / pending_sec),
        Figure(_ONE_SYMBOL, "unread", "/s", wanted / unread_sec),
    ]


def result_fields(holding: Holding, side: str) -> list[str]:
    """Return the result of a new order, filled by one step: flat names and values."""
    order_id = str(next(_orders))
    return [
        "plan_id", f"filled-{order_id}", "symbol", holding.symbol, "action", "ENTRY_PROPOSED",
        "executed", "True", "reduceOnly", "false", "close_qty", "0", "filled_qty", holding.step_text,
        "order_id", order_id, "order_status", "FILLED", "side", side, "close_pct", "",
        "timestamp", f"{time.time():.3f}",
    ]  # fmt: skip
