"""Moments at which ledgers change, noted by a thread of its own while something else is measured."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from typing import Self

from bench.key_watch import KeyWatch
from bench.ledger_cases import LEDGER_PREFIX

_LOOK_SEC = 0.1


class LedgerChanges:
    """Times of changes by symbol (epoch ms), until closed."""

    def __init__(self, redis_url: str) -> None:
        self._watch = KeyWatch(redis_url, LEDGER_PREFIX)
        self._changed_ms: dict[str, list[float]] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._note, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()
        self._watch.__exit__()

    def first_after(self, symbol: str, at_ms: float) -> float | None:
        """Return the time of the first change of a symbol's ledger since `at_ms`; None without one."""
        changed_ms = self._changed_ms.get(symbol, [])
        place = bisect_left(changed_ms, at_ms)
        return changed_ms[place] if place < len(changed_ms) else None

    def _note(self) -> None:
        while not self._closed.is_set():
            for symbol in self._watch.changed_within(_LOOK_SEC):
                self._changed_ms.setdefault(symbol, []).append(time.time() * 1000)
