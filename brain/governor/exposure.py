"""Exposure of the account: positions by mark price, with live grants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, localcontext
from typing import NamedTuple

from brain.governor.case import ExposureView
from brain.governor.grants import Grant
from brain.identifiers import Symbol
from brain.numbers import EXACT, ZERO
from brain.positions.position import Snapshot


class Holdings(NamedTuple):
    """Notional of each symbol with a position, of all of its legs, and their sum (USDT)."""

    notionals: Mapping[str, Decimal]
    total: Decimal


def holdings(snapshots: Iterable[Snapshot]) -> Holdings | None:
    """Return the notionals of positions; None where the mark price of one is not known."""
    notionals: dict[str, Decimal] = {}
    total = ZERO
    with localcontext(EXACT):
        for snapshot in snapshots:
            size = sum((row.amount.copy_abs() for row in snapshot.legs), ZERO)
            if not size:
                continue
            if snapshot.mark_price is None:
                return None
            notionals[snapshot.symbol] = size * snapshot.mark_price
            total += notionals[snapshot.symbol]
    return Holdings(notionals, total)


def exposure_of(held: Holdings, grants: Iterable[Grant], symbol: Symbol, now_ms: int) -> ExposureView:
    """Return the exposure that a plan of `symbol` meets. Of the grants, live opens and adds count."""
    reserved = reserved_of_symbol = ZERO
    symbols = set(held.notionals)
    with localcontext(EXACT):
        for grant in grants:
            if grant.enters and grant.is_live(now_ms):
                reserved += grant.notional
                symbols.add(grant.symbol)
                if grant.symbol == symbol:
                    reserved_of_symbol += grant.notional
        return ExposureView(
            symbols=len(symbols),
            holds_symbol=symbol in symbols,
            positions_notional=held.total,
            total_notional=held.total + reserved,
            symbol_notional=held.notionals.get(symbol, ZERO) + reserved_of_symbol,
        )
