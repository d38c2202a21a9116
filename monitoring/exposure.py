"""Exposure of the account off the snapshot book, and whether all of it is known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from brain.positions.exposure import Exposure, ExposureSum
from brain.symbols.symbol_rules import SymbolRules
from channels import LatestValue, SnapshotBook
from clock import Clock

_AT_A_TIME = 100


class AccountLook(msgspec.Struct, frozen=True, kw_only=True):
    """A look at the book: `exposure` sums all its snapshots, the stale ones as well.

    `symbols` trade, or are held: `missing` of them have no snapshot, `stale` ones an old one, or one that is
    not trusted. `listed`: which symbols trade is known. `positions`: symbols with a position.
    `oldest_age_sec` is of all snapshots, None without any.
    """

    exposure: Exposure
    positions: int
    symbols: int
    missing: int
    stale: int
    listed: bool
    oldest_age_sec: float | None

    @property
    def is_whole(self) -> bool:
        """True if no position of the account can be other than the sums have it."""
        return self.listed and not self.missing and not self.stale


class AccountExposure:
    """Reads the snapshot book. A snapshot older than `stale_threshold_sec` is stale."""

    def __init__(
        self,
        book: SnapshotBook,
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        clock: Clock,
        *,
        stale_threshold_sec: float,
    ) -> None:
        self._book = book
        self._symbol_rules = symbol_rules
        self._clock = clock
        self._stale_threshold_sec = stale_threshold_sec

    async def look(self, pause: Callable[[], Awaitable[None]]) -> AccountLook:
        """Look at all symbols, with a `pause` behind each hundred."""
        book, sums = self._book, ExposureSum()
        trading = {name for name, rules in (self._symbol_rules.value or {}).items() if rules.trading}
        positions = symbols = missing = stale = 0
        oldest_sec: float | None = None
        for number, symbol in enumerate([*book.symbols(), *(trading - set(book.symbols()))]):
            if number % _AT_A_TIME == 0:
                await pause()
            snapshot = book.get(symbol)
            if snapshot is None:
                symbols += 1
                missing += 1
                continue
            sums.add(snapshot)
            age_sec = max(snapshot.verified_at.age_sec(self._clock.now()), 0.0)
            oldest_sec = age_sec if oldest_sec is None else max(oldest_sec, age_sec)
            held = any(leg.amount for leg in snapshot.legs)
            positions += held
            # What trades no longer, and is not held, may never be read again.
            if held or symbol in trading:
                symbols += 1
                stale += age_sec > self._stale_threshold_sec or not book.is_trusted(snapshot)
        return AccountLook(
            exposure=sums.exposure(),
            positions=positions,
            symbols=symbols,
            missing=missing,
            stale=stale,
            listed=bool(self._symbol_rules.value),
            oldest_age_sec=oldest_sec,
        )
