"""Evidence that a snapshot contains a fill which an execution result reported.

A result is published after its fill, so a snapshot verified at the result's arrival or later contains the
fill. An earlier snapshot contains it by the exchange's own times: the stream dates the fill
(`ORDER_TRADE_UPDATE`, `T`), and a row of the leg with that time or a later one contains it.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from brain.identifiers import OrderId
from brain.moment import Moment
from brain.numbers import NotANumberError, parse_decimal
from brain.positions.position import Leg, Snapshot

#: An order booked so long before a takeover is in every snapshot that is fresh enough for decisions.
_TAKEOVER_MARGIN_SEC = 60


class ReportedFill(msgspec.Struct, frozen=True):
    """An order's filled quantity as a result reported it (`cumulative`, contracts), and that one's arrival.

    `leg` and `filled_ms` (the exchange's clock) are None until the stream has shown the order filled so far.
    """

    order_id: OrderId
    cumulative: Decimal
    arrived: Moment
    leg: Leg | None = None
    filled_ms: int | None = None


def snapshot_contains(snapshot: Snapshot, fill: ReportedFill) -> bool:
    """Return True if the snapshot's position is proven to contain the fill."""
    if snapshot.verified_at >= fill.arrived:
        return True
    if fill.filled_ms is None:
        return False
    return any(row.leg is fill.leg and row.update_time_ms >= fill.filled_ms for row in snapshot.legs)


def may_precede_takeover(last_order_time_epoch: str | None, taken_over_ms: int) -> bool:
    """Return True if the ledger's last order may have been filled just before this process took over.

    Both are Redis's clock (epoch seconds as stored; ms). The margin is wide because earlier builds dated
    ledgers by their host's clock. An unreadable time counts as a recent one.
    """
    if last_order_time_epoch is None:
        return False
    try:
        booked_sec = parse_decimal(last_order_time_epoch)
    except NotANumberError:
        return True
    return abs(booked_sec - Decimal(taken_over_ms) / 1000) <= _TAKEOVER_MARGIN_SEC
