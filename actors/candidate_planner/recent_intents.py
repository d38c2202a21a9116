"""When each symbol was last wanted, by the intents of the time that counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
import trio

from brain.plans.intent import read_intent_symbol
from store.protocol import UniverseStore
from store.records import Entry, id_order

#: So many take this process about 1 ms; then others have a turn.
_PAGE = 200
_PAUSE_SEC = 0.01
_LONGEST_LOOK_SEC = 1.0
_MOST_GAPS = 16


class _Gap(msgspec.Struct):
    """Entries that were not read yet: above the id `after`, below `before`."""

    after: str
    before: str


class RecentIntents:
    """Remembers how far it has read, so that no entry is read twice, and of each symbol only the newest time.

    The newest entries are read first. What one look has no time for is left to the next ones.
    """

    def __init__(self, store: UniverseStore, window_sec: float) -> None:
        self._store = store
        self._window_ms = round(window_sec * 1000)
        self._newest_ms: dict[str, int] = {}
        self._read_until = "0-0"
        #: The oldest first.
        self._gaps: list[_Gap] = []

    @property
    def newest_ms(self) -> Mapping[str, int]:
        """The time of each symbol's newest intent in the window (Redis's clock, ms), as last read."""
        return self._newest_ms

    @property
    def behind(self) -> bool:
        """Whether a look has left something to be read."""
        return bool(self._gaps)

    async def look(self, now_ms: int, known: Collection[str]) -> None:
        """Read intents of the window before `now_ms` (Redis's clock) for up to a second.

        Symbols that are not `known` are dropped. Raises StoreError; the next look then goes on.
        """
        window_from_ms = now_ms - self._window_ms
        self._newest_ms = {
            symbol: at_ms
            for symbol, at_ms in self._newest_ms.items()
            if at_ms >= window_from_ms and symbol in known
        }
        self._note_newest(await self._store.recent_intents("0-0", None, 1))
        until_sec = trio.current_time() + _LONGEST_LOOK_SEC
        while self._gaps:
            gap = self._gaps[-1]
            after = max(gap.after, f"{window_from_ms}-0", key=id_order)
            entries = await self._store.recent_intents(after, gap.before, _PAGE)
            for entry in entries:
                symbol = read_intent_symbol(entry.fields or {})
                if symbol is not None and symbol in known:
                    # An id may be ahead of the clock. Its age is not known then, and nothing is newer.
                    at_ms = min(entry.id_ms, now_ms)
                    self._newest_ms[symbol] = max(at_ms, self._newest_ms.get(symbol, 0))
            if len(entries) == _PAGE:
                gap.before = entries[-1].id
            else:
                self._gaps.pop()
            if self._gaps and self._rest_is_older(len(known)):
                self._gaps.clear()
            if trio.current_time() >= until_sec:
                return
            await trio.sleep(_PAUSE_SEC)

    def _note_newest(self, newest: list[Entry]) -> None:
        """Find out whether there are entries that were not read yet."""
        newest_id = newest[0].id if newest else "0-0"
        if id_order(newest_id) < id_order(self._read_until):
            # The stream was deleted and begun anew.
            self._gaps.clear()
            self._read_until = "0-0"
        if newest_id != self._read_until:
            ms, number = id_order(newest_id)
            self._gaps.append(_Gap(self._read_until, f"{ms}-{number + 1}"))
            del self._gaps[:-_MOST_GAPS]
            self._read_until = newest_id

    def _rest_is_older(self, known: int) -> bool:
        """Whether an intent of every symbol was read that is newer than all that was not."""
        if len(self._newest_ms) < known:
            return False
        return min(self._newest_ms.values()) >= id_order(self._gaps[-1].before)[0]
