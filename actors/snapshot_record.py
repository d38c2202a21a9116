"""A snapshot as the hash that other services read."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from brain.numbers import plain
from brain.position import Leg, Snapshot, side_of
from store.records import MarkWrite


def snapshot_times(ts_epoch_ms: int) -> dict[str, str]:
    """The three forms of a snapshot's time (this host's wall clock); `ts_epoch` is whole seconds."""
    moment = datetime.fromtimestamp(ts_epoch_ms / 1000, UTC)
    return {
        "ts_epoch": str(ts_epoch_ms // 1000),
        "ts_epoch_ms": str(ts_epoch_ms),
        "ts_iso": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def snapshot_fields(snapshot: Snapshot, source: str) -> tuple[str, ...]:
    """The flat fields of `quantum:position:snapshot:<symbol>`; amounts as text without an exponent.

    Leaves out the prices, profit and leverage that are not known.
    """
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


def mark_write(snapshot: Snapshot) -> MarkWrite:
    """The fields that follow the mark price."""
    return MarkWrite(
        snapshot.symbol,
        _text(snapshot.mark_price),
        _text(snapshot.unrealized_pnl),
        str(snapshot.mark_ts_ms),
    )


def _text(number: Decimal | None) -> str:
    return "" if number is None else plain(number)
