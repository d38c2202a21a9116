"""Counters by name over a sliding window, in bounded memory."""

from __future__ import annotations

from collections import Counter, deque

_BUCKET_SEC = 5


class SlidingCounts:
    """Counters by name, within the last so many seconds and in all.

    Moments are seconds of a monotonic clock. A window is exact to 5 s: counts of its oldest 5 s may be
    missing, and none from before is included. Memory: one small table for each 5 s of `longest_sec`.
    """

    def __init__(self, longest_sec: float) -> None:
        self._longest = int(longest_sec / _BUCKET_SEC)
        self._buckets: deque[tuple[int, Counter[str]]] = deque()
        self._all: Counter[str] = Counter()

    def count(self, name: str, now_sec: float, times: int = 1) -> None:
        """Count `times` occurrences of `name` now."""
        number = int(now_sec // _BUCKET_SEC)
        if not self._buckets or self._buckets[-1][0] < number:
            self._buckets.append((number, Counter()))
            while self._buckets[0][0] <= number - self._longest:
                self._buckets.popleft()
        self._buckets[-1][1][name] += times
        self._all[name] += times

    def within(self, window_sec: float, now_sec: float) -> Counter[str]:
        """Return the counts of the last `window_sec`, which is at most `longest_sec`."""
        first = int(now_sec // _BUCKET_SEC) - int(window_sec / _BUCKET_SEC) + 1
        counts: Counter[str] = Counter()
        for number, bucket in reversed(self._buckets):
            if number < first:
                break
            _add(bucket, counts)
        return counts

    def steps(self, step_sec: int, count: int, now_sec: float) -> list[Counter[str]]:
        """Return the last `count` steps of `step_sec` each (a multiple of 5), oldest first."""
        width = step_sec // _BUCKET_SEC
        newest = int(now_sec // _BUCKET_SEC) // width
        counts: list[Counter[str]] = [Counter() for _ in range(count)]
        for number, bucket in reversed(self._buckets):
            back = newest - number // width
            if back >= count:
                break
            _add(bucket, counts[count - 1 - back])
        return counts

    def since_start(self) -> Counter[str]:
        """Return the counts since the start."""
        return self._all.copy()

    def __len__(self) -> int:
        """Number of tables held."""
        return len(self._buckets)


def _add(bucket: Counter[str], counts: Counter[str]) -> None:
    # A quarter of the time of Counter.update for so few names.
    for name, times in bucket.items():
        counts[name] += times
