"""States of BTCUSDT, and what is shown of it, by the milliseconds of a host with the exchange's time."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from brain.moment import Moment
from brain.positions.merging import apply_push, apply_rest
from brain.positions.position import Leg, LegPosition, VerifiedBy
from brain.positions.symbol_state import Discrepancy, StreamProof, SymbolState, to_snapshot


def at(ms: int) -> Moment:
    return Moment(ms / 1000, ms)


def row(amount: str | Decimal, changed_ms: int, leg: Leg = Leg.BOTH) -> LegPosition:
    return LegPosition(leg, Decimal(amount), Decimal(100), changed_ms)


def judged(
    state: SymbolState,
    *rows: LegPosition,
    sent: int,
    received: int,
    by: VerifiedBy = VerifiedBy.REST,
    since: int | None = None,
    ahead_ms: int | None = 0,
    not_after_ms: int | None = None,
) -> tuple[SymbolState, tuple[Discrepancy, ...]]:
    """Merge a read; return its discrepancies too, with a stream that is trusted `since`."""
    return apply_rest(
        state,
        rows,
        leverage=Decimal(10),
        mark_price=Decimal(101),
        sent=at(sent),
        received=at(received),
        verified_by=by,
        stream_since=None if since is None else at(since),
        exchange_ahead_ms=ahead_ms,
        not_after_ms=not_after_ms,
    )


def read(state: SymbolState, *rows: LegPosition, **named: Any) -> SymbolState:
    """Merge a read; return the state alone."""
    return judged(state, *rows, **named)[0]


def amounts(state: SymbolState) -> list[str]:
    return [str(known.row.amount) for known in state.legs]


def claim(state: SymbolState, proof: StreamProof | None = None) -> tuple[Moment, VerifiedBy] | None:
    snapshot = to_snapshot(state, proof)
    return None if snapshot is None else (snapshot.verified_at, snapshot.verified_by)


EMPTY = SymbolState("BTCUSDT")
HELD = read(EMPTY, row("1", 100), sent=1000, received=1300)
PUSHED = apply_push(HELD, row("2", 1500), at(1540))
HEDGED = read(EMPTY, row("1", 100, Leg.LONG), row("-2", 200, Leg.SHORT), sent=1000, received=1300)
