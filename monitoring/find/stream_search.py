"""Search of streams in slices, within a time: a stream may hold 100 000 entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import trio

from explanation.chain import StreamSpan
from explanation.entry_texts import texts_of
from explanation.timeline import Dated, entry_ms
from monitoring.patience import PATIENCE_SEC
from store.desk_protocol import SLICE, DeskStore
from store.errors import StoreError, StoreUnavailableError
from store.records import Entry

#: How long a search waits for others.
_TURN_SEC = 5.0
_MOST = 100

Wanted = Callable[[Mapping[str, str]], bool]


class Searched(NamedTuple):
    """Entries that were wanted, oldest first; `note` says why some may be missing, empty if none are."""

    entries: tuple[Dated, ...]
    note: str = ""


class StreamSearch:
    """Searches streams for entries that name a text; each search ends after 0.5 s.

    One at a time: more would be no faster, and Redis would serve decisions later.
    """

    def __init__(self, store: DeskStore) -> None:
        self._store = store
        self._turn = trio.Lock()

    async def forwards(
        self, stream: str, text: str, wanted: Wanted, *, since_ms: int, until_ms: int
    ) -> Searched:
        """Search from `since_ms` on."""
        return await self._search(stream, text, wanted, str(since_ms), str(until_ms), back=False)

    async def back(self, stream: str, text: str, wanted: Wanted, *, most: int = _MOST) -> Searched:
        """Search from the newest entry back, until `most` are found."""
        found = await self._search(stream, text, wanted, "+", "-", back=True, most=most)
        return Searched(found.entries[::-1], found.note)

    async def entry(self, stream: str, entry_id: str) -> Entry | None:
        """Return one entry by its id. Raises StoreError."""
        found = await self._store.entries_naming(stream, "", first=entry_id, last=entry_id, count=1)
        return found.found[0] if found.found else None

    async def span(self, stream: str) -> StreamSpan:
        """Return the times of the first and the last entry. Raises StoreUnavailableError."""
        try:
            first = await self._store.entries_naming(stream, "", first="-", last="+", count=1)
            last = await self._store.entries_naming(stream, "", first="+", last="-", back=True, count=1)
        except StoreUnavailableError:
            raise
        except StoreError:
            return StreamSpan(0, 0, readable=False)
        return StreamSpan(entry_ms(first.last_id), entry_ms(last.last_id))

    async def _search(
        self, stream: str, text: str, wanted: Wanted, first: str, last: str, *, back: bool, most: int = _MOST
    ) -> Searched:
        with trio.move_on_after(_TURN_SEC) as waiting:
            await self._turn.acquire()
        if waiting.cancelled_caught:
            return Searched((), f"{stream} was not searched: other searches took {_TURN_SEC:g} s")
        try:
            return await self._search_now(stream, text, wanted, first, last, back=back, most=most)
        finally:
            self._turn.release()

    async def _search_now(
        self, stream: str, text: str, wanted: Wanted, first: str, last: str, *, back: bool, most: int
    ) -> Searched:
        entries: list[Dated] = []
        with trio.move_on_after(PATIENCE_SEC) as scope:
            try:
                while len(entries) < most:
                    read = await self._store.entries_naming(stream, text, first=first, last=last, back=back)
                    for each in read.found:
                        fields = texts_of(each.fields or {})
                        if wanted(fields):
                            entries.append(Dated(each.id, fields))
                    if not read.looked or (read.looked < SLICE and len(read.found) < 20):
                        break
                    first = f"({read.last_id}"
            except StoreError as error:
                return Searched(tuple(entries[:most]), f"{stream} cannot be read: {error}")
        if scope.cancelled_caught:
            at = f" after {first.removeprefix('(')}" if first.startswith("(") else ""
            return Searched(tuple(entries), f"{stream} was not searched{at}: {PATIENCE_SEC:g} s had passed")
        return Searched(tuple(entries[:most]))
