"""Cases of snapshots: cost of keeping them fresh without events, cold start, memory at the end."""

from __future__ import annotations

import time

from bench.account import oldest_snapshot_sec
from bench.contenders import CANDIDATES, Session
from bench.figures import BRIDGE, DAEMON, FLOOR, PREDECESSOR, RECONCILED, Figure

_PAUSE_SEC = 1.5
_LOOK_SEC = 0.1
#: Seconds for a contender that needs less time than the daemon.
_LONGEST_SEC = {FLOOR: 5.0, BRIDGE: 5.0, PREDECESSOR: 30.0}
#: Seconds: twice the interval of reads of all positions, so that each run has the same number.
_FOR_WEIGHT_SEC = 16.0
#: Seconds: ten rounds of what is done once a second.
_FOR_REDIS_SEC = 10.0


def idle(session: Session) -> list[Figure]:
    """Measure without events: processor time, memory, request weight, age of the oldest snapshot."""
    stage = session.stage
    time.sleep(_PAUSE_SEC)
    kept = {DAEMON: stage.held, RECONCILED: stage.held, PREDECESSOR: stage.held[:CANDIDATES]}.get(
        session.contender
    )
    idle_sec = min(stage.sizes.idle_sec, _LONGEST_SEC.get(session.contender, stage.sizes.idle_sec))
    begun_sec, began_at_sec, cpu_sec = time.perf_counter(), time.time(), session.process.cpu_sec()
    oldest_sec = 0.0
    while time.perf_counter() - begun_sec < idle_sec:
        time.sleep(_LOOK_SEC)
        if kept is not None:
            oldest_sec = max(oldest_sec, oldest_snapshot_sec(session.redis, kept))
    took_sec = time.perf_counter() - begun_sec
    case = "idle"
    cpu_share = (session.process.cpu_sec() - cpu_sec) / took_sec
    figures = [
        Figure(case, "CPU", "% of a core", cpu_share * 100),
        Figure(case, "resident memory", "MB", session.process.resident_mb()),
    ]
    if kept is not None:
        figures.append(Figure(case, "oldest snapshot at any look", "s", oldest_sec))
    if kept is not None and took_sec >= _FOR_WEIGHT_SEC:
        weight = stage.exchange.weight_since(began_at_sec) / took_sec * 60
        figures.append(Figure(case, "request weight", "/min", weight))
    return [*figures, *_redis_at_rest(session)]


def _redis_at_rest(session: Session) -> list[Figure]:
    """Measure Redis while nothing but the contender asks it."""
    seen = []
    for _ in range(2):
        cpu, stats, at_sec = session.redis.info("cpu"), session.redis.info("stats"), time.perf_counter()
        cpu_sec = float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])
        seen.append((at_sec, cpu_sec, int(stats["total_commands_processed"])))
        if len(seen) == 1:
            time.sleep(min(session.stage.sizes.idle_sec, _FOR_REDIS_SEC))
    took_sec, cpu_sec, commands = (last - first for first, last in zip(*seen, strict=True))
    return [
        Figure("idle", "CPU of Redis", "% of a core", cpu_sec / took_sec * 100),
        Figure("idle", "commands of Redis", "/s", commands / took_sec),
    ]


def cold_start(session: Session) -> list[Figure]:
    """Measure from the start of the process to the first permit, of a plan that was waiting."""
    return [Figure("cold start → first permit", "took", "s", session.cold_start_sec)]


def memory_after(session: Session) -> list[Figure]:
    """Measure memory after all cases before."""
    return [Figure("after all of it", "resident memory", "MB", session.process.resident_mb())]
