"""Positions of the account, off the snapshot book, and whether all of them are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import trio
from msgspec.structs import replace

from brain.moment import Moment
from brain.numbers import ZERO
from brain.positions.position import LegPosition, Snapshot
from brain.symbols.symbol_rules import SymbolRules
from channels import LatestValue, ResultBook, SnapshotBook
from supervision import Heartbeat

#: Interval of the look at all symbols, and the symbols in one go (less than 1 ms).
_LOOK_SEC = 0.25
_SYMBOLS_AT_A_TIME = 200
#: An older mark price is none.
MARK_MAX_AGE_SEC = 60.0


class AccountPositions:
    """Reads the snapshot book for the Governor. Nothing waits for it.

    The account is known while every symbol that trades or is held has a snapshot that is trusted and fresh.
    That is looked up four times a second: between two looks the oldest snapshot of the last one counts.
    """

    def __init__(
        self,
        book: SnapshotBook,
        results: ResultBook,
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        never_read: LatestValue[tuple[str, ...]],
        *,
        stale_threshold_sec: float,
    ) -> None:
        self._book = book
        self._results = results
        self._symbol_rules = symbol_rules
        self._never_read = never_read
        self._stale_threshold_sec = stale_threshold_sec
        self._oldest: Moment | None = None
        self._held: tuple[int, tuple[str, ...]] = (-1, ())

    async def watch(self, heartbeat: Heartbeat) -> None:
        """Look at all symbols until cancelled."""
        while True:
            self._oldest = await self._look()
            with heartbeat.idle():
                await trio.sleep(_LOOK_SEC)

    @property
    def oldest(self) -> Moment | None:
        """The oldest proof of a symbol's snapshot; None while one is missing or not trusted."""
        return self._oldest

    def believed(self, now: Moment) -> bool:
        """Return True if the positions of the whole account are known and proven."""
        oldest, lost_at = self._oldest, self._book.trust_lost_at
        if oldest is None or oldest.age_sec(now) > self._stale_threshold_sec:
            return False
        return lost_at is None or oldest > lost_at

    def fresh_legs(self, symbol: str, now: Moment) -> tuple[Sequence[LegPosition] | None, Snapshot | None]:
        """Return a symbol's legs, None while no decision may rest on them, and its snapshot."""
        snapshot = self._book.get(symbol)
        if snapshot is None:
            return None, None
        usable = (
            self._book.is_trusted(snapshot)
            and snapshot.verified_at.age_sec(now) <= self._stale_threshold_sec
            and self._results.all_in(snapshot)
        )
        return (snapshot.legs if usable else None), snapshot

    def held(self, now: Moment) -> list[Snapshot]:
        """Return the snapshots that show a position, without their mark prices where those are old."""
        published, symbols = self._held
        if published != self._book.published:
            symbols = tuple(symbol for symbol in self._book.symbols() if self._book.holds(symbol))
            self._held = self._book.published, symbols
        found = []
        for symbol in symbols:
            snapshot = self._book.get(symbol)
            if snapshot is not None:
                price = mark_of(snapshot, now)
                found.append(
                    snapshot if price is snapshot.mark_price else replace(snapshot, mark_price=price)
                )
        return found

    def verified_at(self, symbol: str) -> Moment | None:
        """Return the moment at which a symbol's trusted snapshot was last true; None without one."""
        snapshot = self._book.get(symbol)
        return snapshot.verified_at if snapshot is not None and self._book.is_trusted(snapshot) else None

    async def _look(self) -> Moment | None:
        """Return the oldest proof of all snapshots that count; None where one is missing or not trusted."""
        rules = self._symbol_rules.value
        if not rules or self._never_read.value:
            return None
        book, oldest = self._book, None
        names = [name for name, each in rules.items() if each.trading or book.holds(name)]
        for begin in range(0, len(names), _SYMBOLS_AT_A_TIME):
            for name in names[begin : begin + _SYMBOLS_AT_A_TIME]:
                snapshot = book.get(name)
                if snapshot is None or not book.is_trusted(snapshot):
                    return None
                if oldest is None or snapshot.verified_at < oldest:
                    oldest = snapshot.verified_at
            await trio.lowlevel.checkpoint()
        return oldest


def mark_of(snapshot: Snapshot | None, now: Moment) -> Decimal | None:
    """Return a snapshot's mark price; None where it has none above 0, or an old one."""
    if snapshot is None or snapshot.mark_price is None or snapshot.mark_price <= ZERO:
        return None
    old = now.wall_ms - snapshot.mark_ts_ms > MARK_MAX_AGE_SEC * 1000
    return None if old else snapshot.mark_price
