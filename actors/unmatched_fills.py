"""Fills that were told without the account update that belongs to them, yet."""

from __future__ import annotations

from collections.abc import Iterator

from brain.moment import Moment
from brain.position import Leg
from channels import FillObserved


class UnmatchedFills:
    """The fills of one shard's symbols that no account update and no read has covered.

    An update covers what happened on its leg until its own time; a read covers what was told before it was
    sent. Whichever update gets lost, the fill that it belongs to stays here until a read.
    """

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, Leg], list[FillObserved]] = {}

    def expect_update_for(self, fill: FillObserved) -> None:
        """The account update of `fill` has not come yet."""
        self._waiting.setdefault((fill.symbol, fill.leg), []).append(fill)

    def updated(self, symbol: str, leg: Leg, update_time_ms: int) -> None:
        """The stream told what the leg was at `update_time_ms` (the exchange's clock)."""
        if (symbol, leg) in self._waiting:
            later = [f for f in self._waiting[symbol, leg] if f.transaction_ms > update_time_ms]
            self._keep(symbol, leg, later)

    def read(self, symbol: str, sent: Moment) -> None:
        """All legs of the symbol were read, by a request sent then."""
        for name, leg in list(self._waiting):
            if name == symbol:
                later = [fill for fill in self._waiting[name, leg] if fill.received > sent]
                self._keep(name, leg, later)

    def symbols(self) -> set[str]:
        """The symbols with such fills."""
        return {symbol for symbol, _leg in self._waiting}

    def oldest(self, symbol: str | None = None) -> Moment | None:
        """When the one that waits longest was told: of one symbol, or of all."""
        return min((fill.received for fill in self._of(symbol)), default=None)

    def _of(self, symbol: str | None) -> Iterator[FillObserved]:
        for (name, _leg), fills in self._waiting.items():
            if symbol in (None, name):
                yield from fills

    def _keep(self, symbol: str, leg: Leg, fills: list[FillObserved]) -> None:
        if fills:
            self._waiting[symbol, leg] = fills
        else:
            del self._waiting[symbol, leg]
