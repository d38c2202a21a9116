"""An index in memory of the audit streams: read when it is first needed, followed while it is used."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import trio

from clock import Clock
from monitoring.find.columns import AllNames, Columns, Names
from settings import Settings
from store.desk_protocol import SLICE, AuditRow, DeskStore
from store.keys import BridgeNames, ExecutorKeys, GovernorKeys, Keys

#: As many entries as each audit stream keeps.
MOST_ROWS = 100_000
#: Texts are kept while an entry may have them; beyond so many the index is read again.
_MOST_NAMES = 300_000
#: Entries above that number, before the oldest are dropped together.
_SPARE = 5_000
_UNUSED_SEC = 600.0


def audit_streams(settings: Settings) -> dict[str, str]:
    """Return the audit stream of each role that is switched on, by the role's name."""
    keys = Keys(settings.key_prefix)
    streams = {"p33": keys.audit}
    if settings.governor != "off":
        streams["governor"] = GovernorKeys(keys, shadow=settings.governor == "shadow").audit
    if settings.intent_bridge != "off":
        streams["bridge"] = BridgeNames(keys.prefix, shadow=settings.intent_bridge == "shadow").audit
    if settings.executor != "off":
        streams["executor"] = ExecutorKeys(keys).audit
    return streams


class Held(msgspec.Struct):
    """What is known of one stream. `complete`: the stream holds nothing older than the columns.

    A place in `columns` means one entry for good: columns that begin elsewhere are others.
    """

    columns: Columns
    complete: bool = False


class AuditIndex:
    """Rows of the audit streams by role.

    Reading pauses after each 100 entries, so that a decision waits for one slice at most. Dropped after ten
    minutes without use.
    """

    def __init__(self, store: DeskStore, clock: Clock, streams: Mapping[str, str]) -> None:
        self._store = store
        self._clock = clock
        self._streams = dict(streams)
        self._reading = trio.Lock()
        self._used_at_sec = float("-inf")
        self._reset()

    def _reset(self) -> None:
        self.names = AllNames(Names(), Names(), Names())
        self.held = {role: Held(Columns(self.names)) for role in self._streams}

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(self._streams)

    def stream(self, role: str) -> str:
        """Return the key of a role's audit stream."""
        return self._streams[role]

    async def follow(self, role: str, within_sec: float) -> Held:
        """Read what is new, and what is older for as long as `within_sec` allows; return what is held.

        Raises StoreError.
        """
        self._used_at_sec = self._now_sec()
        until_sec = self._used_at_sec + within_sec
        async with self._reading:
            if sum(map(len, (self.names.symbols, self.names.reasons, self.names.sources))) > _MOST_NAMES:
                self._reset()
            held = self.held[role]
            if len(held.columns):
                await self._newer(role, held)
            while not held.complete and (self._now_sec() < until_sec or not len(held.columns)):
                await self._older(role, held)
        self._used_at_sec = self._now_sec()
        return held

    def drop_unused(self) -> None:
        """Forget everything after ten minutes without use."""
        if any(len(held.columns) for held in self.held.values()):
            unused_sec = self._now_sec() - self._used_at_sec
            if unused_sec > _UNUSED_SEC and not self._reading.locked():
                self._reset()

    async def _newer(self, role: str, held: Held) -> None:
        columns = held.columns
        known = f"({columns.audit_id(len(columns) - 1)}"
        slices: list[Columns] = []
        newest, count = "+", 0
        while True:
            rows = await self._store.audit_rows(self._streams[role], newest=newest, oldest=known)
            slices.append(self._slice(rows))
            count += len(rows)
            if len(rows) < SLICE or count > MOST_ROWS:
                break
            newest = f"({rows[-1].audit_id}"
        for each in reversed(slices):
            columns.put_behind(each)
        if len(columns) > MOST_ROWS + _SPARE:
            held.columns = columns.newest(MOST_ROWS)

    async def _older(self, role: str, held: Held) -> None:
        """Read 50 slices, and put them before what is held."""
        columns = held.columns
        newest = f"({columns.audit_id(0)}" if len(columns) else "+"
        slices: list[Columns] = []
        for _ in range(50):
            rows = await self._store.audit_rows(self._streams[role], newest=newest)
            slices.append(self._slice(rows))
            held.complete = len(rows) < SLICE
            if held.complete:
                break
            newest = f"({rows[-1].audit_id}"
        held.columns = columns.behind(slices)
        if len(held.columns) >= MOST_ROWS:
            held.complete = True

    def _slice(self, rows: list[AuditRow]) -> Columns:
        columns = Columns(self.names)
        for row in reversed(rows):
            columns.add(row)
        return columns

    def _now_sec(self) -> float:
        return self._clock.now().monotonic_sec
