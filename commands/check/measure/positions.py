"""Rows of `positionRisk`: a flat one of v2, and what v3 leaves out.

Source: Binance USDⓈ-M Futures, "Position Information V2" and "Position Information V3".
"""

from __future__ import annotations

from collections import Counter

from commands.check.measure.access import ExchangeAccess
from commands.check.measure.raw_json import RawRow, rows_of
from commands.check.measure.rows import Row, certain, compared, likely, measured
from exchange import endpoints
from exchange.errors import EndpointGone

_AMOUNT = "positionAmt"
_FLAT_MEMBERS = (("markPrice", '"0.00000000"'), ("entryPrice", '"0.0"'), ("updateTime", "0"))
_NOT_IN_V3 = ("leverage", "marginType")
_V3_SHOWS = certain("only symbols with a position or open orders")


async def measure_positions(access: ExchangeAccess) -> list[Row]:
    """Read positions by v2 and v3, and compare."""
    try:
        v2: tuple[RawRow, ...] | None = rows_of(await access.read(endpoints.POSITION_RISK))
    except EndpointGone:
        v2 = None
    v3 = rows_of(await access.read(endpoints.POSITION_RISK_V3))
    return [*flat_rows(v2), *v3_rows(v3, v2)]


def flat_rows(v2: tuple[RawRow, ...] | None) -> list[Row]:
    """Say what the flat rows of a v2 answer hold; `v2` is None where the exchange has no v2."""
    if v2 is None:
        return [measured("flat rows of v2 `positionRisk`", "none: v2 is removed", likely("markPrice 0"))]
    flat = [row for row in v2 if _is_flat(row)]
    rows = []
    for name, documented in _FLAT_MEMBERS:
        asked, documents = f"`{name}` of a flat v2 row", likely(f"`{documented}`")
        if not flat:
            rows.append(measured(asked, f"no flat row among {len(v2)}", documents))
            continue
        texts = Counter(row.text(name) for row in flat)
        zeros = sum(row.number(name) == 0 for row in flat)
        shown = ", ".join(f"`{text}` {count}×" for text, count in texts.most_common(3))
        more = f", and {len(texts) - 3} other values" if len(texts) > 3 else ""
        found = f"0 in {zeros} of {len(flat)} flat rows: {shown}{more}"
        rows.append(compared(asked, found, documents, agrees=zeros == len(flat)))
    return rows


def v3_rows(v3: tuple[RawRow, ...], v2: tuple[RawRow, ...] | None) -> list[Row]:
    """Say whether v3 leaves out flat symbols, and which members of v2 it has not."""
    flat = sorted({row.plain("symbol") for row in v3 if _is_flat(row)})
    known = "" if v2 is None else f"; v2 has {len(v2)}"
    found = f"{len(v3)} rows, {len(flat)} symbols of them flat{known}"
    if flat:
        found += f": {', '.join(flat[:3])} (right if these have open orders)"
    rows = [compared("does v3 `positionRisk` omit flat symbols", found, _V3_SHOWS, agrees=not flat)]
    asked, documents = "members of a v3 row", certain("no leverage, no marginType")
    if not v3:
        return [*rows, measured(asked, "no row to look at: the account has no position", documents)]
    there = [name for name in _NOT_IN_V3 if name in v3[0].keys]
    return [*rows, compared(asked, ", ".join(v3[0].keys), documents, agrees=not there)]


def _is_flat(row: RawRow) -> bool:
    return row.number(_AMOUNT) == 0
