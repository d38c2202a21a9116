"""An index in memory of the audit streams: read when it is first needed, followed while it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import trio

from clock import Clock
from monitoring.find.columns import AllNames, Columns, Names
from monitoring.pacing import paced, pause
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
#: A turn of reading ends after so many slices, or so long.
ROUND_SLICES = 20
_ROUND_SEC = 0.1
_FREED_AT_A_TIME = 4


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
    """What is known of one stream. `complete`: the stream holds nothing older.

    A place in `columns` means one entry for good: columns that begin elsewhere are others. `older`: what is
    to be joined with them, each older than the one before it. `apart`: what was held before; the entries
    between it and the others are not read yet.
    """

    columns: Columns
    older: list[Columns] = []
    complete: bool = False
    apart: Held | None = None


class Followed(NamedTuple):
    """What is held of a stream, for one reader. `complete`: the stream holds nothing older.

    `current` is False where the newest entries could not be read within the reader's time.
    """

    columns: Columns
    complete: bool
    current: bool

    @property
    def back_to_ms(self) -> int | None:
        """How far back the columns reach; None where nothing older is to be read."""
        return None if self.complete or not len(self.columns) else self.columns.at_ms[0]


class AuditIndex:
    """Rows of the audit streams by role.

    Whoever reads takes turns with others after 2 000 entries or 0.1 s, so that nobody waits for a longer
    reader's end. Dropped after ten minutes without use.
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

    async def redis_now_ms(self) -> int:
        """Return Redis's clock, by which the entries are dated. Raises StoreError."""
        return (await self._store.read_keys([], [])).now_ms

    async def follow(self, role: str, within_sec: float) -> Followed:
        """Read what is new, and what is older for as long as `within_sec` allows; return what is held.

        Waits for longer only where nothing is held. Raises StoreError.
        """
        until_sec = self._now_sec() + within_sec
        current = False
        while await self._turn(role, until_sec):
            try:
                again = current and len(self.held[role].columns)
                await (self._older(role) if again else self._newest(role))
                current = True
                over = self.held[role].complete or self._now_sec() >= until_sec
                if over:
                    await self._join(self.held[role])
            finally:
                self._reading.release()
            if over:
                break
        held = self.held[role]
        return Followed(held.columns, held.complete and not held.older, current)

    async def decision_on(self, role: str, plan_id: str, within_sec: float) -> tuple[Followed, int | None]:
        """Return what is held, and the place of a plan's newest entry: read on only where it is not held.

        Raises StoreError.
        """
        held = await self.follow(role, 0.0)
        place = await held.columns.place_of(plan_id)
        if place is None and not held.complete:
            held = await self.follow(role, within_sec)
            place = await held.columns.place_of(plan_id)
        return held, place

    async def _turn(self, role: str, until_sec: float) -> bool:
        """Take a turn at reading; return False where it does not come in time, and something is held."""
        self._used_at_sec = now_sec = self._now_sec()
        try:
            self._reading.acquire_nowait()
        except trio.WouldBlock:
            within_sec = max(until_sec - now_sec, 0.0) if len(self.held[role].columns) else float("inf")
            with trio.move_on_after(within_sec) as scope:
                await self._reading.acquire()
            return not scope.cancelled_caught
        return True

    def drop_unused(self) -> None:
        """Forget everything after ten minutes without use."""
        if any(len(held.columns) for held in self.held.values()):
            unused_sec = self._now_sec() - self._used_at_sec
            if unused_sec > _UNUSED_SEC and not self._reading.locked():
                self._reset()

    async def _newest(self, role: str) -> None:
        """Read what is newer than all that is held.

        Where one turn does not reach what is held, that is put apart until older entries are read.
        """
        if sum(map(len, (self.names.symbols, self.names.reasons, self.names.sources))) > _MOST_NAMES:
            self._reset()
        held = self.held[role]
        known = len(held.columns)
        newer, reached = await self._round(role, oldest=_behind(held.columns))
        if not known or not reached:
            self.held[role] = Held(newer, complete=reached, apart=held if known else None)
            return
        held.columns.put_behind(newer)

    async def _older(self, role: str) -> None:
        """Read what is older than all that is held, down to what is apart."""
        held, apart = self.held[role], self.held[role].apart
        newest = (held.older[-1] if held.older else held.columns).audit_id(0)
        oldest = "-" if apart is None else _behind(apart.columns)
        older, reached = await self._round(role, newest=f"({newest}", oldest=oldest)
        held.older.append(older)
        if reached and apart is not None:
            held.older += [apart.columns, *apart.older]
            held.complete, held.apart = apart.complete, apart.apart
        else:
            held.complete = reached
        if len(held.columns) + sum(map(len, held.older)) >= MOST_ROWS:
            held.complete, held.apart = True, None

    async def _join(self, held: Held) -> None:
        older = held.older
        if older:
            held.columns = await paced(held.columns.behind(older))
            held.older = []
        if len(held.columns) > MOST_ROWS + _SPARE:
            held.columns = await paced(held.columns.newest(MOST_ROWS))
        while older:
            # To be freed all at once, they would take milliseconds.
            del older[-_FREED_AT_A_TIME:]
            await pause()

    async def _round(self, role: str, *, newest: str = "+", oldest: str = "-") -> tuple[Columns, bool]:
        """Read one turn's entries, from the newest down; return also whether the oldest was reached."""
        until_sec = self._now_sec() + _ROUND_SEC
        slices: list[Columns] = []
        while True:
            rows = await self._store.audit_rows(self._streams[role], newest=newest, oldest=oldest)
            slices.append(self._slice(rows))
            reached = len(rows) < SLICE
            if reached or len(slices) == ROUND_SLICES or self._now_sec() >= until_sec:
                return await paced(Columns(self.names).behind(slices)), reached
            newest = f"({rows[-1].audit_id}"

    def _slice(self, rows: list[AuditRow]) -> Columns:
        columns = Columns(self.names)
        for row in reversed(rows):
            columns.add(row)
        return columns

    def _now_sec(self) -> float:
        return self._clock.now().monotonic_sec


def _behind(columns: Columns) -> str:
    """Return the bound behind the newest of these, of all entries if there are none."""
    return f"({columns.audit_id(len(columns) - 1)}" if len(columns) else "-"
