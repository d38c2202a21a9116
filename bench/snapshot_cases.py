"""What the exchange pushes, in Redis; and what it costs to keep all snapshots fresh when nothing happens."""

from __future__ import annotations

import time

from bench.account import oldest_snapshot_sec
from bench.contenders import Session
from bench.figures import DAEMON, FLOOR, PREDECESSOR, Figure, latency_figures
from bench.key_watch import KeyWatch
from bench.processes import child

SNAPSHOT_PREFIX = "quantum:position:snapshot:"

_SETTLE_SEC = 1.5
_LOOK_SEC = 0.1


def event_to_snapshot(session: Session) -> list[Figure]:
    """A trade at the exchange, from the request that makes it to the snapshot in Redis."""
    stage = session.stage
    if session.contender == FLOOR:
        arguments = (stage.redis_url, stage.addresses.ws_url, stage.exchange.listen_key())
        with child("event-floor", stage.folder, "bench.event_floor", *arguments) as floor:
            floor.first_line()
            return _push_latencies(session)
    return _push_latencies(session) if session.contender == DAEMON else []


def _push_latencies(session: Session) -> list[Figure]:
    stage = session.stage
    latencies_sec: list[float] = []
    symbols = stage.held[: max(stage.sizes.events // 2, 1)]
    with KeyWatch(stage.redis_url, SNAPSHOT_PREFIX) as watch:
        # There and back again: exchange and ledger agree afterwards.
        for holding, amount in [(h, h.amount + h.step) for h in symbols] + [(h, h.amount) for h in symbols]:
            begun_sec = time.perf_counter()
            stage.exchange.move_to(holding.symbol, amount)
            while True:
                watch.wait_for(holding.symbol)
                latency_sec = time.perf_counter() - begun_sec
                # Proofs of freshness touch snapshots, too.
                stored = session.redis.command("HGET", SNAPSHOT_PREFIX + holding.symbol, "position_amt")
                if stored is not None and float(stored) == float(amount):
                    break
            latencies_sec.append(latency_sec)
    return latency_figures("trade at the exchange → snapshot in Redis", latencies_sec)


def idle(session: Session) -> list[Figure]:
    """Nothing happens: processor time, memory, request weight, and the age of the oldest snapshot."""
    stage = session.stage
    if session.contender != DAEMON:
        return []
    time.sleep(_SETTLE_SEC)
    begun_sec, began_at_sec, cpu_sec = time.perf_counter(), time.time(), session.process.cpu_sec()
    oldest_sec = 0.0
    while time.perf_counter() - begun_sec < stage.sizes.idle_sec:
        time.sleep(_LOOK_SEC)
        oldest_sec = max(oldest_sec, oldest_snapshot_sec(session.redis, stage.held))
    took_sec = time.perf_counter() - begun_sec
    case = f"idle, {len(stage.held)} symbols"
    weight = stage.exchange.weight_since(began_at_sec) / took_sec * 60
    return [
        Figure(case, "CPU", "% of a core", (session.process.cpu_sec() - cpu_sec) / took_sec * 100),
        Figure(case, "resident memory", "MB", session.process.resident_mb()),
        Figure(case, "oldest snapshot at any look", "s", oldest_sec),
        Figure(case, "request weight", "/min", weight),
    ]


def cold_start(session: Session) -> list[Figure]:
    """From the start of the process to the first permit, for a plan that was waiting."""
    return [Figure("cold start → first permit", "took", "s", session.cold_start_sec)]


def memory_after(session: Session) -> list[Figure]:
    """What all the cases before have left behind."""
    if session.contender == PREDECESSOR:
        return []
    return [Figure("after all of it", "resident memory", "MB", session.process.resident_mb())]
