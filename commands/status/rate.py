"""Decisions a second, from one read of `/status` to the next."""

from __future__ import annotations

from collections import deque

from commands.status.document import Status

_OVER_SEC = 10.0
_5_MIN_SEC = 300.0


class DecisionRate:
    """Rate over the counts of the last 10 s."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def after(self, status: Status, now_sec: float) -> float | None:
        """Return the decisions a second of the last 10 s (`now_sec` is monotonic).

        The first read gives the rate of the last 5 min. None where the daemon's uptime is missing.
        """
        count = status.gates.decisions
        if self._seen and count < self._seen[-1][1]:
            self._seen.clear()  # another process by now
        self._seen.append((now_sec, count))
        while now_sec - self._seen[0][0] > _OVER_SEC:
            self._seen.popleft()
        begun_sec, begun = self._seen[0]
        if now_sec > begun_sec:
            return (count - begun) / (now_sec - begun_sec)
        if not status.uptime_sec:
            return None
        return status.gates.last_5_min.decisions / min(status.uptime_sec, _5_MIN_SEC)
