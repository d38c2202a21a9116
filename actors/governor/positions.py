"""Positions of the account, off the snapshot book, and whether all of them are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import trio

from brain.governor.equity import ASSET
from brain.governor.exposure import Holdings
from brain.moment import Moment
from brain.numbers import EXACT, ZERO
from brain.positions.position import LegPosition, Snapshot
from brain.symbols.symbol_rules import SymbolRules
from channels import BookEntry, LatestValue, ResultBook, SnapshotBook
from clock import Clock
from supervision import Heartbeat

#: Interval of the look at all symbols, shorter while the account is not known.
_LOOK_SEC, _LOOK_AGAIN_SEC = 1.0, 0.1
#: Less than 1 ms of work between checkpoints.
_SYMBOLS_AT_A_TIME = 50
#: An older mark price is none.
MARK_MAX_AGE_SEC = 60.0


class AccountPositions:
    """Reads the snapshot book for the Governor. Nothing waits for it.

    A position counts from its publication on, at the mark price of that moment; a look at all symbols each
    second brings later prices. The account is known while every symbol that trades or is held has a snapshot
    that is trusted and fresh: between two looks the oldest snapshot of the last one counts.
    """

    def __init__(
        self,
        book: SnapshotBook,
        results: ResultBook,
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        never_read: LatestValue[tuple[str, ...]],
        *,
        stale_threshold_sec: float,
        clock: Clock,
    ) -> None:
        self._book = book
        self._results = results
        self._symbol_rules = symbol_rules
        self._never_read = never_read
        self._stale_threshold_sec = stale_threshold_sec
        self._clock = clock
        self.oldest: Moment | None = None
        """Oldest proof of a symbol's snapshot; None while one is missing or not trusted."""
        self._published = 0
        #: The legs that were valued last.
        self._valued: dict[str, tuple[LegPosition, ...]] = {}
        self._notionals: dict[str, Decimal] = {}
        self._profits: dict[str, Decimal] = {}
        #: Symbols with a position whose price, or whose profit, is not known.
        self._unpriced: set[str] = set()
        self._unvalued: set[str] = set()
        self._total = self._profit = ZERO

    async def watch(self, heartbeat: Heartbeat) -> None:
        """Look at all symbols until cancelled."""
        while True:
            self.oldest = await self._look()
            with heartbeat.idle():
                await trio.sleep(_LOOK_AGAIN_SEC if self.oldest is None else _LOOK_SEC)

    def believed(self, now: Moment) -> bool:
        """Return True if the positions of the whole account are known and proven."""
        oldest, lost_at = self.oldest, self._book.trust_lost_at
        if oldest is None or oldest.age_sec(now) > self._stale_threshold_sec:
            return False
        return lost_at is None or oldest > lost_at

    def holdings(self, now: Moment) -> tuple[Holdings | None, Decimal | None]:
        """Return the notionals of all positions, and the profit in USDT; None where a price is not known."""
        book = self._book
        if book.published != self._published:
            symbols, self._published = set(book.published_since(self._published)), book.published
            for symbol in symbols:
                self._value_entry(symbol, book.entry(symbol), now, anew=False)
        held = None if self._unpriced else Holdings(self._notionals, self._total)
        return held, None if self._unvalued else self._profit

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

    def verified_at(self, symbol: str) -> Moment | None:
        """Return the moment at which a symbol's snapshot was last true.

        None without a trusted one with the fills of all results that have arrived.
        """
        snapshot = self._book.get(symbol)
        if snapshot is None or not self._book.is_trusted(snapshot) or not self._results.all_in(snapshot):
            return None
        return snapshot.verified_at

    def gone(self, symbol: str) -> bool:
        """Return True if a symbol trades no longer and has no position: no snapshot of it may come again."""
        rules = self._symbol_rules.value
        if not rules or self._book.holds(symbol):
            return False
        return symbol not in rules or not rules[symbol].trading

    async def _look(self) -> Moment | None:
        """Value all positions; return the oldest proof of all snapshots that count.

        None where one is missing or not trusted.
        """
        rules, book = self._symbol_rules.value or {}, self._book
        # Most symbols share the moment of the latest proof.
        oldest: Moment | None = None
        seen: Moment | None = None
        missing = not rules or bool(self._never_read.value)
        names = [name for name, each in rules.items() if each.trading or book.holds(name)]
        names += [name for name in book.symbols() if name not in rules and book.holds(name)]
        for begin in range(0, len(names), _SYMBOLS_AT_A_TIME):
            at = self._clock.now()
            for name in names[begin : begin + _SYMBOLS_AT_A_TIME]:
                entry = book.entry(name)
                self._value_entry(name, entry, at, anew=True)
                if entry is None or entry.disputed:
                    missing = True
                    continue
                verified_at, _ = book.verification(entry)
                if verified_at is seen:
                    continue
                seen = verified_at
                if book.trust_lost_at is not None and verified_at <= book.trust_lost_at:
                    missing, seen = True, None
                elif oldest is None or verified_at < oldest:
                    oldest = verified_at
            seen = None
            await trio.lowlevel.checkpoint()
        return None if missing else oldest

    def _value_entry(self, symbol: str, entry: BookEntry | None, now: Moment, *, anew: bool) -> None:
        """Take over what a symbol's snapshot is worth: `anew`, though only its price may have changed."""
        if entry is None:
            return
        legs, known = entry.snapshot.legs, self._valued.get(symbol)
        # A read of the same position has its rows again, in another tuple.
        if known is not None and (known is legs or known == legs) and symbol not in self._unpriced:
            is_priced = symbol not in self._unvalued and not anew
            if is_priced or symbol not in self._notionals:
                return
        self._valued[symbol] = legs
        self._value(symbol, self._book.get(symbol), now)

    def _value(self, symbol: str, snapshot: Snapshot | None, now: Moment) -> None:
        """Take over a symbol's notional and profit."""
        size = ZERO if snapshot is None else sum((abs(leg.amount) for leg in snapshot.legs), ZERO)
        price = mark_of(snapshot, now) if size else None
        before = self._notionals.pop(symbol, ZERO)
        after = ZERO if price is None else EXACT.multiply(size, price)
        if price is not None:
            self._notionals[symbol] = after
        self._total = EXACT.add(EXACT.subtract(self._total, before), after)
        _set(self._unpriced, symbol, present=bool(size) and price is None)
        profit = snapshot.unrealized_pnl if snapshot is not None and size and settles(symbol) else ZERO
        _set(self._unvalued, symbol, present=profit is None)
        lost, won = self._profits.pop(symbol, ZERO), profit or ZERO
        if won:
            self._profits[symbol] = won
        self._profit = EXACT.add(EXACT.subtract(self._profit, lost), won)


def mark_of(snapshot: Snapshot | None, now: Moment) -> Decimal | None:
    """Return a snapshot's mark price; None where it has none above 0, or an old one."""
    if snapshot is None or snapshot.mark_price is None or snapshot.mark_price <= ZERO:
        return None
    old = now.wall_ms - snapshot.mark_ts_ms > MARK_MAX_AGE_SEC * 1000
    return None if old else snapshot.mark_price


def settles(symbol: str) -> bool:
    """Return True if a symbol's profit is of the asset that the equity follows; a date may be behind `_`."""
    return symbol.partition("_")[0].endswith(ASSET)


def _set(symbols: set[str], symbol: str, *, present: bool) -> None:
    if present:
        symbols.add(symbol)
    else:
        symbols.discard(symbol)
