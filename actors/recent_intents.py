"""When each symbol was last wanted, by the intents of the time that counts."""

from __future__ import annotations

from collections.abc import Mapping

from brain.intent import read_intent_symbol
from store.protocol import UniverseStore

_ENTRIES_AT_FIRST = 1000


class RecentIntents:
    """Remembers what it has read, so that each look reads only what is new, however much that is."""

    def __init__(self, store: UniverseStore, window_sec: float) -> None:
        self._store = store
        self._window_ms = round(window_sec * 1000)
        self._newest_ms: dict[str, int] = {}
        self._read_until_ms = 0

    async def look(self, now_ms: int) -> Mapping[str, int]:
        """The time of each symbol's newest intent in the window before `now_ms` (Redis's clock).

        Raises StoreError; the next look then reads what this one did not.
        """
        window_from_ms = now_ms - self._window_ms
        # A Redis whose clock was set back may have published below what was read.
        known_ms = self._read_until_ms if self._read_until_ms <= now_ms else 0
        since_ms, count = max(window_from_ms, known_ms), _ENTRIES_AT_FIRST
        while len(entries := await self._store.recent_intents(since_ms, count)) >= count:
            count *= 2
        for entry in entries:
            symbol = read_intent_symbol(entry.fields or {})
            if symbol is not None:
                self._newest_ms[symbol] = max(entry.id_ms, self._newest_ms.get(symbol, 0))
        self._read_until_ms = entries[0].id_ms if entries else since_ms
        self._newest_ms = {s: at_ms for s, at_ms in self._newest_ms.items() if at_ms >= window_from_ms}
        return self._newest_ms
