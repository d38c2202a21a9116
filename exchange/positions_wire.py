"""Parser of `positionRisk` rows, one by one: an unreadable row affects its symbol only.

A symbol is unreadable when symbol, amount, side or time of update of a row is missing or of a wrong type.
Decisions do not use entry price, mark price and leverage: an unreadable one is None.

Source: Binance USDⓈ-M Futures, "Position Information V2" and "Position Information V3". Flat rows of v2 show
a mark price of 0, which is none; rows of v3 have no leverage.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from typing import Annotated

import msgspec

from brain.json_text import read_json
from brain.positions.position import Leg, LegPosition
from exchange.exact import finite, finite_or_none
from exchange.protocol import PositionRow

#: Bound once: up to Python 3.11, access to an enum member costs as much as ten attributes.
_BOTH = Leg.BOTH
#: Longest text of a time in milliseconds (13 digits today).
_LONGEST_TIME = 16
_LONGEST_REASON = 120


class _Row(msgspec.Struct, frozen=True, rename="camel", gc=False):
    symbol: str
    position_amt: Decimal
    entry_price: Decimal
    mark_price: Decimal
    leverage: Decimal
    position_side: Leg
    update_time: Annotated[int, msgspec.Meta(ge=0, lt=10**_LONGEST_TIME)]


class _LenientRow(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    position_amt: Decimal
    position_side: Leg
    update_time: int | str
    entry_price: object = None
    mark_price: object = None
    leverage: object = None


class _Named(msgspec.Struct, frozen=True):
    symbol: str


_ROW = msgspec.json.Decoder(_Row)
_LENIENT_ROW = msgspec.json.Decoder(_LenientRow)
_NAMED = msgspec.json.Decoder(_Named)


def position_rows(
    rows: Iterable[msgspec.Raw], mark_ts_ms: int, unreadable: dict[str, str]
) -> list[PositionRow]:
    """Parse some rows of an answer; all numbers are finite.

    Symbols of unreadable rows go into `unreadable`, with a reason; "" where the symbol itself is unreadable.
    """
    read: list[PositionRow] = []
    for raw in rows:
        try:
            row = _ROW.decode(raw)
            read.append(
                PositionRow(
                    row.symbol,
                    LegPosition(
                        row.position_side,
                        finite(row.position_amt),
                        finite(row.entry_price),
                        row.update_time,
                    ),
                    finite(row.leverage),
                    # 0 in flat rows means no price.
                    finite(row.mark_price) or None,
                    mark_ts_ms,
                )
            )
        except (msgspec.DecodeError, ValueError, RecursionError):
            lenient = _lenient_row(raw, mark_ts_ms, unreadable)
            if lenient is not None:
                read.append(lenient)
    return read


def tradable_rows(rows: Sequence[PositionRow], unreadable: Collection[str] = ()) -> tuple[PositionRow, ...]:
    """Return the rows of an answer without `unreadable` symbols, and in hedge mode without BOTH rows.

    An account in hedge mode gets flat BOTH rows, which it cannot trade."""
    hedged = {row.symbol for row in rows if row.position.leg is not _BOTH}
    if not hedged and not unreadable:
        return tuple(rows)
    return tuple(
        row
        for row in rows
        if (row.position.leg is not _BOTH or row.symbol not in hedged or row.position.amount != 0)
        and row.symbol not in unreadable
    )


def row_symbol(raw: msgspec.Raw) -> str:
    """Return a row's symbol; "" where it cannot be read."""
    try:
        return read_json(_NAMED, raw).symbol
    except msgspec.DecodeError:
        return ""


def _lenient_row(raw: msgspec.Raw, mark_ts_ms: int, unreadable: dict[str, str]) -> PositionRow | None:
    try:
        row = read_json(_LENIENT_ROW, raw)
        leg = LegPosition(
            row.position_side,
            finite(row.position_amt),
            finite_or_none(row.entry_price),
            _time_ms(row.update_time),
        )
    except (msgspec.DecodeError, ValueError) as error:
        unreadable.setdefault(row_symbol(raw), str(error)[:_LONGEST_REASON])
        return None
    return PositionRow(
        row.symbol, leg, finite_or_none(row.leverage), finite_or_none(row.mark_price) or None, mark_ts_ms
    )


def _time_ms(value: int | str) -> int:
    text = str(value)
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_TIME):
        raise ValueError(f"updateTime is not a time: {text[:40]!r}")
    return int(text)
