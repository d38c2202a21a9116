"""Positions by `positionRisk` v3, for when the exchange has removed v2.

Source: Binance USDⓈ-M Futures, "Position Information V3" (weight 5; only symbols with a position or open
orders, no leverage) and "Symbol Configuration" (weight 5; leverage). A symbol of exchangeInfo without a row
is flat.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from brain.json_text import read_json
from brain.moment import Moment
from brain.numbers import ZERO
from brain.positions.position import Leg, LegPosition
from exchange.exact import finite_or_none
from exchange.protocol import PositionRow

#: How often leverages are read again; and after an unknown symbol no sooner than this.
_LEVERAGES_SEC = 600.0
_UNKNOWN_SYMBOL_SEC = 60.0


class _SymbolConfig(msgspec.Struct, frozen=True):
    symbol: str
    leverage: object = None


_SYMBOL_CONFIG = msgspec.json.Decoder(_SymbolConfig)


class Leverages:
    """The leverage of each symbol, as `symbolConfig` last showed it."""

    def __init__(self) -> None:
        self._leverages: dict[str, Decimal] = {}
        self._asked_sec: float | None = None

    def is_due(self, symbols: Iterable[str], now: Moment) -> bool:
        """Return True if they are to be read (again), given what is wanted now."""
        if self._asked_sec is None:
            return True
        age_sec = now.monotonic_sec - self._asked_sec
        if age_sec >= _LEVERAGES_SEC:
            return True
        return age_sec >= _UNKNOWN_SYMBOL_SEC and any(s not in self._leverages for s in symbols)

    def asked(self, now: Moment) -> None:
        """A read was tried."""
        self._asked_sec = now.monotonic_sec

    def learn(self, rows: Iterable[msgspec.Raw]) -> None:
        """Take the rows of an answer; unreadable ones change nothing."""
        for raw in rows:
            try:
                row = read_json(_SYMBOL_CONFIG, raw)
            except msgspec.DecodeError:
                continue
            leverage = finite_or_none(row.leverage)
            if leverage is not None:
                self._leverages[row.symbol] = leverage

    def of(self, symbol: str) -> Decimal | None:
        """None: not known."""
        return self._leverages.get(symbol)


def flat_rows(
    symbols: Iterable[str], shown: Iterable[PositionRow], hedge_mode: bool, mark_ts_ms: int
) -> list[PositionRow]:
    """Rows as v2 had them for the legs of `symbols` that are not among `shown`."""
    legs = (Leg.LONG, Leg.SHORT) if hedge_mode else (Leg.BOTH,)
    held = {(row.symbol, row.position.leg) for row in shown}
    return [
        PositionRow(symbol, LegPosition(leg, ZERO, ZERO, 0), None, None, mark_ts_ms)
        for symbol in symbols
        for leg in legs
        if (symbol, leg) not in held
    ]


def mode_shown(rows: Iterable[PositionRow]) -> bool | None:
    """Return True for an account in hedge mode, None where the rows do not show it."""
    for row in rows:
        if row.position.leg is not Leg.BOTH:
            return True
        if row.position.amount != 0:
            return False
    return None


def with_leverage(row: PositionRow, leverage: Decimal | None) -> PositionRow:
    """The row with the leverage, where it has none of its own."""
    if leverage is None or row.leverage is not None:
        return row
    return msgspec.structs.replace(row, leverage=leverage)
