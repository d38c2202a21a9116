"""Observations of the running minute, and finished minutes that wait to be written."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

import trio

from brain.history import MINUTE_MS, Minute
from brain.positions.exposure import Exposure
from channels import LatestValue, Lease
from clocks.clocks import Clocks
from exchange.weight_budget import WeightBudget
from monitoring.exposure import AccountExposure
from monitoring.gate_distribution import GateDistribution
from monitoring.recent_decisions import RecentDecisions

#: Finished minutes that wait for Redis: the oldest are dropped.
_MOST_UNWRITTEN = 60
#: Seconds between two walks over all snapshots.
_WALK_SEC = 10.0


class MinuteHistory:
    """Samples decisions, snapshots and request weight. Made once: a restarted writer goes on with it.

    A minute in which this process never held the lease is not kept. Its exposure is that of the last look
    that found the whole account known and fresh; a minute without such a look has none. Of more than 500
    decisions between two samples the latency of the latest 500 counts.
    """

    def __init__(
        self,
        account: AccountExposure,
        lease: LatestValue[Lease],
        gates: GateDistribution,
        recent: RecentDecisions,
        *,
        budget: WeightBudget,
        clocks: Clocks,
    ) -> None:
        self._account = account
        self._lease = lease
        self._gates = gates
        self._recent = recent
        self._budget = budget
        self._clocks = clocks
        #: Oldest first.
        self.unwritten: deque[Minute] = deque(maxlen=_MOST_UNWRITTEN)
        self._running: _RunningMinute | None = None
        self._walk_due_sec = float("-inf")

    async def sample(self) -> None:
        """Observe this moment; about once a second. Does nothing until Redis's clock is known."""
        if not self._clocks.redis.known:
            return
        number = self._clocks.redis_now_ms() // MINUTE_MS
        running = self._running
        if running is None or running.number != number:
            if running is not None:
                running.observe()
                if running.seen_sec:
                    self.unwritten.append(running.finished())
            running = self._running = _RunningMinute(number, self._gates, self._recent)
            self._walk_due_sec = float("-inf")
        if self._lease.value is None or self._lease.value.fence is None:
            return
        running.seen_sec += 1
        running.observe()
        running.weight = max(running.weight, self._budget.own_used)
        now_sec = trio.current_time()
        if now_sec >= self._walk_due_sec:
            self._walk_due_sec = now_sec + _WALK_SEC
            await self._walk(running)

    async def _walk(self, running: _RunningMinute) -> None:
        look = await self._account.look(trio.lowlevel.checkpoint)
        if look.oldest_age_sec is not None:
            known = running.oldest_age_sec
            running.oldest_age_sec = look.oldest_age_sec if known is None else max(known, look.oldest_age_sec)
        if look.is_whole:
            running.exposure = look.exposure


class _RunningMinute:
    """Sums of the minute that has not ended."""

    def __init__(self, number: int, gates: GateDistribution, recent: RecentDecisions) -> None:
        self.number = number
        self.seen_sec = 0
        self.weight = 0
        self.oldest_age_sec: float | None = None
        self.exposure: Exposure | None = None
        self._gates = gates
        self._recent = recent
        self._before = gates.since_start()
        self._decided = recent.total
        #: Number of decisions by latency (ms).
        self._latencies = Counter[int]()

    def observe(self) -> None:
        """Take over the latencies of the decisions since the last call."""
        fresh = self._recent.newest(self._recent.total - self._decided)
        self._decided = self._recent.total
        self._latencies.update(each.latency_ms for each in fresh if each.latency_ms is not None)

    def finished(self) -> Minute:
        """Return the minute as a whole."""
        counts = self._gates.since_start()
        return Minute(
            number=self.number,
            seen_sec=min(self.seen_sec, 60),
            allowed=_grown(counts.allow_by_reason, self._before.allow_by_reason),
            denied=_grown(counts.deny_by_reason, self._before.deny_by_reason),
            latency_ms=_latency(self._latencies),
            oldest_age_sec=self.oldest_age_sec,
            weight=self.weight,
            exposure=self.exposure,
        )


def _grown(counts: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    grown = {reason: count - before.get(reason, 0) for reason, count in counts.items()}
    return {reason: count for reason, count in grown.items() if count}


def _latency(latencies: Counter[int]) -> tuple[int, int, int] | None:
    """Return median, 99th percentile and maximum."""
    total = latencies.total()
    if not total:
        return None
    found: list[int] = []
    wanted = [total // 2, min(total * 99 // 100, total - 1), total - 1]
    passed = 0
    for latency_ms, count in sorted(latencies.items()):
        passed += count
        while len(found) < len(wanted) and passed > wanted[len(found)]:
            found.append(latency_ms)
    median, p99, most = found
    return median, p99, most
