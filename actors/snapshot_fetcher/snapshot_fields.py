"""Fields of `quantum:position:snapshot:<symbol>`: amounts as text without an exponent."""

from __future__ import annotations

from decimal import Decimal

from brain.moment import iso_utc
from brain.numbers import plain
from brain.positions.position import Leg, LegPosition, Snapshot, profit, side_of
from store.records import MarkWrite


def snapshot_times(ts_epoch_ms: int) -> dict[str, str]:
    """Return the three forms of a snapshot's time (this host's wall clock); `ts_epoch` is in seconds."""
    return {
        "ts_epoch": str(ts_epoch_ms // 1000),
        "ts_epoch_ms": str(ts_epoch_ms),
        "ts_iso": iso_utc(ts_epoch_ms),
    }


def snapshot_fields(snapshot: Snapshot, source: str) -> tuple[str, ...]:
    """Return all fields, names and values by turns, without the prices, profit and leverage not known."""
    amount = snapshot.amount
    known = {
        "symbol": snapshot.symbol,
        "position_amt": plain(amount),
        "side": side_of(amount).value,
        "entry_price": _text(snapshot.entry_price),
        "mark_price": _text(snapshot.mark_price),
        "leverage": _text(snapshot.leverage),
        "unrealized_pnl": _text(snapshot.unrealized_pnl),
        "mark_ts_epoch_ms": "" if snapshot.mark_price is None else str(snapshot.mark_ts_ms),
        **snapshot_times(snapshot.verified_at.wall_ms),
        "source": source,
        "verified_by": snapshot.verified_by.value,
    }
    fields = {name: text for name, text in known.items() if text}
    if snapshot.hedged:
        fields["long_amt"] = plain(snapshot.amount_of(Leg.LONG))
        fields["short_amt"] = plain(snapshot.amount_of(Leg.SHORT))
    return tuple(text for pair in fields.items() for text in pair)


def mark_write(symbol: str, legs: tuple[LegPosition, ...], price: Decimal, ts_ms: int) -> MarkWrite:
    """Return the fields that follow the mark price."""
    return MarkWrite(symbol, plain(price), _text(profit(legs, price)), str(ts_ms))


def _text(number: Decimal | None) -> str:
    return "" if number is None else plain(number)
