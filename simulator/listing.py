"""The symbols that the exchange lists, with their status and the end of their trading."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from simulator import errors
from simulator.symbols import Symbol

TRADING, SETTLING = "TRADING", "SETTLING"
#: The ``deliveryDate`` of a perpetual contract without an announced end: the year 2100.
NEVER_MS = 4_133_404_800_000


class Listing:
    """The listed symbols by name. ``version`` grows with every change of what is listed or trades."""

    def __init__(self, symbols: Mapping[str, Symbol]) -> None:
        self.version = 0
        self.symbols: dict[str, Symbol] = dict(symbols)
        self._statuses: dict[str, str] = dict.fromkeys(symbols, TRADING)
        self._ends_ms: dict[str, int] = {}

    def symbol(self, name: str) -> Symbol:
        """Look up a symbol; ``ApiError`` -1121 for one that is not listed."""
        try:
            return self.symbols[name]
        except KeyError:
            raise errors.invalid_symbol() from None

    def status(self, name: str) -> str:
        self.symbol(name)
        return self._statuses[name]

    def set_status(self, name: str, status: str) -> None:
        """Any status but ``TRADING`` refuses opens and lets reduce-only orders pass."""
        self.symbol(name)
        self._statuses[name] = status
        self.version += 1

    def end_ms(self, name: str) -> int:
        """Return ``deliveryDate``: when its trading ends, by the exchange's clock."""
        self.symbol(name)
        return self._ends_ms.get(name, NEVER_MS)

    def set_end(self, name: str, end_ms: int) -> None:
        """Announce another end of trading; ``NEVER_MS`` takes it back. The status stays as it is."""
        self.symbol(name)
        self._ends_ms[name] = end_ms
        self.version += 1

    def end_trading(self, name: str, end_ms: int) -> None:
        """Let trading end that was announced for that moment; another end since, or a removal, stands."""
        if name in self.symbols and self.end_ms(name) == end_ms:
            self.set_status(name, SETTLING)

    def add(self, symbol: Symbol) -> None:
        """List another symbol, which trades. ``ValueError`` if one of that name is listed."""
        if symbol.name in self.symbols:
            raise ValueError(f"{symbol.name} is listed")
        self.symbols[symbol.name] = symbol
        self._statuses[symbol.name] = TRADING
        self.version += 1

    def change_step_size(self, name: str, step_size: Decimal) -> Symbol:
        """Give a symbol another step size, which is its least quantity, too; returns what it is now.

        ``ApiError`` -1121 for a symbol that is not listed, ``ValueError`` unless the size is above 0.
        """
        if step_size <= 0:
            raise ValueError(f"a step size of {step_size}")
        changed = msgspec.structs.replace(self.symbol(name), step_size=step_size, min_qty=step_size)
        self.symbols[name] = changed
        self.version += 1
        return changed

    def remove(self, name: str) -> None:
        """Take the symbol out of every answer, as after a finished delisting. Its history stays."""
        self.symbol(name)
        del self.symbols[name]
        self.version += 1
