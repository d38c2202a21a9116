"""The weight of a process's requests for evidence: within `P34_WEIGHT_PER_MIN` in any minute."""

from __future__ import annotations

from collections import deque

import trio

from tests.simulation.verdicts import require

_WINDOW_SEC = 60.0
#: A page of orders weighs so much.
_HEAVIEST = 5
#: What had to wait goes out within this, once it may (seconds).
_BURST_SEC = 5.0


class EvidenceWeight:
    """Counts what leaves each process."""

    def __init__(self, per_min: int) -> None:
        self.most = 0
        self._per_min = per_min
        self._sent: dict[str, deque[tuple[float, int]]] = {}
        self._used_up_sec = -1000.0

    @property
    def used_up(self) -> bool:
        """True where a process has sent what it may in a minute, or nearly so, and may wait for more."""
        return trio.current_time() - self._used_up_sec <= _WINDOW_SEC + _BURST_SEC

    def started(self, name: str) -> None:
        """Another incarnation counts anew."""
        self._sent.pop(name, None)

    def asked(self, name: str, weight: int) -> None:
        """Judge a request that leaves now. Raises ViolationError."""
        now_sec = trio.current_time()
        sent = self._sent.setdefault(name, deque())
        sent.append((now_sec, weight))
        while sent[0][0] <= now_sec - _WINDOW_SEC:
            sent.popleft()
        total = sum(each for _, each in sent)
        self.most = max(self.most, total)
        require(total <= self._per_min, "r weight", f"{name} asks for evidence of weight {total} in a minute")
        if total > self._per_min - _HEAVIEST:
            self._used_up_sec = now_sec
