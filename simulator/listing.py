"""Which symbols the exchange lists, and whether they trade."""

from __future__ import annotations

from collections.abc import Mapping

from simulator import errors
from simulator.symbols import Symbol

TRADING = "TRADING"


class Listing:
    """The listed symbols by name. ``version`` grows with every change of what is listed or trades."""

    def __init__(self, symbols: Mapping[str, Symbol]) -> None:
        self.version = 0
        self.symbols: dict[str, Symbol] = dict(symbols)
        self.quote_volumes = {name: symbol.quote_volume for name, symbol in symbols.items()}
        self._statuses: dict[str, str] = dict.fromkeys(symbols, TRADING)

    def symbol(self, name: str) -> Symbol:
        """``ApiError`` -1121 for a symbol that is not listed."""
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

    def remove(self, name: str) -> None:
        """Take the symbol out of every answer, as after a finished delisting. Its history stays."""
        self.symbol(name)
        del self.symbols[name]
        self.version += 1
